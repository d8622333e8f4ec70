"""Stretches of a contig that resemble given ones in length and GC, and overlap none of them (SPEC U15, L6)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from genomics_fm import randomness

GC_WITHIN = 0.01
"""|ΔGC| of a pair is less, as a share of the length."""
TRIES = 1 << 15
"""Places drawn for a stretch before it counts as having no match: one in some 10,000 suffices."""

_BLOCK = 64  # bases whose flags are summed beforehand, so that long stretches are tried as fast as short ones
_FIRST_TRIES = 256
_G, _C, _N = ord("G"), ord("C"), ord("N")


@dataclass
class Letters:
    """What is at each base of a contig: flags of 0 and 1, and their sums over blocks of 64 bases.

    Attributes:
        gc: G or C.
        taken: N, in a stretch to stay away from, or in a match that was given already.
    """

    gc: NDArray[np.uint8]
    taken: NDArray[np.uint8]
    gc_sums: NDArray[np.int32]
    taken_sums: NDArray[np.int32]


def letters_of(sequence: str, avoid: Sequence[tuple[int, int]]) -> Letters:
    """Flags of a contig.

    Args:
        sequence: upper-case ACGTN.
        avoid: [start, end) that no match may touch.
    """
    bases = np.frombuffer(sequence.encode(), np.uint8)
    gc = ((bases == _G) | (bases == _C)).view(np.uint8)
    taken = (bases == _N).view(np.uint8)
    for start, end in avoid:
        taken[start:end] = 1
    return Letters(gc, taken, _block_sums(gc), _block_sums(taken))


def matches(letters: Letters, stretches: Sequence[tuple[int, int]], key: int) -> list[int]:
    """For each stretch the start of another one, as long, with |ΔGC| < 1 %, free of N and of what is taken.

    Matches do not overlap each other. They depend on the key and on the stretches in their order, on nothing else.

    Args:
        letters: of the contig; the matches are taken in it.
        stretches: [start, end).
        key: from `randomness.key`.

    Returns:
        Starts; -1 where none was found in `TRIES` draws.
    """
    found = []
    for number, (start, end) in enumerate(stretches):
        size = end - start
        wanted = int(letters.gc[start:end].sum())
        match = -1
        for tries in (_FIRST_TRIES, TRIES):
            draws = randomness.uniform(randomness.key(key, number), tries)
            starts = (draws * (len(letters.gc) - size + 1)).astype(np.int64)
            match = _first_match(letters.gc, letters.taken, letters.gc_sums, letters.taken_sums, starts, size, wanted)
            if match >= 0:
                break
        found.append(match)
        if match >= 0:
            letters.taken[match : match + size] = 1
            first, last = match // _BLOCK, -(-(match + size) // _BLOCK)
            letters.taken_sums[first:last] = _block_sums(letters.taken[first * _BLOCK : last * _BLOCK])
    return found


def _block_sums(flags: NDArray[np.uint8]) -> NDArray[np.int32]:
    return np.add.reduceat(flags, np.arange(0, len(flags), _BLOCK), dtype=np.int32)


@njit(cache=True)
def _sum(flags: NDArray[np.uint8], sums: NDArray[np.int32], start: int, end: int) -> int:
    """Of the flags in [start, end)."""
    first, last = -(-start // _BLOCK), end // _BLOCK
    total = 0
    if first >= last:
        for i in range(start, end):
            total += flags[i]
        return total
    for i in range(start, first * _BLOCK):
        total += flags[i]
    for block in range(first, last):
        total += sums[block]
    for i in range(last * _BLOCK, end):
        total += flags[i]
    return total


@njit(cache=True)
def _first_match(
    gc: NDArray[np.uint8],
    taken: NDArray[np.uint8],
    gc_sums: NDArray[np.int32],
    taken_sums: NDArray[np.int32],
    starts: NDArray[np.int64],
    size: int,
    wanted: int,
) -> int:
    for start in starts:
        if taken[start] or taken[start + size - 1]:
            continue
        if abs(_sum(gc, gc_sums, start, start + size) - wanted) >= GC_WITHIN * size:
            continue
        if not _sum(taken, taken_sums, start, start + size):
            return start
    return -1
