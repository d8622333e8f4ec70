"""Nested, stratified label fractions (R22)."""

import numpy as np
import pytest

from genomics_fm.errors import InputError
from genomics_fm.tasks.fractions import evaluated, nested_order, nested_subset, strata, subset_of
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.rows import of_bases

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


def test_rows_of_classes_are_taken_as_ever() -> None:
    problem = Problem("classification", ("a", "b"))
    for fraction, cap in ((0.5, None), (1.0, 40), (0.01, None)):
        assert np.array_equal(subset_of(problem, LABELS, fraction, 3, cap), nested_subset(LABELS, fraction, 3, cap))


def test_a_row_counts_under_its_rarest_label() -> None:
    labels = np.array([[1, 0, 1], [1, 0, 0], [1, 1, 0], [0, 0, 0], [np.nan, 0, np.nan], [1, 1, 1], [1, 1, 0]])
    assert strata(Problem("multilabel", ("a", "b", "c")), labels).tolist() == [2, 0, 1, -1, -1, 2, 1]
    rows = [np.int8(row) for row in ([0, 0, 1], [0, -100], [0, 0, 1, 2], [-100], [0, 1])]
    assert strata(Problem("per-base", ("a", "b", "c")), of_bases(rows)).tolist() == [1, 0, 2, -1, 1]


def test_targets_fall_into_tenths_of_what_was_measured() -> None:
    targets = np.random.default_rng(0).permutation(100).astype(np.float64)
    labels = np.stack([targets, np.arange(100.0)], axis=1)
    found = strata(Problem("regression", ("a", "b")), labels)
    assert np.array_equal(found, targets // 10)
    labels[:20, 0] = np.nan  # the other target decides
    labels[:10, 1] = np.nan
    found = strata(Problem("regression", ("a", "b")), labels)
    assert found[:10].tolist() == [-1] * 10 and found[10:20].tolist() == list(range(10))
    assert np.bincount(found[20:]).tolist() == [8] * 10


@pytest.mark.parametrize("kind", ["multilabel", "regression"])
def test_subsets_of_other_problems_nest_and_are_stratified(kind: str) -> None:
    random = np.random.default_rng(1)
    labels = random.random((200, 2))
    if kind == "multilabel":
        labels = (labels < [0.1, 0.4]).astype(np.float64)
    problem = Problem(kind, ("a", "b"))  # type: ignore[arg-type]
    few, many = (subset_of(problem, labels, fraction, 2, 100) for fraction in (0.2, 1.0))
    assert (len(few), len(many)) == (20, 100) and np.array_equal(many[:20], few)
    assert len(subset_of(problem, labels, 0.02, 2, 100)) == 2, "no class must be there"
    if kind == "multilabel":
        np.testing.assert_allclose(labels[few].mean(0), labels.mean(0), atol=0.08)
    else:
        assert abs(labels[few, 0].mean() - labels[:, 0].mean()) < 0.03
    with pytest.raises(InputError, match=r"fraction 2\.0: give"):
        subset_of(problem, labels, 2.0, 0)


def test_rows_to_evaluate_on_are_stratified_and_hold_a_class_however_rare() -> None:
    problem = Problem("classification", ("most", "rare"))
    labels = np.zeros(5_000, np.int64)
    labels[[7, 1_234, 4_321]] = 1
    found = evaluated(problem, labels, 512)
    assert len(found) == 512 == len(set(found.tolist())) and labels[found].sum() == 1
    assert np.array_equal(evaluated(problem, LABELS, 40), nested_order(LABELS, 0)[:40])
    assert sorted(evaluated(problem, labels, 9_999)) == list(range(5_000))
    assert len(evaluated(Problem("classification", tuple("abcde")), np.arange(5), 3)) == 3
