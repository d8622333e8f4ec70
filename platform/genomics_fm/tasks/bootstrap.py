"""Intervals of a metric when whole blocks of rows are drawn again (SPEC R29): rows of one are not independent.

A draw is a weight for every block, and each metric is computed from weights, so that no row is copied: sums a block
where the metric is made of sums, one pass over ranked rows where it is one of ranks.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from genomics_fm.errors import require
from genomics_fm.tasks import metrics, ranks
from genomics_fm.tasks.metrics import METRICS, Labels, Predictions
from genomics_fm.tasks.problem import UNLABELLED, Problem

SAMPLES = 1000
FEWEST_SAMPLES = 100
FEWEST_BLOCKS = 10
"""With fewer blocks draws resemble each other and the interval is too narrow: nothing is to be claimed from it."""
MOST_TOUCHED = 1_000_000_000
"""Rows × outputs × samples that a metric of ranks may touch: seconds. Above it fewer samples are drawn."""
INTERVAL = (2.5, 97.5)  # percentiles
_CHUNK_CELLS = 8_000_000  # draws × blocks held at a time
_FEW_BLOCKS = 2000  # above it single draws are several times as fast as a multinomial one
_OF_RANKS = ("auroc", "auprc", "spearman")
_ROUNDING = 1e-12  # of a side's sum of squares: with less variation than this it does not vary

Floats = NDArray[np.float64]
_Statistic = Callable[[Floats], Floats]  # weights of blocks (S, B) to scores (S,)


def interval(
    problem: Problem,
    metric: str,
    labels: Labels,
    predictions: Predictions,
    blocks: NDArray[np.int64],
    samples: int = SAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % percentile interval of a metric when whole blocks are drawn with replacement.

    It is computed for any number of blocks; below `FEWEST_BLOCKS` nothing is to be claimed from it.

    Args:
        problem: the question.
        metric: of `metrics.METRICS[problem.kind]`.
        labels: as `Rows.labels`.
        predictions: as `metrics.evaluate` takes them.
        blocks: id of the block of each row.
        samples: draws; a metric of ranks over many rows gets fewer, at least `FEWEST_SAMPLES` (`MOST_TOUCHED`).
        seed: of the draws; equal seeds and blocks draw the same samples.

    Raises:
        InputError: an unknown metric, or predictions of another shape than the problem has.
    """
    return ends(sampled(problem, metric, labels, [predictions], blocks, samples, seed)[0])


def ends(draws: Floats) -> tuple[float, float]:
    """The 95 % percentile interval of a score in draws."""
    low, high = np.percentile(draws, INTERVAL)
    return float(low), float(high)


