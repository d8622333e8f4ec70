"""Parts of a plot as inline SVG: scales, ticks, axes, markers, lines with intervals, labels that keep apart.

Colours are classes of the page's style sheet, so that light, dark and print agree.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from genomics_fm.report.markup import Html, join, tag

LABEL_GAP_PX = 19.0


@dataclass(frozen=True)
class Frame:
    """The drawing area in SVG units: outer size, then the margins that axes and labels need."""

    width: float
    height: float
    left: float = 52.0
    right: float = 14.0
    top: float = 14.0
    bottom: float = 46.0

    @property
    def x_end(self) -> float:
        return self.width - self.right

    @property
    def y_end(self) -> float:
        return self.height - self.bottom

    @property
    def labelled(self) -> bool:
        """Whether names stand beside the lines; otherwise the page shows a legend."""
        return self.right > 100


@dataclass(frozen=True)
class Series:
    """One line of a plot.

    `points` are (x, y, low, high, what to say about the point); low and high may be None. `key` picks the
    colour class, `shape` the marker, `hollow` an unfilled marker and a dashed line.
    """

    name: str
    key: str
    shape: str
    hollow: bool
    points: tuple[tuple[float, float, float | None, float | None, str], ...]


Scale = Callable[[float], float]


def linear(domain: tuple[float, float], span: tuple[float, float]) -> Scale:
    low, high = domain
    width = (high - low) or 1.0
    return lambda value: span[0] + (value - low) / width * (span[1] - span[0])


def logarithmic(domain: tuple[float, float], span: tuple[float, float]) -> Scale:
    inner = linear((math.log10(domain[0]), math.log10(domain[1])), span)
    return lambda value: inner(math.log10(value))


def nice_ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round tick values inside [low, high], about `wanted` of them."""
    raw = (high - low) / max(wanted, 1)
    if raw <= 0:
        return [low]
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next((m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw), 10 * magnitude)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [m * 10.0**d for d in decades for m in (1, 2, 5) if low <= m * 10.0**d <= high]


def short(value: float) -> str:
    """1500000 -> 1.5M: tick labels of large counts."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def marker(shape: str, x: float, y: float, class_: str, said: str | None = None) -> Html:
    title = tag("title", said) if said else None
    if shape == "square":
        return tag("rect", title, x=f"{x - 4.5:.1f}", y=f"{y - 4.5:.1f}", width=9, height=9, class_=class_)
    if shape == "circle":
        return tag("circle", title, cx=f"{x:.1f}", cy=f"{y:.1f}", r=5, class_=class_)
    outline = {"triangle": ((0, -6), (5.5, 4.5), (-5.5, 4.5)), "diamond": ((0, -6), (6, 0), (0, 6), (-6, 0))}
    corners = outline.get(shape, outline["diamond"])
    return tag("polygon", title, points=" ".join(f"{x + a:.1f},{y + b:.1f}" for a, b in corners), class_=class_)


def segment(x1: float, y1: float, x2: float, y2: float, class_: str) -> Html:
    return tag("line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}", class_=class_)


def text(x: float, y: float, words: str, class_: str, anchor: str = "start") -> Html:
    return tag("text", words, x=f"{x:.1f}", y=f"{y:.1f}", class_=class_, text_anchor=anchor)


def polyline(points: Sequence[tuple[float, float]], class_: str) -> Html:
    return tag("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points), class_=class_)


def swatch(name: str, *drawn: Html) -> Html:
    """An item of a legend: what is drawn, at most 30 by 16, and its name."""
    return tag("li", tag("svg", *drawn, viewBox="0 0 30 16", class_="swatch", aria_hidden="true"), name)


def axes(
    frame: Frame, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]], names: Sequence[str]
) -> Html:
    """Grid lines, tick labels (positions already scaled) and the two axis names (x, y)."""
    parts = [
        tag("g", segment(frame.left, y, frame.x_end, y, "grid"), text(frame.left - 8, y + 4, words, "tick", "end"))
        for y, words in y_ticks
    ]
    base = frame.y_end
    parts.append(segment(frame.left, base, frame.x_end, base, "axis"))
    for x, words in x_ticks:
        parts += [segment(x, base, x, base + 5, "axis"), text(x, base + 20, words, "tick", "middle")]
    parts.append(text((frame.left + frame.x_end) / 2, frame.height - 6, names[0], "axis-name", "middle"))
    parts.append(tag("text", names[1], class_="axis-name", text_anchor="middle",
                     transform=f"translate(13 {(frame.top + base) / 2:.1f}) rotate(-90)"))  # fmt: skip
    return join(parts)


def spread(wanted: Sequence[float], low: float, high: float, gap: float = LABEL_GAP_PX) -> list[float]:
    """Move label heights apart, at least `gap` between neighbours, inside [low, high] if they fit at all."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = [0.0] * len(wanted)
    floor = low
    for i in order:
        placed[i] = max(wanted[i], floor)
        floor = placed[i] + gap
    ceiling = high
    for i in reversed(order):
        placed[i] = min(placed[i], ceiling)
        ceiling = placed[i] - gap
    return placed


def side_labels(frame: Frame, ends: Sequence[tuple[float, float, str, str, Html | None]]) -> Html:
    """Names beside the line ends (x, y, name, colour key, marker drawn at 0,0), each tied to its line by a leader."""
    heights = spread([y for _, y, *_ in ends], frame.top + 4, frame.y_end)
    parts: list[Html] = []
    for (x, y, name, key, mark), height in zip(ends, heights, strict=True):
        start = frame.x_end + 26
        parts.append(polyline([(x + 8, y), (frame.x_end + 4, y), (start - 6, height)], "leader"))
        if mark is not None:
            parts.append(tag("g", mark, transform=f"translate({start + 3:.1f} {height:.1f})"))
        parts.append(text(start + (13 if mark is not None else 0), height + 4, name, f"label t-{key}"))
    return join(parts)


def draw_series(series: Series, x: Scale, y: Scale, shift: float) -> Html:
    """One series: line, intervals with caps, markers that say their values when pointed at."""
    style = f"s-{series.key}" + (" hollow" if series.hollow else "")
    middle: dict[float, list[float]] = {}
    for at, value, *_ in series.points:
        middle.setdefault(at, []).append(value)
    line = [(x(at) + shift, y(sum(v) / len(v))) for at, v in sorted(middle.items())]
    parts = [polyline(line, f"line {style}")] if len(line) > 1 else []
    for at, value, low, high, said in series.points:
        left = x(at) + shift
        if low is not None and high is not None:
            parts.append(segment(left, y(low), left, y(high), f"whisker {style}"))
            parts += [segment(left - 3, y(end), left + 3, y(end), f"whisker {style}") for end in (low, high)]
        parts.append(marker(series.shape, left, y(value), f"mark {style}", said))
    return tag("g", *parts)
