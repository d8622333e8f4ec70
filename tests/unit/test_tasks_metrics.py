"""Metrics of every kind of problem against scikit-learn and by hand; thresholds."""

import math

import numpy as np
import pytest
import sklearn.metrics as sk
from scipy import stats

from genomics_fm.errors import InputError
from genomics_fm.tasks import metrics, rows
from genomics_fm.tasks.problem import UNLABELLED, Problem
from genomics_fm.tasks.results import of_two


def _scored(noise: float, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = (random.random(n) < 0.3).astype(np.int64)
    return labels, np.clip(labels * 0.4 + 0.3 + noise * random.normal(size=n), 0, 1).astype(np.float32)


def test_mcc_by_hand() -> None:
    labels, predicted = np.array([1, 1, 1, 0, 0, 0, 0]), np.array([1, 1, 0, 0, 0, 0, 1])
    assert metrics.mcc(labels, predicted) == pytest.approx((2 * 3 - 1 * 1) / math.sqrt(3 * 3 * 4 * 4))
    assert metrics.mcc(labels, np.zeros(7, np.int64)) == 0


def test_two_classes_against_scikit_learn() -> None:
    labels, probability = _scored(0.3)
    problem = Problem("classification", ("no", "yes"))
    found = metrics.evaluate(problem, labels, of_two(probability), np.array([0.4]))
    guess = probability >= 0.5
    assert found == pytest.approx(
        {
            "mcc": sk.matthews_corrcoef(labels, guess),
            "accuracy": sk.accuracy_score(labels, guess),
            "f1_macro": sk.f1_score(labels, guess, average="macro"),
            "auroc": sk.roc_auc_score(labels, probability),
            "auprc": sk.average_precision_score(labels, probability),
            "prevalence": labels.mean(),
            "threshold": 0.4,
            "mcc_at_threshold": sk.matthews_corrcoef(labels, probability >= 0.4),
        }
    )
    assert found["mcc"] != found["mcc_at_threshold"]


def test_one_half_is_the_second_class_and_of_several_the_likeliest_wins() -> None:
    two = Problem("classification", ("0", "1"))
    assert metrics.decide(two, of_two(np.array([0.5, 0.4999]))).tolist() == [1, 0]
    three = Problem("classification", ("a", "b", "c"))
    assert metrics.decide(three, np.array([[0.2, 0.3, 0.5], [0.4, 0.35, 0.25]])).tolist() == [2, 0]
    assert metrics.thresholds(three, np.array([2, 0]), np.zeros((2, 3))) is None


def test_several_classes_are_ranked_against_the_rest() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 300)
    scores = random.random((300, 4)) + 0.7 * np.eye(4)[labels]
    scores /= scores.sum(1, keepdims=True)
    found = metrics.evaluate(Problem("classification", tuple("abcd")), labels, scores)  # no row is of class d
    assert found["mcc"] == pytest.approx(sk.matthews_corrcoef(labels, scores.argmax(1)))
    assert found["auroc"] == pytest.approx(np.mean([sk.roc_auc_score(labels == c, scores[:, c]) for c in range(3)]))
    expected = np.mean([sk.average_precision_score(labels == c, scores[:, c]) for c in range(3)])
    assert found["auprc"] == pytest.approx(expected)
    assert "prevalence" not in found


def test_labels_one_by_one_without_those_of_one_class() -> None:
    problem = Problem("multilabel", ("a", "b", "never"))
    labels = np.array([[1, 0, 0], [0, 1, 0], [1, np.nan, 0], [0, 0, 0]], np.float32)
    scores = np.array([[0.9, 0.2, 0.1], [0.2, 0.1, 0.1], [0.4, 0.9, 0.1], [0.5, 0.3, 0.1]], np.float32)
    found = metrics.evaluate(problem, labels, scores, metrics.thresholds(problem, labels, scores))
    assert (found["auroc/a"], found["auroc/b"], found["auroc"]) == (0.75, 0.0, 0.375)
    assert (found["prevalence/a"], found["prevalence/b"]) == (0.5, pytest.approx(1 / 3))
    assert (found["mcc/a"], found["labels_scored"]) == (0, 2)
    assert found["mcc_at_threshold/a"] > found["mcc/a"]
    assert not [name for name in found if name.endswith("/never")]
    nothing = metrics.evaluate(problem, labels[3:], scores[3:])
    assert nothing == {"auroc": 0.5, "auprc": 0, "mcc": 0, "labels_scored": 0}


