"""Linear models of features, fitted exactly: logistic regression of classes or labels, ridge regression of targets.

One solver for probes and baselines alike. Of each model (all classes together, each label, each target) what is
minimised is the mean loss over its rows + penalty / 2 · |w|², so that a penalty means the same for any number of rows
and outputs. Two classes are one label.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped]
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from genomics_fm.errors import EnvironmentFault, InputError
from genomics_fm.tasks import newton
from genomics_fm.tasks.linear_losses import Array, Logistic, Loss, Multinomial, Squares
from genomics_fm.tasks.newton import Design, Features
from genomics_fm.tasks.objective import Objective
from genomics_fm.tasks.rows import Labels
from genomics_fm.tasks.scoring import meaning

PENALTIES = (100.0, 10.0, 1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-5)
"""Of features of unit variance, strongest first: each fit begins where the last one ended."""
PATIENCE = 3
"""Weaker penalties tried without a better score, once any has been better than the strongest: under that a model may
predict one class alone."""
ABSENT = 20.0
"""Log-odds against a class that no training row has, and for or against a label that all or none have."""
_GROUP_ENTRIES = 2**24  # of a matrix of rows and outputs


@dataclass(frozen=True)
class Linear:
    """outputs = features · weight.T + bias: (C, D) and (C,), float64, for features as they come.

    `converged`: the gradient where the fit ended is within `newton.CONVERGED`.
    """

    weight_CD: NDArray[np.float64]
    bias_C: NDArray[np.float64]
    converged: bool

    def __call__(self, features: Features) -> NDArray[np.float64]:
        """(..., D) to (..., C); sparse ones (N, D)."""
        if sparse.issparse(features):
            return np.asarray(features @ self.weight_CD.T) + self.bias_C
        found = np.empty((*features.shape[:-1], len(self.bias_C)))
        flat = found.reshape(-1, len(self.bias_C))
        for part, chunk in newton.dense_chunks(features.reshape(-1, features.shape[-1])):
            flat[part] = chunk @ self.weight_CD.T + self.bias_C
        return found


@dataclass(frozen=True)
class Chosen:
    """The model with the best score, its penalty, and the score of each penalty that was tried."""

    model: Linear
    penalty: float
    tried: dict[float, float]

    @property
    def converged(self) -> bool:
        return self.model.converged


def choose(
    objective: Objective,
    features: Features,
    labels: Labels,
    score: Callable[[NDArray[Any]], float],
    checked: Features,
) -> Chosen:
    """Fit with weaker and weaker penalties until `score` rises no more (`PATIENCE`).

    Args:
        objective: of the training rows.
        features: (N, D) of training rows; a row may be there twice, as its two strands are.
        labels: of these, as `Rows.labels`.
        score: of predictions for `checked`, higher is better; of equal ones the stronger penalty is taken.
        checked: (..., D) of the rows that choose.

    Raises:
        EnvironmentFault: as `path`.
    """
    best: tuple[float, Linear] | None = None
    tried: dict[float, float] = {}
    for penalty, model in path(objective, features, labels, PENALTIES):
        tried[penalty] = score(predictions(objective, model(checked)))
        if best is None or tried[penalty] > tried[best[0]]:
            best = penalty, model
        elif best[0] < PENALTIES[0] and PENALTIES.index(penalty) - PENALTIES.index(best[0]) >= PATIENCE:
            break
    if best is None:
        raise InputError("no penalty to choose from; give at least one")
    return Chosen(best[1], best[0], tried)


def predictions(objective: Objective, outputs: NDArray[np.float64]) -> NDArray[Any]:
    """Probabilities, or values on the targets' own scale, from a model's outputs, (..., C)."""
    return meaning(torch.from_numpy(objective.values(outputs)), objective.problem).numpy()


def path(
    objective: Objective, features: Features, labels: Labels, penalties: Sequence[float]
) -> Iterator[tuple[float, Linear]]:
    """The models of each penalty, on one thread: sums do not depend on the machine's cores.

    Args:
        objective: what is fitted; models of targets answer on the scale of `Objective.targets`.
        features: (N, D) floats; they are standardised here, and what is fitted is given back for them as they come.
        labels: (N,) int64 classes or (N, C) floats, NaN where nothing was measured.
        penalties: on the squares of the weights, not of the biases; above 0, strongest first.

    Raises:
        EnvironmentFault: features or fit are not finite.
    """
    with threadpool_limits(limits=1):
        design = Design(features)
        asked = _ask(objective, labels, design.dtype)
        outputs = asked.bias_C.size
        covariance = design.covariance() if outputs and newton.worth_a_factor(design, outputs) else None
    if not (np.isfinite(design.mean_D).all() and np.isfinite(design.deviation_D).all()):
        raise EnvironmentFault("a linear model's features are not finite: the encoder's states are not; use another")
    weight = np.zeros((design.scaled.shape[1] + 1, outputs), design.dtype)
    weight[-1] = asked.bias_C
    for penalty in penalties:
        with threadpool_limits(limits=1):
            steepest = _fit(design, asked, weight, penalty, covariance)
        yield penalty, _as_they_come(design, asked, weight, steepest <= newton.CONVERGED)


@dataclass(frozen=True)
class _Asked:
    """What there is to fit, and how the problem's outputs come of it.

    Attributes:
        groups: losses of some outputs each, in order; all of the models' outputs together.
        bias_C: of the models without features: where fits begin.
        spread_OC: outputs of the problem = spread · outputs of the models + `rest_O`.
        rest_O: of outputs without a model, as no training row tells of them; 0 of others.
    """

    groups: list[Loss]
    bias_C: NDArray[np.float64]
    spread_OC: NDArray[np.float64]
    rest_O: NDArray[np.float64]


def _ask(objective: Objective, labels: Labels, dtype: np.dtype[Any]) -> _Asked:
    if objective.problem.classes:
        return _ask_classes(objective, labels, dtype)
    values_NO = objective.targets(labels)
    known_NO = ~np.isnan(values_NO)
    count_O = known_NO.sum(0)
    mean_O = np.nansum(values_NO, 0, dtype=np.float64) / np.maximum(count_O, 1)
    heavy_O = np.ones(len(count_O)) if objective.weight_C is None else _double(objective.weight_C)
    if objective.problem.kind == "regression":
        there, rest_O, bias_O = count_O > 0, np.zeros(len(count_O)), mean_O
    else:
        there = (mean_O > 0) & (mean_O < 1)
        rest_O = np.where(there, 0, np.where(mean_O == 1, ABSENT, -ABSENT))
        share_O = np.where(there, mean_O, 0.5)
        bias_O = np.log(share_O * heavy_O / (1 - share_O))
    loss = Squares if objective.problem.kind == "regression" else Logistic
    columns = np.flatnonzero(there)
    size = max(1, _GROUP_ENTRIES // max(1, len(labels)))
    groups: list[Loss] = []
    for start in range(0, len(columns), size):
        part = columns[start : start + size]
        value = np.where(known_NO[:, part], values_NO[:, part], 0)
        weight = known_NO[:, part] * np.where(value == 1, heavy_O[part], 1) / count_O[part]
        groups.append(loss(value.astype(dtype), weight.astype(dtype)))
    return _Asked(groups, bias_O[columns], np.eye(len(count_O))[:, columns], rest_O)


def _ask_classes(objective: Objective, labels: Labels, dtype: np.dtype[Any]) -> _Asked:
    outputs = objective.problem.outputs
    class_weight_O = np.ones(outputs) if objective.weight_C is None else _double(objective.weight_C)
    weight_N = class_weight_O[labels]
    share_O = np.bincount(labels, weight_N, outputs) / (weight_N.sum() or 1)
    met = np.flatnonzero(share_O)
    rest_O = np.where(share_O > 0, 0.0, -ABSENT)
    weight_N1 = (weight_N / (weight_N.sum() or 1))[:, None].astype(dtype)
    if len(met) < 2:
        return _Asked([], np.empty(0), np.empty((outputs, 0)), rest_O)
    if len(met) == 2:
        spread_O1 = np.zeros((outputs, 1))
        spread_O1[met, 0] = -0.5, 0.5
        second_N1 = (labels == met[1])[:, None].astype(dtype)
        log_odds = np.log(share_O[met[1]] / share_O[met[0]])
        return _Asked([Logistic(second_N1, weight_N1)], np.array([log_odds]), spread_O1, rest_O)
    loss = Multinomial((labels[:, None] == met).astype(dtype), weight_N1)
    return _Asked([loss], np.log(share_O[met]), np.eye(outputs)[:, met], rest_O)


def _double(values: torch.Tensor) -> NDArray[np.float64]:
    return values.detach().cpu().double().numpy()


def _fit(design: Design, asked: _Asked, weight: Array, penalty: float, covariance_DD: Array | None) -> float:
    """Fit all models, in place; returns the largest entry of all gradients."""
    steepest, start = 0.0, 0
    for loss in asked.groups:
        part = slice(start, start + loss.labels_NC.shape[1])
        start = part.stop
        curvature = loss.mean_curvature(loss.slope(design.times(weight[:, part]))[1])
        undo = newton.preconditioner(covariance_DD, curvature, penalty)
        weight[:, part], steepest_C = newton.minimise(design, loss, weight[:, part], penalty, undo)
        steepest = max(steepest, float(steepest_C.max()))
    return steepest


def _as_they_come(design: Design, asked: _Asked, weight: Array, converged: bool) -> Linear:
    """The models of the problem's outputs, for features that are not scaled."""
    weight_CD = weight[:-1].T.astype(np.float64) / design.deviation_D
    bias_C = weight[-1] - weight_CD @ design.mean_D
    if not (np.isfinite(weight_CD).all() and np.isfinite(bias_C).all()):
        raise EnvironmentFault("a linear model is not finite; its features differ too much in size")
    return Linear(asked.spread_OC @ weight_CD, asked.spread_OC @ bias_C + asked.rest_O, converged)
