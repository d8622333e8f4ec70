"""What a head is trained towards: the loss of a problem, its weights, and the scale of its targets."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genomics_fm.model.heads import SequenceClassifier, TokenClassifier
from genomics_fm.model.losses import class_weights, head_loss, positive_weights
from genomics_fm.tasks.problem import UNLABELLED, Problem
from genomics_fm.tasks.rows import Labels
from genomics_fm.tasks.trial_config import TrialConfig


@dataclass(frozen=True)
class Objective:
    """Of one problem and one set of training rows.

    Attributes:
        problem: what is asked.
        weight_C: of the classes, or of each label's positives; None: all weigh 1.
        mean_C: of the targets, float64; a model in training answers in standard deviations from them.
        deviation_C: of the targets, float64; 1 where there is none.
    """

    problem: Problem
    weight_C: Tensor | None
    mean_C: NDArray[np.float64]
    deviation_C: NDArray[np.float64]

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Mean over what is labelled; rows are sequences, or bases of all sequences."""
        kind = "classification" if self.problem.kind == "per-base" else self.problem.kind
        weight_C = None if self.weight_C is None else self.weight_C.to(outputs)
        return head_loss(kind, outputs, labels, weight_C)

    def amount(self, labels: Tensor) -> float:
        """What `loss` is a mean over: labelled rows, labels or targets, classes by their weight."""
        if not self.problem.classes:
            return float((~torch.isnan(labels)).sum())
        known = labels[labels != UNLABELLED]
        return len(known) if self.weight_C is None else float(self.weight_C.to(known.device)[known].sum())

    def targets(self, labels: Labels) -> Labels:
        """Labels as `loss` takes them: targets standardised, all else as it is."""
        if self.problem.kind != "regression":
            return labels
        return ((labels - self.mean_C) / self.deviation_C).astype(np.float32)

    def values(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Outputs of a model in training, (..., C), on the targets' own scale; probabilities stay."""
        return outputs * self.deviation_C + self.mean_C if self.problem.kind == "regression" else outputs

    def fold(self, module: SequenceClassifier | TokenClassifier) -> None:
        """Put the targets' scale into the last layer, in place, so that the model answers on it."""
        if self.problem.kind != "regression":
            return
        last = module.classifier
        deviation_C, mean_C = (torch.from_numpy(values).to(last.weight) for values in (self.deviation_C, self.mean_C))
        with torch.no_grad():
            last.weight.mul_(deviation_C[:, None])
            last.bias.mul_(deviation_C).add_(mean_C)


def objective_of(config: TrialConfig, problem: Problem, labels: Labels) -> Objective:
    """The objective of a problem's training labels."""
    mean_C, deviation_C = np.zeros(problem.outputs), np.ones(problem.outputs)
    if problem.kind == "regression":
        mean_C, deviation_C = scale_of(labels.astype(np.float64))
    return Objective(problem, _weights(config, problem, labels), mean_C, deviation_C)


def scale_of(targets_NC: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of what was measured of each target; 0 and 1 of one that was not."""
    measured_NC = ~np.isnan(targets_NC)
    count_C = np.maximum(measured_NC.sum(0), 1)
    mean_C = np.where(measured_NC, targets_NC, 0).sum(0) / count_C
    square_C = np.where(measured_NC, (targets_NC - mean_C) ** 2, 0).sum(0) / count_C
    return mean_C, np.where(square_C > 0, np.sqrt(square_C), 1.0)


def _weights(config: TrialConfig, problem: Problem, labels: Labels) -> Tensor | None:
    if problem.kind == "multilabel" and config.pos_weight != 1:
        if config.pos_weight == 0:
            return positive_weights(torch.from_numpy(labels))
        return torch.full((problem.outputs,), config.pos_weight)
    if problem.classes and config.class_weights:
        return class_weights(torch.from_numpy(flat(labels)), problem.outputs)
    return None


def flat(labels: Labels) -> Labels:
    """Labels as `loss` takes them: those of bases one row after the other, int64; all else as it is."""
    if labels.dtype != object:
        return labels
    return np.concatenate([np.empty(0, np.int64), *labels]).astype(np.int64)
