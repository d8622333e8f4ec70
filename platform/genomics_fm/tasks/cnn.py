"""A small convolutional network on one-hot nucleotides: the baseline that needs no pretraining."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genomics_fm.tasks import kmers, metrics
from genomics_fm.tasks.rows import Rows

BATCH_ROWS = 64
UPDATES = 300
LEARNING_RATE = 0.02  # best on validation of the yeast task; worth tuning from 0.003 to 0.03
WEIGHT_DECAY = 0.01
WARM_UP = 0.1  # share of the updates
SNAPSHOTS = 4  # times the weights are scored on validation; the best are kept
PREDICTION_ROWS = 512

PredictFunction = Callable[[Sequence[str]], NDArray[np.float32]]


class Cnn(nn.Module):
    """Two normalised convolutions, maximum and mean over positions, one linear layer: 6,721 parameters."""

    def __init__(self, channels: int = 32, motif_bp: int = 11, dropout: float = 0.2):
        super().__init__()
        self.motifs = nn.Conv1d(4, channels, motif_bp, padding=motif_bp // 2, bias=False)
        self.motif_norm = nn.BatchNorm1d(channels)
        self.pool = nn.MaxPool1d(3, ceil_mode=True)  # of a codon's length
        self.context = nn.Conv1d(channels, channels, 5, padding=2, bias=False)
        self.context_norm = nn.BatchNorm1d(channels)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(2 * channels, 1)

    def forward(self, bases_B4L: Tensor) -> Tensor:
        """Logit of class 1 for one-hot sequences: (B, 4, L) to (B,)."""
        hidden_BDL = torch.relu(self.motif_norm(self.pool(self.motifs(bases_B4L))))
        hidden_BDL = torch.relu(self.context_norm(self.context(hidden_BDL)))
        pooled_BD = torch.cat([hidden_BDL.amax(2), hidden_BDL.mean(2)], 1)
        return self.output(self.dropout(pooled_BD)).squeeze(1)


def one_hot(sequences: Sequence[str]) -> Tensor:
    """(sequences, 4, longest), channels A C G T; an unknown base and what follows a shorter sequence are 0."""
    codes, row = kmers.encode(sequences)
    start = np.searchsorted(row, np.arange(len(sequences)))
    position = np.arange(len(codes)) - start[row]
    known = codes < 4
    bases = torch.zeros(len(sequences), 4, int(position.max(initial=0)))
    bases[row[known], codes[known].astype(np.int64), position[known]] = 1
    return bases


def reverse_complement(bases_B4L: Tensor) -> Tensor:
    """Both axes turned round: the channels' order A C G T makes that the complement."""
    return bases_B4L.flip(1, 2)


def train(train: Rows, validation: Rows, learning_rate: float, updates: int, seed: int) -> PredictFunction:
    """Train for a fixed number of updates, each strand half of the time, on one thread.

    Args:
        train: labelled rows of a binary, unstranded task.
        validation: picks the best of `SNAPSHOTS` evenly spaced states by MCC.
        learning_rate: highest rate of a linear warm-up and a linear decay, AdamW.
        updates: of `BATCH_ROWS` rows each.
        seed: of weights, dropout, order and strands; the global generators are left as they were.

    Returns:
        A function from sequences to the probability of class 1, the mean of both strands.
    """
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Cnn()
        bases, labels = one_hot(train.sequences), torch.from_numpy(train.labels).float()
        checked = one_hot(validation.sequences)
        optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, updates))
        best, best_state = -np.inf, model.state_dict()
        for update, (rows, flipped) in enumerate(_batches(len(train), updates, seed), 1):
            model.train()
            batch = torch.where(flipped[:, None, None], reverse_complement(bases[rows]), bases[rows])
            loss = nn.functional.binary_cross_entropy_with_logits(model(batch), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if update * SNAPSHOTS // updates > (update - 1) * SNAPSHOTS // updates:
                guess = (_probability(model, checked) >= 0.5).astype(np.int64)
                if (found := metrics.mcc(validation.labels, guess)) > best:
                    best = found
                    best_state = {name: value.clone() for name, value in model.state_dict().items()}
        model.load_state_dict(best_state)
    return lambda sequences: _predict(model, sequences)


def _predict(model: Cnn, sequences: Sequence[str]) -> NDArray[np.float32]:
    with one_thread():
        return _probability(model, one_hot(sequences))


@torch.no_grad()
def _probability(model: Cnn, bases: Tensor) -> NDArray[np.float32]:
    model.eval()
    parts = [
        (torch.sigmoid(model(batch)) + torch.sigmoid(model(reverse_complement(batch)))) / 2
        for batch in bases.split(PREDICTION_ROWS)
    ]
    return torch.cat(parts).numpy().astype(np.float32)


def _batches(rows: int, updates: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(row indices, which of them to reverse-complement); every row once before any row twice."""
    random = np.random.default_rng(seed)
    size = min(BATCH_ROWS, rows)
    order = np.empty(0, np.int64)
    for _ in range(updates):
        if len(order) < size:
            order = np.concatenate([order, random.permutation(rows)])
        yield torch.from_numpy(order[:size]), torch.from_numpy(random.random(size) < 0.5)
        order = order[size:]


def _rate(step: int, updates: int) -> float:
    warm = max(1, round(WARM_UP * updates))
    return min((step + 1) / warm, max(0.0, (updates - step) / max(1, updates - warm)))


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread: the sums, and so the results, do not depend on the machine's cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
