"""A small task of each kind, for tests of trials: what is asked hangs on the share of A and T, or on the base A."""

from pathlib import Path

import numpy as np

from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import new_language_model
from genomics_fm.model.weights import save_encoder
from genomics_fm.tasks.problem import UNLABELLED, Kind, Problem
from genomics_fm.tasks.rows import Labels, Rows, of_bases
from genomics_fm.tasks.task import Task
from genomics_fm.vocabulary.ensemble import Ensemble
from tests.corpora import dna

NAMES = {
    "classification": ("poor", "middling", "rich"),
    "multilabel": ("rich", "poor"),
    "regression": ("share", "unlike"),
    "per-base": ("other", "a or t"),
}
LETTERS = ("ACGCGT", "ACGT", "AATTCG")


def made_up(kind: Kind, count: int, seed: int) -> Rows:
    """Rows of the three shares by turns, 50 to 80 nt long."""
    third = np.arange(count) % 3
    sequences = [dna(50 + i % 31, 1_000 * seed + i, LETTERS[which]) for i, which in enumerate(third)]
    locus = [f"I:{i}-{i + 80}:+" for i in range(count)]
    return Rows(sequences, _labels(kind, sequences, third), locus, np.arange(count) // 2)


def _labels(kind: Kind, sequences: list[str], third: np.ndarray) -> Labels:
    if kind == "classification":
        return third
    if kind == "per-base":
        rows = [np.isin(list(sequence), ["A", "T"]).astype(np.int8) for sequence in sequences]
        for row in rows:
            row[:5] = UNLABELLED
        return of_bases(rows)
    if kind == "multilabel":
        labels = np.stack([third == 2, third == 0], axis=1).astype(np.float32)
    else:
        share = np.array([(s.count("A") + s.count("T")) / len(s) for s in sequences])
        labels = np.stack([300 + 100 * share, -0.01 * share], axis=1).astype(np.float32)
    labels[::4, 1] = np.nan
    return labels


def task_of(kind: Kind, stranded: bool = False, rows: int = 60) -> Task:
    """A task with all four splits."""
    sizes = {"train": rows, "validation": 36, "calibration": 12, "test": 36}
    splits = {split: made_up(kind, size, seed) for seed, (split, size) in enumerate(sizes.items())}
    return Task(f"{kind} task", Problem(kind, NAMES[kind], stranded), splits)


def encoder(folder: Path, vocabulary: Ensemble, seed: int = 0, **changes: object) -> Path:
    """A folder of an untrained encoder, 32 wide, with its vocabulary."""
    shape = {"layers": 1, "width": 32, "heads": 2, "ffn_width": 48} | changes
    config = EncoderConfig(vocabulary_size=vocabulary.size, **shape)  # type: ignore[arg-type]
    save_encoder(folder, new_language_model(config, seed), {"vocabulary_sha256": vocabulary.sha256})
    vocabulary.save(folder / "vocabulary.json")
    return folder
