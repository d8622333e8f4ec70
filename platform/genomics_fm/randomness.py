"""Counted randomness: every draw is a hash of what it is for, never of when or where it is made (R6).

A key is folded from integers and names; the n-th draw of a key is `splitmix64(key + n · γ)`, the generator of
Steele, Lea and Flood 2014. Nothing is consumed, so any draw can be made again, in any order, on any machine.
"""

import hashlib

import numpy as np

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_MASK = (1 << 64) - 1
_TO_UNIT = 2.0**-53


def _mix(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))


def bits(key: int, count: int) -> np.ndarray:
    """The first `count` draws of a key, uint64."""
    counter = np.arange(1, count + 1, dtype=np.uint64)
    return _mix(np.uint64(key) + counter * _GAMMA)


def uniform(key: int, count: int) -> np.ndarray:
    """The first `count` draws of a key as float64 in [0, 1)."""
    return (bits(key, count) >> np.uint64(11)).astype(np.float64) * _TO_UNIT


def key(*parts: int | str) -> int:
    """Fold a purpose into 64 bits: `key(seed, "mask", "bpe", epoch, window, segment)`."""
    folded = 0
    for part in parts:
        if isinstance(part, str):
            part = int.from_bytes(hashlib.blake2b(part.encode(), digest_size=8).digest(), "little")
        state = (folded ^ (part & _MASK)) + int(_GAMMA) & _MASK
        folded = _mix_int(state)
    return folded


def _mix_int(state: int) -> int:
    state = (state ^ (state >> 30)) * int(_MIX_1) & _MASK
    state = (state ^ (state >> 27)) * int(_MIX_2) & _MASK
    return state ^ (state >> 31)


def permuted(position: int, size: int, seed: int) -> int:
    """Image of `position` under a pseudo-random permutation of range(size), in O(1) memory (R5).

    A balanced Feistel network over the next even number of bits, walked until it lands inside the range.

    Args:
        position: 0 ≤ position < size.
        size: how many things are permuted.
        seed: a key; another seed is another permutation.
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    while True:
        left, right = position >> half, position & mask
        for round_number in range(4):
            left, right = right, left ^ (_mix_int(seed + (right << 3 | round_number) * int(_GAMMA) & _MASK) & mask)
        position = left << half | right
        if position < size:
            return position
