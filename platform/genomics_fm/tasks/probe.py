"""A probe: the encoder stays as it is, and a linear model of its pooled states is fitted and becomes the head."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from genomics_fm.errors import InputError
from genomics_fm.tasks import linear, metrics
from genomics_fm.tasks.features import Features
from genomics_fm.tasks.objective import Objective
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.scoring import Predictions, mean_of_strands, meaning


@dataclass(frozen=True)
class Chosen:
    """The penalty chosen on validation, the metric there of each that was tried, whether the chosen fit had ended."""

    penalty: float
    tried: dict[float, float]
    converged: bool


def fit(objective: Objective, features: Features, train: Rows, validation: Rows) -> Chosen:
    """Fit the last layer of `features.module`, in place: its other layers stay, standardisation is part of it.

    Both strands of an unstranded row are rows of half the weight each. The penalty is the one with the best validation
    metric, of equal ones the strongest.

    Args:
        objective: of the training rows.
        features: of a classifier without dense-tanh, whose `classifier` is overwritten.
        train: rows to fit.
        validation: rows to choose the penalty by.
    """
    problem, module = objective.problem, features.module
    device = module.classifier.weight.device
    strands_SND = features.of(train.sequences)
    labels = torch.from_numpy(objective.targets(train.labels)).repeat(len(strands_SND), *[1] * (train.labels.ndim - 1))
    checked_SND = features.of(validation.sequences)
    rows_RD = torch.from_numpy(strands_SND.reshape(-1, strands_SND.shape[-1])).to(device)
    best, tried = None, {}
    for penalty, model in linear.path(objective, rows_RD, labels.to(device), linear.PENALTIES):
        found = mean_of_strands(meaning(torch.from_numpy(objective.values(model(checked_SND))), problem).numpy())
        tried[penalty] = metrics.evaluate(problem, validation.labels, found)[problem.metric]
        if best is None or tried[penalty] > tried[best[0]]:
            best = penalty, model
    if best is None:
        raise InputError("no penalty to choose from; give at least one")
    with torch.no_grad():
        module.classifier.weight.copy_(torch.from_numpy(best[1].weight_CD))
        module.classifier.bias.copy_(torch.from_numpy(best[1].bias_C))
    objective.fold(module)
    return Chosen(best[0], tried, best[1].converged)


def predictions(problem: Problem, features: Features, rows: Rows) -> Predictions:
    """What the head predicts for rows, from their features: as `scoring.predict` and the mean of strands, but for
    rounding."""
    strands_SND: NDArray[np.float32] = features.of(rows.sequences)
    last = features.module.classifier
    with torch.inference_mode():
        values = last(torch.from_numpy(strands_SND).to(last.weight)).double().cpu()
    return mean_of_strands(meaning(values, problem).numpy())
