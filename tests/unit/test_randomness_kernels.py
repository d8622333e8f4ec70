"""Kernels draw what `randomness` draws."""

import numpy as np
import pytest
from numba import njit

from genomics_fm.randomness import bits, key, uniform
from genomics_fm.randomness_kernels import draw, fold, unit

KEYS = [0, 1, 2**63 - 1, 2**63, 2**64 - 1, key("kernel", 3)]


@njit
def _first_units(key: int, count: int) -> np.ndarray:
    values = np.empty(count)
    for number in range(count):
        values[number] = unit(key, number)
    return values


@pytest.mark.parametrize("start", KEYS)
def test_draws_are_those_of_randomness(start: int) -> None:
    state = np.uint64(start)
    assert [int(draw(state, number)) for number in range(50)] == bits(start, 50).tolist()
    assert [unit(state, number) for number in range(50)] == uniform(start, 50).tolist()
    assert _first_units(state, 1_000).tolist() == uniform(start, 1_000).tolist()


def test_a_late_draw_is_the_same_one() -> None:
    far = 100_000
    assert int(draw(np.uint64(9), far - 1)) == int(bits(9, far)[-1])


@pytest.mark.parametrize("part", [0, 1, 77, 2**40, 2**63 - 1, -1, -(2**62)])
def test_folding_an_integer_is_the_next_part_of_a_key(part: int) -> None:
    before = np.uint64(key(0, "mask", "bpe", 3))
    assert int(fold(before, part)) == key(0, "mask", "bpe", 3, part)
    assert int(fold(np.uint64(fold(before, part)), 5)) == key(0, "mask", "bpe", 3, part, 5)
