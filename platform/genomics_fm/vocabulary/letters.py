"""Letters as vocabularies read them: either case, and everything but A C G T is N (SPEC A7)."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

LETTERS = "ACGT"
"""A letter's code is its place here."""
N_CODE = -1
_A, _C, _G, _T = (np.uint8(letter) for letter in LETTERS.encode())
_UPPER = np.uint8(0xDF)
_ONE = np.uint8(1)
_TWO_BITS = np.uint8(3)


def letters_of(sequence: str) -> NDArray[np.uint8]:
    """ASCII of a sequence, one byte a character; what is not ASCII becomes a character that is read as N."""
    return np.frombuffer(sequence.encode("ascii", "replace"), np.uint8)


@njit(cache=True, nogil=True)
def write_codes(
    letters_L: NDArray[np.uint8], codes_L: NDArray[np.int16] | NDArray[np.int32]
) -> None:  # pragma: no cover
    """Fill `codes_L` with 0 … 3 for A C G T in either case, `N_CODE` for the rest.

    Reckoned, not looked up, so that the loop is vectorised: bits 1 and 2 of the four letters are 0 1 3 2.
    """
    for index in range(letters_L.size):
        letter = letters_L[index] & _UPPER
        code = (letter >> _ONE) & _TWO_BITS
        known = (letter == _A) | (letter == _C) | (letter == _G) | (letter == _T)
        codes_L[index] = np.int16(code ^ (code >> _ONE)) if known else np.int16(N_CODE)
