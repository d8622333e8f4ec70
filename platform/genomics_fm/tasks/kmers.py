"""Canonical k-mers of many sequences at once, in numpy."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

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


def canonical(codes: NDArray[np.uint8], k: int) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """The smaller of each k-mer and its reverse complement, two bits a base, so k is at most 32.

    Returns:
        (ids, known), both of length len(codes) - k + 1; `known` is False where the k-mer holds an unknown.
    """
    unknown = np.concatenate([[0], np.cumsum(codes == _UNKNOWN)])
    known = unknown[k:] == unknown[:-k]
    bases = np.where(codes == _UNKNOWN, 0, codes).astype(np.uint64)
    forward = _ids(bases, k)
    other = _ids(np.uint64(3) - bases[::-1], k)[::-1]
    return np.minimum(forward, other), known


def _ids(bases: NDArray[np.uint64], k: int) -> NDArray[np.uint64]:
    """k-mer ids by doubling: a k-mer is two neighbouring halves."""
    if k == 1:
        return bases
    half = k // 2
    left, right = _ids(bases, half), _ids(bases, k - half)
    count = len(bases) - k + 1
    return left[:count] << np.uint64(2 * (k - half)) | right[half : half + count]


def _turned(ids: NDArray[np.uint64], k: int) -> NDArray[np.uint64]:
    """The id of the reverse complement of each k-mer id."""
    turned = np.zeros_like(ids)
    for base in range(k):
        turned = turned << np.uint64(2) | np.uint64(3) - (ids >> np.uint64(2 * base) & np.uint64(3))
    return turned


def counts(sequences: Sequence[str], k: int) -> NDArray[np.float32]:
    """How often each canonical k-mer occurs in each sequence: (sequences, canonical k-mers), columns by id."""
    codes, row = encode(sequences)
    ids, known = canonical(codes, k)
    every = np.arange(4**k, dtype=np.uint64)
    columns, column = np.unique(np.minimum(every, _turned(every, k)), return_inverse=True)
    cell = row[: len(ids)][known] * len(columns) + column[ids[known].astype(np.int64)]
    flat = np.bincount(cell, minlength=len(sequences) * len(columns))
    return flat.astype(np.float32).reshape(len(sequences), len(columns))


def containment(sequences: Sequence[str], reference: Sequence[str], k: int) -> NDArray[np.float64]:
    """For each sequence, the share of its distinct canonical k-mers that occur anywhere in `reference`.

    A sequence without a known k-mer has containment 0.
    """
    codes, row = encode(reference)
    ids, known = canonical(codes, k)
    present = np.sort(ids[known])
    codes, row = encode(sequences)
    ids, known = canonical(codes, k)
    ids, owner = ids[known], row[: len(ids)][known]
    order = np.lexsort((ids, owner))
    ids, owner = ids[order], owner[order]
    first = np.ones(len(ids), np.bool_)  # of equal k-mers in one sequence
    first[1:] = (ids[1:] != ids[:-1]) | (owner[1:] != owner[:-1])
    ids, owner = ids[first], owner[first]
    total = np.bincount(owner, minlength=len(sequences))
    inside = np.searchsorted(present, ids, "right") > np.searchsorted(present, ids, "left")
    return np.bincount(owner, weights=inside, minlength=len(sequences)) / np.maximum(total, 1)
