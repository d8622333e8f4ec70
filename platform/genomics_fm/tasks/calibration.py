"""From what a model says to what may be believed (SPEC R31): calibrated probabilities, other priors, sets, intervals.

All is fitted on a calibration split, which is neither validation nor test. `Calibration` is what a head keeps and needs
to answer; `calibration_report` measures it on test rows.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special  # type: ignore[import-untyped]

from genomics_fm.errors import InputError, require
from genomics_fm.tasks import metrics
from genomics_fm.tasks.metrics import Labels, Predictions
from genomics_fm.tasks.problem import Problem

FEWEST_ROWS = 100
"""Fewer calibration rows fit nothing and give no interval."""
FEWEST_OF_A_CLASS = 5
"""A label with fewer positives or negatives in the calibration split keeps its probabilities."""
COVERAGE = 0.9
"""Share of new rows of the same kind whose answer shall lie in a set or an interval."""
_LOG_TEMPERATURE = (-3.0, 3.0)
_LIKELY_LOG = 0.5  # standard deviation of log temperatures beforehand: without errors the rows alone would say 0
_PLATT_C = 10.0  # inverse L2 penalty, so that a label that is told apart without error keeps a finite slope
_LEAST = 1e-7  # probability below which logits are cut
_SUM = 1e-3  # how far the shares of classes may be from 1 together
_OPTIONAL = ("weights", "radius")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """What turns a head's predictions into its answers.

    Attributes:
        problem: the head's.
        rows: in the calibration split.
        prevalence: of each class or label in the training rows; means of targets.
        weights: of each class, or of each label's positives, in the training loss; None for 1 each.
        temperature: logits of classes are divided by it; 1 changes nothing.
        platt: of each label (slope, offset) of its logit; none changes nothing.
        radius: least score that a class needs to be left out of a set, (1,); half the width of each target's
            interval, (C,); None where too few rows were there to say.
    """

    problem: Problem
    rows: int
    prevalence: tuple[float, ...]
    weights: tuple[float, ...] | None = None
    temperature: float = 1.0
    platt: tuple[tuple[float, float], ...] = ()
    radius: tuple[float, ...] | None = None

    def probabilities(self, predictions: Predictions, prior: float | Sequence[float] | None = None) -> Predictions:
        """Calibrated probabilities, (N, C) float32, or (N,) of (L, C); targets as they are.

        Args:
            predictions: of the head.
            prior: shares of the classes, or of each label, where the sequences come from, in place of those of the
                training rows; of two classes that of the second will do.

        Raises:
            InputError: a prior that is no share, of another number, or of a regression.
        """
        if self.problem.kind == "regression":
            require(prior is None, "prior", prior, "none: a regression has no classes")
            return predictions
        if self.problem.kind == "per-base":
            found = np.empty(len(predictions), object)
            found[:] = [self._probabilities(row, prior) for row in predictions]
            return found
        return self._probabilities(predictions, prior)

    def _probabilities(self, predictions: Predictions, prior: float | Sequence[float] | None) -> NDArray[np.float32]:
        logits = _unweighted(self.problem, predictions, self.weights)
        if self.problem.classes:
            shift = 0.0 if prior is None else np.log(_shares(self.problem, prior)) - np.log(_cut(self.prevalence))
            return special.softmax(logits / self.temperature + shift, axis=1).astype(np.float32)
        if self.platt:
            slope, offset = np.array(self.platt).T
            logits = slope * logits + offset
        if prior is not None:
            logits = logits + special.logit(_shares(self.problem, prior)) - special.logit(_cut(self.prevalence))
        return special.expit(logits).astype(np.float32)

    def sets(self, predictions: Predictions) -> NDArray[np.bool_] | None:
        """Classes that a sequence may be of, (N, C), at least the likeliest; None where nothing can be said.

        They hold the right one for `COVERAGE` of sequences drawn as the calibration rows were; a prior changes the
        probabilities, not the sets.
        """
        if self.problem.kind != "classification" or self.radius is None:
            return None
        shares = self.probabilities(predictions)
        return (1 - shares <= self.radius[0]) | (np.arange(shares.shape[1]) == shares.argmax(1)[:, None])

    def intervals(self, predictions: Predictions) -> tuple[Floats, Floats] | None:
        """(low, high) of each target, (N, C); None where nothing can be said. They cover as `sets` do."""
        if self.problem.kind != "regression" or self.radius is None:
            return None
        radius_C = np.array(self.radius)
        return predictions - radius_C, predictions + radius_C

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"problem": self.problem.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Calibration":
        """Inverse of `to_json`; raises TypeError, KeyError, ValueError or InputError for anything else."""
        weights, radius = (None if value[name] is None else tuple(map(float, value[name])) for name in _OPTIONAL)
        return cls(
            Problem.from_json(value["problem"]),
            int(value["rows"]),
            tuple(map(float, value["prevalence"])),
            weights,
            float(value["temperature"]),
            tuple((float(slope), float(offset)) for slope, offset in value["platt"]),
            radius,
        )


def fit(
    problem: Problem,
    labels: Labels | None,
    predictions: Predictions | None,
    prevalence: Sequence[float],
    weights: Sequence[float] | None = None,
) -> Calibration:
    """Fit on a calibration split.

    Classes: one temperature. Labels: slope and offset of each (Platt). Then, on the same rows, split-conformal sets of
    one of several classes, and intervals of targets. With fewer than `FEWEST_ROWS` rows, or None, nothing is fitted:
    what is left is the training weights, undone, and priors.

    Args:
        problem: the head's.
        labels: of the calibration rows.
        predictions: of the head for them.
        prevalence: `Task.prevalence`.
        weights: of the training loss: class weights, or `pos_weight` of labels.
    """
    rows = 0 if labels is None else len(labels)
    kept = None if weights is None else tuple(map(float, weights))
    found = Calibration(problem, rows, tuple(map(float, prevalence)), kept)
    if labels is None or predictions is None or rows < FEWEST_ROWS:
        return found
    if problem.kind == "regression":
        columns = zip(labels.T, predictions.T, strict=True)
        radius = [_quantile(np.abs(truth - guess)[~np.isnan(truth)]) for truth, guess in columns]
        usable = not any(math.isnan(each) for each in radius)
        return dataclasses.replace(found, radius=tuple(radius) if usable else None)
    flat, stacked = metrics.rows_of(problem, labels, predictions)
    logits = _unweighted(problem, stacked, kept)
    if problem.kind == "multilabel":
        pairs = zip(flat.T, logits.T, strict=True)
        return dataclasses.replace(found, platt=tuple(_platt(label, logit) for label, logit in pairs))
    found = dataclasses.replace(found, temperature=_temperature(flat, logits))
    if problem.kind == "per-base":  # the bases of a sequence are not exchangeable
        return found
    shares = found.probabilities(predictions)
    return dataclasses.replace(found, radius=(_quantile(1 - shares[np.arange(rows), labels]),))


def _cut(shares: Sequence[float] | Floats) -> Floats:
    return np.clip(np.asarray(shares, np.float64), _LEAST, 1 - _LEAST)


def _unweighted(problem: Problem, predictions: Predictions, weights: tuple[float, ...] | None) -> Floats:
    """Logits without what the weights of the training loss added to them, (N, C)."""
    shares = _cut(predictions)
    logits = np.log(shares) if problem.classes else special.logit(shares)
    return logits if weights is None else logits - np.log(_cut_weights(weights))


def _cut_weights(weights: tuple[float, ...]) -> Floats:
    """A class that was not met weighs 0 and has no probability; its logit stays."""
    return np.where(np.array(weights) > 0, weights, 1.0)


def _shares(problem: Problem, prior: float | Sequence[float]) -> Floats:
    """A prior for every class or label, (C,)."""
    given = np.atleast_1d(np.asarray(prior, np.float64))
    if problem.classes and problem.outputs == 2 and len(given) == 1:
        given = np.array([1 - given[0], given[0]])
    if len(given) != problem.outputs or not ((given > 0) & (given < 1)).all():
        raise InputError(f"prior {prior}: give a share between 0 and 1 for each of {', '.join(problem.names)}")
    if problem.classes and abs(given.sum() - 1) > _SUM:
        raise InputError(f"prior {prior}: the shares of classes sum to {given.sum():g}; give shares that sum to 1")
    return given


def _temperature(labels: NDArray[np.int64], logits: Floats) -> float:
    """The likeliest temperature, where that of most models lies near 1: 0.4 to 2.7 in 95 of 100."""
    from scipy import optimize  # here, so that who only predicts need not wait

    def loss(log_temperature: float) -> float:
        scaled = special.log_softmax(logits / math.exp(log_temperature), axis=1)
        unlikely = (log_temperature / _LIKELY_LOG) ** 2 / 2
        return unlikely / len(labels) - float(scaled[np.arange(len(labels)), labels].mean())

    return math.exp(float(optimize.minimize_scalar(loss, bounds=_LOG_TEMPERATURE, method="bounded").x))


def _platt(labels: Floats, logits: Floats) -> tuple[float, float]:
    """Slope and offset of one label; a slope below 0 would reverse its ranking: it says the share of positives then."""
    known = ~np.isnan(labels)
    positive, given = labels[known] == 1, logits[known, None]
    if min(positive.sum(), (~positive).sum()) < FEWEST_OF_A_CLASS:
        return 1.0, 0.0
    from sklearn.linear_model import LogisticRegression  # here, as scipy.optimize

    model = LogisticRegression(C=_PLATT_C).fit(given, positive)
    slope, offset = float(model.coef_[0, 0]), float(model.intercept_[0])
    return (slope, offset) if slope > 0 else (0.0, float(special.logit(positive.mean())))


def _quantile(scores: Floats) -> float:
    """The score that `COVERAGE` of new ones do not exceed, if they are exchangeable with these; NaN for too few."""
    rank = math.ceil((len(scores) + 1) * COVERAGE)
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) and len(scores) >= FEWEST_ROWS else math.nan
