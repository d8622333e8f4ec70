"""One finetuning of an encoder on one task: a function of its config, its rows and its weights, without Ray."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from genomics_fm.errors import InputError, require
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import Pooling, SequenceClassifier, new_classifier
from genomics_fm.model.weights import load_encoder, load_into_classifier, set_deterministic
from genomics_fm.randomness import bits, key, uniform
from genomics_fm.tasks import results
from genomics_fm.tasks.fractions import nested_subset
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.results import ArmResult
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.scoring import strand_probabilities
from genomics_fm.training.optimizer import OptimizerConfig, adamw, learning_rate, set_learning_rate
from genomics_fm.vocabulary.ensemble import Ensemble

Start = Literal["pretrained", "scratch"]
CLASSES = 2


def _finetuning_optimizer() -> OptimizerConfig:
    return OptimizerConfig(learning_rate=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, warmup_steps=6)


@dataclass(frozen=True)
class TrialConfig:
    """One arm of a comparison.

    Attributes:
        vocabulary: which of the ensemble's vocabularies reads the sequences.
        start: from pretrained weights, or from the same architecture's initialisation.
        fraction: share of the (capped) training rows whose labels are used.
        seed: of the subset, the initialisation and the order.
        updates: the same in every arm (R23).
        batch_rows: sequences an update.
        cap: most training rows at fraction 1; fraction 1 is seen at least once when updates·batch_rows ≥ cap.
        pooling: of the head.
        threads: torch threads.
        optimizer: AdamW; its learning rate is chosen once and frozen.
    """

    vocabulary: str = "bpe"
    start: Start = "pretrained"
    fraction: float = 1.0
    seed: int = 0
    updates: int = 64
    batch_rows: int = 32
    cap: int = 2048
    pooling: Pooling = "mean"
    threads: int = 1
    optimizer: OptimizerConfig = field(default_factory=_finetuning_optimizer)

    def __post_init__(self) -> None:
        require(0 < self.fraction <= 1, "fraction", self.fraction, "a share above 0, at most 1")
        for name, least in (("updates", 1), ("batch_rows", 1), ("cap", 2), ("threads", 1), ("seed", 0)):
            require(getattr(self, name) >= least, name, getattr(self, name), f"at least {least}")

    @property
    def name(self) -> str:
        return f"{self.start} {self.vocabulary}"


@dataclass(frozen=True)
class Trial:
    """A finished finetuning: the classifier and its scores."""

    classifier: SequenceClassifier
    result: ArmResult


def _documents(vocabulary: Ensemble, name: str, rows: Rows) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Token ids of every row as it stands and of its reverse complement."""
    forward = [vocabulary.document(name, sequence) for sequence in rows.sequences]
    return forward, [vocabulary.document(name, reverse_complement(sequence)) for sequence in rows.sequences]


def _batch(order_key: int, update: int, rows: int, size: int) -> np.ndarray:
    """Rows of one update: every row once an epoch, in an order that depends on epoch and seed alone."""
    index = np.arange(update * size, (update + 1) * size)
    epochs = {epoch: np.argsort(bits(key(order_key, epoch), rows)) for epoch in set((index // rows).tolist())}
    return np.array([epochs[int(i) // rows][i % rows] for i in index])


def train(
    config: TrialConfig,
    classifier: SequenceClassifier,
    vocabulary: Ensemble,
    rows: Rows,
    on_update: Callable[[int, float], None] | None = None,
) -> None:
    """Finetune a classifier in place on an unstranded task, each strand half of the time (R20)."""
    strands = _documents(vocabulary, config.vocabulary, rows)
    labels = torch.from_numpy(rows.labels)
    optimizer = adamw(classifier, config.optimizer)
    classifier.train()
    for update in range(config.updates):
        picked = _batch(key(config.seed, "finetuning order"), update, len(rows), min(config.batch_rows, len(rows)))
        flip = uniform(key(config.seed, "finetuning strand", update), len(picked)) < 0.5
        documents = [strands[int(turned)][row] for row, turned in zip(picked, flip, strict=True)]
        set_learning_rate(optimizer, learning_rate(config.optimizer, update, config.updates))
        logits_BC = classifier(
            torch.from_numpy(np.concatenate(documents)).long(), [len(document) for document in documents]
        )
        loss = F.cross_entropy(logits_BC, labels[picked])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(classifier.parameters(), config.optimizer.clip_norm)
        optimizer.step()
        if on_update is not None:
            on_update(update + 1, loss.item())
    classifier.eval()


def new_head(config: TrialConfig, encoder_folder: Path, vocabulary: Ensemble) -> SequenceClassifier:
    """The classifier an arm starts with: pretrained encoder or not, and a fresh head either way."""
    encoder, tensors, about = load_encoder(encoder_folder)
    if about.get("vocabulary_sha256", vocabulary.sha256) != vocabulary.sha256:
        raise InputError(f"{encoder_folder}: pretrained with another vocabulary; give the one in its folder")
    shape = EncoderConfig(**{**asdict(encoder), "vocabulary_size": vocabulary.size})
    classifier = new_classifier(shape, CLASSES, config.seed, config.pooling)
    if config.start == "pretrained":
        load_into_classifier(classifier, tensors, str(encoder_folder))
    return classifier


def run(
    config: TrialConfig,
    encoder_folder: Path,
    vocabulary: Ensemble,
    train_rows: Rows,
    validation: Rows,
    test: Rows,
    on_update: Callable[[int, float], None] | None = None,
) -> Trial:
    """Finetune on a nested subset of the training rows and score validation and test.

    Args:
        config: of the arm.
        encoder_folder: of the pretrained encoder; its size is used in both starts.
        vocabulary: the ensemble the encoder was trained with.
        train_rows: all of them; subset and cap are taken here.
        validation: scored, never trained on.
        test: scored, never trained on.
        on_update: receives (updates made, loss of the last).
    """
    set_deterministic(config.threads)
    started = time.perf_counter()
    subset = nested_subset(train_rows.labels, config.fraction, config.seed, config.cap)
    if len(subset) == 0:
        raise InputError(f"fraction {config.fraction}: leaves a class without any row; take more labels")
    classifier = new_head(config, encoder_folder, vocabulary)
    train(config, classifier, vocabulary, train_rows.take(subset), on_update)

    def predictions(rows: Rows) -> np.ndarray:
        strands = strand_probabilities(classifier, vocabulary, config.vocabulary, rows.sequences, both_strands=True)
        return results.of_two(strands.mean(axis=0))

    result = results.score(
        Problem("classification", tuple(map(str, range(CLASSES)))),
        validation,
        test,
        name=config.name,
        fraction=config.fraction,
        capped=True,
        labels_seen=min(len(subset), config.updates * config.batch_rows),
        validation_predictions=predictions(validation),
        test_predictions=predictions(test),
        seconds=time.perf_counter() - started,
        chosen={"learning_rate": config.optimizer.learning_rate, "updates": config.updates, "seed": config.seed},
    )
    return Trial(classifier, result)
