"""One self-contained HTML page of a finetuned head: what may be said of it, beside what, and where it is wrong."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from genomics_fm.report import head_rows, head_sections
from genomics_fm.report.head_plots import LEARNING, STYLE, Course, Curve, bar_cell, keys, learning
from genomics_fm.report.head_record import SHOWN_NAMES, HeadRecord, listed
from genomics_fm.report.markup import (
    ABSENT,
    Child,
    Html,
    count,
    duration,
    finite,
    interval,
    join,
    number,
    table,
    tag,
)
from genomics_fm.report.page import document
from genomics_fm.report.sections import dot
from genomics_fm.report.style import STYLE as PAGE_STYLE
from genomics_fm.tasks import metrics

SCALE_MARGIN = 0.04
NOT_SHOWN = ("tracking",)
"""Settings that may hold a password."""
CLINICAL = "For research. Not for clinical decisions."
_YES = {True: "yes", False: "no", None: ABSENT}


def head_page(record: HeadRecord) -> str:
    """Build the page.

    Args:
        record: of a finished finetuning.

    Returns:
        A whole HTML document.
    """
    parts = [
        _heading(record),
        _verdict(record),
        _tiles(record),
        _standing(record),
        _learning(record),
        head_sections.ranks(record),
        head_sections.confusion(record),
        head_sections.values(record),
        head_sections.calibration(record),
        head_rows.strata(record),
        head_rows.mistakes(record),
        _seeds(record),
        head_rows.rows(record),
        _about(record),
    ]
    return document(f"Genomics-FM head: {record.task.name}", parts, PAGE_STYLE + STYLE)


def _heading(record: HeadRecord) -> Html:
    problem, head = record.problem, record.head
    strand = "stranded" if problem.stranded else "both strands"
    what = {"classification": "classes", "multilabel": "labels", "regression": "targets", "per-base": "classes a base"}
    asked = f"{problem.outputs:,} {what[problem.kind]}, {strand}: {listed(problem.names, SHOWN_NAMES)}"
    made = f"{head['name']}, seed {head['seed']}, the one that validation chooses"
    title = record.task.about.get("title")
    return tag(
        "header",
        tag("h1", f"Head: {record.task.name}"),
        tag("p", str(title)) if title else None,
        tag("p", asked),
        tag("p", f"{made}; encoder {record.result['encoder']['sha256'][:12]}, {record.result['encoder']['why']}"),
    )


def _verdict(record: HeadRecord) -> Html:
    """What the comparison allows to say stands before any score."""
    audit, head = record.result["audit"], record.head
    lines = [tag("li", line[:1].upper() + line[1:]) for line in record.result["verdict"]]
    leaks = f"Leaks, grade {audit.get('grade', ABSENT)}: {audit.get('verdict', 'not audited')}."
    registered = record.result.get("registered")
    where = tag("p", f"Registered as {registered['uri']}: {registered['why']}.") if registered else None
    better = [one["name"] for one in record.result["comparisons"] if one["validation"] > head["validation"][
        record.problem.metric]]  # fmt: skip
    said = f"Better than this head on validation already: {listed(better, SHOWN_NAMES)}." if better else ""
    return tag(
        "section", tag("h2", "What may be said"), tag("ul", *lines), tag("p", said) if said else None,
        tag("p", leaks), where, tag("p", CLINICAL), class_="note",
    )  # fmt: skip


def _tiles(record: HeadRecord) -> Html:
    head, result, metric = record.head, record.result, record.problem.metric
    ends = number(head["interval"][0]), number(head["interval"][1])
    made = [(number(head["test"][metric]), f"test {record.metric}, 95 % {ends[0]} to {ends[1]}")]
    if result["clean"] is not None:
        made.append((number(result["clean"]), "without test rows that are in training"))
    rows = result["rows"]["train"]
    of = f"of {count(rows)} " if head["labels_seen"] < rows else ""
    rivals = sorted(result["comparisons"], key=lambda one: -one["score"])
    if rivals:
        made.append((number(rivals[0]["score"]), f"{rivals[0]['name']}, best of {len(rivals)} rivals on test"))
    made += [
        (str(result["audit"].get("grade", ABSENT)), "leak grade (A: in training, B: seen unlabelled, C: related)"),
        (count(head["labels_seen"]), f"{of}rows for training, {count(result['rows']['test'])} for test"),
        (_YES[head["converged"]], f"converged; {count(head['rows_seen'])} rows seen"),
    ]
    return tag("ul", *(tag("li", tag("b", b), tag("span", s)) for b, s in made), class_="tiles")


def _standing(record: HeadRecord) -> Html:
    """All arms as bars with their numbers; the head's difference to each rival."""
    groups, head = record.result["groups"], record.head["name"]
    against = {one["name"]: one for one in record.result["comparisons"]}
    floor = metrics.CONSTANT.get(record.problem.metric, 0.0)
    low = min(floor, *(group["low"] for group in groups))
    high = max(floor, *(group["high"] for group in groups))
    margin = SCALE_MARGIN * (high - low) or SCALE_MARGIN
    domain = (low - margin if low < floor else low, high + margin)
    rows = [_arm(record, group, against.get(group["name"], {}), domain, floor) for group in groups]
    scale = f"From {number(floor, 1)} (knows nothing) to {number(high, 2)}"
    heads = ("Model", "Validation", "Test", scale, "95 %, or seeds", "Head minus it (95 %, paired)", "p, Holm")
    words = (
        "Every model has the same rows. Hollow: the same encoder without pretraining. Of several seeds the bar is the "
        "mean, and each dot a seed. Differences are paired: both models on the same draws of clusters or places; "
        f"of several seeds the one that is best on validation is compared. {head} is the head."
    )
    if record.result["clean"] is not None:
        words += " Differences are without the test rows that are in training; scores are with them."
    shown = table(f"{record.metric} of everything", heads, rows, (1, 2, 4, 5, 6))
    return tag("section", tag("h2", "Beside it, on the same rows"), shown, tag("p", words, class_="soft"),
               _effort(groups), class_="names")  # fmt: skip


