"""Which pieces may be neighbours in a BPE encoding, and the proof that this is all there is to know.

BPE applies its lowest merge that fits, leftmost first, until none fits. Let every merge use pieces that only earlier
merges make. Then BPE is one pass over the text for each merge in order, and what happens inside a stretch that no
merge leaves or enters does not depend on what surrounds it. Two facts follow:

1. Two pieces that end up as neighbours do so in BPE of the two alone. Whether they do is one bit, `stays[left, right]`.
2. A row of pieces is what BPE makes of a text if and only if each neighbouring pair of it stays. So every prefix of a
   text has at most one such row that ends with it, and any search that goes back from dead ends finds the whole one
   (the idea is that of the Rust crate `bpe` by GitHub).

The bits come merge by merge. When merge m turns (a, b) into p, the neighbours a|b stay no longer. To the right of p
stands b, complete before m: p|q stays if b|q does. To the left stands a: q|p stays if q|a does. Only in a run of one
piece c does the order within a merge matter: c c c becomes cc c, so cc|c stays and c|cc does not.
"""

import numpy as np
from numba import njit

_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_WORD = 64


def neighbours(pieces: int, letters: list[int], merges: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Pieces that some text is encoded with, and which of them stay neighbours.

    Args:
        pieces: how many.
        letters: local ids of the single letters.
        merges: left, right and whole of each merge in order, (M, 3) int32.

    Returns:
        (made, (pieces,) bool; stays: bit `right` of row `left`, (pieces, words) uint64), or None where the proof does
        not hold because a merge uses a piece that a later merge makes.
    """
    made_at = np.full(pieces, len(merges), np.int32)
    made_at[letters] = -1
    stays = np.full((pieces, -(-pieces // _WORD)), _ALL)
    if not _apply(merges, made_at, stays):
        return None
    return made_at < len(merges), stays


@njit(cache=True)
def _apply(merges: np.ndarray, made_at: np.ndarray, stays: np.ndarray) -> bool:  # pragma: no cover
    """Fill `stays` and `made_at`; False if a merge uses a piece that a later one makes.

    A merge of which a part is never made, or whose parts never become neighbours, never fits: it is left out.

    Args:
        merges: as above.
        made_at: −1 for letters, M for the rest; receives the merge that makes a piece, and keeps M where none does.
        stays: all ones.
    """
    made = np.empty(len(made_at), np.int32)
    count = 0
    for piece in range(len(made_at)):
        if made_at[piece] < 0:
            made[count] = piece
            count += 1
    for place in range(len(merges)):
        left, right, whole = merges[place, 0], merges[place, 1], merges[place, 2]
        if max(made_at[left], made_at[right]) >= place or not _bit(stays, left, right):
            continue
        _set(stays, left, right, False)
        for other in made[:count]:
            _set(stays, other, whole, _bit(stays, other, left))
        for word in range(stays.shape[1]):
            stays[whole, word] = stays[right, word]  # bit `whole` is that of (right, left) by now
        if left == right:
            _set(stays, whole, left, True)
            _set(stays, whole, whole, True)
        made_at[whole], made[count] = place, whole
        count += 1
    return _in_order(merges, made_at)


@njit(cache=True)
def _in_order(merges: np.ndarray, made_at: np.ndarray) -> bool:  # pragma: no cover
    for place in range(len(merges)):
        latest = max(made_at[merges[place, 0]], made_at[merges[place, 1]])
        if place <= latest < len(merges):
            return False
    return True


@njit(cache=True)
def _bit(bits: np.ndarray, row: int, column: int) -> bool:  # pragma: no cover
    return (bits[row, column // _WORD] >> np.uint64(column % _WORD)) & np.uint64(1) != 0


@njit(cache=True)
def _set(bits: np.ndarray, row: int, column: int, value: bool) -> None:  # pragma: no cover
    mask = np.uint64(1) << np.uint64(column % _WORD)
    word = bits[row, column // _WORD]
    bits[row, column // _WORD] = word | mask if value else word & ~mask


def classes(made: np.ndarray, stays: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`stays` without equal rows and columns: about an eighth of it, which fits the second-level cache.

    Returns:
        (row of each piece on the left, int32; column of each piece on the right, int32; bits (rows + 1, words)
        uint64). The last row stands for the start of a text, where every piece may stand.
    """
    rows, row_of = np.unique(np.where(made[:, None], stays, _ALL), axis=0, return_inverse=True)
    columns, column_of = _unique_columns(rows, made)
    packed = np.packbits(columns, axis=1, bitorder="little")
    words = np.zeros((len(rows) + 1, -(-columns.shape[1] // _WORD) * 8), np.uint8)
    words[:-1, : packed.shape[1]] = packed
    words[-1] = 0xFF
    return row_of.astype(np.int32), column_of.astype(np.int32), words.view(np.uint64)


def _unique_columns(rows: np.ndarray, made: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct columns of a table of bits, (rows, columns) uint8, and which of them each piece has."""
    columns = np.empty((len(made), -(-len(rows) // 8)), np.uint8)
    for word in range(rows.shape[1]):  # 64 columns at a time, for the memory
        bits = np.unpackbits(rows[:, word : word + 1].view(np.uint8), axis=1, bitorder="little")
        begin = word * _WORD
        columns[begin : begin + _WORD] = np.packbits(bits.T, axis=1)[: len(made) - begin]
    columns[~made] = 0xFF
    distinct, column_of = np.unique(columns, axis=0, return_inverse=True)
    return np.unpackbits(distinct, axis=1, count=len(rows)).T, column_of
