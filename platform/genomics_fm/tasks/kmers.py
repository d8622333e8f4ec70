"""Canonical k-mers of many short sequences at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genomics_fm.genome.kmers import NO_KMER, canonical, distinct

_UNKNOWN = 4
_CODES = np.full(256, _UNKNOWN, np.uint8)
_CODES[list(b"ACGT")] = (0, 1, 2, 3)


def encode(sequences: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All sequences end to end, each followed by one unknown base so that no k-mer crosses a border.

    Returns:
        (codes: A C G T = 0 … 3, anything else 4; row: the index of the sequence each base belongs to).
    """
    codes = _CODES[np.frombuffer("".join(f"{sequence}N" for sequence in sequences).encode(), np.uint8)]
    lengths = np.fromiter((len(sequence) + 1 for sequence in sequences), np.int64, len(sequences))
    return codes, np.repeat(np.arange(len(sequences)), lengths)


def _turned(ids: NDArray[np.uint64], k: int) -> NDArray[np.uint64]:
    """The id of the reverse complement of each k-mer id."""
    turned = np.zeros_like(ids)
    for base in range(k):
        turned = turned << np.uint64(2) | np.uint64(3) - (ids >> np.uint64(2 * base) & np.uint64(3))
    return turned


def _owned(sequences: Sequence[str], k: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """(every canonical k-mer, index of the sequence it lies in), in order."""
    ids = canonical("N".join(sequences).encode(), k)
    known = ids != NO_KMER
    lengths = np.fromiter((len(sequence) + 1 for sequence in sequences), np.int64, len(sequences))
    return ids[known], np.repeat(np.arange(len(sequences)), lengths)[: len(ids)][known]


def counts(sequences: Sequence[str], k: int) -> NDArray[np.float32]:
    """How often each canonical k-mer occurs in each sequence: (sequences, canonical k-mers), columns by id."""
    ids, row = _owned(sequences, k)
    every = np.arange(4**k, dtype=np.uint64)
    columns, column = np.unique(np.minimum(every, _turned(every, k)), return_inverse=True)
    cell = row * len(columns) + column[ids.astype(np.int64)]
    flat = np.bincount(cell, minlength=len(sequences) * len(columns))
    return flat.astype(np.float32).reshape(len(sequences), len(columns))


def containment(sequences: Sequence[str], reference: Sequence[str], k: int) -> NDArray[np.float64]:
    """For each sequence, the share of its distinct canonical k-mers that occur anywhere in `reference`.

    A sequence without a known k-mer has containment 0.
    """
    present = distinct(canonical("N".join(reference).encode(), k))
    ids, owner = _owned(sequences, k)
    order = np.lexsort((ids, owner))
    ids, owner = ids[order], owner[order]
    first = np.ones(len(ids), np.bool_)  # of equal k-mers in one sequence
    first[1:] = (ids[1:] != ids[:-1]) | (owner[1:] != owner[:-1])
    ids, owner = ids[first], owner[first]
    total = np.bincount(owner, minlength=len(sequences))
    inside = np.searchsorted(present, ids, "right") > np.searchsorted(present, ids, "left")
    return np.bincount(owner, weights=inside, minlength=len(sequences)) / np.maximum(total, 1)
