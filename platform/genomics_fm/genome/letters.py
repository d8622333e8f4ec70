"""From the bytes of a file to normalised letters, some GB a second.

Nearly all of a genome is lines of one width (or one endless line) with no letter but ACGTN in either case. Those
are copied and checked many at a time, in loops the compiler turns into vector instructions; whatever is not like
that goes through `_carefully`, byte by byte and a table look-up each, which decides all that is to be decided.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from genomics_fm.genome import alphabet

_PLAIN, _URACIL, _AMBIGUOUS, _SKIPPED, _LINE_END, _NEXT_RECORD, _REFUSED = range(7)
"""Classes of bytes; the first three are letters."""

STATE = range(10)
WRITTEN, LINES, COLUMN, SOFT_MASKED, U_TO_T, IUPAC_TO_N, REFUSED, _STOPPED, _LINE_START, _WIDTH = STATE
"""Places in the state that `clean` keeps; COLUMN is 0-based, REFUSED is 1 when it stopped at a refused byte."""

_BLOCK_BYTES = 1 << 13  # tried at once; stays in the first-level cache
_ENDLESS = -1  # a width: no line end in sight
_NEWLINE = ord("\n")
_TO_UPPER, _CASE_SHIFT = np.uint8(0xDF), np.uint8(5)
_A, _C, _G, _T, _N = np.frombuffer(b"ACGTN", np.uint8)
_NORMAL = np.frombuffer(alphabet.NORMAL, np.uint8)


class Run(NamedTuple):
    """Letters in upper-case ACGTN, and how many of them the file spells otherwise."""

    letters: bytes
    soft_masked: int
    u_to_t: int
    iupac_to_n: int


def table(next_record: bytes, skipped: bytes = b"") -> np.ndarray:
    """What `clean` does with each of the 256 bytes.

    Args:
        next_record: bytes that end the letters when they begin a line, and are refused elsewhere.
        skipped: bytes that may stand between letters.
    """
    made = np.full(256, _REFUSED, np.uint8)
    made[list(b"ACGTNacgtn")] = _PLAIN
    made[list(b"Uu")] = _URACIL
    made[list(alphabet.IUPAC + alphabet.IUPAC.lower())] = _AMBIGUOUS
    made[list(next_record)] = _NEXT_RECORD
    made[list(skipped)] = _SKIPPED
    made[_NEWLINE] = _LINE_END
    return made


@njit(cache=True)
def clean(data: np.ndarray, classes: np.ndarray, out: np.ndarray, state: np.ndarray) -> int:
    """Normalise bytes until they end, a line begins another record, or a byte is refused.

    Args:
        data: (n,) uint8, bytes of a file.
        classes: (256,) uint8, from `table`.
        out: (≥ n,) uint8, receives the letters.
        state: (len(STATE),) int64; COLUMN must hold where in its line `data` begins, the rest 0.

    Returns:
        The offset of the first byte that was not taken.
    """
    place = 0
    state[_LINE_START] = -state[COLUMN]
    while place < data.size and not state[_STOPPED]:
        tried = _many(data, place, out, state)
        place = place + tried if tried > 0 else _carefully(data, place, place - tried, classes, out, state)
    state[COLUMN] = place - state[_LINE_START]
    return place


@njit(cache=True)
def _many(data: np.ndarray, place: int, out: np.ndarray, state: np.ndarray) -> int:
    """Take lines of the usual width at once; bytes taken, or minus the bytes that are no such lines."""
    width, lines, written = state[_WIDTH], 0, state[WRITTEN]
    if width == _ENDLESS:
        taken = letters = min(_BLOCK_BYTES, data.size - place)
        out[written : written + letters] = data[place : place + letters]
    elif width > 0 and place == state[_LINE_START]:
        stop = min(place + _BLOCK_BYTES, data.size)
        end = place + width
        while end < stop and data[end] == _NEWLINE:
            lines += 1
            end += width + 1
        taken, letters = lines * (width + 1), lines * width
        _copy_lines(data[place : place + taken], width, out[written : written + letters])
    else:
        return 0
    if not _only_acgtn(out[written : written + letters]):
        return -taken
    state[SOFT_MASKED] += _to_upper(out[written : written + letters])
    state[WRITTEN] += letters
    state[LINES] += lines
    if lines:
        state[_LINE_START] = place + taken
    return taken


@njit(cache=True)
def _copy_lines(data: np.ndarray, width: int, out: np.ndarray) -> None:
    for line in range(data.size // (width + 1)):
        source = data[line * (width + 1) : line * (width + 1) + width]
        target = out[line * width : (line + 1) * width]
        for i in range(width):
            target[i] = source[i]


@njit(cache=True)
def _only_acgtn(letters: np.ndarray) -> bool:
    """Whether there is nothing else, in either case; without a branch, so that it is vectorised."""
    others = np.uint8(0)
    for i in range(letters.size):
        upper = np.uint8(letters[i] & _TO_UPPER)
        known = np.uint8((upper == _A) | (upper == _C) | (upper == _G) | (upper == _T) | (upper == _N))
        others = np.uint8(others | (known ^ np.uint8(1)))
    return others == 0


@njit(cache=True)
def _to_upper(letters: np.ndarray) -> int:
    """How many were lower case."""
    lower = 0
    for i in range(letters.size):
        lower += (letters[i] >> _CASE_SHIFT) & 1
    for i in range(letters.size):
        letters[i] &= _TO_UPPER
    return lower


@njit(cache=True)
def _carefully(data: np.ndarray, place: int, stop: int, classes: np.ndarray, out: np.ndarray, state: np.ndarray) -> int:
    """Byte by byte up to the first line end at or after `stop`; learns the width of lines; the place it came to."""
    written, line_start = state[WRITTEN], state[_LINE_START]
    lower = uracil = ambiguous = 0
    while place < data.size:
        byte = data[place]
        code = classes[byte]
        if code <= _AMBIGUOUS:
            out[written] = _NORMAL[byte]
            written += 1
            lower += (byte >> _CASE_SHIFT) & 1
            uracil += code == _URACIL
            ambiguous += code == _AMBIGUOUS
        elif code == _LINE_END:
            state[LINES] += 1
            state[_WIDTH] = place - line_start
            line_start = place + 1
        elif code != _SKIPPED:
            state[REFUSED] = code == _REFUSED or place != line_start
            state[_STOPPED] = 1
            break
        place += 1
        if place > stop and (line_start == place or place - line_start >= _BLOCK_BYTES):
            if line_start < place:
                state[_WIDTH] = _ENDLESS
            break
    state[WRITTEN], state[_LINE_START] = written, line_start
    state[SOFT_MASKED] += lower
    state[U_TO_T] += uracil
    state[IUPAC_TO_N] += ambiguous
    return place
