"""Nested, stratified label fractions (R22)."""

from collections.abc import Sequence

import numpy as np
import pytest

from genomics_fm.errors import InputError
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.tasks.fractions import evaluated, nested_order, nested_subset, strata, subset_of
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.rows import Labels, Rows, of_bases

LABELS = np.array([0] * 30 + [1] * 70)


def rows_of(labels: Labels, unit_N: Sequence[int] | None = None) -> Rows:
    """Random sequences of 60 nt; those of one unit are equal, on either strand."""
    units = list(range(len(labels))) if unit_N is None else list(unit_N)
    random = np.random.default_rng(7)
    made = ["".join(random.choice(list("ACGT"), 60)) for _ in range(max(units) + 1)]
    sequences = [reverse_complement(made[unit]) if row % 2 else made[unit] for row, unit in enumerate(units)]
    number = np.arange(len(labels))
    return Rows(sequences, labels, [str(row) for row in number], number)


ROWS = rows_of(LABELS)


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
        subset = nested_subset(ROWS, fraction, 1)
        if fraction > 0.01:
            assert len(subset) == round(100 * fraction)
            assert abs(np.sum(LABELS[subset] == 0) - 30 * fraction) <= 1
        assert previous <= set(subset.tolist())
        previous = set(subset.tolist())


def test_halves_round_up() -> None:
    assert len(nested_subset(ROWS.take(np.arange(25, 35)), 0.25, 0)) == 3
    assert len(nested_subset(ROWS.take(np.arange(20, 40)), 0.125, 0)) == 3


def test_a_cell_without_one_row_a_class_is_omitted() -> None:
    assert len(nested_subset(ROWS, 0.01, 0)) == 0
    assert len(nested_subset(ROWS, 0.02, 0)) == 2


def test_cap_takes_the_first_of_the_same_order() -> None:
    order = nested_order(LABELS, 2)
    assert np.array_equal(nested_subset(ROWS, 1.0, 2, cap=40), order[:40])
    assert np.array_equal(nested_subset(ROWS, 0.5, 2, cap=40), order[:20])
    assert np.array_equal(nested_subset(ROWS, 0.5, 2, cap=1000), order[:50])


def test_clusters_stay_together() -> None:
    unit_N = np.random.default_rng(3).permutation(np.arange(100) // 4)  # 25 clusters of 4
    rows = rows_of(LABELS, unit_N.tolist())
    order = nested_order(LABELS, 2)
    assert np.array_equal(nested_subset(rows, 1.0, 2), order), "all rows: nothing to keep together"
    previous: list[int] = []
    for fraction in (0.05, 0.12, 0.4, 0.99):
        subset = nested_subset(rows, fraction, 2).tolist()
        assert len(subset) == round(100 * fraction) and subset[: len(previous)] == previous
        counts = np.bincount(unit_N[subset])
        assert sorted(counts[counts > 0])[1:] == [4] * (len(counts[counts > 0]) - 1), "at most one is cut"
        previous = subset
    first = [int(np.flatnonzero(unit_N == unit)[0]) for unit in range(25)]
    wanted = [unit_N[row] for row in order if row in first]
    assert list(dict.fromkeys(unit_N[previous].tolist())) == wanted[: len(set(unit_N[previous]))]


def test_large_clusters_come_no_sooner_than_others() -> None:
    unit_N = [0] * 60 + list(range(1, 41))
    rows = rows_of(np.array([0, 1] * 50), unit_N)
    first = [unit_N[nested_subset(rows, 0.5, seed)[0]] == 0 for seed in range(60)]
    assert sum(first) < 12  # by rows it would be 36, by clusters it is 1 or 2


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.1])
def test_impossible_fractions(fraction: float) -> None:
    with pytest.raises(InputError, match=r"fraction .*: give"):
        nested_subset(ROWS, fraction, 0)


def test_rows_of_classes_are_taken_as_ever() -> None:
    problem = Problem("classification", ("a", "b"))
    for fraction, cap in ((0.5, None), (1.0, 40), (0.01, None)):
        assert np.array_equal(subset_of(problem, ROWS, fraction, 3, cap), nested_subset(ROWS, fraction, 3, cap))


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
    rows = rows_of(labels)
    few, many = (subset_of(problem, rows, fraction, 2, 100) for fraction in (0.2, 1.0))
    assert (len(few), len(many)) == (20, 100) and np.array_equal(many[:20], few)
    assert len(subset_of(problem, rows, 0.02, 2, 100)) == 2, "no class must be there"
    if kind == "multilabel":
        np.testing.assert_allclose(labels[few].mean(0), labels.mean(0), atol=0.08)
    else:
        assert abs(labels[few, 0].mean() - labels[:, 0].mean()) < 0.03
    with pytest.raises(InputError, match=r"fraction 2\.0: give"):
        subset_of(problem, rows, 2.0, 0)


def test_rows_to_evaluate_on_are_stratified_and_hold_a_class_however_rare() -> None:
    problem = Problem("classification", ("most", "rare"))
    labels = np.zeros(5_000, np.int64)
    labels[[7, 1_234, 4_321]] = 1
    found = evaluated(problem, labels, 512)
    assert len(found) == 512 == len(set(found.tolist())) and labels[found].sum() == 1
    assert np.array_equal(evaluated(problem, LABELS, 40), nested_order(LABELS, 0)[:40])
    assert sorted(evaluated(problem, labels, 9_999)) == list(range(5_000))
    assert len(evaluated(Problem("classification", tuple("abcde")), np.arange(5), 3)) == 3
