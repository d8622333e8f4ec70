"""Canonical k-mers of long sequences, rolled, hashed and looked up chunk by chunk.

A canonical k-mer is the smaller of a k-mer and its reverse complement, two bits a base (A C G T = 0 … 3) in a
uint64. Any letter but A C G T breaks the run: no k-mer holds it.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

MAXIMUM_K = 31
"""62 bits, so that a value is left which is no k-mer."""
NO_KMER = np.uint64(0xFFFFFFFFFFFFFFFF)
HASHES = 1 << 64
"""How many values a hash can take; as a threshold it lets every k-mer pass."""

_UNKNOWN = np.uint64(4)
_BLOCK = 2048  # letters whose k-mers stay in the first-level cache between two loops
_BITMAP_BITS = 32  # a key: of the k-mers that are not in a table, one in 32 gets past its bitmap
_ONE = np.uint64(1)
_TWO = np.uint64(2)
_THREE = np.uint64(3)
_WORD = np.uint64(6)
_IN_WORD = np.uint64(63)
_GAMMA = np.uint64(0x9E3779B97F4A7C15)  # splitmix64, as in `randomness`
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_SLOT_SHIFT = np.uint64(20)  # a table's slots take other bits of the hash than its bitmap's lowest
_SHIFT_1, _SHIFT_2, _SHIFT_3 = np.uint64(30), np.uint64(27), np.uint64(31)


def _codes_of_letters() -> NDArray[np.uint64]:
    codes = np.full(256, _UNKNOWN, np.uint64)
    codes[list(b"ACGT")] = (0, 1, 2, 3)
    return codes


_CODES = _codes_of_letters()


@njit(cache=True)
def mixed(kmer: np.uint64) -> np.uint64:
    """Hash of a k-mer; one to one, so distinct k-mers never collide."""
    state = kmer + _GAMMA
    state = (state ^ (state >> _SHIFT_1)) * _MIX_1
    state = (state ^ (state >> _SHIFT_2)) * _MIX_2
    return state ^ (state >> _SHIFT_3)


@njit(cache=True)
def roll(letters: NDArray[np.uint8], k: int, state: NDArray[np.uint64], kmers: NDArray[np.uint64]) -> None:
    """Write the canonical k-mer that ends at each letter, or NO_KMER.

    Args:
        letters: ASCII.
        k: at most MAXIMUM_K.
        state: three words, zeros where a sequence begins; carries the k-mer under way from call to call.
        kmers: receives as many values as there are letters.
    """
    mask = (_ONE << np.uint64(2 * k)) - _ONE
    top = np.uint64(2 * k - 2)
    whole = np.uint64(k)
    forward, other, run = state[0], state[1], state[2]
    for index in range(letters.size):
        code = _CODES[letters[index]]
        run = run + _ONE if code < _UNKNOWN else np.uint64(0)
        code = code & _THREE
        forward = (forward << _TWO | code) & mask
        other = other >> _TWO | (_THREE - code) << top
        kmers[index] = min(forward, other) if run >= whole else NO_KMER
    state[0], state[1], state[2] = forward, other, run


@njit(cache=True)
def _hashes_below(
    letters: NDArray[np.uint8], k: int, state: NDArray[np.uint64], last: np.uint64, out: NDArray[np.uint64]
) -> int:
    kmers, values = np.empty(_BLOCK, np.uint64), np.empty(_BLOCK, np.uint64)
    count = 0
    for begin in range(0, letters.size, _BLOCK):
        block = letters[begin : begin + _BLOCK]
        roll(block, k, state, kmers)
        for index in range(block.size):  # a loop of its own, so that it is vectorised
            values[index] = mixed(kmers[index])
        for index in range(block.size):
            if values[index] <= last and kmers[index] != NO_KMER:
                out[count] = values[index]
                count += 1
    return count


@njit(cache=True)
def _fill(
    kmers: NDArray[np.uint64], bitmap: NDArray[np.uint64], keys: NDArray[np.uint64], places: NDArray[np.int32]
) -> None:
    for place in range(kmers.size):
        value = mixed(kmers[place])
        bit = value & np.uint64(bitmap.size * 64 - 1)
        bitmap[bit >> _WORD] |= _ONE << (bit & _IN_WORD)
        slot = np.int64(value >> _SLOT_SHIFT) & (keys.size - 1)
        while keys[slot] != NO_KMER:
            slot = (slot + 1) & (keys.size - 1)
        keys[slot], places[slot] = kmers[place], place


@njit(cache=True)
def _found(
    letters: NDArray[np.uint8],
    k: int,
    state: NDArray[np.uint64],
    bitmap: NDArray[np.uint64],
    keys: NDArray[np.uint64],
    ends: NDArray[np.int64],
    slots: NDArray[np.int64],
) -> int:
    kmers, values = np.empty(_BLOCK, np.uint64), np.empty(_BLOCK, np.uint64)
    maybe = np.empty(_BLOCK, np.int64)
    bits = np.uint64(bitmap.size * 64 - 1)
    count = 0
    for begin in range(0, letters.size, _BLOCK):
        block = letters[begin : begin + _BLOCK]
        roll(block, k, state, kmers)
        for index in range(block.size):
            values[index] = mixed(kmers[index])
        candidates = np.int64(0)
        for index in range(block.size):  # no branch, so that many look-ups are under way at once
            bit = values[index] & bits
            maybe[candidates] = index
            candidates += np.int64(bitmap[bit >> _WORD] >> (bit & _IN_WORD) & _ONE)
        for index in maybe[:candidates]:
            slot = np.int64(values[index] >> _SLOT_SHIFT) & (keys.size - 1)
            while keys[slot] != kmers[index] and keys[slot] != NO_KMER:
                slot = (slot + 1) & (keys.size - 1)
            if keys[slot] != NO_KMER:
                ends[count], slots[count] = begin + index, slot
                count += 1
    return count


@dataclass(frozen=True)
class Table:
    """A set of k-mers for many look-ups; make one with `table`.

    Attributes:
        kmers: the set, sorted.
        bitmap: a bit for every value of a few bits of the hash; most k-mers of a genome get no further.
        keys: open addressing over a power of two of slots; NO_KMER where one is empty.
        places: of the key in each slot, its index in `kmers`.
    """

    kmers: NDArray[np.uint64]
    bitmap: NDArray[np.uint64]
    keys: NDArray[np.uint64]
    places: NDArray[np.int32]


def distinct(kmers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The k-mers, or hashes, ascending and each once; without NO_KMER."""
    # np.unique hashes before it sorts: six times as long for ten million.
    ascending = np.sort(kmers)
    ascending = ascending[: np.searchsorted(ascending, NO_KMER)]
    first = np.ones(len(ascending), np.bool_)
    first[1:] = ascending[1:] != ascending[:-1]
    return ascending[first]


