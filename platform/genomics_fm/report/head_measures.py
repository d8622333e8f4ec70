"""What the page of a head shows of its test rows, as numbers: rank curves, scores by stratum, the worst mistakes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genomics_fm.tasks import bootstrap, metrics
from genomics_fm.tasks.composition import gc_and_length
from genomics_fm.tasks.metrics import Labels, Predictions
from genomics_fm.tasks.problem import UNLABELLED, Problem
from genomics_fm.tasks.rows import Rows

CURVE_POINTS = 160
"""Of a rank curve; between them it is straight to the eye."""
STRATA, FEWEST_OF_STRATUM = 4, 25
"""Strata of a property, and the rows each should have."""
STRATA_SAMPLES = 300
"""Draws of a stratum's interval, whose ends are read to two digits."""
MOST_OF_A_LABEL = 3
"""Mistakes shown of one label, so that one that is useless does not fill the list."""

Floats = NDArray[np.float64]
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Ranked:
    """One class or label against the rest.

    Attributes:
        name: of it.
        roc: (false positive rate, true positive rate), from (0, 0) to (1, 1).
        precision: (recall, precision), falling steps of average precision.
        auroc, auprc: the areas, as `metrics` has them.
        prevalence: share of positives, what a guess has as precision.
        rows: that were measured.
    """

    name: str
    roc: Points
    precision: Points
    auroc: float
    auprc: float
    prevalence: float
    rows: int


def ranked(name: str, positive: NDArray[np.bool_], score: NDArray[np.floating]) -> Ranked | None:
    """Rank curves of one class; None where the rows hold only one side of it."""
    if positive.all() or not positive.any():
        return None
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)  # equal scores are one step
    true = np.cumsum(positive[order])[last]
    taken = np.flatnonzero(last) + 1
    recall, false = true / true[-1], (taken - true) / (len(score) - true[-1])
    roc = np.stack([np.append(0.0, false), np.append(0.0, recall)], axis=1)
    precision = np.stack([recall, true / taken], axis=1)
    area = float(np.trapezoid(roc[:, 1], roc[:, 0]))
    average = float(np.sum(np.diff(recall, prepend=0.0) * precision[:, 1]))
    return Ranked(name, _thinned(roc), _thinned(precision), area, average, float(positive.mean()), len(score))


def _thinned(points: Floats) -> Points:
    """At most `CURVE_POINTS`, evenly along the line; the first and the last stay."""
    if len(points) > CURVE_POINTS:
        along = np.append(0.0, np.cumsum(np.abs(np.diff(points, axis=0)).sum(1)))
        wanted = np.linspace(0, along[-1], CURVE_POINTS)
        points = points[np.unique(np.append(np.searchsorted(along, wanted[:-1]), len(points) - 1))]
    return [(float(x), float(y)) for x, y in points]


def against_the_rest(problem: Problem, labels: Labels, predictions: Predictions) -> Iterator[Ranked]:
    """Rank curves of the second of two classes, of each of several, of each label; of bases, bases count as rows."""
    labels, predictions = metrics.rows_of(problem, labels, predictions)
    of = range(1, 2) if problem.classes and problem.outputs == 2 else range(problem.outputs)
    for c in of:
        known = np.ones(len(labels), np.bool_) if problem.classes else ~np.isnan(labels[:, c])
        positive = labels == c if problem.classes else labels[:, c] == 1
        found = ranked(problem.names[c], positive[known], predictions[known, c])
        if found is not None:
            yield found


def confusion(problem: Problem, labels: Labels, answers: Predictions, thresholds: Floats | None) -> NDArray[np.int64]:
    """(true, said) counts of a problem of classes; `thresholds` as `metrics.decide` takes them."""
    labels, answers = metrics.rows_of(problem, labels, answers)
    cells = labels.astype(np.int64) * problem.outputs + metrics.decide(problem, answers, thresholds)
    return np.bincount(cells, minlength=problem.outputs**2).reshape(problem.outputs, problem.outputs)


@dataclass(frozen=True)
class Stratum:
    """Test rows alike in one property.

    Attributes:
        name: what they are.
        rows, blocks: how many; blocks as the bootstrap draws them.
        score: of the problem's metric; None where it is undefined, for want of a second class.
        interval: 95 %; None with fewer than `bootstrap.FEWEST_BLOCKS` blocks.
        positive: share of the second of two classes; None of others.
    """

    name: str
    rows: int
    blocks: int
    score: float | None
    interval: tuple[float, float] | None
    positive: float | None


def strata(problem: Problem, test: Rows, predictions: Predictions) -> dict[str, list[Stratum]]:
    """The metric by GC and by length, strata of about equally many rows; of a property that does not vary, none."""
    features = gc_and_length(test.sequences)
    lengths = np.array([len(sequence) for sequence in test.sequences], np.float64)
    found = {}
    for name, values, shown in (("GC", features[:, 0].astype(np.float64), _share), ("length", lengths, _length)):
        masks = _bands(values)
        if len(masks) > 1:
            names = [f"{shown(values[mask].min())} to {shown(values[mask].max())}" for mask in masks]
            found[name] = [_stratum(n, problem, test, predictions, m) for n, m in zip(names, masks, strict=True)]
    return found


def _share(value: float) -> str:
    return f"{100 * value:.1f}\u00a0%"


def _length(value: float) -> str:
    return f"{value:,.0f}\u00a0nt"


