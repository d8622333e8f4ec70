"""How well calibrated a head is on test rows (SPEC R31), before and after; how often its sets and intervals are right.

Nothing here is chosen by these numbers.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomics_fm.tasks import metrics
from genomics_fm.tasks.calibration import COVERAGE, Calibration
from genomics_fm.tasks.composition import gc_and_length
from genomics_fm.tasks.metrics import Labels, Predictions
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.rows import Rows

BINS = 15
"""Of equal width, as in Guo et al. 2017 (arXiv:1706.04599)."""
TERCILES = ("low", "middle", "high")


def assess(calibration: Calibration, test: Rows, predictions: Predictions) -> dict[str, Any]:
    """What a card and a report say, as JSON values.

    Args:
        calibration: of the head.
        test: rows it was not fitted on.
        predictions: of the head for them, as it made them.

    Returns:
        "rows": of the calibration split; "error_before" and "error_after": expected calibration error, none of a
        regression; "reliability_before" and "reliability_after", as `reliability`; where there are sets or intervals
        "coverage", as `coverage`, and "coverage_asked".
    """
    problem = calibration.problem
    found: dict[str, Any] = {"rows": calibration.rows}
    if problem.kind != "regression":
        after = calibration.probabilities(predictions)
        for name, given in (("before", predictions), ("after", after)):
            curve = reliability(problem, test.labels, given)
            found |= {f"error_{name}": error_of(curve), f"reliability_{name}": curve}
    measured = coverage(calibration, test, predictions)
    return found | ({"coverage": measured, "coverage_asked": COVERAGE} if measured else {})


def reliability(problem: Problem, labels: Labels, predictions: Predictions) -> list[dict[str, float]]:
    """In each bin of probability that holds any: how many, their mean probability, and the share that came true.

    Of one of several classes the likeliest counts; of two the second; of labels all together.
    """
    labels, predictions = metrics.rows_of(problem, labels, predictions)
    if problem.kind == "multilabel":
        known = ~np.isnan(labels)
        said, true = predictions[known], labels[known] == 1
    elif problem.outputs == 2:
        said, true = predictions[:, 1], labels == 1
    else:
        said, true = predictions.max(1), labels == predictions.argmax(1)
    place = np.minimum((said * BINS).astype(np.int64), BINS - 1)
    rows = np.bincount(place, minlength=BINS)
    sums = [np.bincount(place, weights=each, minlength=BINS) for each in (said, true)]
    return [
        {"rows": int(rows[i]), "probability": float(sums[0][i] / rows[i]), "share": float(sums[1][i] / rows[i])}
        for i in np.flatnonzero(rows)
    ]


def error_of(curve: list[dict[str, float]]) -> float:
    """Expected calibration error: how far shares are from probabilities, mean over rows."""
    total = sum(each["rows"] for each in curve)
    return sum(each["rows"] * abs(each["share"] - each["probability"]) for each in curve) / max(1, total)


def coverage(calibration: Calibration, test: Rows, predictions: Predictions) -> dict[str, dict[str, float]]:
    """How often sets or intervals hold the answer, of all rows, of each class or target, and by GC tercile.

    Returns:
        By group, "rows", "coverage", and "size": mean number of classes in a set, or half the width of intervals.
        Names of groups: "all", "class/NAME" or "target/NAME", "gc/low" … "gc/high". Empty where there are none.
    """
    held, size = _held(calibration, test.labels, predictions)
    if held is None or size is None:
        return {}
    groups = {"all": np.ones(len(test), np.bool_)}
    names = calibration.problem.names
    if calibration.problem.kind == "classification":
        groups |= {f"class/{name}": test.labels == number for number, name in enumerate(names)}
    groups |= {f"gc/{name}": rows for name, rows in zip(TERCILES, _terciles(test.sequences), strict=True)}
    found = {name: _of(held[rows], size[rows]) for name, rows in groups.items() if rows.any()}
    if calibration.problem.kind == "regression":
        found |= {f"target/{name}": _of(held[:, c], size[:, c]) for c, name in enumerate(names)}
    return found


def _held(
    calibration: Calibration, labels: Labels, predictions: Predictions
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """(1 where the answer is held, 0 where not, NaN where it is not known; sizes), of rows or of rows and targets."""
    sets = calibration.sets(predictions)
    if sets is not None:
        return sets[np.arange(len(labels)), labels].astype(np.float64), sets.sum(1).astype(np.float64)
    bounds = calibration.intervals(predictions)
    if bounds is None:
        return None, None
    low, high = bounds
    held = np.where(np.isnan(labels), np.nan, (low <= labels) & (labels <= high))
    return held, np.asarray((high - low) / 2, np.float64)


def _of(held: NDArray[np.float64], size: NDArray[np.float64]) -> dict[str, float]:
    known = ~np.isnan(held)
    share = float(held[known].mean()) if known.any() else 0.0
    return {"rows": int(known.sum()), "coverage": share, "size": float(size.mean())}


def _terciles(sequences: Sequence[str]) -> list[NDArray[np.bool_]]:
    """Rows of low, middle and high GC share, as near to a third each as equal shares allow."""
    gc = gc_and_length(sequences)[:, 0]
    cuts = np.quantile(gc, [1 / 3, 2 / 3]) if len(gc) else np.zeros(2)
    place = np.searchsorted(cuts, gc, side="left")
    return [place == number for number in range(len(TERCILES))]
