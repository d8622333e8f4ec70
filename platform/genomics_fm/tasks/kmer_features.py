"""k-mer counts of many sequences as a sparse matrix, for linear baselines."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped]

from genomics_fm.tasks import kmers

_CHUNK_LETTERS = 4_000_000
_UNKNOWN = 4


def matrix(sequences: Sequence[str], k: int, both_strands: bool) -> sparse.csr_matrix:
    """log(1 + count) of each k-mer in each sequence, (N, columns) float32; columns by rising k-mer.

    Args:
        sequences: upper case; a k-mer with any letter but A C G T is not counted.
        k: small: there are 4^k columns before strands are joined.
        both_strands: a k-mer and its reverse complement are one column, so that both strands of a sequence have the
            same counts (R20: only where the task is not stranded).
    """
    column = _columns(k, both_strands)
    width = int(column.max()) + 1
    parts = [_counted(part, k, column, width) for part in _chunks(sequences)]
    found = sparse.vstack(parts, format="csr") if parts else sparse.csr_matrix((0, width), dtype=np.float32)
    np.log1p(found.data, out=found.data)
    return found


def ids(codes: NDArray[np.uint8], k: int) -> NDArray[np.int64]:
    """The number of the k-mer that begins at each letter but the last k − 1; −1 where one is unknown.

    Args:
        codes: A C G T = 0 … 3, anything else 4, as `kmers.encode` gives them.
        k: its length.
    """
    count = max(0, len(codes) - k + 1)
    found, known = np.zeros(count, np.int64), np.ones(count, np.bool_)
    for place in range(k):
        letters = codes[place : place + count]
        found = found * 4 + letters
        known &= letters != _UNKNOWN
    return np.where(known, found, -1)


def _columns(k: int, both_strands: bool) -> NDArray[np.int64]:
    """Which column each of the 4^k k-mers belongs to."""
    every = np.arange(4**k)
    if not both_strands:
        return every
    turned = np.zeros_like(every)
    for place in range(k):
        turned = turned * 4 + 3 - (every >> 2 * place & 3)
    return np.unique(np.minimum(every, turned), return_inverse=True)[1].astype(np.int64)


def _chunks(sequences: Sequence[str]) -> Iterator[Sequence[str]]:
    """Some sequences at a time, so that memory follows the counts and not the letters."""
    bounds = np.cumsum([len(sequence) + 1 for sequence in sequences]) // _CHUNK_LETTERS
    starts = np.flatnonzero(np.diff(bounds, prepend=-1)).tolist()
    for start, end in itertools.pairwise([*starts, len(sequences)]):
        yield sequences[start:end]


def _counted(sequences: Sequence[str], k: int, column: NDArray[np.int64], width: int) -> sparse.csr_matrix:
    codes, row = kmers.encode(sequences)
    found = ids(codes, k)
    known = found >= 0
    place = row[: len(found)][known], column[found[known]]
    ones = np.ones(len(place[0]), np.float32)
    return sparse.coo_matrix((ones, place), shape=(len(sequences), width)).tocsr()
