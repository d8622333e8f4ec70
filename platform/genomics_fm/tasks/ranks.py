"""Metrics of ranks under weights, for `bootstrap`: a row that weighs 3 counts as three equal rows."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from genomics_fm.tasks.metrics import Values

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Ranking:
    """Rows from the highest score to the lowest.

    Attributes:
        positive_N: by rank.
        block_N: by rank.
        last_N: the last of equal scores.
        metric: "auroc" or "auprc" (average precision).
    """

    positive_N: NDArray[np.bool_]
    block_N: Ids
    last_N: NDArray[np.bool_]
    metric: str

    @classmethod
    def of(cls, positive: NDArray[np.bool_], score: Values, block: Ids, metric: str) -> "Ranking":
        order = np.argsort(-score, kind="stable")
        return cls(positive[order], block[order], _last_of_equal(score[order]), metric)

    def __call__(self, weights_SB: Floats) -> Floats:
        """Scores of draws, (S,); NaN where a draw lacks a class."""
        auroc, precision = _ranked(weights_SB, self.block_N, self.positive_N, self.last_N)
        return auroc if self.metric == "auroc" else precision


@dataclass(frozen=True)
class Spearman:
    """Rows ordered by label and by prediction: `order`, and the last of equal values in that order."""

    block_N: Ids
    orders: tuple[Ids, Ids]
    lasts: tuple[NDArray[np.bool_], NDArray[np.bool_]]

    @classmethod
    def of(cls, labels: Values, predictions: Values, block: Ids) -> "Spearman":
        known = ~np.isnan(labels)
        sides = (labels[known], predictions[known])
        by_label, by_prediction = (np.argsort(side, kind="stable") for side in sides)
        lasts = _last_of_equal(sides[0][by_label]), _last_of_equal(sides[1][by_prediction])
        return cls(block[known], (by_label, by_prediction), lasts)

    def __call__(self, weights_SB: Floats) -> Floats:
        """Scores of draws, (S,); 0 where a side does not vary."""
        return _spearman(weights_SB, self.block_N, *self.orders, *self.lasts)


def _last_of_equal(values: Values) -> NDArray[np.bool_]:
    return np.append(values[1:] != values[:-1], True)[: len(values)]


@njit(cache=True)
def _ranked(weights_SB, block_N, positive_N, last_N):  # type: ignore[no-untyped-def]
    auroc, precision = np.full(len(weights_SB), np.nan), np.full(len(weights_SB), np.nan)
    for s in range(len(weights_SB)):
        above, below, area, gained, tied_above, tied_below = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(len(block_N)):
            weight = weights_SB[s, block_N[i]]
            if positive_N[i]:
                tied_above += weight
            else:
                tied_below += weight
            if last_N[i]:
                area += tied_below * (above + tied_above / 2)
                above += tied_above
                below += tied_below
                if tied_above > 0:
                    gained += tied_above * above / (above + below)
                tied_above, tied_below = 0.0, 0.0
        if above > 0 and below > 0:
            auroc[s] = area / (above * below)
            precision[s] = gained / above
    return auroc, precision


@njit(cache=True)
def _weigh_ranks(weight_N, order_N, last_N, rank_N):  # type: ignore[no-untyped-def]
    """Mean rank of each row among equal ones, into `rank_N`."""
    before, tied, first = 0.0, 0.0, 0
    for i in range(len(order_N)):
        tied += weight_N[order_N[i]]
        if last_N[i]:
            for j in range(first, i + 1):
                rank_N[order_N[j]] = before + (tied + 1) / 2
            before, tied, first = before + tied, 0.0, i + 1


@njit(cache=True)
def _spearman(weights_SB, block_N, order_a, order_b, last_a, last_b):  # type: ignore[no-untyped-def]
    found = np.zeros(len(weights_SB))
    weight_N, a, b = np.empty(len(block_N)), np.empty(len(block_N)), np.empty(len(block_N))
    for s in range(len(weights_SB)):
        total = 0.0
        for i in range(len(block_N)):
            weight_N[i] = weights_SB[s, block_N[i]]
            total += weight_N[i]
        _weigh_ranks(weight_N, order_a, last_a, a)
        _weigh_ranks(weight_N, order_b, last_b, b)
        middle = (total + 1) / 2  # the mean of mean ranks
        aa, bb, ab = 0.0, 0.0, 0.0
        for i in range(len(block_N)):
            aa += weight_N[i] * (a[i] - middle) ** 2
            bb += weight_N[i] * (b[i] - middle) ** 2
            ab += weight_N[i] * (a[i] - middle) * (b[i] - middle)
        if aa > 0 and bb > 0:
            found[s] = ab / np.sqrt(aa * bb)
    return found
