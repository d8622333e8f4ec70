"""The plots of a head's page: rank curves, calibration, learning curves, agreement, histograms, bars with intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genomics_fm.report.markup import Html, number, svg_box, tag
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

UNIT = Frame(width=440, height=380, right=20)
LEARNING = (Frame(width=940, height=400, left=62, right=250), Frame(width=380, height=320, left=52))
BARS = Frame(width=440, height=250, left=60, right=20)
UNIT_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
MOST_DOTS = 700
"""Rows drawn as dots; more are drawn as shares of cells."""
CELLS = 44
LEAST_RANGE = 0.1
"""Of a learning curve's y axis."""
CELL_WIDTH, CELL_HEIGHT = 170.0, 20.0
"""Of the bar in a table's cell."""
LOW_LEVEL, LEVEL_GAP = 0.1, 0.07
"""The words of a level line stand under it, but for those that lie lower; of lines nearer than the gap one has none."""
COUNT_HEIGHT = 0.22
"""Of the tallest bar of counts under a calibration curve."""
STYLE = """
.even{stroke:var(--soft);stroke-width:1;stroke-dasharray:3 3}
.chance{stroke:var(--soft);stroke-width:1.6;stroke-dasharray:2 4}
.heap{fill:var(--soft);opacity:.28}.heap.all{fill:var(--bpe);opacity:.75}
.dots{fill:var(--bpe);opacity:.5}.density{fill:var(--bpe)}
.bar-cell{width:170px;min-width:170px;height:20px;display:block}
.bar-cell rect:not(.hollow){stroke:none;opacity:.5}.bar-cell rect.hollow{stroke-width:1.3;stroke-dasharray:3 2}
.best{stroke:var(--ink);stroke-width:1.6}
.cell{display:block;margin:-5px -8px;padding:5px 8px}
.sequence{user-select:all;-webkit-user-select:all;overflow-wrap:anywhere}
.mistakes td:last-child{min-width:19em}.mistakes th code{display:block;min-width:10em}
.mistakes details{margin-top:2px}
.pairs>figure:only-child{max-width:540px}
summary{cursor:pointer;color:var(--soft)}
"""


@dataclass(frozen=True)
class Curve:
    """A line: its name, its colour's role, and its points; hollow ones are dashed."""

    name: str
    key: str
    points: Sequence[tuple[float, float]]
    hollow: bool = False

    @property
    def style(self) -> str:
        return f"s-{self.key}" + (" hollow" if self.hollow else "")


def unit_plot(
    curves: Sequence[Curve],
    names: tuple[str, str],
    *,
    diagonal: bool = False,
    levels: Sequence[tuple[float, str]] = (),
    heaps: Sequence[tuple[float, float]] = (),
    steps: bool = False,
    marks: bool = False,
) -> Html:
    """Lines in a square of shares.

    Args:
        curves: all points between 0 and 1.
        names: of the axes, x and y.
        diagonal: draw where y is x.
        levels: (y, what to say) of level lines.
        heaps: (x, share of all rows) of bars along the bottom.
        steps: a y holds back to the x before.
        marks: draw the points.
    """
    x, y = linear((0.0, 1.0), (UNIT.left, UNIT.x_end)), linear((0.0, 1.0), (UNIT.y_end, UNIT.top))
    parts = [axes(UNIT, [(x(t), f"{t:g}") for t in UNIT_TICKS], [(y(t), f"{t:g}") for t in UNIT_TICKS], names)]
    tallest = max((share for _, share in heaps), default=1.0)
    parts += [_column(x(at) - 8, 16, y(COUNT_HEIGHT * share / tallest), UNIT.y_end, "heap") for at, share in heaps]
    if diagonal:
        parts.append(segment(x(0), y(0), x(1), y(1), "even"))
    free = math.inf
    for level, words in sorted(levels, reverse=True):
        parts.append(segment(UNIT.left, y(level), UNIT.x_end, y(level), "chance"))
        if level < free:
            parts.append(text(UNIT.x_end - 4, y(level) + (15 if level > LOW_LEVEL else -5), words, "tick", "end"))
            free = level - LEVEL_GAP
    for curve in curves:
        points = _stairs(curve.points) if steps else curve.points
        parts.append(polyline([(x(a), y(b)) for a, b in points], f"line {curve.style}"))
        if marks:
            parts += [marker("circle", x(a), y(b), f"mark {curve.style}") for a, b in curve.points]
    said = f"{names[1]} against {names[0]}: {', '.join(curve.name for curve in curves)}."
    return svg_box(UNIT.width, UNIT.height, "plot", said, *parts)


