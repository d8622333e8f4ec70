"""A probe: the encoder stays as it is, and a linear model of its pooled states is fitted and becomes the head."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genomics_fm.tasks import linear, metrics
from genomics_fm.tasks.features import Features
from genomics_fm.tasks.linear import Chosen
from genomics_fm.tasks.objective import Objective
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.scoring import Predictions, mean_of_strands, meaning

States = NDArray[np.float32]


def choose(objective: Objective, strands_SND: States, train: Rows, checked_SND: States, validation: Rows) -> Chosen:
    """The linear model of states that is best on validation, after the mean of strands.

    Both strands of an unstranded row are rows of half the weight each (SPEC R20).

    Args:
        objective: of the training rows.
        strands_SND: states of the training rows as given and, where both strands are read, turned.
        train: rows to fit.
        checked_SND: states of the validation rows.
        validation: rows to choose the penalty by.
    """
    problem = objective.problem
    labels = np.concatenate([train.labels] * len(strands_SND))

    def score(found: NDArray[Any]) -> float:
        return metrics.evaluate(problem, validation.labels, mean_of_strands(found))[problem.metric]

    rows_RD = strands_SND.reshape(-1, strands_SND.shape[-1])
    return linear.choose(objective, rows_RD, labels, score, checked_SND)


def fit(objective: Objective, features: Features, train: Rows, validation: Rows) -> Chosen:
    """Fit the last layer of `features.module`, in place: its other layers stay, standardisation is part of it.

    Args:
        objective: of the training rows.
        features: of a classifier without dense-tanh, whose `classifier` is overwritten.
        train: rows to fit.
        validation: rows to choose the penalty by.
    """
    module = features.module
    states_SND, checked_SND = features.of(train.sequences), features.of(validation.sequences)
    chosen = choose(objective, states_SND, train, checked_SND, validation)
    with torch.no_grad():
        module.classifier.weight.copy_(torch.from_numpy(chosen.model.weight_CD))
        module.classifier.bias.copy_(torch.from_numpy(chosen.model.bias_C))
    objective.fold(module)
    return chosen


def predictions(problem: Problem, features: Features, rows: Rows) -> Predictions:
    """What the head predicts for rows, from their features: as `scoring.predict` and the mean of strands, but for
    rounding."""
    strands_SND: States = features.of(rows.sequences)
    last = features.module.classifier
    with torch.inference_mode():
        values = last(torch.from_numpy(strands_SND).to(last.weight)).double().cpu()
    return mean_of_strands(meaning(values, problem).numpy())
