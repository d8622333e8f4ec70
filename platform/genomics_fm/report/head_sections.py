"""The sections of a head's page that are measured on its test rows: ranks, confusion, values, calibration."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from genomics_fm.report import head_measures
from genomics_fm.report.head_measures import Ranked
from genomics_fm.report.head_plots import Curve, agreement, bars, keys, unit_plot
from genomics_fm.report.head_record import HeadRecord
from genomics_fm.report.markup import Child, Html, count, join, number, percent, table, tag
from genomics_fm.tasks import metrics
from genomics_fm.tasks.calibration_report import TERCILES
from genomics_fm.tasks.problem import Problem

MOST_CLASSES = 12
"""Rows and columns of a confusion table."""
MOST_CURVES = 6
MOST_TARGETS = 4
MOST_LABELS = 1_000
"""Rows of the table of labels, by AUROC."""
AUROC_BINS, RESIDUAL_BINS = 20, 31
_COLOURS = ("bpe", "kmer", "logistic", "cnn", "gc", "six_frame")
_ROC, _PRECISION = ("false positive rate", "true positive rate"), ("recall", "precision")


def ranks(record: HeadRecord) -> Html | None:
    """ROC and precision against recall; None of values, or where test holds one class alone."""
    problem = record.problem
    if problem.kind == "regression":
        return None
    found = list(head_measures.against_the_rest(problem, record.test.labels, record.predictions))
    if not found:
        return None
    if problem.binary or (problem.kind == "per-base" and problem.outputs == 2):
        return _of_two(record, found[0])
    return _of_labels(found) if problem.kind == "multilabel" else _of_classes(record, found)


def _of_two(record: HeadRecord, head: Ranked) -> Html:
    """The head's curves and those of its rivals; without the ones that rank nothing."""
    shown, looks = {record.head["name"]: head}, record.looks
    for name, predictions in record.rivals.items():
        found = next(head_measures.against_the_rest(record.problem, record.test.labels, predictions), None)
        if found is not None and len(found.roc) > 2:
            shown[name] = found
    curves = [(one, (f"{name}: AUROC {number(one.auroc)}, AUPRC {number(one.auprc)}", *looks[name]))
              for name, one in shown.items()]  # fmt: skip
    words = (
        f"{record.problem.names[1]} against {record.problem.names[0]}, {count(head.rows)} "
        f"{'labelled bases' if record.problem.kind == 'per-base' else 'test rows'}. Thin dashes, and dots: what a "
        "guess has. Areas do not depend on where decisions are taken."
    )
    return _pair("How it ranks", curves, [(head.prevalence, f"prevalence {percent(head.prevalence)}")], words)


def _of_classes(record: HeadRecord, found: Sequence[Ranked]) -> Html:
    shown = found if len(found) <= MOST_CURVES else _spread(found)
    words = "Each class against all others." + _left_out(len(found), len(shown), "classes")
    return _pair("How it ranks", _named(shown), _prevalences(shown), words)


def _named(shown: Sequence[Ranked]) -> list[tuple[Ranked, tuple[str, str, bool]]]:
    """With what a legend says of each, and how it is drawn."""
    words = [
        f"{one.name}: AUROC {number(one.auroc)}, AUPRC {number(one.auprc)} at prevalence {percent(one.prevalence)}"
        for one in shown
    ]
    return [(one, (name, colour, False)) for one, name, colour in zip(shown, words, _COLOURS, strict=False)]


def _prevalences(shown: Sequence[Ranked]) -> list[tuple[float, str]]:
    return [(one.prevalence, f"prevalence of {one.name}") for one in shown]


def _of_labels(found: Sequence[Ranked]) -> Html:
    """Best, middle and worst label; how AUROC is distributed; all as a table."""
    shown = _spread(found)
    areas = np.array([one.auroc for one in found])
    counts = head_measures.histogram(areas, 0.0, 1.0, AUROC_BINS)
    words = (
        f"The best, the middle and the worst by AUROC of {len(found):,} labels that have both classes in test. "
        "AUPRC is to be read against its own prevalence."
    )
    drawn = tag("figure", tag("figcaption", "AUROC of all labels"), bars(counts, (0.0, 1.0), ("AUROC", "labels"), 0.5))
    quartiles = ", ".join(number(value) for value in np.quantile(areas, (0.25, 0.5, 0.75)))
    said = tag("p", f"Quartiles of AUROC: {quartiles}. Dotted: a guess.", class_="soft")
    pair = _pair("How it ranks", _named(shown), _prevalences(shown), words)
    distribution = tag("div", drawn, class_="pairs")
    return join([pair, tag("section", tag("h2", "Every label"), distribution, said, _labels(found))])


