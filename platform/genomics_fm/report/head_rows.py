"""The sections of a head's page about rows: scores in parts of them, the worst mistakes, splits and leaks."""

import numpy as np

from genomics_fm.report import head_measures, plots
from genomics_fm.report.head_measures import Mistake, Stratum
from genomics_fm.report.head_record import SHOWN_NAMES, HeadRecord
from genomics_fm.report.markup import ABSENT, Child, Html, count, interval, join, number, percent, table, tag
from genomics_fm.tasks import bootstrap
from genomics_fm.tasks.composition import gc_and_length
from genomics_fm.tasks.rows import Rows

MISTAKES = 20
LONG_NT, SHOWN_NT, WHOLE_NT = 260, 100, 2_000
"""A mistake's sequence of more letters is clipped to so many; the longest one that can be unfolded."""


def strata(record: HeadRecord) -> Html | None:
    """The metric by GC and length."""
    found = head_measures.strata(record.problem, record.test, record.predictions)
    alike = {len(sequence) for sequence in record.test.sequences}
    rows: list[list[Child]] = []
    listed = [one for of in found.values() for one in of]
    if not listed:
        return None
    lows = [one.interval[0] if one.interval else one.score or 0.0 for one in listed]
    domain = (min(0.0, *lows), max(one.interval[1] if one.interval else one.score or 0.0 for one in listed))
    for name, of in found.items():
        rows.append([f"By {name}"])
        rows += [_stratum(one, domain, record.problem.binary) for one in of]
    binary = (f"{record.problem.names[1]}",) if record.problem.binary else ()
    heads = ("Test rows", "Rows", "Clusters or places", *binary, record.metric, "95 % interval", "On one scale")
    words = (
        f"No interval with fewer than {bootstrap.FEWEST_BLOCKS} clusters or places, no score without two classes. "
        "Nothing was chosen by these numbers, and of many strata one is worst by chance."
    )
    if len(alike) == 1:
        words = f"All sequences are {alike.pop():,} nt long. {words}"
    shown = table(f"Test {record.metric} in parts of the test rows", heads, rows, range(1, len(heads) - 1))
    return tag("section", tag("h2", "Where it is good and where not"), shown, tag("p", words, class_="soft"))


def _stratum(one: Stratum, domain: tuple[float, float], binary: bool) -> list[Child]:
    entry = {"interval": one.interval}
    positive: list[Child] = [percent(one.positive)] if binary else []
    return [
        one.name, count(one.rows), count(one.blocks), *positive, number(one.score), interval(entry),
        plots.whisker(entry, one.score, domain, "bpe") or ABSENT,
    ]  # fmt: skip


def mistakes(record: HeadRecord) -> Html:
    """The worst answers with their sequences."""
    problem = record.problem
    groups = head_measures.mistakes(problem, record.test.labels, record.answers, record.thresholds, MISTAKES)
    by = {"regression": "Standard deviations off", "per-base": "Share wrong"}.get(problem.kind, "Probability of it")
    heads = ("Where from", "True", "Said", by, "nt", "GC", "Sequence")
    tables: list[Child] = []
    for title, found in groups.items():
        rows: list[list[Child]] = [_mistake(record, one) for one in found]
        shown = table(title, heads, rows, (3, 4, 5)) if rows else tag("p", f"{title}: none.")
        tables.append(shown)
    words = (
        "Test rows, surest or farthest off first: labels that are wrong, sequences unlike the rest, or what the head "
        "has not understood. A click on a sequence takes all of it; long ones unfold."
    )
    return tag("section", tag("h2", "Worst mistakes"), tag("p", words, class_="soft"), *tables, class_="mistakes")


def _mistake(record: HeadRecord, one: Mistake) -> list[Child]:
    sequence = record.test.sequences[one.row]
    gc = float(gc_and_length([sequence])[0, 0])
    by = number(one.by, 2) if record.problem.kind == "regression" else percent(one.by)
    where = tag("code", record.test.locus[one.row])
    return [where, one.true, one.said, by, count(len(sequence)), percent(gc, 0), _sequence(sequence)]


def _sequence(sequence: str) -> Html:
    if len(sequence) <= LONG_NT:
        return tag("code", sequence, class_="sequence")
    first, left_out, last = sequence[: SHOWN_NT // 2], len(sequence) - SHOWN_NT, sequence[-SHOWN_NT // 2 :]
    shown = tag("code", first, tag("span", f" … {left_out:,} nt … ", class_="soft"), last)
    if len(sequence) > WHOLE_NT:
        return shown
    whole = tag("code", sequence, class_="sequence")
    return join([shown, tag("details", tag("summary", f"all {len(sequence):,} nt"), whole)])


def rows(record: HeadRecord) -> Html:
    """Splits, how they were made, and what leaks."""
    result, names = record.result, record.problem.names[:SHOWN_NAMES]
    rows: list[list[Child]] = [
        [split, count(len(of)), count(len(np.unique(of.block))), _lengths(of), *_shares(record, of)]
        for split, of in record.task.splits.items()
        if len(of)
    ]
    what = "Mean of" if record.problem.kind == "regression" else "Share of"
    heads = ("Split", "Rows", "Clusters or places", "Length", *(f"{what} {name}" for name in names))
    split = result["about"].get("split") or {}
    said = [f"Split by {split['how']}.", *(f"{line}." for line in split.get("said", []))] if "how" in split else []
    audit = result["audit"]
    grades = {grade: amount for grade, amount in audit.get("counts", {}).items() if amount is not None}
    said.append("Test rows by grade: " + ", ".join(f"{g} {count(n)}" for g, n in grades.items()) + ".")
    pairs = [tag("li", tag("code", a), " is in training as ", tag("code", b)) for a, b in audit.get("examples", [])]
    shown = table("Rows", heads, rows, range(1, len(heads)))
    return tag("section", tag("h2", "Rows and leaks"), shown, tag("p", " ".join(said)),
               tag("ul", *pairs) if pairs else None)  # fmt: skip


def _lengths(rows: Rows) -> str:
    lengths = [len(sequence) for sequence in rows.sequences]
    low, high = min(lengths), max(lengths)
    return f"{low:,}\u00a0nt" if low == high else f"{low:,} to {high:,}\u00a0nt"


def _shares(record: HeadRecord, rows: Rows) -> list[Child]:
    """Of each class or label among the rows, or means of targets."""
    problem, labels = record.problem, rows.labels
    if problem.classes:
        flat = np.concatenate(list(labels)) if problem.kind == "per-base" else labels
        flat = flat[flat >= 0]
        return [percent(float(np.mean(flat == c))) for c in range(min(problem.outputs, SHOWN_NAMES))]
    known = ~np.isnan(labels)
    mean = np.where(known, labels, 0).sum(0, dtype=np.float64) / np.where(known.any(0), known.sum(0), np.nan)
    shown = number if problem.kind == "regression" else percent
    return [*(shown(float(value)) for value in mean[:SHOWN_NAMES])]
