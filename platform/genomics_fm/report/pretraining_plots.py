"""The plots of a pretraining's page: losses with what happened, scores on held-out sequence, and four small ones."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from genomics_fm.report.markup import Html, finite, rate, svg_box, tag
from genomics_fm.report.plots import binned, moving_mean
from genomics_fm.report.style import ROLES
from genomics_fm.report.svg import (
    Frame,
    Scale,
    axes,
    linear,
    log_ticks,
    logarithmic,
    marker,
    nice_ticks,
    polyline,
    segment,
    short,
    side_labels,
    swatch,
    text,
)

WIDE = Frame(width=1040, height=430, right=150, bottom=64, top=26)
NARROW = Frame(width=380, height=340, left=44, bottom=64, top=26)
SMALL = Frame(width=500, height=230, left=70, top=16)
PANEL = Frame(width=340, height=220, left=58, right=62, top=16)
LEAST_PLAIN = 0.01
"""Smaller ticks are written with an exponent."""
MARK_GAP_PX = 15.0
"""Numbers of marks that lie closer are left out; the table has them all."""
SHOWN_SPIKES = 60
MARKS = {"resumed": "resume", "resized": "resize", "preempted": "preempt"}
"""The style of what happened, by kind; others have one in common."""
OTHER_MARK = "other-event"
STYLE = """
.resize{stroke:var(--accent);stroke-width:1.6}.preempt{stroke:var(--cnn);stroke-width:1.6;stroke-dasharray:2 3}
.other-event{stroke:var(--soft);stroke-width:1.4;stroke-dasharray:9 3}
.spike{fill:none;stroke:var(--ink);stroke-width:1.4}
.rule.order-5{stroke:var(--soft);stroke-dasharray:2 4}.rule.order-11{stroke:var(--ink);stroke-dasharray:8 3}
.line.plain{stroke:var(--accent);stroke-width:1.8}.faint.plain{stroke:var(--accent)}
"""


@dataclass(frozen=True)
class Mark:
    """Something that happened after a step; `number` is its row in the table of events."""

    step: int
    kind: str
    number: int


@dataclass(frozen=True)
class Curves:
    """What the large plot shows.

    Attributes:
        step: of every line.
        tokens: read until then.
        loss: by vocabulary, one value a step, None where there is none.
        names: vocabularies as people read them.
        marks: what happened.
        spikes: steps with a jump.
        uniform: loss of a uniform guess; None where the vocabulary is not known.
    """

    step: Sequence[int]
    tokens: Sequence[int]
    loss: Mapping[str, Sequence[float | None]]
    names: Mapping[str, str]
    marks: Sequence[Mark] = ()
    spikes: Sequence[int] = ()
    uniform: float | None = None
    roles: dict[str, str] = field(default_factory=dict)

    def lines(self) -> dict[str, list[tuple[float, float]]]:
        """By vocabulary the (step, loss) that are numbers."""
        found = {}
        for name, values in self.loss.items():
            pairs = [
                (float(s), v) for s, value in zip(self.step, values, strict=True) if (v := finite(value)) is not None
            ]
            if pairs:
                found[name] = pairs
        return found


def roles_of(names: Sequence[str]) -> dict[str, str]:
    """A colour of the style sheet for each vocabulary: its own, or the next that is free."""
    free = [role for role in ROLES if role not in names]
    return {name: name if name in ROLES else free[number % len(free)] for number, name in enumerate(names)}


def losses(curves: Curves, frame: Frame) -> Html | None:
    """Loss by vocabulary over steps and tokens, with everything that happened; None before the first loss."""
    lines = curves.lines()
    if not lines:
        return None
    end = float(curves.step[-1])
    values = [value for line in lines.values() for _, value in line]
    low, high = min(values), max([*values, curves.uniform or 0.0])
    x = linear((0.0, end), (frame.left, frame.x_end))
    y = linear((low - 0.04 * (high - low), high + 0.06 * (high - low)), (frame.y_end, frame.top))
    ticks = nice_ticks(0, end, 6 if frame.labelled else 3)
    y_ticks = [(y(t), f"{t:g}") for t in nice_ticks(low, high)]
    said = "step, and tokens read" if frame.labelled else "step, tokens"
    parts = [axes(frame, [(x(t), short(t)) for t in ticks], y_ticks, (said, "loss (nats a token)"))]
    parts += [text(x(t), frame.y_end + 36, short(_tokens_at(curves, t)), "tick", "middle") for t in ticks]
    parts += _marks(curves.marks, x, frame)
    ends: list[tuple[float, float, str, str, Html | None]] = []
    if curves.uniform is not None:
        parts.append(segment(frame.left, y(curves.uniform), frame.x_end, y(curves.uniform), "rule s-majority"))
        ends.append((frame.x_end - 8, y(curves.uniform), "uniform guess", "majority", None))
    for name, line in lines.items():
        role, steps, raw = curves.roles[name], [step for step, _ in line], [value for _, value in line]
        smooth = [(x(a), y(b)) for a, b in binned(steps, moving_mean(raw))]
        parts.append(polyline([(x(a), y(b)) for a, b in binned(steps, raw)], f"faint s-{role}"))
        parts.append(polyline(smooth, f"line s-{role}"))
        of_step = dict(line)
        jumped = [step for step in curves.spikes if step in of_step][:SHOWN_SPIKES]
        parts += [marker("diamond", x(step), y(of_step[step]), "spike", f"spike at step {step:,}") for step in jumped]
        ends.append((smooth[-1][0] - 4, smooth[-1][1], curves.names[name], role, None))
    if frame.labelled:
        parts.append(side_labels(frame, ends))
    fell = ", ".join(f"{curves.names[n]} from {line[0][1]:.2f} to {line[-1][1]:.2f}" for n, line in lines.items())
    said = f"Loss by step until step {curves.step[-1]:,}: {fell}; {len(curves.marks)} marks of what happened."
    return svg_box(frame.width, frame.height, "plot wide" if frame.labelled else "plot narrow", said, *parts)


def _tokens_at(curves: Curves, step: float) -> float:
    """Tokens read until about a step."""
    earlier = [count for at, count in zip(curves.step, curves.tokens, strict=True) if at <= step]
    return earlier[-1] if earlier else 0


def _marks(marks: Sequence[Mark], x: Scale, frame: Frame) -> list[Html]:
    parts, free_from = [], -math.inf
    for mark in marks:
        at = x(mark.step)
        parts.append(segment(at, frame.top, at, frame.y_end, MARKS.get(mark.kind, OTHER_MARK)))
        if at >= free_from:
            parts.append(text(at, frame.top - 7, str(mark.number), "tick", "middle"))
            free_from = at + MARK_GAP_PX
    return parts


def legend(curves: Curves) -> Html:
    """Swatches of the lines, for the narrow drawing; of the marks, for both."""
    lines = [(curves.names[name], f"line s-{curves.roles[name]}") for name in curves.lines()]
    if curves.uniform is not None:
        lines.append(("uniform guess", "rule s-majority"))
    kinds = list(dict.fromkeys(mark.kind for mark in curves.marks))
    keys = [swatch(kind, segment(15, 1, 15, 15, MARKS.get(kind, OTHER_MARK))) for kind in kinds]
    keys += [swatch("spike", marker("diamond", 15, 8, "spike"))] if curves.spikes else []
    names = tag("ul", *(swatch(name, segment(1, 8, 29, 8, style)) for name, style in lines), class_="legend narrow")
    marks = tag("ul", *keys, class_="legend keys") if keys else None
    return tag("div", names, marks)


def over_steps(
    what: str, step: Sequence[int], values: Sequence[float | None], log: bool = False, smooth: bool = True
) -> Html | None:
    """A small plot of one number over the steps; None where there is none.

    Args:
        what: the number, with its unit.
        step: of each value.
        values: some may be None.
        log: a logarithmic axis; values from 0 down are left out.
        smooth: draw a moving mean over what it was.
    """
    kept = [(float(s), v) for s, value in zip(step, values, strict=True) if (v := finite(value)) is not None]
    kept = [(s, v) for s, v in kept if v > 0 or not log]
    if not kept:
        return None
    steps, numbers = [s for s, _ in kept], [v for _, v in kept]
    low, high = (min(numbers), max(numbers)) if log else (min(0.0, *numbers), max(numbers))
    high = high if high > low else low + (abs(low) or 1.0)
    x, span = linear((0.0, steps[-1]), (SMALL.left, SMALL.x_end)), (SMALL.y_end, SMALL.top)
    y = logarithmic((low / 1.1, high * 1.1), span) if log else linear((low, high + 0.06 * (high - low)), span)
    wanted = _few(log_ticks(low / 1.1, high * 1.1)) if log else nice_ticks(low, high, 4)
    y_ticks = [(y(t), rate(t) if 0 < t < LEAST_PLAIN else short(t)) for t in wanted]
    x_ticks = [(x(t), short(t)) for t in nice_ticks(0, steps[-1], 4)]
    parts = [axes(SMALL, x_ticks, y_ticks, ("step", what))]
    points = [(x(a), y(b)) for a, b in binned(steps, numbers)]
    parts.append(polyline(points, "faint plain" if smooth else "line plain"))
    if smooth:
        parts.append(polyline([(x(a), y(b)) for a, b in binned(steps, moving_mean(numbers))], "line plain"))
    said = f"{what} by step: from {short(min(numbers))} to {short(max(numbers))}, at last {short(numbers[-1])}."
    return svg_box(SMALL.width, SMALL.height, "plot", said, *parts)


def _few(ticks: list[float], most: int = 6) -> list[float]:
    return ticks[:: max(1, -(-len(ticks) // most))]


def scores_panel(
    source: str, what: str, points: Sequence[tuple[int, float]], rules: Mapping[str, float], role: str
) -> Html | None:
    """One source's score over the steps, with those of Markov models as level lines.

    Args:
        source: the species, for the alternative text.
        what: the score, with its unit.
        points: (step, score).
        rules: score of each model, by its order.
        role: colour of the line.
    """
    if not points:
        return None
    values = [value for _, value in points] + list(rules.values())
    margin = 0.12 * (max(values) - min(values)) or 0.01
    low, high = min(values) - margin, max(values) + margin
    x = linear((0.0, float(points[-1][0])), (PANEL.left, PANEL.x_end))
    y = linear((low, high), (PANEL.y_end, PANEL.top))
    x_ticks = [(x(t), short(t)) for t in nice_ticks(0, points[-1][0], 3)]
    parts = [axes(PANEL, x_ticks, [(y(t), f"{t:g}") for t in nice_ticks(low, high, 4)], ("step", what))]
    heights = dict(zip(rules, _apart([y(value) for value in rules.values()]), strict=True))
    for name, value in rules.items():
        style = f"rule {name.replace(' ', '-')}"
        parts += [segment(PANEL.left, y(value), PANEL.x_end, y(value), style)]
        parts += [text(PANEL.x_end + 4, heights[name] + 4, name, "tick")]
    line = [(x(step), y(value)) for step, value in points]
    parts.append(polyline(line, f"line s-{role}"))
    if len(points) <= 40:
        parts += [tag("circle", cx=f"{a:.1f}", cy=f"{b:.1f}", r=3, class_=f"mark s-{role}") for a, b in line]
    beside = ", ".join(f"Markov {name} {value:.4g}" for name, value in rules.items())
    said = f"{source}, {what} by step: from {points[0][1]:.4g} to {points[-1][1]:.4g}; {beside}."
    return svg_box(PANEL.width, PANEL.height, "plot", said, *parts)


def _apart(heights: list[float], gap: float = 14.0) -> list[float]:
    """Heights of two labels moved apart; of one, or of none, as they are."""
    if len(heights) != 2 or abs(heights[0] - heights[1]) >= gap:
        return heights
    middle, half = sum(heights) / 2, gap / 2
    return [middle - half, middle + half] if heights[0] <= heights[1] else [middle + half, middle - half]


def rules_of(figures: dict[str, Any], score: str) -> dict[str, float]:
    """Scores of the Markov models that see the true letters before each base, by order."""
    found = {name: finite(of_model.get(score)) for name, of_model in figures.get("markov", {}).items()}
    return {name: value for name, value in found.items() if value is not None and "," not in name}
