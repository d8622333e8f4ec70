"""Paired differences, their p-values, and what many of them together allow to say."""

import numpy as np
import pytest

from genomics_fm.tasks import bootstrap, comparison, metrics
from genomics_fm.tasks.comparison import Difference, compare, holm
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.results import of_two

N = 240
BLOCKS = np.repeat(np.arange(60), 4)
PROBLEMS = {metric: Problem("classification", ("0", "1"), metric=metric) for metric in ("mcc", "auroc")}


def answers(seed: int, labels: np.ndarray, right: float) -> np.ndarray:
    """Probabilities that fall on the right side in a share of the rows."""
    random = np.random.default_rng(seed)
    said = np.where(random.random(len(labels)) < right, labels, 1 - labels)
    return of_two(0.25 + 0.5 * said + random.uniform(-0.2, 0.2, len(labels)))


LABELS = np.random.default_rng(0).integers(0, 2, N)
GOOD, POOR = answers(1, LABELS, 0.9), answers(2, LABELS, 0.7)


@pytest.mark.parametrize("metric", ["mcc", "auroc"])
def test_differences_are_paired(metric: str) -> None:
    problem = PROBLEMS[metric]
    found = compare(problem, LABELS, GOOD, {"poor": POOR, "same": GOOD}, BLOCKS)
    scores = [metrics.evaluate(problem, LABELS, one)[metric] for one in (GOOD, POOR)]
    poor, same = found["poor"], found["same"]
    assert poor.value == pytest.approx(scores[0] - scores[1])
    assert 0 < poor.interval[0] < poor.value < poor.interval[1]
    assert (same.value, same.interval, same.p, same.sign) == (0, (0, 0), 1, 0)
    turned = compare(problem, LABELS, POOR, {"good": GOOD}, BLOCKS)["good"]
    assert (turned.value, *turned.interval) == pytest.approx((-poor.value, *(-end for end in poor.interval[::-1])))
    assert (poor.sign, turned.sign) == (1, -1)
    assert turned.p == poor.p == 2 / 1001 and poor.p_adjusted == 2 * poor.p


def test_p_is_twice_the_share_of_draws_on_the_other_side() -> None:
    problem, close = PROBLEMS["mcc"], answers(5, LABELS, 0.86)
    found = compare(problem, LABELS, GOOD, {"close": close}, BLOCKS)["close"]
    ours, theirs = bootstrap.sampled(problem, "mcc", LABELS, [GOOD, close], BLOCKS)
    other = min((ours <= theirs).sum(), (ours >= theirs).sum())
    assert other > 0 and found.p == found.p_adjusted == pytest.approx(2 * (other + 1) / 1001)


def test_a_p_below_alpha_excludes_0() -> None:
    """An interval and its p say the same, but for a draw at the edge."""
    draws = np.linspace(-1, 1, 1000)
    for shift in np.linspace(0.9, 1, 101):
        p, (low, _) = comparison._p_value(draws + shift), bootstrap.ends(draws + shift)
        assert not (p < comparison.ALPHA and low <= 0) and not (p >= 0.06 and low > 0)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9, 0.02]) == pytest.approx([1.0, 1.0, 0.06])
    assert holm([]) == []


def test_of_many_rivals_that_differ_by_chance_single_intervals_name_some_and_holm_none() -> None:
    labels = np.random.default_rng(12).integers(0, 2, N)
    ours = answers(1012, labels, 0.75)
    rivals = {str(one): answers(252 + one, labels, 0.75) for one in range(12)}
    found = compare(PROBLEMS["mcc"], labels, ours, rivals, np.arange(N)).values()
    assert sum(one.interval[0] > 0 or one.interval[1] < 0 for one in found) == 4
    assert not any(one.sign for one in found)


def test_few_blocks_say_nothing_whatever_their_p() -> None:
    assert Difference(0.2, (0.1, 0.3), 0.01, 0.01, bootstrap.FEWEST_BLOCKS).sign == 1
    assert Difference(0.2, (0.1, 0.3), 0.01, 0.01, bootstrap.FEWEST_BLOCKS - 1).sign == 0
    assert Difference(-0.2, (-0.3, -0.1), 0.01, 0.01, 20).sign == -1
    assert Difference(0.2, (0.1, 0.3), 0.01, 0.05, 20).sign == 0
    found = compare(PROBLEMS["mcc"], LABELS, GOOD, {"poor": POOR}, BLOCKS // 10)["poor"]
    assert found.blocks == 6 and found.p < 0.01 and found.sign == 0


def test_draws_suffice_for_every_family(monkeypatch: pytest.MonkeyPatch) -> None:
    """However large the set and however many the rivals, a sure difference is named."""
    monkeypatch.setattr(bootstrap, "MOST_TOUCHED", 1)
    for rivals in (1, 13):
        same = {str(one): POOR for one in range(rivals)}
        found = compare(PROBLEMS["auroc"], LABELS, GOOD, same, BLOCKS, samples=100)
        assert {one.sign for one in found.values()} == {1}
