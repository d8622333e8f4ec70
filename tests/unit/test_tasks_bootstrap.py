"""The block bootstrap of every metric against rows that are really drawn again."""

import numpy as np
import pytest

from genomics_fm.errors import InputError
from genomics_fm.tasks import bootstrap, metrics, rows
from genomics_fm.tasks.problem import UNLABELLED, Problem
from genomics_fm.tasks.results import of_two

TWO = Problem("classification", ("0", "1"))
RANDOM = np.random.default_rng(0)
N = 120
BLOCKS = np.sort(RANDOM.integers(0, 25, N)) * 7 + 3


def _softmax(logits: np.ndarray) -> np.ndarray:
    return (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).round(2).astype(np.float32)  # rounded: ties


def _case(kind: str) -> tuple[Problem, np.ndarray, np.ndarray]:
    """Labels and predictions with ties, gaps, and classes of unlike sizes."""
    random = np.random.default_rng(1)
    if kind == "two":
        labels = (random.random(N) < 0.3).astype(np.int64)
        return TWO, labels, of_two((0.3 * labels + 0.6 * random.random(N)).round(2))
    if kind == "three":
        labels = random.integers(0, 3, N)
        return Problem("classification", tuple("abc")), labels, _softmax(random.normal(size=(N, 3)) + np.eye(3)[labels])
    if kind == "multilabel":
        values = (random.random((N, 3)) < (0.5, 0.2, 0.02)).astype(np.float32)
        scores = (0.3 * values + 0.6 * random.random((N, 3))).round(2).astype(np.float32)
        values[random.random((N, 3)) < 0.1] = np.nan
        return Problem("multilabel", tuple("abc")), values, scores
    if kind == "regression":
        values = random.normal(size=(N, 2)).round(1).astype(np.float32) + 5
        guess = (values + random.normal(size=(N, 2))).round(1).astype(np.float32)
        values[:20, 1] = np.nan
        return Problem("regression", ("x", "y")), values, guess
    classes = [random.integers(0, 2, 4).astype(np.int8) for _ in range(N)]
    scores = np.empty(N, object)
    scores[:] = [of_two((0.3 * row + 0.6 * random.random(4)).round(2)) for row in classes]
    for row in classes[::3]:
        row[1] = UNLABELLED
    return Problem("per-base", ("0", "1")), rows.of_bases(classes), scores


@pytest.mark.parametrize("metric", metrics.METRICS["regression"])
def test_a_target_that_nobody_measured_counts_nowhere(metric: str) -> None:
    problem, labels, guess = _case("regression")
    labels[:, 1] = np.nan
    alone = Problem("regression", ("x",), metric=metric)
    expected = bootstrap.sampled(alone, metric, labels[:, :1], [guess[:, :1]], BLOCKS, samples=100)
    assert bootstrap.sampled(problem, metric, labels, [guess], BLOCKS, samples=100) == pytest.approx(expected)


def test_a_target_that_hardly_varies_in_a_draw_has_no_huge_r2() -> None:
    labels = np.zeros((60, 1), np.float32)
    labels[55:, 0] = [1, 2, 3, 4, 5]
    guess = labels + np.float32(0.1)
    draws = bootstrap.sampled(
        Problem("regression", ("x",), metric="r2"), "r2", labels, [guess], np.arange(60) // 5, samples=200
    )
    assert draws.min() > -1 and draws.max() <= 1


@pytest.mark.parametrize("constant", [0.0, 0.25, 0.2481, 1234.5])
def test_a_constant_scores_nothing_in_every_draw(constant: float) -> None:
    labels = (np.random.default_rng(3).binomial(100, 0.25, (50, 1)) / 100).astype(np.float32)
    guess = np.full((50, 1), constant, np.float32)
    draws = bootstrap.sampled(Problem("regression", ("x",)), "pearson", labels, [guess], np.arange(50) // 13)
    assert not draws.any()


def test_hundreds_of_classes_take_little_memory() -> None:
    import tracemalloc

    random, classes = np.random.default_rng(2), 400
    labels = random.integers(0, classes, 1500)
    scores = _softmax(random.normal(size=(1500, classes)) + 3 * np.eye(classes)[labels])
    problem = Problem("classification", tuple(map(str, range(classes))))
    tracemalloc.start()
    try:
        bootstrap.sampled(problem, "mcc", labels, [scores], np.arange(1500), samples=100)
        assert tracemalloc.get_traced_memory()[1] < 300 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["two", "three", "multilabel", "regression", "per-base"])
