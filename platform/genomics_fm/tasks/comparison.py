"""One model against rivals on the same rows: paired differences, and what of them is more than chance (SPEC R29)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomics_fm.tasks import bootstrap, metrics
from genomics_fm.tasks.metrics import Labels, Predictions
from genomics_fm.tasks.problem import Problem

ALPHA = 0.05
"""Of all verdicts on one head together: the chance to name a difference where there is none."""
_DRAWS_PER_RIVAL = math.ceil(4 / ALPHA)
"""From half as many on, the least possible p, 2 / (draws + 1), survives Holm."""


@dataclass(frozen=True)
class Difference:
    """A model's metric minus a rival's on the same rows.

    Attributes:
        value: the difference.
        interval: 95 % percentile interval of it over paired draws of blocks; of this rival alone.
        p: two-sided: twice the share of draws that are 0 or on its other side, a draw being added to those and to all
            (Davison & Hinkley 1997, eq. 4.11). Below `ALPHA` the interval excludes 0.
        p_adjusted: after Holm over all rivals.
        blocks: independent blocks of rows.
    """

    value: float
    interval: tuple[float, float]
    p: float
    p_adjusted: float
    blocks: int

    @property
    def sign(self) -> int:
        """What may be said: 1, better than the rival; -1, worse; 0, nothing, or there are too few blocks."""
        if self.blocks < bootstrap.FEWEST_BLOCKS or self.p_adjusted >= ALPHA:
            return 0
        return int(self.interval[0] > 0) - int(self.interval[1] < 0)

    def to_json(self) -> dict[str, Any]:
        """`difference`, `interval`, `p`, `p_adjusted`, `blocks` and `sign`."""
        return {
            "difference": self.value,
            "interval": list(self.interval),
            "p": self.p,
            "p_adjusted": self.p_adjusted,
            "blocks": self.blocks,
            "sign": self.sign,
        }


def compare(
    problem: Problem,
    labels: Labels,
    ours: Predictions,
    rivals: Mapping[str, Predictions],
    blocks: NDArray[np.int64],
    samples: int = bootstrap.SAMPLES,
    seed: int = 0,
) -> dict[str, Difference]:
    """The problem's metric of ours minus that of each rival, all scored on the same draws of blocks.

    Args:
        problem: the question.
        labels: as `Rows.labels`; none are refused.
        ours: predictions, as `metrics.evaluate` takes them.
        rivals: theirs, by name: all that are to be judged together.
        blocks: id of the block of each row.
        samples: draws, as `bootstrap.sampled` takes them; more rivals get at least as many as Holm can tell apart.
        seed: of the draws.

    Raises:
        InputError: predictions of another shape than the problem has.
    """
    several, metric = [ours, *rivals.values()], problem.metric
    fewest = max(bootstrap.FEWEST_SAMPLES, _DRAWS_PER_RIVAL * len(rivals))
    drawn = bootstrap.sampled(problem, metric, labels, several, blocks, max(samples, fewest), seed, fewest)
    scores = [metrics.evaluate(problem, labels, one)[metric] for one in several]
    differences = drawn[0] - drawn[1:]
    p = [_p_value(draws) for draws in differences]
    found = zip(rivals, differences, p, holm(p), scores[1:], strict=True)
    number = len(np.unique(blocks))
    return {
        name: Difference(scores[0] - score, bootstrap.ends(draws), raw, adjusted, number)
        for name, draws, raw, adjusted, score in found
    }


def _p_value(differences: NDArray[np.float64]) -> float:
    other_side = min(np.sum(differences <= 0), np.sum(differences >= 0))
    return min(1.0, 2 * (int(other_side) + 1) / (len(differences) + 1))


def holm(p: Sequence[float]) -> list[float]:
    """p-values of one family, adjusted: `p < alpha` errs anywhere in it with chance alpha at most (Holm 1979)."""
    adjusted, least = [0.0] * len(p), 0.0
    for rank, place in enumerate(np.argsort(np.array(p), kind="stable").tolist()):
        least = max(least, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = least
    return adjusted
