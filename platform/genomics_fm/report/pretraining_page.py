"""One self-contained HTML page of a pretraining, finished or not, from what its storage says."""

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from genomics_fm.report import labels, pretraining_plots
from genomics_fm.report.markup import ABSENT, Child, Html, count, duration, finite, join, percent, table, tag
from genomics_fm.report.page import document
from genomics_fm.report.pretraining_plots import Curves, Mark
from genomics_fm.report.pretraining_scores import held_out_sections
from genomics_fm.report.style import STYLE
from genomics_fm.training.happened import described
from genomics_fm.training.metrics import START, VALIDATION, steps_of
from genomics_fm.training.validation import validations_of

MOST_ROWS = 100
"""Events in the table; the log has every one."""
RECENT_STEPS = 200


@dataclass(frozen=True)
class Record:
    """What is known of a run.

    Attributes:
        name: of the run.
        log: every line of its log.
        finished: whether its encoder is there.
        written: when the page was made, seconds since 1970.
        about: what the driver wrote when it started; empty where it did not.
        weights_sha256: of the finished encoder.
        held_out: what there is to say of the sequence it is scored on, a sentence each.
    """

    name: str
    log: Sequence[dict[str, Any]]
    finished: bool
    written: float
    about: Mapping[str, Any] = field(default_factory=dict)
    weights_sha256: str = ""
    held_out: Sequence[str] = ()


def pretraining_page(record: Record) -> str:
    """Build the page.

    Args:
        record: of the run; of one that has only begun too.

    Returns:
        A whole HTML document.
    """
    lines, happened = steps_of(record.log), _happened(record.log)
    names = _names(record, lines)
    parts = [
        _heading(record, lines),
        _tiles(record, lines),
        _losses(record, lines, happened, names),
        *held_out_sections(validations_of(record.log), names, record.held_out),
        _speed(lines),
        _events(happened),
        _config(record),
        _hashes(record),
    ]
    return document(f"Genomics-FM pretraining: {record.name}", parts, STYLE + pretraining_plots.STYLE)


@dataclass(frozen=True)
class _Event:
    """A row of the table of events."""

    step: int
    kind: str
    words: str
    unixtime: float
    marked: bool


def _happened(log: Sequence[dict[str, Any]]) -> list[_Event]:
    """Events, spikes and steps left out, in order; scorings have a section of their own."""
    found, last, workers, pauses = list[_Event](), 0, 0, _pauses(log)
    for number, line in enumerate(log):
        kind, when = line.get("event"), float(line["unixtime"])
        if kind == START:
            last = int(line["step"])
            found.append(_start(line, workers, pauses.get(number)))
            workers = len(line["nodes"])
        elif kind is not None and kind != VALIDATION:
            step = int(finite(line.get("step")) or last)
            found.append(_Event(step, str(kind), described(line), when, True))
        elif kind is None:
            last = int(line["step"])
            if "left_out" in line:
                found.append(_Event(last, "left out", line["left_out"], when, False))
            elif "spikes" in line:
                found.append(_Event(last, "spike", "; ".join(line["spikes"]), when, False))
    return found


def _start(line: dict[str, Any], before: int, pause: float | None) -> _Event:
    """A start is `started`, `resumed` or, with another number of workers than `before`, `resized`."""
    step, workers = int(line["step"]), len(line["nodes"])
    kind = "started" if not before else "resumed" if before == workers else "resized"
    change = [f"{before} → {workers} workers"] if kind == "resized" else []
    again = [f"a step again {duration(pause)} after the last"] if pause is not None else []
    words = "; ".join([*change, described(line), *again])
    return _Event(step, kind, words, float(line["unixtime"]), bool(before) or step > 0)


def _pauses(log: Sequence[dict[str, Any]]) -> dict[int, float]:
    """Seconds from the last step before a start to the first after it, by the start's place in the log."""
    found, last = dict[int, float](), None
    start: int | None = None
    for number, line in enumerate(log):
        if line.get("event") == START:
            start = number
        elif "event" not in line:
            if start is not None and last is not None:
                found[start] = line["unixtime"] - last
            start, last = None, line["unixtime"]
    return found