def test_weights_equal_rows_drawn_again(kind: str) -> None:
    problem, labels, scores = _case(kind)
    names = np.unique(BLOCKS)
    draws = np.random.default_rng(4).multinomial(len(names), np.full(len(names), 1 / len(names)), size=12)
    slow = []
    for weights in draws:
        index = np.concatenate([np.repeat(np.flatnonzero(b == BLOCKS), w) for b, w in zip(names, weights, strict=True)])
        slow.append(metrics.evaluate(problem, labels[index], scores[index]))
    for metric in metrics.METRICS[problem.kind]:
        fast, same = bootstrap.sampled(problem, metric, labels, [scores, scores], BLOCKS, samples=12, seed=4)
        assert np.array_equal(fast, same)
        assert fast == pytest.approx([each[metric] for each in slow], abs=1e-6), metric
        assert np.ptp(fast) > 0


def test_interval_holds_the_score_and_is_wider_when_blocks_agree_within() -> None:
    random = np.random.default_rng(2)
    labels, blocks = random.integers(0, 2, 2000), np.repeat(np.arange(40), 50)
    right = of_two(np.where(random.random(2000) < 0.2, 1 - labels, labels))
    low, high = bootstrap.interval(TWO, "mcc", labels, right, blocks)
    assert low < metrics.evaluate(TWO, labels, right)["mcc"] < high
    clustered = of_two(np.where(blocks % 5 == 0, 1 - labels, labels))
    independent = bootstrap.interval(TWO, "mcc", labels, clustered, np.arange(2000))
    together = bootstrap.interval(TWO, "mcc", labels, clustered, blocks)
    assert together[1] - together[0] > 2 * (independent[1] - independent[0])


def test_one_class_only_and_constant_predictions() -> None:
    ones = np.ones(10, np.int64)
    sure = of_two(np.ones(10))
    assert bootstrap.interval(TWO, "mcc", ones, sure, np.arange(10)) == (0, 0)
    assert bootstrap.interval(TWO, "auroc", ones, sure, np.arange(10)) == (0.5, 0.5)
    line = Problem("regression", ("x",))
    values, flat = np.arange(10, dtype=np.float32)[:, None], np.full((10, 1), 0.1, np.float32)
    for metric in ("pearson", "spearman"):
        assert bootstrap.interval(line, metric, values, flat, np.arange(10)) == (0, 0)


def test_chunks_change_no_draw_and_large_sets_get_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, labels, scores = _case("two")

    def drawn(**more: int) -> np.ndarray:
        return bootstrap.sampled(problem, "auroc", labels, [scores], BLOCKS, samples=150, **more)[0]

    whole = drawn()
    monkeypatch.setattr(bootstrap, "_CHUNK_CELLS", 100)
    assert np.array_equal(drawn(), whole)
    monkeypatch.setattr(bootstrap, "_FEW_BLOCKS", 1)
    other = drawn()
    assert not np.array_equal(other, whole)
    assert (other.mean(), other.std()) == pytest.approx((whole.mean(), whole.std()), rel=0.2)
    monkeypatch.undo()
    monkeypatch.setattr(bootstrap, "MOST_TOUCHED", 1)
    assert np.array_equal(drawn(), whole[: bootstrap.FEWEST_SAMPLES])
    assert np.array_equal(drawn(fewest=120), whole[:120])


def test_an_unknown_metric_is_refused() -> None:
    problem, labels, scores = _case("two")
    with pytest.raises(InputError, match=r"metric pearson: .*mcc"):
        bootstrap.interval(problem, "pearson", labels, scores, BLOCKS)
