"""A tiny untrained head, for tests of everything that handles heads."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genomics_fm.inference.card import HeadCard
from genomics_fm.inference.head import save_head
from genomics_fm.inference.predicted import Predicted
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import new_classifier, new_token_classifier
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.results import of_two
from genomics_fm.tasks.rows import of_bases
from genomics_fm.vocabulary.bpe import BpeVocabulary
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.kmer import KmerVocabulary

torch.set_num_threads(1)  # two threads on two busy cores are ten times slower than one


def random_sequences(count: int, seed: int = 0, low: int = 10, high: int = 300) -> list[str]:
    draw = np.random.default_rng(seed)
    return ["".join(draw.choice(list("ACGT"), size=draw.integers(low, high + 1))) for _ in range(count)]


@functools.cache
def tiny_vocabulary() -> Ensemble:
    bpe = BpeVocabulary.train(random_sequences(50, seed=9), size=64)
    return Ensemble({"bpe": bpe, "kmer": KmerVocabulary(3)})


PROBLEM = Problem("classification", ("intergenic", "coding"))


def validation_rows(correct: float, seed: int = 0, blocks: int = 40, rows: int = 10) -> Predicted:
    """Rows of two classes of which a share `correct` is predicted rightly; equal but for that with every seed."""
    count = blocks * rows
    label = np.arange(count) % 2
    right = np.random.default_rng(seed).random(count) < correct
    return Predicted(
        locus=[f"II:{200 * i}-{200 * i + 200}:+" for i in range(count)],
        block=np.arange(count) // rows,
        labels=label,
        predictions=of_two(np.where(right, label * 0.8 + 0.1, 0.9 - label * 0.8)),
    )


def rows_of(problem: Problem, noise: float = 0.3, seed: int = 0) -> Predicted:
    """Validation rows of any problem, predicted with so much noise; equal but for that with every seed."""
    plain, draw = validation_rows(0.8), np.random.default_rng(seed)
    count, outputs = len(plain.locus), problem.outputs
    fixed = np.random.default_rng(99)
    if problem.kind == "per-base":
        labels = of_bases([fixed.integers(-1, outputs, 7) for _ in range(count)])
        labels[:] = [np.where(row < 0, -100, row).astype(np.int8) for row in labels]
        predictions = np.empty(count, object)
        predictions[:] = [_near(np.maximum(row, 0), outputs, noise, draw) for row in labels]
        return Predicted(plain.locus, plain.block, labels, predictions)
    if problem.kind == "classification":
        labels = fixed.integers(0, outputs, count)
        return Predicted(plain.locus, plain.block, labels, _near(labels, outputs, noise, draw))
    numbers = fixed.integers(0, 2, (count, outputs)) if problem.kind == "multilabel" else fixed.random((count, outputs))
    targets = numbers.astype(np.float32)
    guess = np.clip(targets * 0.6 + 0.2 + noise * draw.normal(size=targets.shape), 0.01, 0.99).astype(np.float32)
    targets[:5, 0] = np.nan
    return Predicted(plain.locus, plain.block, targets, guess)


def _near(labels: Any, outputs: int, noise: float, draw: np.random.Generator) -> Any:
    scores = np.eye(outputs)[labels] + noise * 3 * draw.random((len(labels), outputs))
    return (scores / scores.sum(1, keepdims=True)).astype(np.float32)


def write_head(folder: Path, seed: int = 0, correct: float = 0.8, **changes: Any) -> Path:
    """Save a head whose weights are drawn from `seed`, large enough for probabilities to differ.

    `changes` are fields of the card; `rows`, of any problem, are its validation rows.
    """
    vocabulary = tiny_vocabulary()
    config = EncoderConfig(vocabulary_size=vocabulary.size, layers=2, width=32, heads=2, ffn_width=64)
    rows = changes.pop("rows", None) or validation_rows(correct, seed)
    card = {
        "task": "coding_or_not",
        "problem": PROBLEM,
        "vocabulary": "bpe",
        "length_bp": (200, 200),
        "pooling": "mean",
        "encoder": {k: getattr(config, k) for k in config.__dataclass_fields__},
        "prevalence": (0.5, 0.5),
        "metrics": {"validation": {"mcc": 0.6}, "test": {"mcc": 0.55}, "baselines": {"gc": 0.3}},
        "hashes": {"vocabulary": vocabulary.sha256, "validation": "a" * 64},
        "training": {"seed": seed, "updates": 10},
    } | changes
    problem = card["problem"]
    if problem.kind == "per-base":
        module: Any = new_token_classifier(config, problem.outputs, seed)
    else:
        module = new_classifier(config, problem.outputs, seed, card["pooling"], dense=card.get("dense", True))
    with torch.no_grad():
        for name in ("pooler", "classifier"):
            if hasattr(module, name):
                getattr(module, name).weight *= 40
    save_head(folder, module, HeadCard(**card), vocabulary, rows)
    return folder