def _stairs(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """A level line back from every point to the x of the one before."""
    found, before = [], 0.0
    for x, y in points:
        found += [(before, y), (x, y)]
        before = x
    return found


def _column(left: float, width: float, top: float, base: float, style: str, said: str | None = None) -> Html:
    title = tag("title", said) if said else None
    box = {"x": f"{left:.1f}", "y": f"{top:.1f}", "width": f"{width:.1f}", "height": f"{base - top:.1f}"}
    return tag("rect", title, **box, class_=style)


def keys(curves: Sequence[Curve], shown: str = "keys") -> Html:
    """Swatch and name of each line; `narrow`: where names do not stand beside the lines."""
    listed = [swatch(curve.name, segment(1, 8, 29, 8, f"line {curve.style}")) for curve in curves]
    return tag("ul", *listed, class_=f"legend {shown}")


@dataclass(frozen=True)
class Course:
    """How one trial went: its curve, the place of its best score, and what to say of it."""

    curve: Curve
    best: int
    said: str


def learning(courses: Sequence[Course], metric: str, against: str, frame: Frame, log: bool = False) -> Html | None:
    """A score on validation in the course of every trial; None where none has two.

    Args:
        courses: of the trials.
        metric: its name.
        against: what the x axis is.
        frame: wide, with names beside the lines, or narrow.
        log: a logarithmic x axis.
    """
    drawn = [course for course in courses if len(course.curve.points) > 1]
    if not drawn:
        return None
    xs, ys = (np.array([point[i] for course in drawn for point in course.curve.points]) for i in (0, 1))
    low, high = _widened(float(ys.min()), float(ys.max()))
    y = linear((low, high), (frame.y_end, frame.top))
    span = (frame.left, frame.x_end)
    ends = (float(xs.min()), float(xs.max()))
    x = logarithmic(ends, span) if log else linear((0.0, ends[1]), span)
    ticks = log_ticks(*ends)[::3] if log else nice_ticks(0.0, ends[1], 6 if frame.labelled else 3)
    x_ticks = [(x(t), short(t)) for t in ticks]
    parts = [axes(frame, x_ticks, [(y(t), f"{t:g}") for t in nice_ticks(low, high)], (against, f"validation {metric}"))]
    labelled: list[tuple[float, float, str, str, Html | None]] = []
    for course in drawn:
        curve = course.curve
        places = [(x(a), y(b)) for a, b in curve.points]
        parts.append(polyline(places, f"line {curve.style}"))
        parts.append(marker("circle", *places[course.best], f"mark best {curve.style}", course.said))
        labelled.append((*places[-1], curve.name, curve.key, marker("circle", 0, 0, f"mark {curve.style}")))
    if frame.labelled:
        parts.append(side_labels(frame, labelled))
    said = "; ".join(course.said for course in drawn)
    return svg_box(frame.width, frame.height, "plot wide" if frame.labelled else "plot narrow", said, *parts)


def _widened(low: float, high: float) -> tuple[float, float]:
    """A range with a margin that does not magnify noise."""
    middle, half = (low + high) / 2, max(1.12 * (high - low), LEAST_RANGE) / 2
    return middle - half, middle + half


def bar_cell(
    value: float,
    ends: tuple[float, float] | None,
    domain: tuple[float, float],
    floor: float,
    look: tuple[str, bool],
    dots: Sequence[float] = (),
) -> Html:
    """A table cell's bar from what knows nothing to a score, with its interval, and a dot for each seed.

    Args:
        value: where the bar ends.
        ends: of the interval.
        domain: of the scale, the same in every cell of a table.
        floor: where bars begin.
        look: role of its colour, and whether it is hollow.
        dots: scores of single seeds.
    """
    x = _within(domain)
    key, hollow = look
    style = f"s-{key}" + (" hollow" if hollow else "")
    left, right = sorted((x(floor), x(value)))
    parts = [_column(left, max(1.0, right - left), 4, CELL_HEIGHT - 4, f"mark {style}")]
    parts.append(segment(x(floor), 0, x(floor), CELL_HEIGHT, "axis"))
    if ends is not None:
        low, high = x(ends[0]), x(ends[1])
        parts.append(segment(low, 10, high, 10, f"whisker {style}"))
        parts += [segment(end, 6, end, 14, f"whisker {style}") for end in (low, high)]
    parts += [tag("circle", cx=f"{x(dot):.1f}", cy=10, r=3, class_=f"dot mark {style}") for dot in dots]
    return tag("svg", *parts, viewBox=f"0 0 {CELL_WIDTH:g} {CELL_HEIGHT:g}", class_="bar-cell", aria_hidden="true")


def _within(domain: tuple[float, float]) -> Scale:
    scale = linear(domain, (6.0, CELL_WIDTH - 6.0))
    return lambda value: scale(min(max(value, domain[0]), domain[1]))


def agreement(truth: NDArray[np.floating], guess: NDArray[np.floating], name: str) -> Html:
    """Predicted against measured on equal axes, as dots or, of many rows, as shares of cells.

    Args:
        truth: measured values, none of them NaN.
        guess: predicted.
        name: of the target.
    """
    low, high = float(min(truth.min(), guess.min())), float(max(truth.max(), guess.max()))
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    x, y = linear((low, high), (UNIT.left, UNIT.x_end)), linear((low, high), (UNIT.y_end, UNIT.top))
    ticks = nice_ticks(low, high)
    parts = [
        axes(UNIT, [(x(t), f"{t:g}") for t in ticks], [(y(t), f"{t:g}") for t in ticks], ("measured", "predicted")),
        segment(x(low), y(low), x(high), y(high), "even"),
    ]
    if len(truth) <= MOST_DOTS:
        pairs = zip(truth, guess, strict=True)
        parts += [tag("circle", cx=f"{x(a):.1f}", cy=f"{y(b):.1f}", r=2.4, class_="dots") for a, b in pairs]
    else:
        parts += _density(truth, guess, (low, high), x, y)
    said = f"Predicted against measured {name}, {len(truth):,} rows."
    return svg_box(UNIT.width, UNIT.height, "plot", said, *parts)


def _density(
    truth: NDArray[np.floating], guess: NDArray[np.floating], domain: tuple[float, float], x: Scale, y: Scale
) -> list[Html]:
    counts, edges, _ = np.histogram2d(truth, guess, CELLS, (domain, domain))
    size, most = x(edges[1]) - x(edges[0]) + 0.2, math.log1p(counts.max())
    tall = y(edges[0]) - y(edges[1]) + 0.2
    return [
        tag(
            "rect", x=f"{x(edges[i]):.1f}", y=f"{y(edges[j + 1]):.1f}", width=f"{size:.1f}", height=f"{tall:.1f}",
            class_="density", fill_opacity=f"{0.08 + 0.92 * math.log1p(counts[i, j]) / most:.2f}",
        )
        for i, j in zip(*np.nonzero(counts), strict=True)
    ]  # fmt: skip


def bars(counts: Sequence[int], domain: tuple[float, float], names: tuple[str, str], rule: float | None = None) -> Html:
    """A histogram.

    Args:
        counts: of equal bins.
        domain: from the first bin's beginning to the last one's end.
        names: of the axes, x and y.
        rule: an x to mark.
    """
    x, y = linear(domain, (BARS.left, BARS.x_end)), linear((0, max(1, *counts) * 1.06), (BARS.y_end, BARS.top))
    edges = np.linspace(*domain, len(counts) + 1)
    whole = [tick for tick in nice_ticks(0, max(1, *counts), 4) if tick == int(tick)]
    parts = [axes(BARS, [(x(t), f"{t:g}") for t in nice_ticks(*domain)], [(y(t), short(t)) for t in whole], names)]
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        said = f"{number(low)} to {number(high)}: {count:,}"
        parts.append(_column(x(low) + 0.5, x(high) - x(low) - 1, y(count), BARS.y_end, "heap all", said))
    if rule is not None:
        parts.append(segment(x(rule), BARS.top, x(rule), BARS.y_end, "chance"))
    return svg_box(BARS.width, BARS.height, "plot", f"{names[1]} by {names[0]}.", *parts)