def _names(record: Record, lines: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Vocabularies as people read them, by name."""
    members = record.about.get("vocabularies", {})
    names = dict.fromkeys([*members, *(name for line in lines for name in line["loss"])])
    return {name: labels.member_name(name, members.get(name, {})) for name in names}


def _time(unixtime: float) -> str:
    return datetime.datetime.fromtimestamp(unixtime, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _steps(record: Record) -> int | None:
    """Of the whole run."""
    starts = [line for line in record.log if line.get("event") == START]
    return int(starts[-1]["steps"]) if starts else None


def _heading(record: Record, lines: Sequence[dict[str, Any]]) -> Html:
    at, steps = lines[-1]["step"] if lines else 0, _steps(record)
    state = "finished" if record.finished else f"not finished: step {count(at)} of {count(steps)} when this was written"
    began = [line["unixtime"] for line in record.log]
    when = f"Begun {_time(began[0])}, last line {_time(began[-1])}." if began else "Nothing in its log yet."
    parameters = record.about.get("parameters")
    size = f"{count(parameters)} parameters. " if parameters else ""
    return tag(
        "header",
        tag("h1", f"Pretraining: {record.name}"),
        tag("p", f"{state[0].upper()}{state[1:]}. {when}"),
        tag("p", f"{size}Written {_time(record.written)} from the log in the run's storage."),
    )


def _tiles(record: Record, lines: Sequence[dict[str, Any]]) -> Html | None:
    if not lines:
        return None
    recent = lines[-RECENT_STEPS:]
    seconds = sum(line["seconds"] for line in recent)
    starts = sum(line.get("event") == START for line in record.log)
    made = [
        (f"{lines[-1]['step']:,}", f"of {count(_steps(record))} steps"),
        (count(sum(line["tokens"] for line in lines)), "tokens read"),
        (count(sum(line["tokens"] for line in recent) / max(seconds, 1e-9)), f"tokens/s over {len(recent)} steps"),
        (duration(sum(line["seconds"] for line in lines)), "in steps that count"),
        (str(starts), "start" + "s" * (starts != 1)),
    ]
    return tag("ul", *(tag("li", tag("b", b), tag("span", s)) for b, s in made), class_="tiles")


def _losses(
    record: Record, lines: Sequence[dict[str, Any]], happened: Sequence[_Event], names: dict[str, str]
) -> Html | None:
    tokens, read = [], 0
    for line in lines:
        read += line["tokens"]
        tokens.append(read)
    end = lines[-1]["step"] if lines else 0
    marks = [Mark(e.step, e.kind, n) for n, e in enumerate(happened, 1) if e.marked and e.step <= end]
    size = finite(record.about.get("vocabulary_size"))
    curves = Curves(
        [line["step"] for line in lines], tokens, {n: [line["loss"].get(n) for line in lines] for n in names}, names,
        marks, [e.step for e in happened if e.kind == "spike"], math.log(size) if size else None,
        pretraining_plots.roles_of(list(names)),
    )  # fmt: skip
    drawings = [pretraining_plots.losses(curves, frame) for frame in (pretraining_plots.WIDE, pretraining_plots.NARROW)]
    if drawings[0] is None:
        return None
    words = (
        "Training loss on the tokens to predict: faint as it was, bold a moving mean. Numbers above the plot are rows "
        "of the table of events. Vocabularies hide different things, so their losses are not comparable."
    )
    figure = tag("figure", *drawings, pretraining_plots.legend(curves), tag("figcaption", words))
    return tag("section", tag("h2", "Loss by vocabulary"), figure)


def _speed(lines: Sequence[dict[str, Any]]) -> Html | None:
    step = [line["step"] for line in lines]
    rate = [line["tokens"] / line["seconds"] for line in lines]
    waited = [min(1.0, line["stall"] / line["seconds"]) * 100 for line in lines]
    drawn = {
        "Learning rate": pretraining_plots.over_steps(
            "learning rate", step, [line.get("learning_rate") for line in lines], smooth=False
        ),
        "Gradient norm, before clipping": pretraining_plots.over_steps(
            "gradient norm (log scale)", step, [line["gradient_norm"] for line in lines], log=True
        ),
        "Tokens a second": pretraining_plots.over_steps("tokens/s", step, rate),
        "Waiting for rows": pretraining_plots.over_steps("share of the step, %", step, waited),
    }
    figures = [tag("figure", tag("figcaption", name), one) for name, one in drawn.items() if one is not None]
    if not figures:
        return None
    seconds = sum(line["seconds"] for line in lines)
    share = percent(sum(min(line["stall"], line["seconds"]) for line in lines) / max(seconds, 1e-9), 2)
    words = tag("p", f"Of all steps' time, {share} was spent waiting for rows (rank 0).", class_="soft")
    return tag("section", tag("h2", "Optimisation and speed"), tag("div", *figures, class_="pairs"), words)


def _events(happened: Sequence[_Event]) -> Html:
    rows: list[list[Child]] = [
        [n, f"{e.step:,}", e.kind, tag("span", _time(e.unixtime), class_="n"), e.words]
        for n, e in enumerate(happened[:MOST_ROWS], 1)
    ]
    more = len(happened) - len(rows)
    words = tag("p", f"and {more:,} more, in the run's log.", class_="soft") if more else None
    shown = table("In order", ("No.", "After step", "What", "When", "More"), rows, (1,))
    return tag("section", tag("h2", "What happened"), shown if rows else tag("p", "Nothing yet."), words)


def _config(record: Record) -> Html | None:
    settings = _flat(record.about.get("config", {}))
    if not settings:
        return None
    facts = [join([tag("dt", name), tag("dd", tag("code", value))]) for name, value in settings]
    shown = tag("details", tag("summary", f"{len(facts)} settings"), tag("dl", *facts))
    return tag("section", tag("h2", "How it was run"), shown)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    flat: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat += _flat(value, f"{prefix}{name}.")
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            flat.append((f"{prefix}{name}", ABSENT if shown in ("", "{}") else shown))
    return flat


def _hashes(record: Record) -> Html | None:
    known = dict(record.about.get("hashes", {}))
    if record.weights_sha256:
        known["weights_sha256"] = record.weights_sha256
    if not known:
        return None
    facts = [join([tag("dt", name.replace("_", " ")), tag("dd", tag("code", value))]) for name, value in known.items()]
    words = (
        "Equal corpus, vocabulary and training give equal rows, however often the run was stopped. With equally many "
        "workers that hold the model in the same way, on machines of one kind, they give weights equal to the bit; "
        "else losses that agree to rounding."
    )
    return tag("section", tag("h2", "Hashes"), tag("p", words, class_="soft"), tag("dl", *facts))