def _bands(values: Floats) -> list[NDArray[np.bool_]]:
    """Rows by quantile; equal values stay together."""
    wanted = min(STRATA, max(1, len(values) // FEWEST_OF_STRATUM))
    edges = np.unique(np.quantile(values, np.linspace(0, 1, wanted + 1)[1:-1], method="inverted_cdf"))
    place = np.searchsorted(edges, values, side="left")
    return [place == band for band in range(len(edges) + 1) if (place == band).any()]


def _stratum(name: str, problem: Problem, test: Rows, predictions: Predictions, mask: NDArray[np.bool_]) -> Stratum:
    labels, given, block = test.labels[mask], predictions[mask], test.block[mask]
    blocks = len(np.unique(block))
    positive = float((labels == 1).mean()) if problem.binary else None
    if problem.kind == "classification" and len(np.unique(labels)) < 2:
        return Stratum(name, int(mask.sum()), blocks, None, None, positive)
    score = metrics.evaluate(problem, labels, given)[problem.metric]
    enough = blocks >= bootstrap.FEWEST_BLOCKS
    ends = bootstrap.interval(problem, problem.metric, labels, given, block, STRATA_SAMPLES) if enough else None
    return Stratum(name, int(mask.sum()), blocks, score, ends, positive)


@dataclass(frozen=True)
class Mistake:
    """A test row that was answered wrongly.

    Attributes:
        row: of the test rows.
        true, said: in words.
        by: how wrong: the probability of what was said wrongly, or how far a value is off.
    """

    row: int
    true: str
    said: str
    by: float


def mistakes(
    problem: Problem, labels: Labels, answers: Predictions, thresholds: Floats | None, most: int
) -> dict[str, list[Mistake]]:
    """The worst, worst first, by a heading.

    Args:
        problem: the question.
        labels: of the test rows.
        answers: of the head.
        thresholds: as `metrics.decide` takes them.
        most: in all.
    """
    match problem.kind:
        case "regression":
            return _far_off(problem, labels, answers, most)
        case "per-base":
            return _wrong_bases(problem, labels, answers, thresholds, most)
        case "multilabel":
            return _wrong_labels(problem, labels, answers, thresholds, most)
    return _wrong_classes(problem, labels, answers, thresholds, most)


def _wrong_classes(
    problem: Problem, labels: Labels, answers: Predictions, thresholds: Floats | None, most: int
) -> dict[str, list[Mistake]]:
    said, names = metrics.decide(problem, answers, thresholds), problem.names
    sure = answers[np.arange(len(said)), said]
    wrong = np.flatnonzero(said != labels)
    wrong = wrong[np.argsort(-sure[wrong], kind="stable")]

    def first(rows: NDArray[np.int64], most: int) -> list[Mistake]:
        return [Mistake(int(i), names[labels[i]], names[said[i]], float(sure[i])) for i in rows[:most]]

    if not problem.binary:
        return {"Surest of a wrong class": first(wrong, most)}
    return {
        f"False {what}: {names[c]} said, {names[1 - c]} true": first(wrong[said[wrong] == c], most // 2)
        for c, what in ((1, "positives"), (0, "negatives"))
    }


def _wrong_labels(
    problem: Problem, labels: Labels, answers: Predictions, thresholds: Floats | None, most: int
) -> dict[str, list[Mistake]]:
    said = metrics.decide(problem, answers, thresholds)
    groups: dict[str, list[Mistake]] = {"Said, not true": [], "True, not said": []}
    for c, name in enumerate(problem.names):
        for made, value in zip(groups.values(), (1, 0), strict=True):
            wrong = np.flatnonzero((said[:, c] == value) & (labels[:, c] == 1 - value))
            sure = answers[wrong, c] if value else 1 - answers[wrong, c]
            words = (f"not {name}", name) if value else (name, f"not {name}")
            surest = np.argsort(-sure, kind="stable")[:MOST_OF_A_LABEL]
            made += [Mistake(int(wrong[i]), *words, float(sure[i])) for i in surest]
    return {title: sorted(made, key=lambda one: -one.by)[: most // 2] for title, made in groups.items()}


def _far_off(problem: Problem, labels: Labels, answers: Predictions, most: int) -> dict[str, list[Mistake]]:
    """By how many standard deviations of the target."""
    measured = [column[~np.isnan(column)] for column in labels.T]
    spread = np.array([column.std() if len(column) else np.nan for column in measured])
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.nan_to_num(np.abs(answers - labels) / spread, posinf=0.0)
    worst = np.argsort(-off, axis=None, kind="stable")[:most]
    listed = []
    for i, c in zip(*np.unravel_index(worst, off.shape), strict=True):
        name = f"{problem.names[c]} " if problem.outputs > 1 else ""
        listed.append(Mistake(int(i), f"{name}{labels[i, c]:.3g}", f"{answers[i, c]:.3g}", float(off[i, c])))
    return {"Farthest off": [one for one in listed if one.by > 0]}


def _wrong_bases(
    problem: Problem, labels: Labels, answers: Predictions, thresholds: Floats | None, most: int
) -> dict[str, list[Mistake]]:
    """Rows with the largest share of bases of another class than was said."""
    listed = []
    for i, (true, given) in enumerate(zip(labels, answers, strict=True)):
        known = true != UNLABELLED
        wrong = int(np.sum(metrics.decide(problem, given, thresholds)[known] != true[known]))
        if wrong:
            of = int(known.sum())
            listed.append(Mistake(i, f"{of:,} labelled bases", f"{wrong:,} of another class", wrong / of))
    return {"Most bases wrong": sorted(listed, key=lambda one: -one.by)[:most]}


def histogram(values: Sequence[float] | Floats, low: float, high: float, bins: int) -> list[int]:
    """How many lie in each of equal bins; those beyond an end are in the last there."""
    inside = np.clip(np.asarray(values, np.float64), low, high)
    return np.histogram(inside, bins=bins, range=(low, high))[0].tolist()
