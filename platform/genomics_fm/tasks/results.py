"""What one arm of a comparison, a model or a baseline, yields."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomics_fm.tasks import metrics
from genomics_fm.tasks.rows import Rows

DECISION = 0.5  # probability from which a binary prediction is positive

Probability = NDArray[np.float32]


@dataclass(frozen=True)
class ArmResult:
    """Scores of one arm at one label fraction.

    Attributes:
        capped: the training rows were capped as the models' were.
        labels_seen: labelled training rows the arm used; 0 for a rule that learns nothing.
        validation_mcc: at probability 0.5, like test_mcc.
        test_interval: 95 % block bootstrap of test_mcc.
        validation_probability: of class 1, by row; test_probability likewise.
        chosen: hyperparameters picked on validation and what else is worth a column.
    """

    name: str
    fraction: float
    capped: bool
    labels_seen: int
    validation_mcc: float
    test_mcc: float
    test_interval: tuple[float, float]
    validation_probability: Probability
    test_probability: Probability
    seconds: float
    chosen: dict[str, Any]

    def summary(self) -> dict[str, Any]:
        """The scores as JSON values, without the probabilities."""
        return {
            "name": self.name,
            "fraction": self.fraction,
            "capped": self.capped,
            "labels_seen": self.labels_seen,
            "validation_mcc": self.validation_mcc,
            "test_mcc": self.test_mcc,
            "interval": list(self.test_interval),
            "seconds": self.seconds,
            "chosen": self.chosen,
        }


def predicted(probability: Probability) -> NDArray[np.int64]:
    return (probability >= DECISION).astype(np.int64)


def score(
    name: str,
    fraction: float,
    capped: bool,
    labels_seen: int,
    validation: Rows,
    test: Rows,
    validation_probability: Probability,
    test_probability: Probability,
    seconds: float,
    chosen: dict[str, Any],
) -> ArmResult:
    """An `ArmResult` from probabilities."""
    guess = predicted(test_probability)
    return ArmResult(
        name=name,
        fraction=fraction,
        capped=capped,
        labels_seen=labels_seen,
        validation_mcc=metrics.mcc(validation.labels, predicted(validation_probability)),
        test_mcc=metrics.mcc(test.labels, guess),
        test_interval=metrics.block_bootstrap(test.labels, guess, test.block),
        validation_probability=validation_probability,
        test_probability=test_probability,
        seconds=seconds,
        chosen=chosen,
    )