def _effort(groups: list[dict[str, Any]]) -> Html:
    """What training took."""
    rows: list[list[Child]] = [
        [group["name"], count(group["rows_seen"]), _YES[group["converged"]], duration(group["seconds"])]
        for group in groups
    ]
    shown = table("Means over seeds", ("Model", "Rows seen", "Converged", "Time"), rows, (1, 2, 3))
    return tag("details", tag("summary", "Rows seen, converged, time"), tag("div", shown, class_="slim"))


def _arm(
    record: HeadRecord, group: dict[str, Any], against: Mapping[str, Any], domain: tuple[float, float], floor: float
) -> list[Child]:
    name, several = group["name"], group["seeds"] > 1
    key, hollow = record.looks[name]
    seeds = [arm["test"][record.problem.metric] for arm in record.result["arms"] if arm["name"] == name]
    bar = bar_cell(group["test"], None if several else (group["low"], group["high"]), domain, floor, (key, hollow),
                   seeds if several else ())  # fmt: skip
    note = "head" if name == record.head["name"] else ""
    note += f"{', ' if note else ''}{group['seeds']} seeds" if several else ""
    decisive = against.get("clean") or against
    p = decisive.get("p_adjusted")
    return [
        join([dot(key, hollow), name, tag("small", note)]),
        number(group["validation"]),
        tag("strong", number(group["test"])),
        bar,
        f"{number(group['low'])} to {number(group['high'])}",
        f"{number(decisive['difference'], signed=True)} ({interval(dict(decisive), signed=True)})" if decisive else "",
        ABSENT if p is None else f"{p:.2g}",
    ]


