"""BPE of many sequences by a search that checks each pair of neighbours; see `bpe_neighbours` for why it is exact.

At every place the search knows from the next few letters which pieces can go on beyond them, and which of these mostly
does: it tries that one first, then the others from the longest to the shortest. Where none may follow the piece before,
it takes that one back. A prefix has at most one row of pieces, so no place is reached twice, and the order of the
tries changes the speed alone.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from genomics_fm.vocabulary.special import UNKNOWN

LETTERS = "ACTG"
"""By two-bit code: bits 1 and 2 of the letter's ASCII, in either case."""
AHEAD = 9
"""Letters that a try is chosen by: the table of as many takes half a MiB, and stays in the second-level cache."""
NO_PIECE = np.uint16(0xFFFF)
FAR = np.uint64(1 << AHEAD)
"""Bit of `Tables.tries`: a piece longer than AHEAD may stand here."""
FIRST = np.uint64(AHEAD + 1)
"""Bits from here on of `Tables.tries`: letters of the piece to try first."""

_SHORT = FAR - np.uint64(1)
_N = np.uint8(4)
_WORD = 32  # bases in 64 bits
_LOG_WORD = np.uint64(5)
_AHEAD = np.uint64(AHEAD)
_LAST_BIT = np.uint64(63)
_LOG_BITS = np.uint64(6)
_ZERO, _ONE, _TWO, _BASE = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(3)


class Tables(NamedTuple):
    """What the search reads. V pieces by local id; trie nodes stand for what pieces begin with, node 0 for nothing.

    Attributes:
        tries: by the next AHEAD letters (two bits each, the first in the lowest), uint16: bit l − 1, a piece of l
            letters can go on beyond them; FAR; and from FIRST on the letters of the piece to try first.
        piece: local id by 4**letters + code, or NO_PIECE, uint16; up to AHEAD letters.
        child: node and two-bit code → node, or −1; (nodes, 4) int32.
        longest: the longest piece that a node's letters begin with, or −1; int32.
        shorter: the next shorter piece that a piece begins with, or −1; (V,) int32.
        length: letters of a piece, (V,) uint64.
        row: of a piece in `stays` when it stands on the left, (V,) uint16.
        column: of a piece in `stays` when it stands on the right, (V,) uint16.
        stays: bits, (rows + 1, words) uint64: may the two be neighbours? The last row is the start of a text.
    """

    tries: np.ndarray
    piece: np.ndarray
    child: np.ndarray
    longest: np.ndarray
    shorter: np.ndarray
    length: np.ndarray
    row: np.ndarray
    column: np.ndarray
    stays: np.ndarray


def _codes_of_letters() -> np.ndarray:
    codes = np.full(256, _N, np.uint8)
    for letter in b"ACGTacgt":
        codes[letter] = letter >> 1 & 3
    return codes


_CODES = _codes_of_letters()
_HIGHEST = np.array([0, *(bits.bit_length() for bits in range(1, 1 << AHEAD))], np.uint8)
"""The longest of some lengths: their highest bit, from 1."""


@njit(cache=True, nogil=True)
def encode(
    letters_L: np.ndarray, offsets_D: np.ndarray, tables: Tables
) -> tuple[np.ndarray, np.ndarray]:  # pragma: no cover
    """`Member.encode_many` by tables."""
    ends_D = np.zeros(len(offsets_D), np.int64)
    ids = np.empty(offsets_D[-1] - offsets_D[0], np.int32)
    words = np.zeros(_words_needed(offsets_D, tables), np.uint64)
    count = 0
    for document in range(len(offsets_D) - 1):
        place, end = offsets_D[document], offsets_D[document + 1]
        while place < end:
            size = _pack(letters_L[place:end], words)
            count += _encode_run(words, size, tables, ids[count:])
            place += size
            while place < end and _CODES[letters_L[place]] == _N:
                ids[count] = UNKNOWN
                count, place = count + 1, place + 1
        ends_D[document + 1] = count
    return ids[:count].copy(), ends_D


@njit(cache=True)
def _words_needed(offsets_D: np.ndarray, tables: Tables) -> np.int64:  # pragma: no cover
    """Words for the longest sequence, and for what is looked at behind it."""
    size = np.int64(0)
    for document in range(len(offsets_D) - 1):
        size = max(size, offsets_D[document + 1] - offsets_D[document])
    return (size + np.int64(tables.length.max())) // _WORD + 2


