"""The plots of a study of scale: a score against parameters or tokens, a line a corpus and set of vocabularies."""

from collections.abc import Mapping, Sequence

from genomics_fm.report import labels
from genomics_fm.report.markup import Html, number, svg_box, tag
from genomics_fm.report.svg import (
    Frame,
    Series,
    axes,
    draw_series,
    linear,
    log_ticks,
    logarithmic,
    marker,
    nice_ticks,
    polyline,
    short,
    side_labels,
    swatch,
)

FRAMES = (Frame(width=940, height=340, left=74, right=260), Frame(width=380, height=300, left=70))
"""Ticks such as 0.3175 have room beside the name of their axis."""
COLOURS = ("bpe", "kmer", "logistic", "cnn", "gc", "six_frame")
"""Roles of the style sheet, which are colours here and no more."""
MARGIN = 0.08
LEAST_RANGE = 0.01
"""Nats, or a share: the y axis spans at least so much."""
WIDEN = 1.3
Lines = Mapping[tuple[str, str], Sequence[tuple[float, float, int]]]


def _series(lines: Lines, y_name: str) -> list[Series]:
    corpora = list(dict.fromkeys(corpus for corpus, _ in lines))
    made = []
    for (corpus, vocabulary), points in lines.items():
        name = f"{corpus}, {labels.spoken(vocabulary)}"
        said = [f"{name}: {y_name} {number(y, 4)} at {short(x)}, of {runs} runs" for x, y, runs in points]
        places = tuple((x, y, None, None, words) for (x, y, _), words in zip(points, said, strict=True))
        colour = COLOURS[corpora.index(corpus) % len(COLOURS)]
        made.append(Series(name, colour, "circle", "+" in vocabulary, places))
    return made


def curve_plot(lines: Lines, reading: str, names: tuple[str, str], frame: Frame) -> Html | None:
    """A score of one reading vocabulary; None where no line has two points.

    Args:
        lines: (x, score, runs) by corpus and set.
        reading: the vocabulary that reads.
        names: of the axes, x and y.
        frame: wide, with names beside the lines, or narrow.
    """
    series = _series(lines, names[1])
    xs = [point[0] for line in series for point in line.points]
    scores = [point[1] for line in series for point in line.points]
    if not any(len(line.points) > 1 for line in series):
        return None
    domain = (min(xs) / WIDEN, max(xs) * WIDEN)
    x = logarithmic(domain, (frame.left, frame.x_end))
    middle, span = (max(scores) + min(scores)) / 2, max(max(scores) - min(scores), LEAST_RANGE)
    low, high = middle - span * (0.5 + MARGIN), middle + span * (0.5 + MARGIN)
    y = linear((low, high), (frame.y_end, frame.top))
    y_ticks = [(y(tick), f"{tick:g}") for tick in nice_ticks(low, high)]
    ticks = log_ticks(*domain) if frame.labelled else log_ticks(*domain)[::2]
    parts = [axes(frame, [(x(tick), short(tick)) for tick in ticks], y_ticks, names)]
    parts += [draw_series(line, x, y, 0.0) for line in series]
    if frame.labelled:
        parts.append(side_labels(frame, [_end(line, x(line.points[-1][0]), y(line.points[-1][1])) for line in series]))
    said = (
        f"{names[1]} with {labels.vocabulary_name(reading)} reading against {names[0]}, {len(series)} lines, "
        f"between {number(min(scores), 3)} and {number(max(scores), 3)}."
    )
    return svg_box(frame.width, frame.height, "plot wide" if frame.labelled else "plot narrow", said, *parts)


def _end(line: Series, x: float, y: float) -> tuple[float, float, str, str, Html | None]:
    style = f"mark s-{line.key}" + (" hollow" if line.hollow else "")
    return x, y, line.name, line.key, marker(line.shape, 0, 0, style)


def curve_legend(lines: Lines) -> Html:
    """Swatch and name of every line, for the narrow drawings."""
    items = []
    for line in _series(lines, ""):
        style = f"s-{line.key}" + (" hollow" if line.hollow else "")
        drawn = [polyline([(1, 8), (29, 8)], f"line {style}"), marker(line.shape, 15, 8, f"mark {style}")]
        items.append(swatch(line.name, *drawn))
    return tag("ul", *items, class_="legend narrow")
