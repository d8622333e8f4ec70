"""What predictions are worth (SPEC R29): every metric of a problem, by name, as scikit-learn and scipy define it.

Higher is better in all but "prevalence" and thresholds, which say what a score is to be compared with. Where a metric
is undefined (one class only, a target that does not vary) it is `CONSTANT`, so that all are finite.
`bootstrap` gives the intervals.

scikit-learn and scipy.stats are imported where they are called: who predicts with a head reads this module too, and
would wait a second for them.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomics_fm.errors import require
from genomics_fm.tasks.problem import UNLABELLED, Kind, Problem

DECISION = 0.5
"""Probability from which a label, or the second of two classes, is predicted."""
CONSTANT = {"auroc": 0.5}
"""What a metric is where it is undefined; 0 of all others."""
LEAST_MEASURED = 2
"""A target that fewer rows measure has no score."""
_OF_CLASSES = ("mcc", "accuracy", "f1_macro", "auroc", "auprc")
METRICS: dict[Kind, tuple[str, ...]] = {
    "classification": _OF_CLASSES,
    "multilabel": ("auroc", "auprc", "mcc"),
    "regression": ("pearson", "pearson_squared", "r2", "spearman"),
    "per-base": _OF_CLASSES,
}
"""What heads can be compared by; `bootstrap` knows each."""

Labels = NDArray[Any]
Predictions = NDArray[Any]
Values = NDArray[np.floating[Any]]


def evaluate(
    problem: Problem, labels: Labels, predictions: Predictions, thresholds: Values | None = None
) -> dict[str, float]:
    """Every metric of a problem's predictions.

    Args:
        problem: the question.
        labels: as `Rows.labels` has them.
        predictions: (N, C) probabilities or values; of bases (N,) of (L, C) arrays.
        thresholds: as `thresholds` chose them on validation rows; adds "mcc_at_threshold", and "threshold" of two
            classes.

    Returns:
        "mcc" at a probability of one half or at the likeliest class, "accuracy", "f1_macro", "auroc" and "auprc"
        (means over classes against the rest; of two classes, of the second), "prevalence" of the second class. Of
        several labels or targets means, then each as "METRIC/NAME"; labels without both classes are left out.
        Labelled bases are counted as rows are.

    Raises:
        InputError: predictions of another shape than the problem has.
    """
    labels, predictions = rows_of(problem, labels, predictions)
    if problem.classes:
        return _classes(problem, labels, predictions, thresholds)
    one = _label if problem.kind == "multilabel" else _target
    found = [one(labels[:, c], predictions[:, c], _at(thresholds, c)) for c in range(problem.outputs)]
    mean = {
        name: _mean((each.get(name) for each in found), name) for name in dict.fromkeys(n for f in found for n in f)
    }
    mean = {name: CONSTANT.get(name, 0.0) for name in METRICS[problem.kind]} | mean
    if problem.kind == "multilabel":
        mean["labels_scored"] = sum("auroc" in each for each in found)
    if problem.outputs == 1:
        return mean
    named = zip(problem.names, found, strict=True)
    return mean | {f"{metric}/{name}": value for name, each in named for metric, value in each.items()}


def rows_of(problem: Problem, labels: Labels, predictions: Predictions) -> tuple[Labels, Predictions]:
    """Labels and predictions a row; of a "per-base" problem a labelled base: (N,) or (N, C), and (N, C)."""
    if problem.kind == "per-base":
        require(len(labels) == len(predictions), "predictions", len(predictions), f"one a sequence, {len(labels)}")
        flat = np.concatenate([*labels, np.empty(0, np.int8)]).astype(np.int64)
        known = flat != UNLABELLED
        stacked = np.concatenate([*predictions, np.empty((0, problem.outputs), np.float32)])
        require(stacked.shape == (len(flat), problem.outputs), "predictions", stacked.shape, "(bases, classes)")
        return flat[known], stacked[known]
    wanted = (len(labels), problem.outputs)
    require(predictions.shape == wanted, "predictions", predictions.shape, f"of shape {wanted}")
    return labels, predictions


def decide(problem: Problem, predictions: Predictions, thresholds: Values | None = None) -> NDArray[np.int64]:
    """What probabilities say: (N,) classes, or (N, C) of 0 and 1 for labels.

    Two classes and labels are decided at `DECISION` or at the thresholds given, else the likeliest class is taken.
    """
    if problem.kind == "multilabel":
        return (predictions >= (DECISION if thresholds is None else thresholds)).astype(np.int64)
    if problem.outputs == 2:
        return (predictions[:, 1] >= (DECISION if thresholds is None else thresholds[0])).astype(np.int64)
    return np.argmax(predictions, axis=1).astype(np.int64)


def thresholds(problem: Problem, labels: Labels, predictions: Predictions) -> Values | None:
    """The thresholds of the best MCC: (1,) of two classes, (C,) of labels; None where none is used.

    A label without both classes keeps `DECISION`.
    """
    if problem.kind == "regression" or (problem.classes and problem.outputs > 2):
        return None
    labels, predictions = rows_of(problem, labels, predictions)
    if problem.classes:
        return np.array([best_threshold(labels, predictions[:, 1]) if len(labels) else DECISION])
    chosen = np.full(problem.outputs, DECISION)
    for c in range(problem.outputs):
        known = ~np.isnan(labels[:, c])
        if len(np.unique(labels[known, c])) == 2:
            chosen[c] = best_threshold(labels[known, c], predictions[known, c])
    return chosen


def _at(values: Values | None, c: int) -> float | None:
    return None if values is None else float(values[c])


def _mean(values: Iterable[float | None], name: str) -> float:
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else CONSTANT.get(name, 0.0)


def _classes(problem: Problem, labels: Labels, predictions: Predictions, chosen: Values | None) -> dict[str, float]:
    from sklearn.metrics import f1_score

    guess = decide(problem, predictions)
    found = {
        "mcc": mcc(labels, guess),
        "accuracy": float(np.mean(labels == guess)) if len(labels) else 0.0,
        "f1_macro": float(f1_score(labels, guess, average="macro", zero_division=0)) if len(labels) else 0.0,
    }
    of = range(1, 2) if problem.outputs == 2 else range(problem.outputs)
    ranked = [_ranking(labels == c, predictions[:, c]) for c in of]
    for name in ("auroc", "auprc"):
        found[name] = _mean((each.get(name) for each in ranked), name)
    if problem.outputs == 2:
        found["prevalence"] = float(np.mean(labels == 1)) if len(labels) else 0.0
        if chosen is not None:
            found["threshold"] = float(chosen[0])
            found["mcc_at_threshold"] = mcc(labels, decide(problem, predictions, chosen))
    return found


def _ranking(positive: NDArray[np.bool_], score: Values) -> dict[str, float]:
    """AUROC and average precision; nothing where one class is absent."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    if positive.all() or not positive.any():
        return {}
    return {
        "auroc": float(roc_auc_score(positive, score)),
        "auprc": float(average_precision_score(positive, score)),
    }


