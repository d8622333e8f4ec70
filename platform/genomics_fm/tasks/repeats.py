"""Equal sequences among labelled rows, and those of them that contradict each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.rows import Labels


@dataclass(frozen=True)
class Repeats:
    """Equal sequences of N rows; of an unstranded problem also those that are each other's reverse complement.

    Attributes:
        first: (N,) the first row with the same sequence; itself where there is none before it.
        conflicting: (N,) whether rows with this sequence differ in class or in a label; numbers that differ are
            measurements repeated, not a contradiction.
    """

    first: NDArray[np.int64]
    conflicting: NDArray[np.bool_]

    @property
    def duplicates(self) -> int:
        """Rows whose sequence stands before them already."""
        return int(np.sum(self.first != np.arange(len(self.first))))


def repeats(sequences: Sequence[str], labels: Labels, problem: Problem) -> Repeats:
    """Find equal sequences. Classes of bases are compared where the sequences are equal letter for letter."""
    turn = not problem.stranded and problem.kind != "per-base"
    row_of: dict[str, int] = {}
    first = np.empty(len(sequences), np.int64)
    for row, sequence in enumerate(sequences):
        same = min(sequence, reverse_complement(sequence)) if turn else sequence
        first[row] = row_of.setdefault(same, row)
    wrong: set[int] = set()
    said: dict[int, Any] = {}  # by first row: what all repeats up to here have measured
    if problem.kind != "regression":
        for row in np.flatnonzero(first != np.arange(len(first))).tolist():
            of = int(first[row])
            before = said.get(of, labels[of])
            if contradict(labels[row], before):
                wrong.add(of)
            said[of] = _together(before, labels[row])
    return Repeats(first, np.isin(first, list(wrong)))


def _together(one: Any, other: Any) -> Any:
    """One row's labels, and the other's where the one has none."""
    if not isinstance(one, np.ndarray):
        return one
    return np.where(np.isnan(one) if one.dtype.kind == "f" else one < 0, other, one)


def contradict(mine: Any, other: Any) -> bool:
    """Whether two labels contradict each other; what was not measured does not."""
    if not isinstance(mine, np.ndarray):
        return bool(mine != other)
    if mine.dtype.kind == "f":
        return bool(np.any((mine != other) & ~np.isnan(mine) & ~np.isnan(other)))
    return bool(np.any((mine != other) & (mine >= 0) & (other >= 0)))
