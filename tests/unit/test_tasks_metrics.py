"""MCC, its block bootstrap against a slow one, thresholds."""

import math

import numpy as np
import pytest

from genomics_fm.tasks import metrics


def _rows(seed: int = 0, n: int = 400, wrong: float = 0.2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, n)
    predicted = np.where(random.random(n) < wrong, 1 - labels, labels)
    return labels, predicted, np.sort(random.integers(0, 25, n)) * 7 + 3


def test_mcc_by_hand() -> None:
    labels, predicted = np.array([1, 1, 1, 0, 0, 0, 0]), np.array([1, 1, 0, 0, 0, 0, 1])
    assert metrics.mcc(labels, predicted) == pytest.approx((2 * 3 - 1 * 1) / math.sqrt(3 * 3 * 4 * 4))
    assert metrics.mcc(labels, np.zeros(7, np.int64)) == 0


@pytest.mark.parametrize("classes", [2, 3])
def test_bootstrap_equals_resampling_rows_block_by_block(classes: int) -> None:
    labels, predicted, blocks = _rows()
    if classes == 3:
        labels, predicted = labels + (blocks % 2), predicted + (blocks % 2)
    names = np.unique(blocks)
    draws = np.random.default_rng(4).multinomial(len(names), np.full(len(names), 1 / len(names)), size=50)
    slow = []
    for weights in draws:
        index = np.concatenate([np.repeat(np.flatnonzero(blocks == b), w) for b, w in zip(names, weights, strict=True)])
        slow.append(metrics.mcc(labels[index], predicted[index]))
    expected = tuple(np.percentile(slow, [2.5, 97.5]))
    assert metrics.block_bootstrap(labels, predicted, blocks, n=50, seed=4) == pytest.approx(expected, abs=1e-12)


def test_interval_holds_the_score_and_is_wider_when_blocks_agree_within() -> None:
    labels, predicted, blocks = _rows(n=2000)
    low, high = metrics.block_bootstrap(labels, predicted, blocks)
    assert low < metrics.mcc(labels, predicted) < high
    clustered = np.where(blocks % 5 == 0, 1 - labels, labels)
    independent = metrics.block_bootstrap(labels, clustered, np.arange(2000))
    together = metrics.block_bootstrap(labels, clustered, blocks)
    assert together[1] - together[0] > 2 * (independent[1] - independent[0])


def test_paired_interval() -> None:
    labels, a, blocks = _rows(wrong=0.1)
    _, b, _ = _rows(wrong=0.3)
    difference, low, high = metrics.paired_block_bootstrap(labels, a, b, blocks)
    assert difference == pytest.approx(metrics.mcc(labels, a) - metrics.mcc(labels, b))
    assert 0 < low < difference < high
    assert metrics.paired_block_bootstrap(labels, a, a, blocks) == (0, 0, 0)
    turned = metrics.paired_block_bootstrap(labels, b, a, blocks)
    assert turned == pytest.approx((-difference, -high, -low))


def test_one_class_only_scores_zero() -> None:
    ones = np.ones(10, np.int64)
    assert metrics.block_bootstrap(ones, ones, np.arange(10)) == (0, 0)


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
