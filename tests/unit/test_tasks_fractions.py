"""Nested, stratified label fractions (R22)."""

import numpy as np
import pytest

from genomics_fm.errors import InputError
from genomics_fm.tasks.fractions import nested_order, nested_subset

LABELS = np.array([0] * 30 + [1] * 70)


def test_order_is_a_permutation_and_seeded() -> None:
    order = nested_order(LABELS, 5)
    assert sorted(order) == list(range(100))
    assert np.array_equal(order, nested_order(LABELS, 5))
    assert not np.array_equal(order, nested_order(LABELS, 6))


def test_merge_by_hand() -> None:
    # Keys: class 0 (2 rows) 1/4, 3/4; class 1 (3 rows) 1/6, 3/6, 5/6.
    labels = np.array([0, 0, 1, 1, 1])
    assert labels[nested_order(labels, 0)].tolist() == [1, 0, 1, 0, 1]
    assert np.array([0, 1, 0, 1])[nested_order(np.array([0, 1, 0, 1]), 0)].tolist() == [0, 1, 0, 1]


def test_every_prefix_is_stratified_and_fractions_nest() -> None:
    previous: set[int] = set()
    for fraction in (0.01, 0.03, 0.1, 0.3, 0.5, 1.0):
        subset = nested_subset(LABELS, fraction, 1)
        if fraction > 0.01:
            assert len(subset) == round(100 * fraction)
            assert abs(np.sum(LABELS[subset] == 0) - 30 * fraction) <= 1
        assert previous <= set(subset.tolist())
        previous = set(subset.tolist())


def test_halves_round_up() -> None:
    assert len(nested_subset(LABELS[25:35], 0.25, 0)) == 3
    assert len(nested_subset(LABELS[20:40], 0.125, 0)) == 3


def test_a_cell_without_one_row_a_class_is_omitted() -> None:
    assert len(nested_subset(LABELS, 0.01, 0)) == 0
    assert len(nested_subset(LABELS, 0.02, 0)) == 2


def test_cap_takes_the_first_of_the_same_order() -> None:
    order = nested_order(LABELS, 2)
    assert np.array_equal(nested_subset(LABELS, 1.0, 2, cap=40), order[:40])
    assert np.array_equal(nested_subset(LABELS, 0.5, 2, cap=40), order[:20])
    assert np.array_equal(nested_subset(LABELS, 0.5, 2, cap=1000), order[:50])


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.1])
def test_impossible_fractions(fraction: float) -> None:
    with pytest.raises(InputError, match=r"fraction .*: give"):
        nested_subset(LABELS, fraction, 0)