def table(kmers: NDArray[np.uint64]) -> Table:
    """The set of `kmers`; NO_KMER among them is left out. At most 64 bytes a k-mer."""
    known = distinct(kmers)
    power = max(2, (known.size - 1).bit_length())
    keys = np.full(1 << power + 1, NO_KMER, np.uint64)
    places = np.zeros(keys.size, np.int32)
    bitmap = np.zeros((_BITMAP_BITS << power) // 64, np.uint64)
    _fill(known, bitmap, keys, places)
    return Table(known, bitmap, keys, places)


class Scan:
    """A pass over the letters of one sequence, given in chunks of any size.

    A k-mer that begins in one chunk and ends in the next belongs to the next.
    """

    def __init__(self, k: int) -> None:
        if not 1 <= k <= MAXIMUM_K:
            raise ValueError(f"k {k}: give 1 to {MAXIMUM_K}")
        self.k = k
        self._state = np.zeros(3, np.uint64)

    def canonical(self, letters: bytes) -> NDArray[np.uint64]:
        """The canonical k-mer that ends at each letter, or NO_KMER."""
        kmers = np.empty(len(letters), np.uint64)
        roll(np.frombuffer(letters, np.uint8), self.k, self._state, kmers)
        return kmers

    def hashes_below(self, letters: bytes, threshold: int) -> NDArray[np.uint64]:
        """Hashes below `threshold` (1 to HASHES) of the k-mers that end in this chunk, in order, repeats too."""
        out = np.empty(len(letters), np.uint64)
        last = np.uint64(threshold - 1)
        count = _hashes_below(np.frombuffer(letters, np.uint8), self.k, self._state, last, out)
        return out[:count].copy()

    def found(self, letters: bytes, wanted: Table) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """The k-mers ending in this chunk that are in `wanted`.

        Returns:
            (offset in the chunk of each one's last letter, ascending; its index in `wanted.kmers`).
        """
        ends, slots = self._slots(letters, wanted)
        return ends.copy(), wanted.places[slots]

    def ends(self, letters: bytes, wanted: Table) -> NDArray[np.int64]:
        """The offsets alone of what `found` finds; faster where much is found."""
        return self._slots(letters, wanted)[0].copy()

    def _slots(self, letters: bytes, wanted: Table) -> NDArray[np.int64]:
        """Offsets and slots: (2, found)."""
        out = np.empty((2, len(letters)), np.int64)
        array = np.frombuffer(letters, np.uint8)
        return out[:, : _found(array, self.k, self._state, wanted.bitmap, wanted.keys, *out)]


def canonical(letters: bytes, k: int) -> NDArray[np.uint64]:
    """The canonical k-mer that ends at each letter of a whole sequence, or NO_KMER."""
    return Scan(k).canonical(letters)
