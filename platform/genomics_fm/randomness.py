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
_ROUNDS = 4
_AT_ONCE = 1 << 15
"""Positions permuted together: their temporary arrays stay in a core's cache."""


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
        for round_number in range(_ROUNDS):
            left, right = right, left ^ (_mix_int(seed + (right << 3 | round_number) * int(_GAMMA) & _MASK) & mask)
        position = left << half | right
        if position < size:
            return position


def permuted_many(positions: np.ndarray, size: int, seed: int) -> np.ndarray:
    """`permuted` of every position; memory beside the result does not grow with size or positions.

    Args:
        positions: integers, 0 ≤ position < size, any shape.
        size: how many things are permuted, at most 2**63.
        seed: a key.

    Returns:
        int64 of the positions' shape.
    """
    images = np.empty(positions.size, np.int64)
    flat = positions.reshape(-1)
    for begin in range(0, flat.size, _AT_ONCE):
        walking = flat[begin : begin + _AT_ONCE].astype(np.uint64)
        _walk(walking, size, seed)
        images[begin : begin + _AT_ONCE] = walking
    return images.reshape(positions.shape)


def _walk(walking: np.ndarray, size: int, seed: int) -> None:
    """Replace positions (uint64) by their images: those outside the range go through the network again."""
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    outside = np.arange(walking.size)
    while outside.size:
        images = _feistel(walking[outside], half, seed)
        walking[outside] = images
        outside = outside[images >= size]


def _feistel(positions: np.ndarray, half: int, seed: int) -> np.ndarray:
    shift, mask, start = np.uint64(half), np.uint64((1 << half) - 1), np.uint64(seed & _MASK)
    left, right = positions >> shift, positions & mask
    for round_number in range(_ROUNDS):
        counter = (right << np.uint64(3)) | np.uint64(round_number)
        left, right = right, left ^ (_mix(start + counter * _GAMMA) & mask)
    return (left << shift) | right
