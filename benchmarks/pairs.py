"""Two ways of doing the same, measured in turns: the median of the pairs' ratios, with its interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

LEAST_COVERAGE = 0.95


def split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """A command line's own words, and those after `--`, which are for `jobs.pretrain`."""
    given = list(argv)
    place = given.index("--") if "--" in given else len(given)
    return given[:place], given[place + 1 :]


@dataclass(frozen=True)
class Spread:
    """A median with an interval between two of the values.

    Attributes:
        middle: the median.
        low, high: ends; None where there are too few values for `LEAST_COVERAGE`.
        coverage: how often such an interval holds the true median, whatever the values' distribution.
    """

    middle: float
    low: float | None
    high: float | None
    coverage: float

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.middle:.4f} (too few for an interval)"
        return f"{self.middle:.4f} ({self.low:.4f} to {self.high:.4f}, {self.coverage:.1%})"


def spread(values: Sequence[float]) -> Spread:
    """The median of independent values, and the narrowest symmetric pair of order statistics around it.

    The true median lies outside the k-th smallest and k-th largest of n values with probability
    2 · Σ_{i<k} C(n, i) / 2^n.
    """
    ordered, count = sorted(values), len(values)
    best, outside = 0, 0.0
    for k in range(1, count // 2 + 1):
        missed = 2 * sum(math.comb(count, i) for i in range(k)) / 2**count
        if missed <= 1 - LEAST_COVERAGE:
            best, outside = k, missed
    if not best:
        return Spread(median(ordered), None, None, 0.0)
    return Spread(median(ordered), ordered[best - 1], ordered[-best], 1 - outside)
