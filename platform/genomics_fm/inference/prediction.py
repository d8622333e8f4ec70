"""What a head says about one sequence, as an object and as JSON."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomics_fm.tasks import metrics
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.scoring import Strands


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a head says about one sequence.

    Attributes:
        values: (C,) probabilities of classes or labels, or values of targets; of a per-base head (L, C). The mean of
            both strands for unstranded heads, calibrated where the head is.
        label: the second of two classes from the head's threshold on, else the likeliest class; None of all heads but
            those of classes.
        labels: labels whose probability is at least their threshold, or the class of every base, as `label`; else None.
        probability: of class 1 where there are two classes, of `label` where there are more; else None.
        reverse_complement_gap: largest |forward − reverse complement| among the model's own answers; None for
            stranded heads.
        warnings: reservations, in words.
        possible: classes that a sequence like those of the calibration rows is of in 90 % of cases; None where the
            head has not been calibrated so. A prior does not change it.
        interval: (C, 2) low and high of each target, which hold 90 % likewise; else None.
    """

    values: NDArray[Any]
    label: str | None
    labels: tuple[str, ...] | None
    probability: float | None
    reverse_complement_gap: float | None
    warnings: tuple[str, ...] = ()
    possible: tuple[str, ...] | None = None
    interval: NDArray[np.float64] | None = None


def mean_and_gaps(strands: Strands) -> tuple[NDArray[Any], list[float | None]]:
    """Mean of the strands that were read, (N, C) or (N,) of (L, C) arrays, and how far apart they are at most."""
    rows = strands.shape[1]
    if strands.dtype != object:
        gaps = np.abs(strands[0] - strands[-1]).max(axis=-1).tolist() if len(strands) == 2 else [None] * rows
        return strands.mean(axis=0), gaps
    mean = np.empty(rows, object)
    mean[:] = [np.mean(list(both), axis=0) for both in strands.T]
    pairs = [None if len(strands) == 1 else float(np.abs(a - b).max()) for a, b in zip(*strands[[0, -1]], strict=True)]
    return mean, pairs


def decided(
    problem: Problem,
    values: NDArray[Any],
    gap: float | None,
    warnings: tuple[str, ...] = (),
    thresholds: NDArray[np.float64] | None = None,
) -> Prediction:
    """A prediction from its numbers; `thresholds` as `metrics.decide` takes them."""
    match problem.kind:
        case "classification":
            place = int(metrics.decide(problem, values[None], thresholds)[0])
            probability = float(values[1 if problem.binary else place])
            return Prediction(values, problem.names[place], None, probability, gap, warnings)
        case "multilabel":
            there = np.flatnonzero(metrics.decide(problem, values[None], thresholds)[0])
        case "per-base":
            there = metrics.decide(problem, values, thresholds)
        case "regression":
            return Prediction(values, None, None, None, gap, warnings)
    return Prediction(values, None, tuple(problem.names[place] for place in there), None, gap, warnings)


def answer(problem: Problem, prediction: Prediction) -> dict[str, Any]:
    """A prediction as JSON: what serving and MLflow answer.

    Two classes: `label`, `probability` of the second. More: also `probabilities`, {name: p}. Of a calibrated head
    `possible`, names. Labels: `labels` and `probabilities`. Numbers: `values`, {name: value}, and of a calibrated head
    `intervals`, {name: [low, high]}. Bases: `labels`, a name a base, and `probability` of each of them. Always
    `strand_gap` and `warnings`.
    """
    values, names = prediction.values, problem.names
    found: dict[str, Any] = {}
    match problem.kind:
        case "classification":
            found = {"label": prediction.label, "probability": prediction.probability}
            if not problem.binary:
                found["probabilities"] = _named(names, values)
            if prediction.possible is not None:
                found["possible"] = list(prediction.possible)
        case "multilabel":
            found = {"labels": list(prediction.labels or ()), "probabilities": _named(names, values)}
        case "regression":
            found = {"values": _named(names, values)}
            if prediction.interval is not None:
                found["intervals"] = _named(names, prediction.interval)
        case "per-base":
            found = {"labels": list(prediction.labels or ()), "probability": values.max(axis=1).tolist()}
    return found | {"strand_gap": prediction.reverse_complement_gap, "warnings": list(prediction.warnings)}


def _named(names: tuple[str, ...], values: NDArray[Any]) -> dict[str, Any]:
    return dict(zip(names, values.tolist(), strict=True))