def test_targets_where_they_were_measured() -> None:
    random = np.random.default_rng(1)
    labels = random.normal(size=(50, 2)).astype(np.float32)
    guess = labels + random.normal(size=(50, 2)).astype(np.float32)
    labels[:10, 1] = np.nan
    found = metrics.evaluate(Problem("regression", ("dev", "hk")), labels, guess)
    truth, values = labels[10:, 1], guess[10:, 1]
    assert found["pearson/hk"] == pytest.approx(np.corrcoef(truth, values)[0, 1], abs=1e-6)
    assert found["pearson_squared/hk"] == pytest.approx(found["pearson/hk"] ** 2)
    assert found["r2/hk"] == pytest.approx(1 - ((truth - values) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())
    assert found["spearman/hk"] == pytest.approx(stats.spearmanr(truth, values).statistic)
    assert found["r2"] == pytest.approx((found["r2/dev"] + found["r2/hk"]) / 2)
    flat = metrics.evaluate(Problem("regression", ("x",)), labels[:, :1], np.full((50, 1), 3, np.float32))
    assert (flat["pearson"], flat["spearman"]) == (0, 0)
    assert flat["r2"] < 0


def test_a_target_that_nobody_measured_counts_nowhere() -> None:
    labels = np.random.default_rng(1).normal(size=(50, 2)).astype(np.float32)
    guess = labels + 0.1
    labels[1:, 1] = np.nan
    found = metrics.evaluate(Problem("regression", ("dev", "hk")), labels, guess)
    assert found["pearson"] == found["pearson/dev"] == pytest.approx(1) and "pearson/hk" not in found
    labels[:, 0] = np.nan
    nothing = metrics.evaluate(Problem("regression", ("dev", "hk")), labels, guess)
    assert nothing == {"pearson": 0, "pearson_squared": 0, "r2": 0, "spearman": 0}


def test_bases_count_as_rows_do() -> None:
    labels = rows.of_bases([np.array([0, 1, UNLABELLED], np.int8), np.array([1], np.int8)])
    scores = np.empty(2, object)
    scores[:] = [of_two(np.array([0.1, 0.8, 0.9])), of_two(np.array([0.7]))]
    found = metrics.evaluate(Problem("per-base", ("out", "in")), labels, scores)
    assert (found["mcc"], found["accuracy"], found["prevalence"]) == (1, 1, pytest.approx(2 / 3))


def test_predictions_of_another_shape_are_refused() -> None:
    with pytest.raises(InputError, match=r"predictions .*\(4, 2\)"):
        metrics.evaluate(Problem("classification", ("0", "1")), np.zeros(4, np.int64), np.zeros((4, 3)))


def test_best_threshold_against_all_candidates() -> None:
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, 200)
    probability = np.round(np.clip(labels * 0.3 + random.random(200) * 0.7, 0, 1), 2).astype(np.float32)
    found = metrics.best_threshold(labels, probability)
    best = max(metrics.mcc(labels, (probability >= t).astype(np.int64)) for t in np.linspace(0, 1, 201))
    assert metrics.mcc(labels, (probability >= found).astype(np.int64)) == pytest.approx(best)
    assert not np.isclose(probability, found, atol=1e-6).any()


def test_best_threshold_by_hand() -> None:
    assert metrics.best_threshold(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.6, 0.6])) == pytest.approx(0.4)
    assert metrics.best_threshold(np.array([1, 0]), np.array([0.5, 0.5])) == -0.5
