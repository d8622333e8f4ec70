"""Baselines that know next to nothing of the sequence: the labels' shares, GC and length, a base's neighbours."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.tasks import kmer_features, kmers
from genomics_fm.tasks.metrics import Labels, Predictions
from genomics_fm.tasks.problem import UNLABELLED, Problem

_GC = np.frombuffer(b"GC", np.uint8)
_KNOWN = np.frombuffer(b"ACGT", np.uint8)


def constant(problem: Problem, labels: Labels) -> NDArray[np.float32]:
    """What is best said of every row: shares of the classes or labels, means of targets; (C,)."""
    if problem.classes:
        classes = np.concatenate(list(labels)) if problem.kind == "per-base" else labels
        counts = np.bincount(classes[classes != UNLABELLED].astype(np.int64), minlength=problem.outputs)
        return (counts / max(1, counts.sum())).astype(np.float32)
    known = ~np.isnan(labels)
    total = np.where(known, labels, 0).sum(0, dtype=np.float64)
    return (total / np.maximum(known.sum(0), 1)).astype(np.float32)


def everywhere(problem: Problem, value_C: NDArray[np.float32], sequences: Sequence[str]) -> Predictions:
    """The same prediction for every row, or every base of it."""
    if problem.kind == "per-base":
        return _of_rows([np.tile(value_C, (len(sequence), 1)) for sequence in sequences])
    return np.tile(value_C, (len(sequences), 1))


def gc_and_length(sequences: Sequence[str]) -> NDArray[np.float32]:
    """GC share of the known letters, logarithm of the length, and the squares of both, (N, 4)."""
    found = np.empty((len(sequences), 4), np.float32)
    for row, sequence in enumerate(sequences):
        letters = np.frombuffer(sequence.encode(), np.uint8)
        gc = np.isin(letters, _GC).sum() / max(1, np.isin(letters, _KNOWN).sum())
        length = np.log1p(len(sequence))
        found[row] = gc, gc**2, length, length**2
    return found


class Context:
    """Shares of a base's classes given the k-mer around it: what a model of a class a base has to beat.

    Of an unstranded problem both strands are counted, and a base's two k-mers have the same shares.
    """

    def __init__(self, problem: Problem, sequences: Sequence[str], labels: Labels, k: int):
        """Count.

        Args:
            problem: a "per-base" one.
            sequences: training rows.
            labels: of their bases.
            k: odd; the base is the middle of the k-mer.
        """
        self.problem, self.k = problem, k
        counts = np.zeros((4**k + 1, problem.outputs))
        rows = list(zip(sequences, labels, strict=True))
        if not problem.stranded:
            rows += [(reverse_complement(sequence), classes[::-1]) for sequence, classes in rows]
        for sequence, classes in rows:
            known = classes != UNLABELLED
            np.add.at(counts, (self._around(sequence)[known], classes[known].astype(np.int64)), 1)
        share = counts.sum(0) / max(1.0, counts.sum())
        self.shares = ((counts + share) / (counts.sum(1, keepdims=True) + 1)).astype(np.float32)

    def __call__(self, sequences: Sequence[str]) -> Predictions:
        return _of_rows([self.shares[self._around(sequence)] for sequence in sequences])

    def _around(self, sequence: str) -> NDArray[np.int64]:
        """The k-mer whose middle each base is; 4^k where it holds an unknown letter or leaves the sequence."""
        flank = "N" * (self.k // 2)
        found = kmer_features.ids(kmers.encode([flank + sequence + flank])[0][:-1], self.k)
        return np.where(found >= 0, found, 4**self.k)


def _of_rows(found: list[NDArray[np.float32]]) -> Predictions:
    bases = np.empty(len(found), object)
    bases[:] = found
    return bases