def _labels(found: Sequence[Ranked]) -> Html:
    ordered = sorted(found, key=lambda one: -one.auroc)[:MOST_LABELS]
    rows: list[list[Child]] = [
        [one.name, count(one.rows), count(one.rows * one.prevalence), percent(one.prevalence), number(one.auroc),
         number(one.auprc), f"{one.auprc / one.prevalence:.1f} ×"]
        for one in ordered
    ]  # fmt: skip
    heads = ("Label", "Measured test rows", "Positives", "Prevalence", "AUROC", "AUPRC", "AUPRC over prevalence")
    shown = table("By AUROC", heads, rows, range(1, len(heads)))
    return tag("details", tag("summary", f"{len(ordered):,} of {len(found):,} labels as a table"), shown)


def _spread(found: Sequence[Ranked]) -> list[Ranked]:
    """Best, middle and worst by AUROC."""
    ordered = sorted(found, key=lambda one: -one.auroc)
    return [ordered[place] for place in dict.fromkeys((0, len(ordered) // 2, len(ordered) - 1))]


def _left_out(of: int, shown: int, what: str) -> str:
    return f" Of {of:,} {what} the best, the middle and the worst are shown." if shown < of else ""


def _pair(
    title: str,
    found: Sequence[tuple[Ranked, tuple[str, str, bool]]],
    levels: Sequence[tuple[float, str]],
    words: str,
) -> Html:
    """Both plots side by side, one legend."""
    roc = [Curve(name, key, one.roc, hollow) for one, (name, key, hollow) in found]
    precision = [Curve(name, key, one.precision, hollow) for one, (name, key, hollow) in found]
    figures = tag(
        "div",
        tag("figure", tag("figcaption", "ROC"), unit_plot(roc, _ROC, diagonal=True)),
        tag("figure", tag("figcaption", "Precision and recall"), unit_plot(precision, _PRECISION, levels=levels,
                                                                            steps=True)),
        class_="pairs",
    )  # fmt: skip
    return tag("section", tag("h2", title), figures, keys(roc), tag("p", words, class_="soft"))


def confusion(record: HeadRecord) -> Html | None:
    """What was said of what is true, of classes."""
    problem = record.problem
    if not problem.classes or problem.outputs > MOST_CLASSES:
        return None
    counts = head_measures.confusion(problem, record.test.labels, record.answers, record.thresholds)
    rows: list[list[Child]] = []
    for name, line in zip(problem.names, counts, strict=True):
        total = max(1, int(line.sum()))
        cells: list[Child] = [_shaded(f"{n:,} ({percent(n / total, 0)})", n / total) for n in line.tolist()]
        rows.append([name, *cells, f"{line.sum():,}"])
    heads = ("True", *(f"said {name}" for name in problem.names), "Rows")
    shown = table("Labelled bases" if problem.kind == "per-base" else "Test rows", heads, rows, range(1, len(heads)))
    words = f"{_decided(record)} Shades and per cents are of a row: of what is true."
    said = tag("p", words, class_="soft")
    return tag("section", tag("h2", "What is taken for what"), shown, said)


def _shaded(words: str, share: float) -> Html:
    mixed = f"background:color-mix(in srgb,var(--bpe) {round(45 * share)}%,var(--card))"
    return tag("span", words, class_="cell", style=mixed)


def _decided(record: HeadRecord) -> str:
    """How the head comes to a class, and what its decisions are worth."""
    problem, (threshold, *_) = record.problem, record.card.thresholds or (None,)
    if problem.outputs > 2:
        return "The likeliest class is said."
    if threshold is None or threshold == metrics.DECISION:
        return f"{problem.names[1]} is said from a probability of {metrics.DECISION:g} on."
    scores = record.card.metrics.get("test") or {}
    return (
        f"{problem.names[1]} is said from a probability of {number(threshold)} on, which has the best MCC on "
        f"validation: test MCC {number(scores.get('mcc_at_threshold'))}. Models are compared at {metrics.DECISION:g}."
    )


def values(record: HeadRecord) -> Html | None:
    """Predicted against measured, and residuals, of each target."""
    problem = record.problem
    if problem.kind != "regression":
        return None
    figures: list[Html] = []
    unmeasured: list[str] = []
    for c, name in list(enumerate(problem.names))[:MOST_TARGETS]:
        truth, guess = record.test.labels[:, c], record.predictions[:, c]
        known = ~np.isnan(truth)
        if not known.any():
            unmeasured.append(name)
            continue
        truth, guess = truth[known].astype(np.float64), guess[known].astype(np.float64)
        off = guess - truth
        most = float(np.quantile(np.abs(off), 0.995)) or 1.0
        counts = head_measures.histogram(off, -most, most, RESIDUAL_BINS)
        about = f"{name}: {_scores(record, name)}"
        spread = f"predicted minus measured: mean {number(off.mean(), signed=True)}, standard deviation {off.std():.3f}"
        figures += [
            tag("figure", tag("figcaption", about), agreement(truth, guess, name)),
            tag("figure", tag("figcaption", spread), bars(counts, (-most, most), ("residual", "rows"), 0.0)),
        ]
    words = (
        "Dashed: where both are equal. A cloud flatter than it is what a cautious model makes of noise. The outermost "
        "bars of residuals hold everything beyond." + _left_out_targets(problem)
    )
    if unmeasured:
        words += f" Measured in no test row: {', '.join(unmeasured)}."
    shown = tag("div", *figures, class_="pairs")
    return tag("section", tag("h2", "Predicted and measured"), shown, tag("p", words, class_="soft"))


def _left_out_targets(problem: Problem) -> str:
    return f" The first {MOST_TARGETS} of {problem.outputs:,} targets." if problem.outputs > MOST_TARGETS else ""


def _scores(record: HeadRecord, name: str) -> str:
    scores, several = record.head["test"], record.problem.outputs > 1
    found = {one: scores.get(f"{one}/{name}" if several else one) for one in ("pearson", "spearman", "r2")}
    return f"Pearson {number(found['pearson'])}, Spearman {number(found['spearman'])}, R² {number(found['r2'])}"


def calibration(record: HeadRecord) -> Html:
    """Probabilities against what came true, before and after; how often sets or intervals hold the answer."""
    found = record.result["calibration"]
    of_values = record.problem.kind == "regression"
    title = tag("h2", f"Whether {'intervals' if of_values else 'probabilities'} can be believed")
    if not found:
        words = "Too few rows for a calibration split: what is said is as trained, without sets or intervals."
        return tag("section", title, tag("p", words))
    if of_values and not found.get("coverage"):
        words = "Too few calibration rows measure some target: no value is given an interval."
        return tag("section", title, tag("p", words))
    drawn = _reliability(found, record.problem) if "reliability_after" in found else None
    words = f"Fitted on {count(found['rows'])} rows that are neither validation nor test; measured on test rows."
    both = tag("div", drawn, _coverage(found, of_values), class_="pairs")
    return tag("section", title, both, tag("p", words, class_="soft"))


def _reliability(found: dict[str, Any], problem: Problem) -> Html:
    curves = []
    for when, key, hollow in (("before", "kmer", True), ("after", "bpe", False)):
        points = [(one["probability"], one["share"]) for one in found[f"reliability_{when}"]]
        name = f"{when} calibration: off by {percent(found[f'error_{when}'])} on average"
        curves.append(Curve(name, key, points, hollow))
    after = found["reliability_after"]
    total = sum(one["rows"] for one in after)
    heaps = [(one["probability"], one["rows"] / total) for one in after]
    axis = f"probability of {_whose(problem)}"
    plot = unit_plot(curves, (axis, "share that came true"), diagonal=True, heaps=heaps, marks=True)
    words = "On the dashed line probabilities mean what they say. Grey bars: how many rows, after calibration."
    return tag("figure", plot, keys(curves), tag("p", words, class_="soft"))


def _whose(problem: Problem) -> str:
    """What a reliability curve is of."""
    if problem.kind == "multilabel":
        return "a label, all labels together"
    return problem.names[1] if problem.outputs == 2 else "the likeliest class"


def _coverage(found: dict[str, Any], of_values: bool) -> Html | None:
    groups = found.get("coverage")
    if not groups:
        return None
    tercile = {f"gc/{name}": place for place, name in enumerate(TERCILES)}
    rows: list[list[Child]] = [
        [name.replace("gc/", "GC: ").replace("/", ": "), count(of["rows"]), percent(of["coverage"]),
         number(of["size"], 2)]
        for name, of in sorted(groups.items(), key=lambda pair: tercile.get(pair[0], -1))
    ]  # fmt: skip
    what, size = ("Intervals", "Half of their width, mean") if of_values else ("Sets", "Classes in them, mean")
    caption = f"{what} that were meant to hold {percent(found['coverage_asked'], 0)} of the answers"
    return table(caption, ("Test rows", "Rows", "Held", size), rows, (1, 2, 3))
