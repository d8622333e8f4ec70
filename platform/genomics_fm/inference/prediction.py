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
        values: (C,) float64 probabilities of classes or labels, or values of targets; of a per-base head (L, C). The
            mean of both strands for unstranded heads.
        label: the likeliest class; None of all heads but those of classes.
        labels: labels whose probability is at least one half, or the likeliest class of every base; else None.
        probability: of class 1 where there are two classes, of `label` where there are more; else None.
        reverse_complement_gap: largest |forward − reverse complement| among `values`; None for stranded heads.
        warnings: reservations, in words.
    """

    values: NDArray[np.float64]
    label: str | None
    labels: tuple[str, ...] | None
    probability: float | None
    reverse_complement_gap: float | None
    warnings: tuple[str, ...] = ()


def of_strands(strands: Strands, row: int) -> tuple[NDArray[np.float64], float | None]:
    """Mean of the strands that were read of a row, and how far they are apart; None where one was read."""
    read = np.stack([strand[row] for strand in strands])
    return read.mean(axis=0), float(np.abs(read[0] - read[1]).max()) if len(read) == 2 else None


def decided(
    problem: Problem, values: NDArray[np.float64], gap: float | None, warnings: tuple[str, ...] = ()
) -> Prediction:
    """A prediction from its numbers."""
    match problem.kind:
        case "classification":
            place = int(metrics.decide(problem, values[None])[0])
            probability = float(values[1 if problem.binary else place])
            return Prediction(values, problem.names[place], None, probability, gap, warnings)
        case "multilabel":
            there = np.flatnonzero(values >= metrics.DECISION)
        case "per-base":
            there = np.argmax(values, axis=1)
        case "regression":
            return Prediction(values, None, None, None, gap, warnings)
    return Prediction(values, None, tuple(problem.names[place] for place in there), None, gap, warnings)


def answer(problem: Problem, prediction: Prediction) -> dict[str, Any]:
    """A prediction as JSON: what serving and MLflow answer.

    Two classes: `label`, `probability` of the second. More: also `probabilities`, {name: p}. Labels: `labels` and
    `probabilities`. Numbers: `values`, {name: value}. Bases: `labels`, a name a base, and `probability` of each of
    them. Always `strand_gap` and `warnings`.
    """
    values, names = prediction.values, problem.names
    reserved = {"strand_gap": prediction.reverse_complement_gap, "warnings": list(prediction.warnings)}
    by_name = {name: float(value) for name, value in zip(names, values, strict=False)} if values.ndim == 1 else {}
    match problem.kind:
        case "classification":
            said = {"label": prediction.label, "probability": prediction.probability}
            return {**said, **({} if problem.binary else {"probabilities": by_name}), **reserved}
        case "multilabel":
            return {"labels": list(prediction.labels or ()), "probabilities": by_name, **reserved}
        case "regression":
            return {"values": by_name, **reserved}
        case "per-base":
            return {"labels": list(prediction.labels or ()), "probability": values.max(axis=1).tolist(), **reserved}
