"""What one arm of a comparison, a model or a baseline, yields."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomics_fm.tasks import bootstrap, metrics
from genomics_fm.tasks.metrics import Predictions
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.rows import Rows

Probability = NDArray[np.float32]


@dataclass(frozen=True)
class ArmResult:
    """Scores of one arm at one label fraction.

    Attributes:
        capped: the training rows were capped as the models' were.
        labels_seen: labelled training rows the arm used; 0 for a rule that learns nothing.
        metric: what arms are compared by; higher is better.
        validation: every metric by name, as `metrics.evaluate` has them; `test` likewise, with thresholds chosen on
            validation.
        interval: 95 % block bootstrap of `test[metric]`.
        validation_predictions: (N, C) float32 probabilities or values by row, of bases (N,) of (L, C) arrays;
            test_predictions likewise.
        calibration_predictions: None where the task has no calibration split.
        chosen: hyperparameters picked on validation and what else is worth a column.
    """

    name: str
    fraction: float
    capped: bool
    labels_seen: int
    metric: str
    validation: dict[str, float]
    test: dict[str, float]
    interval: tuple[float, float]
    validation_predictions: Predictions
    test_predictions: Predictions
    calibration_predictions: Predictions | None
    seconds: float
    chosen: dict[str, Any]

    def summary(self) -> dict[str, Any]:
        """The scores as JSON values, without predictions; `metric`'s also as validation_METRIC and test_METRIC."""
        return {
            "name": self.name,
            "fraction": self.fraction,
            "capped": self.capped,
            "labels_seen": self.labels_seen,
            "metric": self.metric,
            "validation": self.validation,
            "test": self.test,
            f"validation_{self.metric}": self.validation[self.metric],
            f"test_{self.metric}": self.test[self.metric],
            "interval": list(self.interval),
            "seconds": self.seconds,
            "chosen": self.chosen,
        }


def of_two(probability: NDArray[Any]) -> Probability:
    """Predictions of two classes, (N, 2) float32, from the probability of class 1, (N,)."""
    second = np.asarray(probability, np.float32)
    return np.stack([1 - second, second], axis=1)


def score(
    problem: Problem,
    validation: Rows,
    test: Rows,
    *,
    name: str,
    validation_predictions: Predictions,
    test_predictions: Predictions,
    calibration_predictions: Predictions | None = None,
    fraction: float = 1.0,
    capped: bool = False,
    labels_seen: int,
    seconds: float,
    chosen: dict[str, Any],
) -> ArmResult:
    """An `ArmResult` from predictions; see there.

    Raises:
        InputError: predictions of another shape than the problem has, or a metric it does not know.
    """
    thresholds = metrics.thresholds(problem, validation.labels, validation_predictions)
    return ArmResult(
        name=name,
        fraction=fraction,
        capped=capped,
        labels_seen=labels_seen,
        metric=problem.metric,
        validation=metrics.evaluate(problem, validation.labels, validation_predictions, thresholds),
        test=metrics.evaluate(problem, test.labels, test_predictions, thresholds),
        interval=bootstrap.interval(problem, problem.metric, test.labels, test_predictions, test.block),
        validation_predictions=validation_predictions,
        test_predictions=test_predictions,
        calibration_predictions=calibration_predictions,
        seconds=seconds,
        chosen=chosen,
    )
