"""Calibration, priors, sets and intervals on made-up rows whose true probabilities are known."""

import json
from typing import Any

import numpy as np
import pytest
from scipy import special

from genomics_fm.errors import InputError
from genomics_fm.tasks import calibration, rows
from genomics_fm.tasks import calibration_report as report
from genomics_fm.tasks.calibration import Calibration
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.results import of_two
from genomics_fm.tasks.rows import Rows

TWO = Problem("classification", ("no", "yes"))
THREE = Problem("classification", ("a", "b", "c"))


def _classes(count: int, seed: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from logits, and these."""
    draw = np.random.default_rng(seed)
    logits = 1.5 * draw.normal(size=(count, classes))
    chances = special.softmax(logits, axis=1).cumsum(1)
    return (draw.random((count, 1)) > chances).sum(1).clip(0, classes - 1), logits


def _sequences(count: int) -> list[str]:
    draw = np.random.default_rng(9)
    return ["".join(draw.choice(list("ACGT"), 12)) for _ in range(count)]


def test_a_head_that_is_too_sure_is_cooled_and_covers_as_it_says() -> None:
    labels, logits = _classes(1500, 0)
    shares = special.softmax(3 * logits, axis=1).astype(np.float32)
    found = calibration.fit(THREE, labels, shares, [1 / 3] * 3)
    assert found.temperature == pytest.approx(3, rel=0.15)
    labels, logits = _classes(1500, 1)
    shares = special.softmax(3 * logits, axis=1).astype(np.float32)
    test = Rows(_sequences(1500), labels, [""] * 1500, np.arange(1500))
    said = report.assess(found, test, shares)
    assert said["error_before"] > 0.1 > 0.04 > said["error_after"]
    assert np.array_equal(found.probabilities(shares).argmax(1), shares.argmax(1))
    covered = said["coverage"]
    assert covered["all"]["coverage"] == pytest.approx(said["coverage_asked"], abs=0.03)
    assert 1 < covered["all"]["size"] < 3
    assert sum(covered[f"class/{name}"]["rows"] for name in "abc") == 1500
    assert sum(covered[f"gc/{name}"]["rows"] for name in report.TERCILES) == 1500
    assert sum(each["rows"] for each in said["reliability_after"]) == 1500
    json.dumps(said, allow_nan=False)


def test_a_calibration_split_without_errors_does_not_make_a_head_certain() -> None:
    labels = np.arange(100) % 2
    right = np.full(100, 0.97)
    shares = of_two(np.where(labels == 1, right, 1 - right))
    found = calibration.fit(TWO, labels, shares, [0.5, 0.5])
    assert 0.3 < found.temperature < 1
    assert found.probabilities(of_two(np.array([0.97])))[0, 1] < 0.9999


def test_labels_are_calibrated_each_for_itself_and_rare_ones_left_alone() -> None:
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(2000, 3))
    truth = (draw.random((2000, 3)) < special.expit(logits)).astype(np.float32)
    truth[:, 2] = 0
    truth[::5, 0] = np.nan
    given = special.expit(np.stack([2 * logits[:, 0] + 1, 0.5 * logits[:, 1], logits[:, 2]], axis=1)).astype(np.float32)
    problem = Problem("multilabel", ("a", "b", "never"))
    found = calibration.fit(problem, truth, given, [0.5, 0.5, 0.1])
    assert found.platt[0] == pytest.approx((0.5, -0.5), abs=0.15)
    assert found.platt[1][0] == pytest.approx(2, abs=0.3)
    assert found.platt[2] == (1, 0)
    assert found.sets(given) is None
    test = Rows(_sequences(2000), truth, [""] * 2000, np.arange(2000))
    said = report.assess(found, test, given)
    assert said["error_after"] < said["error_before"]
    assert "coverage" not in said


def test_a_label_that_is_told_the_wrong_way_round_is_not_turned_but_said_to_be_unknown() -> None:
    draw = np.random.default_rng(0)
    given = draw.random((1000, 2)).astype(np.float32)
    truth = np.stack([draw.random(1000) < 0.3 * (1 - given[:, 0]), draw.random(1000) < given[:, 1]], 1)
    found = calibration.fit(Problem("multilabel", ("wrong", "right")), truth.astype(np.float32), given, [0.3, 0.5])
    assert found.platt[0] == pytest.approx((0, special.logit(truth[:, 0].mean()))) and found.platt[1][0] > 0
    said = found.probabilities(given)
    assert np.unique(said[:, 0]).tolist() == pytest.approx([truth[:, 0].mean()], abs=1e-6)
    assert (np.diff(said[np.argsort(given[:, 1]), 1]) >= 0).all()


def test_intervals_of_targets_cover_nine_of_ten() -> None:
    draw = np.random.default_rng(0)
    guess = draw.normal(size=(800, 2)).astype(np.float32)
    truth = (guess + draw.normal(size=(800, 2)) * [1, 3]).astype(np.float32)
    truth[:100, 0] = np.nan
    problem = Problem("regression", ("x", "y"))
    found = calibration.fit(problem, truth[:400], guess[:400], [0, 0])
    assert found.radius == pytest.approx((1.64, 3 * 1.64), rel=0.2)
    test = Rows(_sequences(400), truth[400:], [""] * 400, np.arange(400))
    covered = report.assess(found, test, guess[400:])["coverage"]
    assert covered["all"]["coverage"] == pytest.approx(0.9, abs=0.04)
    assert covered["target/y"]["size"] > 2 * covered["target/x"]["size"]
    assert found.probabilities(guess) is guess
    with pytest.raises(InputError, match="prior"):
        found.probabilities(guess, prior=0.5)


@pytest.mark.parametrize("count", [99, 100])
def test_under_a_hundred_rows_nothing_is_said(count: int) -> None:
    labels, logits = _classes(count, 0)
    shares = special.softmax(2 * logits, axis=1)
    found = calibration.fit(THREE, labels, shares, [1 / 3] * 3)
    assert (found.sets(shares) is None) == (count < 100) == (found.temperature == 1)
    assert found.rows == count
    if count < 100:
        assert np.allclose(found.probabilities(shares), shares, atol=1e-6)
    values = np.zeros((count, 1), np.float32)
    line = calibration.fit(Problem("regression", ("x",)), values, values, [0])
    assert (line.intervals(values) is None) == (count < 100)
    assert calibration.fit(THREE, None, None, [1 / 3] * 3).rows == 0


def test_weights_of_the_loss_are_undone_and_a_prior_shifts_what_is_left() -> None:
    """By Bayes: odds times 9 at equal shares of the classes are odds of 1 where the second has a tenth."""
    head = Calibration(TWO, 0, prevalence=(0.5, 0.5))
    assert head.probabilities(of_two(np.array([0.9])), prior=0.1)[0, 1] == pytest.approx(0.5)
    weighted = Calibration(TWO, 0, prevalence=(0.5, 0.5), weights=(1.0, 9.0))
    assert weighted.probabilities(of_two(np.array([0.9])))[0, 1] == pytest.approx(0.5)
    assert weighted.probabilities(of_two(np.array([0.9])), prior=[0.5, 0.5])[0, 1] == pytest.approx(0.5)
    labels = Problem("multilabel", ("a", "b"))
    both = Calibration(labels, 0, prevalence=(0.5, 0.1), weights=(8.0, 1.0))
    given = np.array([[8 / 9, 0.1]], np.float32)
    assert both.probabilities(given)[0] == pytest.approx([0.5, 0.1])
    assert both.probabilities(given, prior=[0.2, 0.1])[0] == pytest.approx([0.2, 0.1])
    absent = Calibration(THREE, 0, prevalence=(0.5, 0.5, 0), weights=(1.0, 1.0, 0.0))
    assert absent.probabilities(np.array([[0.6, 0.4, 0.0]]))[0] == pytest.approx([0.6, 0.4, 0], abs=1e-6)


@pytest.mark.parametrize("prior", [1.5, [0.2, 0.2], [0.1, 0.2, 0.7], 0])
def test_priors_that_are_none(prior: Any) -> None:
    with pytest.raises(InputError, match="prior"):
        Calibration(TWO, 0, prevalence=(0.5, 0.5)).probabilities(of_two(np.array([0.9])), prior)


def test_bases_are_calibrated_too() -> None:
    labels, logits = _classes(600, 0, 2)
    shares = special.softmax(4 * logits, axis=1).astype(np.float32)
    bases = np.empty(150, object)
    bases[:] = list(shares.reshape(150, 4, 2))
    problem = Problem("per-base", ("out", "in"))
    found = calibration.fit(problem, rows.of_bases(list(labels.reshape(150, 4))), bases, [0.5, 0.5])
    assert found.temperature == pytest.approx(4, rel=0.3)
    given = found.probabilities(bases)
    assert given[0].shape == (4, 2) and np.allclose(given[0].sum(1), 1)
    assert found.sets(bases) is None


def test_error_by_hand() -> None:
    labels = np.array([1, 0, 1, 1])
    curve = report.reliability(TWO, labels, of_two(np.array([0.81, 0.81, 0.2, 1.0])))
    assert [(each["rows"], each["share"]) for each in curve] == [(1, 1), (2, 0.5), (1, 1)]
    assert report.error_of(curve) == pytest.approx((0.8 + 2 * 0.31 + 0) / 4)


def test_it_survives_json() -> None:
    labels, logits = _classes(200, 0)
    shares = special.softmax(2 * logits, axis=1)
    found = calibration.fit(THREE, labels, shares, [0.2, 0.3, 0.5], weights=[1, 2, 3])
    again = Calibration.from_json(json.loads(json.dumps(found.to_json())))
    assert again == found
    assert np.array_equal(again.probabilities(shares, [0.1, 0.1, 0.8]), found.probabilities(shares, [0.1, 0.1, 0.8]))
    label = Calibration(Problem("multilabel", ("a",)), 3, (0.5,), platt=((1.5, 0.1),))
    assert Calibration.from_json(json.loads(json.dumps(label.to_json()))) == label
