"""BPE of many sequences by a search that checks each pair of neighbours; see `bpe_neighbours` for why it is exact.

At every place the search tries the piece that is most often right there, then the others from the longest to the
shortest. Where none may follow the piece before, it takes that one back. Each prefix has one row of pieces at most, so
no place is reached twice and the order of the tries changes the speed alone.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from genomics_fm.vocabulary.special import UNKNOWN

LETTERS = "ACTG"
"""By two-bit code: bits 1 and 2 of the letter's ASCII, in either case."""
LONGEST = np.uint16(0xFFFF)
"""Entry of `Tables.guess`: take the longest piece that fits."""

_N = np.uint8(4)
_WORD = 32  # bases in 64 bits
_BASE = np.uint64(3)
_BIT = np.uint64(63)
_BIT_WORD = np.uint64(6)
_ONE = np.uint64(1)
_IN_WORD = np.uint64(5)


class Tables(NamedTuple):
    """What the search reads. V pieces by local id; trie nodes stand for what pieces begin with, node 0 for nothing.

    Attributes:
        guess: piece to try first, by the next letters (two bits each, the first in the lowest), uint16; its size, a
            power of four, tells how many letters.
        child: node and two-bit code → node, or −1; (nodes, 4) int32.
        longest: the longest piece that a node's letters begin with, int32.
        shorter: the next shorter piece that a piece begins with, or −1; (V,) int32.
        length: letters of a piece, (V,) int64.
        row: of a piece, in `stays`, when it stands on the left; the last is the start of a text; (V + 1,) int64.
        column: of a piece, in `stays`, when it stands on the right; (V,) int64.
        stays: bits, (rows, words) uint64: may the two be neighbours?
    """

    guess: np.ndarray
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
            count = _encode_run(words, size, tables, ids, count)
            place += size
            if place < end:
                ids[count] = UNKNOWN
                count, place = count + 1, place + 1
        ends_D[document + 1] = count
    return ids[:count].copy(), ends_D


@njit(cache=True)
def _words_needed(offsets_D: np.ndarray, tables: Tables) -> int:  # pragma: no cover
    """Words for the longest sequence, and for what is looked at behind it."""
    size = 0
    for document in range(len(offsets_D) - 1):
        size = max(size, offsets_D[document + 1] - offsets_D[document])
    return (size + tables.length.max()) // _WORD + 2


@njit(cache=True)
def _pack(letters: np.ndarray, words: np.ndarray) -> int:  # pragma: no cover
    """Pack letters up to the first that is not A, C, G or T, two bits each; returns how many."""
    for begin in range(0, letters.size, _WORD):
        word, unknown = np.uint64(0), np.uint8(0)
        block = letters[begin : begin + _WORD]
        for place in range(block.size):
            code = _CODES[block[place]]
            unknown |= code
            word |= np.uint64(code & np.uint8(3)) << np.uint64(2 * place)
        words[begin // _WORD] = word
        if unknown & _N:
            for place in range(block.size):
                if _CODES[block[place]] == _N:
                    return begin + place
    return letters.size


@njit(cache=True)
def _encode_run(words: np.ndarray, size: int, tables: Tables, ids: np.ndarray, first: int) -> int:  # pragma: no cover
    """Write the tokens of `size` packed bases from ids[first] on; returns where they end."""
    guess, child, longest, shorter, length, row, column, stays = tables
    start = row[row.size - 1]
    place, count, last = np.uint64(0), first, start
    end = np.uint64(size)
    while place < end:
        piece = np.int64(guess[_window(words, place) & np.uint64(guess.size - 1)])
        if piece == LONGEST:
            piece = _longest(words, place, child, longest)
        while place + length[piece] > end or not _stays(stays, last, column[piece]):
            piece = _next(words, place, piece, guess, child, longest, shorter)
            while piece < 0:
                count -= 1
                piece = np.int64(ids[count])
                place -= length[piece]
                last = row[ids[count - 1]] if count > first else start
                piece = _next(words, place, piece, guess, child, longest, shorter)
        ids[count] = piece
        count += 1
        place += length[piece]
        last = row[piece]
    return count


@njit(cache=True, inline="always")
def _stays(stays: np.ndarray, row: int, column: int) -> bool:  # pragma: no cover
    return stays[row, column >> _BIT_WORD] >> (column & _BIT) & _ONE != 0


@njit(cache=True, inline="always")
def _window(words: np.ndarray, place: int) -> np.uint64:  # pragma: no cover
    """The 32 bases from a place on."""
    at, shift = place >> _IN_WORD, (place & np.uint64(31)) << _ONE
    return words[at] >> shift | words[at + _ONE] << _ONE << (_BIT - shift)


@njit(cache=True)
def _next(words, place, piece, guess, child, longest, shorter) -> int:  # pragma: no cover
    """The piece to try after `piece`, or −1: all that fit from the longest on, but the first guess."""
    first = np.int64(guess[_window(words, place) & np.uint64(guess.size - 1)])
    if first == LONGEST:
        return np.int64(shorter[piece])
    piece = _longest(words, place, child, longest) if piece == first else np.int64(shorter[piece])
    return np.int64(shorter[piece]) if piece == first else piece


@njit(cache=True)
def _longest(words: np.ndarray, place: int, child: np.ndarray, longest: np.ndarray) -> int:  # pragma: no cover
    """The longest piece at a place; it may reach past the end of the text."""
    node = np.int64(0)
    while True:
        code = words[place >> _IN_WORD] >> ((place & np.uint64(31)) << _ONE) & _BASE
        below = np.int64(child[node, code])
        if below < 0:
            return np.int64(longest[node])
        node = below
        place += _ONE