@njit(cache=True)
def _pack(letters: np.ndarray, words: np.ndarray) -> int:  # pragma: no cover
    """Pack letters up to the first that is not A, C, G or T, two bits each; returns how many."""
    for begin in range(0, letters.size, _WORD):
        word, unknown = _ZERO, np.uint8(0)
        block = letters[begin : begin + _WORD]
        for place in range(block.size):
            code = _CODES[block[place]]
            unknown |= code
            word |= (np.uint64(code) & _BASE) << np.uint64(2 * place)
        words[begin // _WORD] = word
        if unknown & _N:
            for place in range(block.size):
                if _CODES[block[place]] == _N:
                    return begin + place
    return letters.size


@njit(cache=True)
def _encode_run(words: np.ndarray, run: int, tables: Tables, ids: np.ndarray) -> int:  # pragma: no cover
    """Write the tokens of `run` packed bases; returns how many."""
    tries, pieces, child, longest, shorter, length, row, column, stays = tables
    place, end, count = _ZERO, np.uint64(run), 0
    start = np.uint64(len(stays) - 1)
    last = start
    while place < end:
        window = _window(words, place)
        known = _known(window, end - place, tries, pieces)
        size = known >> FIRST
        if size:
            piece, rest = _piece(pieces, window, size), _rest(known, size)
        else:
            piece, size, rest = _longest(words, place, known, child, longest, length, pieces)
        while place + size > end or not _stays(stays, last, np.uint64(column[piece])):
            piece, size, rest = _next(window, piece, size, rest, shorter, length, pieces)
            while not size:
                count -= 1
                piece = np.int64(ids[count])
                size = length[piece]
                place -= size
                last = np.uint64(row[ids[count - 1]]) if count else start
                window = _window(words, place)
                rest = _rest(_known(window, end - place, tries, pieces), size)
                piece, size, rest = _next(window, piece, size, rest, shorter, length, pieces)
        ids[count] = piece
        count += 1
        place += size
        last = np.uint64(row[piece])
    return count


@njit(cache=True)
def _window(words: np.ndarray, place: np.uint64) -> np.uint64:  # pragma: no cover
    """The 32 bases from a place on."""
    at, shift = place >> _LOG_WORD, (place << _ONE) & _LAST_BIT
    return words[at] >> shift | words[at + _ONE] << _ONE << (_LAST_BIT - shift)


@njit(cache=True)
def _stays(stays: np.ndarray, row: np.uint64, column: np.uint64) -> bool:  # pragma: no cover
    return stays[row, column >> _LOG_BITS] >> (column & _LAST_BIT) & _ONE != _ZERO


@njit(cache=True)
def _piece(pieces: np.ndarray, window: np.uint64, size: np.uint64) -> np.int64:  # pragma: no cover
    """The piece of the first `size` letters."""
    top = _ONE << _TWO * size
    return np.int64(pieces[top | window & top - _ONE])


@njit(cache=True)
def _known(window: np.uint64, left: np.uint64, tries: np.ndarray, pieces: np.ndarray) -> np.uint64:  # pragma: no cover
    """What `Tables.tries` says of a place; where fewer letters are left, every piece that fits, none of them first."""
    if left >= _AHEAD:
        return np.uint64(tries[window & np.uint64(tries.size - 1)])
    known = _ZERO
    for place in range(np.int64(left)):
        if _piece(pieces, window, np.uint64(place + 1)) != NO_PIECE:
            known |= _ONE << np.uint64(place)
    return known


@njit(cache=True)
def _rest(known: np.uint64, size: np.uint64) -> np.uint64:  # pragma: no cover
    """The short pieces that are left to try after the one of `size` letters."""
    first = known >> FIRST
    rest = known & _SHORT & ~((_ONE << first) >> _ONE)
    return rest if size == first else rest & (_ONE << size - _ONE) - _ONE


@njit(cache=True)
def _longest(
    words: np.ndarray,
    place: np.uint64,
    known: np.uint64,
    child: np.ndarray,
    longest: np.ndarray,
    length: np.ndarray,
    pieces: np.ndarray,
) -> tuple[np.int64, np.uint64, np.uint64]:  # pragma: no cover
    """The longest piece at a place, its letters, and the short pieces that are left to try after it."""
    if known & FAR:
        node, at = np.int64(0), place
        while node >= 0:
            piece = np.int64(longest[node])
            node = np.int64(child[node, words[at >> _LOG_WORD] >> ((at << _ONE) & _LAST_BIT) & _BASE])
            at += _ONE
        if length[piece] > _AHEAD:
            return piece, length[piece], known & _SHORT
    return _short(_window(words, place), known & _SHORT, pieces)


@njit(cache=True)
def _next(
    window: np.uint64,
    piece: np.int64,
    size: np.uint64,
    rest: np.uint64,
    shorter: np.ndarray,
    length: np.ndarray,
    pieces: np.ndarray,
) -> tuple[np.int64, np.uint64, np.uint64]:  # pragma: no cover
    """The piece to try after one, its letters, or 0 if there is none, and the short ones that are left then."""
    if size > _AHEAD:
        piece = np.int64(shorter[piece])
        if length[piece] > _AHEAD:
            return piece, length[piece], rest
    if not rest:
        return piece, _ZERO, rest
    return _short(window, rest, pieces)


@njit(cache=True)
def _short(
    window: np.uint64, rest: np.uint64, pieces: np.ndarray
) -> tuple[np.int64, np.uint64, np.uint64]:  # pragma: no cover
    """The longest of some lengths: its piece, its letters, and the others."""
    size = np.uint64(_HIGHEST[rest])
    return _piece(pieces, window, size), size, rest & ~(_ONE << size - _ONE)
