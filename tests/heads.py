"""A tiny untrained head, for tests of everything that handles heads."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genomics_fm.inference.card import HeadCard
from genomics_fm.inference.head import save_head
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import new_classifier
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


def validation_columns(correct: float, seed: int = 0, blocks: int = 40, rows: int = 10) -> dict[str, Any]:
    """Rows of which a share `correct` is predicted rightly; equal but for that with every seed."""
    count = blocks * rows
    label = np.arange(count) % 2
    right = np.random.default_rng(seed).random(count) < correct
    return {
        "locus": [f"II:{200 * i}-{200 * i + 200}:+" for i in range(count)],
        "block": np.arange(count) // rows,
        "label": label,
        "probability": np.where(right, label * 0.8 + 0.1, 0.9 - label * 0.8),
    }


def write_head(folder: Path, seed: int = 0, correct: float = 0.8, **changes: Any) -> Path:
    """Save a head whose weights are drawn from `seed`, large enough for probabilities to differ."""
    vocabulary = tiny_vocabulary()
    config = EncoderConfig(vocabulary_size=vocabulary.size, layers=2, width=32, heads=2, ffn_width=64)
    module = new_classifier(config, outputs=2, seed=seed, pooling=changes.get("pooling", "mean"))
    with torch.no_grad():
        for parameter in (module.pooler.weight, module.classifier.weight):
            parameter *= 40
    card = {
        "task": "coding_or_not",
        "labels": ("intergenic", "coding"),
        "vocabulary": "bpe",
        "input_length_bp": 200,
        "stranded": False,
        "pooling": "mean",
        "encoder": {k: getattr(config, k) for k in config.__dataclass_fields__},
        "prevalence": 0.5,
        "metrics": {"metric": "mcc", "validation_mcc": 0.6, "test_mcc": 0.55, "baselines": {"gc": 0.3}},
        "hashes": {"vocabulary": vocabulary.sha256, "validation": "a" * 64},
        "training": {"seed": seed, "updates": 10},
    } | changes
    columns = validation_columns(correct, seed)
    save_head(folder, module, HeadCard(**card), vocabulary, columns)
    return folder