def _label(labels: Values, probability: Values, threshold: float | None) -> dict[str, float]:
    """Of one label among many, where it was measured."""
    known = ~np.isnan(labels)
    positive, probability = labels[known] == 1, probability[known]
    found = _ranking(positive, probability)
    if found:
        found |= {"mcc": _mcc_of_two(positive, probability >= DECISION), "prevalence": float(positive.mean())}
        if threshold is not None:
            found["mcc_at_threshold"] = _mcc_of_two(positive, probability >= threshold)
    return found


def _target(labels: Values, values: Values, _: float | None) -> dict[str, float]:
    """Of one target among many, where it was measured; nothing where that was in fewer than two rows."""
    from scipy import stats  # type: ignore[import-untyped]
    from sklearn.metrics import r2_score

    known = ~np.isnan(labels)
    if known.sum() < LEAST_MEASURED:
        return {}
    truth, guess = labels[known].astype(np.float64), values[known].astype(np.float64)
    pearson = _correlation(stats.pearsonr, truth, guess)
    varies = len(truth) > 1 and np.ptp(truth) > 0
    return {
        "pearson": pearson,
        "pearson_squared": pearson**2,
        "r2": float(r2_score(truth, guess)) if varies else 0.0,
        "spearman": _correlation(stats.spearmanr, truth, guess),
    }


def _correlation(measure: Callable[[Values, Values], Any], a: Values, b: Values) -> float:
    """0 where either side does not vary."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(measure(a, b).statistic)


def mcc(labels: Labels, predicted: Labels) -> float:
    """Matthews correlation coefficient, any number of classes; 0 when all labels or predictions are equal."""
    from sklearn.metrics import matthews_corrcoef

    if len(np.unique(labels)) < 2:  # sklearn says 0, too, and warns
        return 0.0
    return float(matthews_corrcoef(labels, predicted))


def _mcc_of_two(positive: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> float:
    """`mcc`, a hundred times as fast: there may be a thousand labels."""
    confusion = np.bincount(2 * positive + predicted.astype(np.int64), minlength=4).reshape(1, 2, 2)
    return float(mcc_of_counts(confusion.astype(np.float64))[0])


def mcc_of_counts(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gorodkin's R_K of confusion matrices (samples, true, predicted); 0 where it is undefined."""
    return mcc_of_margins(np.trace(confusion, axis1=1, axis2=2), confusion.sum(2), confusion.sum(1))


def mcc_of_margins(
    right: NDArray[np.float64], true: NDArray[np.float64], guess: NDArray[np.float64]
) -> NDArray[np.float64]:
    """As `mcc_of_counts`, from rows that are right, (samples,), of each class, and said to be of it, (samples, C)."""
    total = true.sum(1)
    covariance = right * total - (true * guess).sum(1)
    spread = (total**2 - (true**2).sum(1)) * (total**2 - (guess**2).sum(1))
    return np.divide(covariance, np.sqrt(spread), out=np.zeros(len(total)), where=spread > 0)


def best_threshold(labels: Labels, probability: Values) -> float:
    """The threshold t for which `probability >= t` has the highest MCC on binary labels.

    Candidates lie halfway between neighbouring values (so nothing hangs on rounding), plus one below all
    and one above all; of equal ones the lowest is taken.
    """
    values = np.asarray(probability, np.float64)
    order = np.argsort(values, kind="stable")
    ranked, positive = values[order], np.asarray(labels)[order] == 1
    starts = np.flatnonzero(np.diff(ranked, prepend=-np.inf))  # first row of each distinct value
    below = np.append(starts, len(ranked))  # rows predicted 0 at each candidate
    positive_below = np.concatenate([[0], np.cumsum(positive)])[below]
    confusion = np.empty((len(below), 2, 2))
    confusion[:, 1, 0] = positive_below
    confusion[:, 0, 0] = below - positive_below
    confusion[:, 1, 1] = positive.sum() - positive_below
    confusion[:, 0, 1] = (~positive).sum() - confusion[:, 0, 0]
    distinct = ranked[starts]
    edges = np.concatenate([[distinct[0] - 1], (distinct[1:] + distinct[:-1]) / 2, [distinct[-1] + 1]])
    return float(edges[np.argmax(mcc_of_counts(confusion))])
