"""Training `convnet.ConvNet` on a task: the baseline that sees letters and needs no pretraining."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genomics_fm.errors import require
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.model.losses import head_loss
from genomics_fm.tasks import metrics
from genomics_fm.tasks.cnn import one_hot, one_thread
from genomics_fm.tasks.convnet import ConvNet, lengths_of
from genomics_fm.tasks.learning import Course, Point
from genomics_fm.tasks.metrics import Labels, Predictions
from genomics_fm.tasks.objective import scale_of
from genomics_fm.tasks.problem import UNLABELLED, Problem
from genomics_fm.tasks.rows import Rows

PREDICTION_BASES = 65_536
"""Bases predicted at once, or one sequence."""
WEIGHT_DECAY = 0.01


@dataclass(frozen=True)
class CnnConfig:
    """How long and how fast the network learns.

    Attributes:
        learning_rate: AdamW's, at first.
        epochs: most passes over the training rows, within the two bounds that follow.
        fewest_updates: however few rows there are.
        most_updates: however many rows there are; a network that needs more is said not to have converged.
        batch_rows: sequences an update.
        evaluations: times the weights are scored on validation; the best are kept.
        patience: evaluations in a row without a better score after which training ends.
        decay: what the rate is multiplied by after `decay_patience` of them. A rate that fell by a plan instead would
            make the score rise until the plan ends, and no training would look finished.
        decay_patience: evaluations in a row without a better score after which the rate falls.
    """

    learning_rate: float = 2e-3
    epochs: int = 30
    fewest_updates: int = 300
    most_updates: int = 2000
    batch_rows: int = 64
    evaluations: int = 30
    patience: int = 5
    decay: float = 0.3
    decay_patience: int = 3

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, int):
                require(value >= 1, name, value, "at least 1")
        require(0 < self.decay < 1, "decay", self.decay, "between 0 and 1")

    def updates(self, rows: int) -> int:
        """Planned for so many training rows."""
        wanted = max(self.fewest_updates, -(-self.epochs * rows // self.batch_rows))
        return min(wanted, self.most_updates)


@dataclass(frozen=True)
class Trained:
    """A trained network.

    Attributes:
        predict: sequences to predictions, the mean of both strands where the task is unstranded.
        updates: made; of `batch_rows` rows each, or of all where there are fewer.
        converged: as of an encoder's training, `learning.Course.converged`; None: not known.
        scores: validation score of each evaluation.
    """

    predict: Callable[[Sequence[str]], Predictions]
    updates: int
    converged: bool | None
    scores: list[float]


def train(problem: Problem, train: Rows, validation: Rows, seed: int, config: CnnConfig | None = None) -> Trained:
    """Train on one thread; the same seed gives the same network, and torch's global generators stay as they were.

    Args:
        problem: any; its metric on validation picks the weights. Unstranded: each strand half of the time (R20).
        train: rows to learn from.
        validation: rows to stop by.
        seed: of weights, dropout, order and strands.
        config: of the training; None for the defaults.
    """
    config = config or CnnConfig()
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ConvNet(problem.outputs, problem.kind == "per-base")
        targets = _Targets.of(problem, train.labels)
        updates, size = config.updates(len(train)), min(config.batch_rows, len(train))
        course = Course(len(train))
        optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, "max", config.decay, config.decay_patience - 1, threshold=0.0
        )
        best, scores, made = {name: value.clone() for name, value in model.state_dict().items()}, [], 0
        for made, (rows, flipped) in enumerate(_batches(problem, len(train), updates, config.batch_rows, seed), 1):
            model.train()
            optimizer.zero_grad()
            loss = _loss(problem, model, targets, train, rows, flipped)
            loss.backward()
            optimizer.step()
            if made * config.evaluations // updates > (made - 1) * config.evaluations // updates:
                guess = _predict(problem, model, targets, validation.sequences)
                scores.append(metrics.evaluate(problem, validation.labels, guess)[problem.metric])
                schedule.step(scores[-1])
                course.points.append(Point(made, made * size, loss.item(), scores[-1]))
                if scores[-1] > max(scores[:-1], default=-np.inf):
                    best = {name: value.clone() for name, value in model.state_dict().items()}
                elif len(scores) - 1 - int(np.argmax(scores)) >= config.patience:
                    course.out_of_patience = made < updates
                    break
        model.load_state_dict(best)
        course.rows_seen = made * size

    def predict(sequences: Sequence[str]) -> Predictions:
        with one_thread():
            return _predict(problem, model, targets, sequences)

    return Trained(predict, made, course.converged, scores)


@dataclass(frozen=True)
class _Targets:
    """Centre and scale of regression targets in the training rows, (C,); 0 and 1 of other problems."""

    centre: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def of(cls, problem: Problem, labels: Labels) -> "_Targets":
        if problem.kind != "regression":
            return cls(np.zeros(problem.outputs), np.ones(problem.outputs))
        return cls(*scale_of(labels.astype(np.float64)))


def _loss(
    problem: Problem,
    model: ConvNet,
    targets: _Targets,
    rows: Rows,
    picked: NDArray[np.int64],
    flipped: NDArray[np.bool_],
) -> Tensor:
    sequences = [
        reverse_complement(rows.sequences[i]) if turn else rows.sequences[i]
        for i, turn in zip(picked.tolist(), flipped.tolist(), strict=True)
    ]
    logits = model(one_hot(sequences), lengths_of(sequences))
    labels = rows.labels[picked]
    if problem.kind == "per-base":
        classes_BL = np.full(logits.shape[:2], UNLABELLED, np.int64)
        for i, (classes, turn) in enumerate(zip(labels, flipped, strict=True)):
            classes_BL[i, : len(classes)] = classes[::-1] if turn else classes
        return head_loss("classification", logits.flatten(0, 1), torch.from_numpy(classes_BL).flatten())
    if problem.kind == "regression":
        labels = ((labels - targets.centre) / targets.scale).astype(np.float32)
    return head_loss(problem.kind, logits, torch.from_numpy(labels))


@torch.no_grad()
def _predict(problem: Problem, model: ConvNet, targets: _Targets, sequences: Sequence[str]) -> Predictions:
    """(N, C) float32, of bases (N,) of (L, C)."""
    model.eval()
    found: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(sequences)
    for rows in _of_like_length(sequences):
        picked = [sequences[row] for row in rows]
        values = _values(problem, model, targets, picked)
        if not problem.stranded:
            turned = _values(problem, model, targets, [reverse_complement(sequence) for sequence in picked])
            turned = [other[::-1] for other in turned] if problem.kind == "per-base" else turned
            values = [((one + other) / 2).astype(np.float32) for one, other in zip(values, turned, strict=True)]
        for row, value in zip(rows, values, strict=True):
            found[row] = value
    if problem.kind != "per-base":
        return np.stack(found) if found else np.empty((0, problem.outputs), np.float32)
    bases = np.empty(len(found), object)
    bases[:] = found
    return bases


def _values(problem: Problem, model: ConvNet, targets: _Targets, sequences: Sequence[str]) -> list[NDArray[np.float32]]:
    """What the logits of each sequence mean: probabilities, or numbers on the scale of the labels."""
    logits = model(one_hot(sequences), lengths_of(sequences))
    if problem.kind == "per-base":
        shares = torch.softmax(logits, -1).numpy()
        return [share[: len(sequence)] for share, sequence in zip(shares, sequences, strict=True)]
    if problem.kind == "regression":
        return list((logits.double().numpy() * targets.scale + targets.centre).astype(np.float32))
    return list((torch.softmax(logits, -1) if problem.classes else torch.sigmoid(logits)).numpy())


def _of_like_length(sequences: Sequence[str]) -> Iterator[list[int]]:
    """Row numbers in batches of falling length."""
    order = sorted(range(len(sequences)), key=lambda row: -len(sequences[row]))
    while order:
        size = max(1, PREDICTION_BASES // max(1, len(sequences[order[0]])))
        yield order[:size]
        order = order[size:]


def _batches(
    problem: Problem, rows: int, updates: int, size: int, seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """(rows, which of them to reverse-complement); every row once before any row twice."""
    random = np.random.default_rng(seed)
    order = np.empty(0, np.int64)
    for _ in range(updates):
        if len(order) < min(size, rows):
            order = np.concatenate([order, random.permutation(rows)])
        picked, order = order[: min(size, rows)], order[min(size, rows) :]
        yield picked, (random.random(len(picked)) < 0.5) & (not problem.stranded)
