"""Logistic and ridge regression of features by scikit-learn, the penalty chosen on validation."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped]
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from genomics_fm.tasks import metrics
from genomics_fm.tasks.metrics import Labels, Predictions
from genomics_fm.tasks.problem import Problem

PENALTIES = (100.0, 10.0, 1.0, 0.1, 0.01, 1e-3, 1e-4)
"""On the squared weights of features of unit variance, beside the mean loss; strongest first."""
PATIENCE = 2
"""Weaker penalties tried without a better validation score, once any has been better than the strongest: under that
a model may predict one class alone."""
ITERATIONS = 100
TOLERANCE = 1e-4
DENSE_SHARE = 0.25
"""A matrix with a larger share of entries than this is faster dense."""
_FLAT = 1e-5  # a column that varies less, beside its mean, is constant but for rounding

Features = Any  # (N, F) float32: numpy array or scipy CSR matrix


@dataclass(frozen=True)
class Chosen:
    """A fitted model.

    Attributes:
        predict: features (N, F), scaled as they came, to predictions (N, C) float32.
        penalty: of `PENALTIES`.
        score: validation score by penalty tried.
        converged: whether the chosen fit ended within `ITERATIONS`.
    """

    predict: Callable[[Features], Predictions]
    penalty: float
    score: dict[float, float]
    converged: bool


def fit(
    problem: Problem, features: Features, labels: Labels, validation_features: Features, validation_labels: Labels
) -> Chosen:
    """Fit a linear model of any problem but "per-base", on one thread: its sums do not depend on the machine's cores.

    Classes: multinomial. Labels: each its own, all with one penalty. Targets: least squares with an L2 penalty. What
    was not measured is left out. A label or class that training rows lack is predicted with its share of them.

    Args:
        problem: its metric picks the penalty; of equal ones the stronger.
        features: (N, F); scaled here by their deviations in the training rows, not centred, so sparse stays sparse.
        labels: as `Rows.labels`.
        validation_features: of the rows that pick the penalty.
        validation_labels: of these.
    """
    scale = 1 / _deviation(features)
    scaled, checked = _scaled(features, scale), _scaled(validation_features, scale)
    model = (_Targets if problem.kind == "regression" else _Classes if problem.classes else _Labels)(problem.outputs)
    scores: dict[float, float] = {}
    best: tuple[float, Callable[[Features], Predictions], bool] | None = None
    for penalty in PENALTIES:
        with threadpool_limits(limits=1):
            predict, converged = model.fit(scaled, labels, penalty)
        scores[penalty] = metrics.evaluate(problem, validation_labels, predict(checked))[problem.metric]
        if best is None or scores[penalty] > scores[best[0]]:
            best = penalty, predict, converged
        elif best[0] < PENALTIES[0] and PENALTIES.index(penalty) - PENALTIES.index(best[0]) >= PATIENCE:
            break
    penalty, chosen, converged = best or (PENALTIES[0], *model.fit(scaled, labels, PENALTIES[0]))
    return Chosen(lambda rows: chosen(_scaled(rows, scale)), penalty, scores, converged)


def _deviation(features: Features) -> NDArray[np.floating[Any]]:
    mean = np.asarray(features.mean(0)).ravel()
    squares = features.multiply(features) if sparse.issparse(features) else features**2
    deviation = np.sqrt(np.maximum(np.asarray(squares.mean(0)).ravel() - mean**2, 0))
    return np.where(deviation > _FLAT * np.abs(mean), deviation, 1).astype(np.float32)


def _scaled(features: Features, scale: NDArray[np.floating[Any]]) -> Features:
    if not sparse.issparse(features):
        return np.asarray(features * scale, np.float32)
    scaled = (features @ sparse.diags(scale)).tocsr().astype(np.float32)
    return scaled.toarray() if scaled.nnz > DENSE_SHARE * np.prod(scaled.shape) else scaled


def _logistic() -> LogisticRegression:
    return LogisticRegression(max_iter=ITERATIONS, tol=TOLERANCE, warm_start=True)


def _quietly(model: Any, features: Features, labels: Labels) -> bool:
    """Fit from where the last fit ended; False where the iterations did not suffice, which is told, not warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, labels)
    return bool(np.max(model.n_iter_) < ITERATIONS)


def _frozen(model: LogisticRegression) -> Callable[[Features], NDArray[np.float64]]:
    """Probabilities of what the model is now: a later fit of it changes nothing."""
    weight, bias = model.coef_.copy(), model.intercept_.copy()

    def probabilities(rows: Features) -> NDArray[np.float64]:
        logits = np.asarray(rows @ weight.T + bias, np.float64)
        logits = np.hstack([np.zeros_like(logits), logits]) if logits.shape[1] == 1 else logits
        odds = np.exp(logits - logits.max(1, keepdims=True))
        return odds / odds.sum(1, keepdims=True)

    return probabilities


class _Classes:
    """One of several classes; the fit of one penalty is where the next begins."""

    def __init__(self, outputs: int):
        self.outputs, self.model = outputs, _logistic()

    def fit(self, features: Features, labels: Labels, penalty: float) -> tuple[Callable[[Features], Predictions], bool]:
        met, counts = np.unique(labels, return_counts=True)
        if len(met) < 2:
            share = np.bincount(labels, minlength=self.outputs) / max(1, counts.sum())
            return lambda rows: np.tile(share, (rows.shape[0], 1)).astype(np.float32), True
        self.model.C = 1 / (penalty * len(labels))
        converged = _quietly(self.model, features, labels)
        probabilities = _frozen(self.model)

        def predict(rows: Features) -> Predictions:
            found = np.zeros((rows.shape[0], self.outputs), np.float32)
            found[:, met] = probabilities(rows)
            return found

        return predict, converged


class _Labels:
    """Each label against its absence, where it was measured."""

    def __init__(self, outputs: int):
        self.each = [_Classes(2) for _ in range(outputs)]

    def fit(self, features: Features, labels: Labels, penalty: float) -> tuple[Callable[[Features], Predictions], bool]:
        fitted = []
        for label, model in zip(labels.T, self.each, strict=True):
            known = np.flatnonzero(~np.isnan(label))
            rows = features if len(known) == len(label) else features[known]
            fitted.append(model.fit(rows, label[known].astype(np.int64), penalty))
        return lambda rows: np.stack([one(rows)[:, 1] for one, _ in fitted], axis=1), all(done for _, done in fitted)


class _Targets:
    """Each target, where it was measured; 0 where it never was."""

    def __init__(self, outputs: int):
        self.outputs = outputs

    def fit(self, features: Features, labels: Labels, penalty: float) -> tuple[Callable[[Features], Predictions], bool]:
        weights, biases = [], []
        for target in labels.T.astype(np.float64):
            known = np.flatnonzero(~np.isnan(target))
            if not len(known):
                weights.append(np.zeros(features.shape[1]))
                biases.append(0.0)
                continue
            rows = features if len(known) == len(target) else features[known]
            model = Ridge(penalty * max(1, len(known)), solver="sparse_cg").fit(rows, target[known])
            weights.append(model.coef_)
            biases.append(model.intercept_)
        weight, bias = np.stack(weights), np.array(biases)
        return lambda rows: np.asarray(rows @ weight.T + bias, np.float32), True