def _learning(record: HeadRecord) -> Html | None:
    """Validation in the course of all trials; of probes, over the penalties that were tried."""
    trials = [arm for arm in record.result["arms"] if arm.get("curve")]
    probes = any("penalty" in arm["curve"][0] for arm in trials)
    at = "penalty" if probes else "rows_seen"
    courses = [course for arm in trials if (course := _course(record, arm, at)) is not None]
    against = "penalty (log scale)" if probes else "rows seen"
    drawings = [learning(courses, record.metric, against, frame, log=probes) for frame in LEARNING]
    if drawings[0] is None:
        return None
    words = (
        "The encoder stays as it is, a linear layer is fitted to its states with each penalty; the ringed one is taken."
        if probes
        else "Ringed: the best, whose weights are kept. Some validation rows are scored in the course of a trial, all "
        "at its end."
    )
    unfinished = [f"{arm['name']}, seed {arm['seed']}" for arm in trials if arm["converged"] is not True]
    said = f" Not converged: {listed(unfinished, SHOWN_NAMES)}." if unfinished else " All have converged."
    caption = tag("figcaption", f"{words} Hollow and dashed: without pretraining.{said}")
    legend = keys([course.curve for course in courses], "narrow")
    figure = tag("figure", *drawings, legend, caption)
    return tag("section", tag("h2", "Penalties of the probes" if probes else "Learning curves"), figure)


def _course(record: HeadRecord, arm: dict[str, Any], at: str) -> Course | None:
    """A trial's curve; None without one that can be drawn."""
    points = [
        (float(one[at]), float(one["validation"]))
        for one in arm["curve"]
        if finite(one.get(at)) is not None and one[at] > 0 and finite(one.get("validation")) is not None
    ]
    points.sort()
    if not points:
        return None
    best = max(range(len(points)), key=lambda place: points[place][1])
    name = f"{arm['name']}, seed {arm['seed']}"
    where = f"penalty {points[best][0]:g}" if at == "penalty" else f"{points[best][0]:,.0f} rows seen"
    said = f"{name}: best {number(points[best][1])} at {where}, converged: {_YES[arm['converged']]}"
    key, hollow = record.looks[arm["name"]]
    return Course(Curve(name, key, points, hollow), best, said)


def _seeds(record: HeadRecord) -> Html:
    """What another seed changes."""
    metric, rows = record.problem.metric, list[list[Child]]()
    for group in record.result["groups"]:
        of = [arm for arm in record.result["arms"] if arm["name"] == group["name"]]
        if len(of) > 1:
            tests = [arm["test"][metric] for arm in of]
            each = " / ".join(number(value) for value in tests)
            validation = " / ".join(number(arm["validation"][metric]) for arm in of)
            rows.append([group["name"], validation, each, number(np.ptp(tests)), number(np.std(tests, ddof=1))])
    title = tag("h2", "What another seed changes")
    if not rows:
        words = "One seed: how much of a difference is chance of training is not known. Three (--seeds 3) would tell."
        return tag("section", title, tag("p", words))
    words = (
        "A seed decides the order of rows, the head's first weights and, with --trial.cap, which rows are taken. No "
        "interval on this page counts it in; a difference smaller than what seeds do is none."
    )
    heads = ("Model", f"Validation {record.metric}", f"Test {record.metric}", "Range", "Standard deviation")
    return tag("section", title, table("Seed by seed", heads, rows, (1, 2, 3, 4)), tag("p", words, class_="soft"))


def _about(record: HeadRecord) -> Html:
    result, about = record.result, record.result["about"]
    told = {name: about[name] for name in ("source", "licence", "citation") if about.get(name)}
    files = {**record.files, "encoder": result["encoder"]["folder"]}
    known = [*told.items(), *files.items(), *((f"sha256, {name}", value) for name, value in result["hashes"].items())]
    facts = [join([tag("dt", name), tag("dd", tag("code", value))]) for name, value in known]
    settings = [join([tag("dt", name), tag("dd", tag("code", value))]) for name, value in _flat(result["config"])]
    folded = tag("details", tag("summary", f"{len(settings)} settings"), tag("dl", *settings))
    head = record.files.get("head", record.head["head"])
    command = tag("pre", f"genomics-fm predict --head {head} sequences.fa -o predictions.parquet")
    return tag("section", tag("h2", "How it was made, and how to use it"), tag("dl", *facts), folded, command)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Settings in a row, those of a part as PART.NAME."""
    found = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{name}.")
        elif name not in NOT_SHOWN:
            found.append((f"{prefix}{name}", str(value) if value not in ("", None, []) else ABSENT))
    return found
