"""What a BPE search should try at a place, known from the next few letters (`bpe_kernel.Tables.tries`).

A piece can only stand at a place if pieces that may be its neighbours go on from it beyond the letters that are seen;
for 4,096 pieces and nine letters that leaves 1.4 of them on average. The one to try first is what the letters by
themselves begin with. Neither changes what the search finds.
"""

import numpy as np
from numba import njit

from genomics_fm.vocabulary.bpe_kernel import AHEAD, FAR, FIRST, NO_PIECE

_FAR, _FIRST = np.uint16(FAR), np.uint16(FIRST)
_LOG_BITS, _LAST_BIT, _ONE = np.uint64(6), np.uint64(63), np.uint64(1)
_BITS = 64


def tries(
    child: np.ndarray, own: np.ndarray, short: np.ndarray, row: np.ndarray, column: np.ndarray, stays: np.ndarray
) -> np.ndarray:
    """`Tables.tries`.

    Args:
        child: as in `Tables`, and children stand after their parent.
        own: the piece that each node is, or −1.
        short: `Tables.piece`.
        row: as in `Tables`, like the rest.
    """
    follow = _follow(child, own, column, stays)
    possible = np.empty(4**AHEAD, np.uint16)
    _fill(possible, child, own, row, column, stays, follow)
    first = _firsts(short, row, column, stays)
    return possible | np.where(possible < _FAR, first << _FIRST, 0)


@njit(cache=True)
def _stays(stays: np.ndarray, row: int, column: int) -> bool:  # pragma: no cover
    place = np.uint64(column)
    return stays[row, place >> _LOG_BITS] >> (place & _LAST_BIT) & _ONE != 0


@njit(cache=True)
def _follow(
    child: np.ndarray, own: np.ndarray, column: np.ndarray, stays: np.ndarray
) -> np.ndarray:  # pragma: no cover
    """Bit `row` of each node: some piece that begins with its letters may follow; (nodes, words) uint64."""
    follow = np.zeros((len(child), len(stays) // _BITS + 1), np.uint64)
    for node in range(len(child) - 1, -1, -1):
        if own[node] >= 0:
            for row in range(len(stays)):
                if _stays(stays, row, column[own[node]]):
                    follow[node, row // _BITS] |= _ONE << np.uint64(row % _BITS)
        for below in child[node]:
            if below >= 0:
                follow[node] |= follow[below]
    return follow


@njit(cache=True)
def _fill(
    possible: np.ndarray,
    child: np.ndarray,
    own: np.ndarray,
    row: np.ndarray,
    column: np.ndarray,
    stays: np.ndarray,
    follow: np.ndarray,
) -> None:  # pragma: no cover
    """For every word, which of its beginnings can be the first piece, as bits; FAR if longer ones begin with it."""
    for word in range(possible.size):
        node, bits = np.int64(0), np.uint16(0)
        for place in range(AHEAD):
            node = np.int64(child[node, word >> 2 * place & 3])
            if node < 0:
                break
            if own[node] >= 0 and _goes_on(word, place + 1, row[own[node]], child, own, row, column, stays, follow):
                bits |= np.uint16(1 << place)
        if node >= 0 and child[node].max() >= 0:
            bits |= _FAR
        possible[word] = bits


@njit(cache=True)
def _goes_on(
    word: int,
    place: int,
    last: int,
    child: np.ndarray,
    own: np.ndarray,
    row: np.ndarray,
    column: np.ndarray,
    stays: np.ndarray,
    follow: np.ndarray,
) -> bool:  # pragma: no cover
    """Can pieces go on from a place in a word up to its end or beyond it, after one of row `last`?"""
    if place == AHEAD:
        return True
    node = np.int64(0)
    for end in range(place, AHEAD):
        node = np.int64(child[node, word >> 2 * end & 3])
        if node < 0 or not _stays(follow, node, last):
            return False
        fits = own[node] >= 0 and end + 1 < AHEAD and _stays(stays, last, column[own[node]])
        if fits and _goes_on(word, end + 1, row[own[node]], child, own, row, column, stays, follow):
            return True
    return True


@njit(cache=True)
def _firsts(
    short: np.ndarray, row: np.ndarray, column: np.ndarray, stays: np.ndarray
) -> np.ndarray:  # pragma: no cover
    """Letters of the first piece of every word's own encoding, uint16.

    A word's last piece is the one that may follow the last piece of what is before it.
    """
    first, last = np.zeros(short.size, np.uint16), np.zeros(short.size, np.uint16)
    for letters in range(1, AHEAD + 1):
        for code in range(4**letters):
            size = letters + 1
            found = False
            while not found:
                size -= 1
                piece = short[(1 << 2 * size) + (code >> 2 * (letters - size))]
                before = (1 << 2 * (letters - size)) + (code & (1 << 2 * (letters - size)) - 1)
                found = piece != NO_PIECE and (size == letters or _stays(stays, row[last[before]], column[piece]))
            word = (1 << 2 * letters) + code
            last[word], first[word] = piece, letters if size == letters else first[before]
    return first[4**AHEAD :]
