"""Nucleotides as two bits each: a quarter of the bytes, and any stretch readable without its neighbours."""

from dataclasses import dataclass

import numpy as np
from numba import njit

NUCLEOTIDES = b"ACTG"
"""The letter of each two-bit code: bits 1 and 2 of its ASCII; bit 0 of the code tells G and C from A and T."""
BASES_PER_BYTE = 4
_N = ord("N")
_TWO_BITS = np.uint32(0x03030303)
_ONE_BIT = np.uint32(0x01010101)


def _letters_of_bytes() -> np.ndarray:
    """The four letters of every byte, as one uint32 each; the first base stands in the lowest bits."""
    table = np.empty((256, BASES_PER_BYTE), dtype=np.uint8)
    letters = np.frombuffer(NUCLEOTIDES, dtype=np.uint8)
    for place in range(BASES_PER_BYTE):
        table[:, place] = letters[(np.arange(256) >> (2 * place)) & 3]
    return table.view(np.uint32).ravel()


_LETTERS = _letters_of_bytes()


@dataclass(frozen=True)
class Packed:
    """A sequence over A C G T N in two bits a base.

    Attributes:
        data: ceil(length / 4) bytes; N is stored as G.
        n_runs: int32, start and length of every run of N, in turn.
        gc: how many bases are G or C.
        n: how many are N.
    """

    data: bytes
    n_runs: np.ndarray
    gc: int
    n: int


@njit(cache=True)
def _pack(words: np.ndarray, data: np.ndarray) -> int:  # pragma: no cover
    """Fill `data` from four letters a word; returns how many codes are odd: G, C and N."""
    odd = 0
    for index in range(words.size):
        word = (words[index] >> np.uint32(1)) & _TWO_BITS
        odd += (((word & _ONE_BIT) * _ONE_BIT) >> np.uint32(24)) & np.uint32(7)
        data[index] = word | word >> np.uint32(6) | word >> np.uint32(12) | word >> np.uint32(18)
    return odd


def pack(sequence: bytes) -> Packed:
    """Pack upper-case A C G T N."""
    padded = sequence + b"A" * (-len(sequence) % BASES_PER_BYTE)
    data = np.empty(len(padded) // BASES_PER_BYTE, dtype=np.uint8)
    odd = _pack(np.frombuffer(padded, dtype="<u4"), data)
    n = sequence.count(b"N")
    places = np.flatnonzero(np.frombuffer(sequence, dtype=np.uint8) == _N) if n else np.empty(0, dtype=np.int64)
    return Packed(data.tobytes(), _runs(places), odd - n, n)


def _runs(places: np.ndarray) -> np.ndarray:
    """Start and length of every run in ascending places, in turn."""
    if not places.size:
        return places.astype(np.int32)
    first = np.flatnonzero(np.diff(places, prepend=-2) > 1)
    lengths = np.diff(first, append=places.size)
    return np.stack([places[first], lengths], axis=1).astype(np.int32).ravel()


@njit(cache=True)
def _unpack(data: np.ndarray, letters_of: np.ndarray, words: np.ndarray) -> None:  # pragma: no cover
    for index in range(data.size):
        words[index] = letters_of[data[index]]


def unpack(data: np.ndarray, n_runs: np.ndarray, length: int) -> np.ndarray:
    """The letters of what `pack` made, as uint8 ASCII.

    Args:
        data: uint8, the packed bytes.
        n_runs: int32, start and length of every run of N.
        length: number of bases.
    """
    words = np.empty(data.size, dtype=np.uint32)
    _unpack(data, _LETTERS, words)
    letters = words.view(np.uint8)[:length]
    for start, run in n_runs.reshape(-1, 2):
        letters[start : start + run] = _N
    return letters
