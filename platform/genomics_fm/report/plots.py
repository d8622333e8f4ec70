"""The plots of the report: loss by vocabulary, label efficiency, and the small ones inside tables.

Each large plot is drawn twice, wide with names beside the lines and narrow with a legend below; the style sheet
shows the one that fits the screen.
"""

import math
from typing import Any

from genomics_fm.report import labels
from genomics_fm.report.markup import Html, finite, interval, interval_of, number, svg_box, tag
from genomics_fm.report.svg import (
    Frame,
    Scale,
    Series,
    axes,
    draw_series,
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

LOSS_POINTS = 240  # more than this is averaged in bins: the eye sees no more, and the page stays small
SMOOTHING = 0.05  # share of the steps in the moving mean of the loss
DODGE_PX = 7.0  # sideways step between series, so that intervals at the same x stay apart
WIDE = Frame(width=940, height=540, right=232)
NARROW = Frame(width=380, height=430, left=44)
WIDE_LOSS = Frame(width=940, height=380, right=140)
NARROW_LOSS = Frame(width=380, height=320, left=44)
ARM_SHAPE = "circle"
BASELINE_SHAPES = {"logistic": "square", "cnn": "triangle", "gc": "diamond"}


def score_point(row: dict[str, Any], name: str) -> tuple[float, float, float | None, float | None, str] | None:
    """(labels seen, test MCC, low, high, words) of an arm or baseline; None when it cannot be drawn."""
    seen, score = finite(row.get("labels_seen")), finite(row.get("test_mcc"))
    if seen is None or seen <= 0 or score is None:
        return None
    low, high = interval_of(row) or (None, None)
    return seen, score, low, high, f"{name}: MCC {number(score)} ({interval(row)}), {seen:,.0f} labels"


def efficiency_series(result: dict[str, Any]) -> list[Series]:
    """Lines of the label-efficiency plot: one an arm (all its seeds), one a baseline, capped rows included."""
    grouped: dict[tuple[str, str, str, bool], list[Any]] = {}
    for arm in labels.entries(result, "arms"):
        name = labels.arm_name(arm)
        key = (name, str(arm.get("vocabulary")), ARM_SHAPE, arm.get("start") != "pretrained")
        grouped.setdefault(key, []).append(score_point(arm, f"{name}, seed {arm.get('seed', 0)}"))
    for row in labels.entries(result, "baselines"):
        kind = labels.baseline_kind(str(row.get("name")))
        if kind in labels.REFERENCE_KINDS:
            continue
        name = labels.baseline_name(str(row.get("name")))
        said = f"{name}{', rows capped' if row.get('capped') else ''}"
        grouped.setdefault((name, kind, BASELINE_SHAPES.get(kind, "diamond"), False), []).append(score_point(row, said))
    made = [
        Series(name, key, shape, hollow, tuple(sorted(point for point in points if point is not None)))
        for (name, key, shape, hollow), points in grouped.items()
    ]
    return [series for series in made if series.points]


def reference_lines(result: dict[str, Any]) -> list[tuple[str, str, float]]:
    """(name, key, test MCC) of the baselines that do not depend on the number of labels."""
    found: dict[str, tuple[str, str, float]] = {}
    for row in labels.entries(result, "baselines"):
        name, score = str(row.get("name")), finite(row.get("test_mcc"))
        kind = labels.baseline_kind(name)
        if kind in labels.REFERENCE_KINDS and score is not None:
            found.setdefault(kind, (labels.baseline_name(name), kind, score))
    return list(found.values())


def efficiency(result: dict[str, Any], frame: Frame) -> Html | None:
    """Test MCC against labels seen; None when no row can be drawn."""
    series, references = efficiency_series(result), reference_lines(result)
    every = [point for line in series for point in line.points]
    if not every:
        return None
    seen = [point[0] for point in every]
    domain = (min(seen) / 1.35, max(seen) * 1.35)
    x = logarithmic(domain, (frame.left, frame.x_end))
    lows = [point[1] if point[2] is None else point[2] for point in every] + [score for *_, score in references]
    bottom = min(0.0, math.floor(min(lows) * 10) / 10)
    y = linear((bottom - 0.03, 1.0), (frame.y_end, frame.top))
    x_ticks = [(x(t), short(t)) for t in log_ticks(*domain)]
    y_ticks = [(y(t), number(t, 1)) for t in nice_ticks(bottom, 1.0)]
    parts = [axes(frame, x_ticks, y_ticks, ("labelled rows seen (log scale)", "test MCC"))]
    parts += [segment(frame.left, y(score), frame.x_end, y(score), f"rule s-{key}") for _, key, score in references]
    step = DODGE_PX if frame.labelled else DODGE_PX * 0.7
    shifts = [(i - (len(series) - 1) / 2) * step for i in range(len(series))]
    parts += [draw_series(line, x, y, shift) for line, shift in zip(series, shifts, strict=True)]
    if frame.labelled:
        ends = [line_end(line, x, y, shift) for line, shift in zip(series, shifts, strict=True)]
        ends += [(frame.x_end - 8, y(score), name, key, None) for name, key, score in references]
        parts.append(side_labels(frame, ends))
    best = max(every, key=lambda point: point[1])
    label = f"Test MCC against labelled rows seen, {len(series)} models. Highest point: {best[4]}."
    return svg_box(frame.width, frame.height, "plot wide" if frame.labelled else "plot narrow", label, *parts)


def line_end(line: Series, x: Scale, y: Scale, shift: float) -> tuple[float, float, str, str, Html | None]:
    """Where a line's label belongs, and the marker that stands before it."""
    style = f"mark s-{line.key}" + (" hollow" if line.hollow else "")
    seen, score, *_ = line.points[-1]
    return x(seen) + shift, y(score), line.name, line.key, marker(line.shape, 0, 0, style)


def legend(result: dict[str, Any]) -> Html:
    """Swatch and name of every line of the label-efficiency plot, for the narrow drawing."""
    items = []
    for line in efficiency_series(result):
        style = f"s-{line.key}" + (" hollow" if line.hollow else "")
        drawn = [polyline([(1, 8), (29, 8)], f"line {style}"), marker(line.shape, 15, 8, f"mark {style}")]
        items.append((line.name, drawn))
    items += [(name, [segment(1, 8, 29, 8, f"rule s-{key}")]) for name, key, _ in reference_lines(result)]
    return tag("ul", *(swatch(name, *drawn) for name, drawn in items), class_="legend narrow")


def binned(x: list[float], y: list[float], wanted: int = LOSS_POINTS) -> list[tuple[float, float]]:
    """At most `wanted` points: means over equal runs of neighbours."""
    size = max(1, math.ceil(len(x) / wanted))
    runs = [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]
    return [(sum(a) / len(a), sum(b) / len(b)) for a, b in runs]


def moving_mean(values: list[float], share: float = SMOOTHING) -> list[float]:
    """Centred moving mean; the window shrinks at both ends instead of inventing values."""
    half = max(1, round(len(values) * share / 2))
    windows = [values[max(0, i - half) : i + half + 1] for i in range(len(values))]
    return [sum(window) / len(window) for window in windows]


def loss_lines(pretraining: dict[str, Any]) -> dict[str, list[tuple[float, float]]]:
    """By vocabulary the (step, loss) pairs that are numbers; a step without that vocabulary has none."""
    losses, steps = pretraining.get("loss"), pretraining.get("step") or []
    if not isinstance(losses, dict):
        return {}
    made = {}
    for name, values in losses.items():
        pairs = [(finite(step), finite(value)) for step, value in zip(steps, values or [], strict=False)]
        known = [(step, value) for step, value in pairs if step is not None and value is not None]
        if known:
            made[str(name)] = known
    return made


def loss(pretraining: dict[str, Any], frame: Frame) -> Html | None:
    """Loss by vocabulary against the step: every step faint, a moving mean bold; None without any loss."""
    lines = loss_lines(pretraining)
    if not lines:
        return None
    uniform = finite(pretraining.get("uniform_loss"))
    values = [value for line in lines.values() for _, value in line]
    top, low = max([*values, uniform or 0.0]), min(values)
    x = linear((0.0, max(step for line in lines.values() for step, _ in line)), (frame.left, frame.x_end))
    y = linear((low - 0.04 * (top - low), top + 0.06 * (top - low)), (frame.y_end, frame.top))
    end = max(step for line in lines.values() for step, _ in line)
    x_ticks = [(x(t), short(t)) for t in nice_ticks(0, end, 6 if frame.labelled else 4)]
    parts = [axes(frame, x_ticks, [(y(t), f"{t:g}") for t in nice_ticks(low, top)], ("step", "loss (nats a token)"))]
    ends: list[tuple[float, float, str, str, Html | None]] = []
    for resumed in pretraining.get("resumed_at") or []:
        parts.append(resume_mark(frame, x(float(resumed)), resumed))
    if uniform is not None:
        parts.append(segment(frame.left, y(uniform), frame.x_end, y(uniform), "rule s-majority"))
        ends.append((frame.x_end - 8, y(uniform), "uniform guess", "majority", None))
    for name, line in lines.items():
        steps, raw = [step for step, _ in line], [value for _, value in line]
        smooth = [(x(a), y(b)) for a, b in binned(steps, moving_mean(raw))]
        parts.append(polyline([(x(a), y(b)) for a, b in binned(steps, raw)], f"faint s-{name}"))
        parts.append(polyline(smooth, f"line s-{name}"))
        ends.append((smooth[-1][0] - 4, smooth[-1][1], labels.vocabulary_name(name), name, None))
    if frame.labelled:
        parts.append(side_labels(frame, ends))
    last = ", ".join(f"{labels.vocabulary_name(n)} {line[0][1]:.2f} to {line[-1][1]:.2f}" for n, line in lines.items())
    said = f"Pretraining loss by step: {last}; a uniform guess scores {number(uniform, 2)}."
    return svg_box(frame.width, frame.height, "plot wide" if frame.labelled else "plot narrow", said, *parts)


def resume_mark(frame: Frame, x: float, step: int) -> Html:
    words = text(x + 4, frame.y_end - 6, f"resumed at {step}", "tick")
    return tag("g", segment(x, frame.top, x, frame.y_end, "resume"), words)


def loss_legend(pretraining: dict[str, Any]) -> Html:
    """Swatches of the loss plot, for the narrow drawing."""
    items = [(labels.vocabulary_name(name), f"line s-{name}") for name in loss_lines(pretraining)]
    if finite(pretraining.get("uniform_loss")) is not None:
        items.append(("uniform guess", "rule s-majority"))
    return tag("ul", *(swatch(name, segment(1, 8, 29, 8, style)) for name, style in items), class_="legend narrow")


def whisker(entry: dict[str, Any], value: float | None, domain: tuple[float, float], style: str) -> Html | None:
    """A table cell's dot with its interval on a fixed scale; the numbers stand beside it, so it is decoration."""
    if value is None:
        return None
    x = linear(domain, (6.0, 154.0))
    parts = [segment(6, 9, 154, 9, "grid"), segment(x(0.0), 1, x(0.0), 17, "axis")]
    ends = interval_of(entry)
    if ends is not None:
        low, high = (x(min(max(end, domain[0]), domain[1])) for end in ends)
        parts += [segment(low, 9, high, 9, f"span s-{style}")]
        parts += [segment(end, 5, end, 13, f"whisker s-{style}") for end in (low, high)]
    inside = min(max(value, domain[0]), domain[1])
    parts.append(tag("circle", cx=f"{x(inside):.1f}", cy=9, r=2.5, class_=f"dot mark s-{style}"))
    return tag("svg", *parts, viewBox="0 0 160 18", class_="whisker-cell", aria_hidden="true")
