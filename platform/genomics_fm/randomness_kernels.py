"""The draws of `randomness` for use inside numba kernels: the same numbers from the same keys.

Keys are np.uint64; Python's own integers above 2**63 do not fit through numba's door.
"""

import numpy as np
from numba import njit

from genomics_fm.randomness import _GAMMA, _MIX_1, _MIX_2, _TO_UNIT

_27, _30, _31, _11 = (np.uint64(shift) for shift in (27, 30, 31, 11))


@njit(cache=True, nogil=True)
def _mix(state: np.uint64) -> np.uint64:  # pragma: no cover
    state = (state ^ (state >> _30)) * _MIX_1
    state = (state ^ (state >> _27)) * _MIX_2
    return state ^ (state >> _31)


@njit(cache=True, nogil=True)
def fold(key: np.uint64, part: int) -> np.uint64:  # pragma: no cover
    """`randomness.key(…, part)` from the `key` of what stands before `part`, an integer."""
    return _mix((np.uint64(key) ^ np.uint64(part)) + _GAMMA)


@njit(cache=True, nogil=True)
def draw(key: np.uint64, number: int) -> np.uint64:  # pragma: no cover
    """`randomness.bits(key, number + 1)[number]`; numbers from 0."""
    return _mix(np.uint64(key) + (np.uint64(number) + np.uint64(1)) * _GAMMA)


@njit(cache=True, nogil=True)
def unit(key: np.uint64, number: int) -> float:  # pragma: no cover
    """`randomness.uniform(key, number + 1)[number]`; numbers from 0."""
    return np.float64(draw(key, number) >> _11) * _TO_UNIT
