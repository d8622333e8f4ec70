"""Matthews correlation and its block bootstrap (SPEC R29, R36)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import matthews_corrcoef

Labels = NDArray[np.int64]
INTERVAL = (2.5, 97.5)  # percentiles


def mcc(labels: Labels, predicted: Labels) -> float:
    """Matthews correlation coefficient, any number of classes; 0 when all labels or predictions are equal."""
    return float(matthews_corrcoef(labels, predicted))


def block_bootstrap(
    labels: Labels, predicted: Labels, blocks: Labels, n: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of the MCC when whole blocks are drawn with replacement.

    Args:
        labels: true classes.
        predicted: predicted classes.
        blocks: id of the block of each row; neighbours share one, so rows of a block are not independent.
        n: bootstrap samples.
        seed: of the draws; equal seeds and blocks draw the same samples.
    """
    low, high = np.percentile(_sampled(labels, predicted, blocks, n, seed), INTERVAL)
    return float(low), float(high)


def paired_block_bootstrap(
    labels: Labels, predicted_a: Labels, predicted_b: Labels, blocks: Labels, n: int = 1000, seed: int = 0
) -> tuple[float, float, float]:
    """(MCC of a minus MCC of b, low, high): both are scored on the same draws of blocks."""
    difference = _sampled(labels, predicted_a, blocks, n, seed) - _sampled(labels, predicted_b, blocks, n, seed)
    low, high = np.percentile(difference, INTERVAL)
    return mcc(labels, predicted_a) - mcc(labels, predicted_b), float(low), float(high)


def _sampled(labels: Labels, predicted: Labels, blocks: Labels, n: int, seed: int) -> NDArray[np.float64]:
    """MCC of each bootstrap sample, from confusion counts summed a block: no row is touched twice."""
    names, block = np.unique(blocks, return_inverse=True)
    classes, flat = np.unique(np.concatenate([labels, predicted]), return_inverse=True)
    true, guess = flat[: len(labels)], flat[len(labels) :]
    cells = len(classes) ** 2
    index = (block * len(classes) + true) * len(classes) + guess
    by_block = np.bincount(index, minlength=len(names) * cells).reshape(len(names), cells)
    draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=n)
    return _mcc_of_counts((draws @ by_block).reshape(n, len(classes), len(classes)).astype(np.float64))


def _mcc_of_counts(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gorodkin's R_K of confusion matrices (samples, true, predicted); 0 where it is undefined."""
    total = confusion.sum((1, 2))
    true, guess = confusion.sum(2), confusion.sum(1)
    covariance = np.trace(confusion, axis1=1, axis2=2) * total - (true * guess).sum(1)
    spread = (total**2 - (true**2).sum(1)) * (total**2 - (guess**2).sum(1))
    return np.divide(covariance, np.sqrt(spread), out=np.zeros(len(total)), where=spread > 0)


def best_threshold(labels: Labels, probability: NDArray[np.floating[Any]]) -> float:
    """The threshold t for which `probability >= t` has the highest MCC on binary labels.

    Candidates lie halfway between neighbouring values (so nothing hangs on rounding), plus one below all
    and one above all; of equal ones the lowest is taken.
    """
    values = np.asarray(probability, np.float64)
    order = np.argsort(values, kind="stable")
    ranked, positive = values[order], np.asarray(labels)[order] == 1
    starts = np.flatnonzero(np.diff(ranked, prepend=-np.inf))  # first row of each distinct value
    below = np.append(starts, len(ranked))  # rows predicted 0 at each candidate
    positive_below = np.concatenate([[0], np.cumsum(positive)])[below]
    confusion = np.empty((len(below), 2, 2))
    confusion[:, 1, 0] = positive_below
    confusion[:, 0, 0] = below - positive_below
    confusion[:, 1, 1] = positive.sum() - positive_below
    confusion[:, 0, 1] = (~positive).sum() - confusion[:, 0, 0]
    distinct = ranked[starts]
    edges = np.concatenate([[distinct[0] - 1], (distinct[1:] + distinct[:-1]) / 2, [distinct[-1] + 1]])
    return float(edges[np.argmax(_mcc_of_counts(confusion))])