def sampled(
    problem: Problem,
    metric: str,
    labels: Labels,
    several: Sequence[Predictions],
    blocks: NDArray[np.int64],
    samples: int = SAMPLES,
    seed: int = 0,
    fewest: int = FEWEST_SAMPLES,
) -> Floats:
    """The metric of each of several predictions in each draw, (predictions, samples): all are scored on equal draws.

    Arguments and errors as of `interval`; `fewest` is the least number of draws that a metric of ranks gets.
    """
    known = METRICS[problem.kind]
    require(metric in known, "metric", metric, f"one of {', '.join(known)}")
    names, block = np.unique(blocks, return_inverse=True)
    if metric in _OF_RANKS:
        touched = max(1, problem.outputs * _rows(problem, labels))
        samples = min(samples, max(fewest, MOST_TOUCHED // touched))
    statistics = [_statistic(problem, metric, labels, one, block.astype(np.int64), len(names)) for one in several]
    drawn = [[one(weights_SB) for one in statistics] for weights_SB in _draws(len(names), samples, seed)]
    return np.concatenate(drawn, axis=1)


def _rows(problem: Problem, labels: Labels) -> int:
    """Rows, or labelled bases."""
    return len(labels) if problem.kind != "per-base" else sum(int(np.sum(row != UNLABELLED)) for row in labels)


def _statistic(
    problem: Problem, metric: str, labels: Labels, predictions: Predictions, block: NDArray[np.int64], blocks: int
) -> _Statistic:
    """What scores predictions under weights; `block` is the place of each row's block."""
    if problem.kind == "per-base":
        block = np.concatenate([np.repeat(b, np.sum(row != UNLABELLED)) for b, row in zip(block, labels, strict=True)])
    labels, predictions = metrics.rows_of(problem, labels, predictions)
    if metric in _OF_RANKS:
        return _of_ranks(problem, metric, labels, predictions, block)
    if problem.kind == "regression":
        return _of_moments(metric, labels, predictions, block, blocks)
    return _of_counts(problem, metric, labels, predictions, block, blocks)


def _draws(blocks: int, samples: int, seed: int) -> Iterator[Floats]:
    """How often each block is drawn, (S, B) at a time; the chunks change no number."""
    random = np.random.default_rng(seed)
    size = max(1, _CHUNK_CELLS // blocks)
    for start in range(0, samples, size):
        chunk = min(size, samples - start)
        if blocks <= _FEW_BLOCKS:
            yield random.multinomial(blocks, np.full(blocks, 1 / blocks), size=chunk).astype(np.float64)
        else:
            drawn = [np.bincount(random.integers(blocks, size=blocks), minlength=blocks) for _ in range(chunk)]
            yield np.array(drawn, np.float64)


def _sums(values: NDArray[np.float64], block: NDArray[np.int64], blocks: int) -> Floats:
    """Sums of (N, …) rows by block, (B, …)."""
    flat = values.reshape(len(values), -1)
    columns = [np.bincount(block, weights=column, minlength=blocks) for column in flat.T]
    return np.stack(columns, axis=1).reshape(blocks, *values.shape[1:]).astype(np.float64)


def _of_counts(
    problem: Problem, metric: str, labels: Labels, predictions: Predictions, block: NDArray[np.int64], blocks: int
) -> _Statistic:
    """Metrics of a confusion matrix, from those of the blocks."""
    guess = metrics.decide(problem, predictions)
    if problem.kind == "multilabel":
        cells = [_counts(labels[:, c], guess[:, c], block, blocks, 2) for c in range(problem.outputs)]
        return lambda weights_SB: _over_labels([_weighted(weights_SB, cell) for cell in cells])
    cell = _counts(labels, guess, block, blocks, problem.outputs)
    of = {"mcc": _mcc, "accuracy": _accuracy, "f1_macro": _f1_macro}[metric]
    return lambda weights_SB: of(_weighted(weights_SB, cell))


def _counts(labels: Labels, guess: Labels, block: NDArray[np.int64], blocks: int, classes: int) -> Floats:
    """(B, 3, C) rows with a label that are rightly said to be of a class, that are of it, that are said to be of it.

    Whole confusion matrices would take gigabytes of hundreds of classes, and no metric here needs them.
    """
    known = ~np.isnan(labels)
    of, said = labels[known].astype(np.int64), guess[known]
    right, of, said = of == said, block[known] * classes + of, block[known] * classes + said
    found = [np.bincount(index, minlength=blocks * classes) for index in (of[right], of, said)]
    return np.stack([each.reshape(blocks, classes) for each in found], axis=1).astype(np.float64)


def _weighted(weights_SB: Floats, values: Floats) -> Floats:
    return (weights_SB @ values.reshape(len(values), -1)).reshape(len(weights_SB), *values.shape[1:])


def _over_labels(counts: list[Floats]) -> Floats:
    """Mean MCC over the labels that have both classes in a sample."""
    scores = np.stack([_mcc(each) for each in counts], axis=1)
    both = np.stack([(each[:, 1] > 0).all(1) for each in counts], axis=1)
    return _mean_of(np.where(both, scores, np.nan), 0.0)


def _mean_of(scores_SC: Floats, constant: float) -> Floats:
    """Mean over what is defined; what a constant scores where nothing is."""
    known = ~np.isnan(scores_SC)
    total = np.where(known, scores_SC, 0).sum(1)
    return np.divide(total, known.sum(1), out=np.full(len(total), constant), where=known.any(1))


def _mcc(counts: Floats) -> Floats:
    right, of, said = np.moveaxis(counts, 1, 0)
    return metrics.mcc_of_margins(right.sum(1), of, said)


def _accuracy(counts: Floats) -> Floats:
    right, of, _ = np.moveaxis(counts, 1, 0)
    return right.sum(1) / np.maximum(of.sum(1), 1)


def _f1_macro(counts: Floats) -> Floats:
    """Mean over the classes that are there or predicted."""
    right, of, said = np.moveaxis(counts, 1, 0)
    either = of + said
    return _mean_of(np.divide(2 * right, either, out=np.full(either.shape, np.nan), where=either > 0), 0.0)


def _of_moments(
    metric: str, labels: Labels, predictions: Predictions, block: NDArray[np.int64], blocks: int
) -> _Statistic:
    """Pearson and R², from sums of products a block; 0 where a side does not vary."""
    known = ~np.isnan(labels)
    centre_C = np.nansum(labels, axis=0) / np.maximum(known.sum(0), 1)  # centred: sums stay exact
    truth = np.where(known, labels - centre_C, 0).astype(np.float64)
    guess = np.where(known, predictions - centre_C, 0).astype(np.float64)
    sums = _sums(np.stack([known, truth, guess, truth**2, guess**2, truth * guess], axis=2), block, blocks)

    def statistic(weights_SB: Floats) -> Floats:
        count, t, g, tt, gg, tg = np.moveaxis(_weighted(weights_SB, sums), 2, 0)
        measured, count = count >= metrics.LEAST_MEASURED, np.maximum(count, 1)
        varied_t, varied_g, together = tt - t * t / count, gg - g * g / count, tg - t * g / count
        varies_t, varies_g = varied_t > _ROUNDING * tt, varied_g > _ROUNDING * gg
        if metric == "r2":
            error = tt - 2 * tg + gg
            return _over_targets(1 - np.divide(error, varied_t, out=np.ones_like(error), where=varies_t), measured)
        spread = np.sqrt(np.maximum(varied_t, 0) * np.maximum(varied_g, 0))
        pearson = np.divide(together, spread, out=np.zeros_like(spread), where=varies_t & varies_g)
        return _over_targets(pearson**2 if metric == "pearson_squared" else pearson, measured)

    return statistic


def _over_targets(scores_SC: Floats, measured_SC: NDArray[np.bool_]) -> Floats:
    """Mean over the targets that were measured in a sample."""
    return _mean_of(np.where(measured_SC, scores_SC, np.nan), 0.0)


def _of_ranks(
    problem: Problem, metric: str, labels: Labels, predictions: Predictions, block: NDArray[np.int64]
) -> _Statistic:
    """AUROC, average precision and Spearman, a pass over ranked rows a draw."""
    if problem.kind == "regression":
        enough = np.flatnonzero((~np.isnan(labels)).sum(0) >= metrics.LEAST_MEASURED)
        by_target = [ranks.Spearman.of(labels[:, c], predictions[:, c], block) for c in enough]
        if not by_target:
            return lambda weights_SB: np.zeros(len(weights_SB))
        return lambda weights_SB: np.stack([one(weights_SB) for one in by_target], axis=1).mean(1)
    of = range(1, 2) if problem.classes and problem.outputs == 2 else range(problem.outputs)
    ranked = []
    for c in of:
        known = np.ones(len(labels), np.bool_) if problem.classes else ~np.isnan(labels[:, c])
        positive = labels == c if problem.classes else labels[:, c] == 1
        ranked.append(ranks.Ranking.of(positive[known], predictions[known, c], block[known], metric))
    constant = metrics.CONSTANT.get(metric, 0.0)
    return lambda weights_SB: _mean_of(np.stack([one(weights_SB) for one in ranked], axis=1), constant)
