"""The plots of a study of scale: loss against parameters or tokens, a line a corpus and set of vocabularies."""

from collections.abc import Mapping, Sequence

from genomics_fm.report import labels
from genomics_fm.report.markup import Html, number, svg_box
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
    short,
    side_labels,
)

FRAMES = (Frame(width=940, height=340, left=62, right=260), Frame(width=380, height=300, left=58))
COLOURS = ("bpe", "kmer", "logistic", "cnn", "gc", "six_frame")
"""Roles of the style sheet, which are colours here and no more."""
MARGIN = 0.08
LEAST_RANGE = 0.01
"""Nats: the y axis spans at least so many."""
WIDEN = 1.3
Lines = Mapping[tuple[str, str], Sequence[tuple[float, float, int]]]


def _series(lines: Lines) -> list[Series]:
    corpora = list(dict.fromkeys(corpus for corpus, _ in lines))
    made = []
    for (corpus, vocabulary), points in lines.items():
        name = f"{corpus}, {labels.spoken(vocabulary)}"
        said = [f"{name}: loss {number(loss, 4)} at {short(x)}, {runs} runs averaged" for x, loss, runs in points]
        places = tuple((x, loss, None, None, words) for (x, loss, _), words in zip(points, said, strict=True))
        colour = COLOURS[corpora.index(corpus) % len(COLOURS)]
        made.append(Series(name, colour, "circle", "+" in vocabulary, places))
    return made


def curve_plot(lines: Lines, reading: str, x_name: str, frame: Frame) -> Html | None:
    """Loss of one reading vocabulary; None where no line has two points.

    Args:
        lines: (x, loss, runs) by corpus and set.
        reading: the vocabulary that reads.
        x_name: of the axis.
        frame: wide, with names beside the lines, or narrow.
    """
    series = _series(lines)
    xs = [point[0] for line in series for point in line.points]
    losses = [point[1] for line in series for point in line.points]
    if not any(len(line.points) > 1 for line in series):
        return None
    domain = (min(xs) / WIDEN, max(xs) * WIDEN)
    x = logarithmic(domain, (frame.left, frame.x_end))
    room = max(max(losses) - min(losses), LEAST_RANGE) * MARGIN
    low, high = min(losses) - room, max(losses) + room
    y = linear((low, high), (frame.y_end, frame.top))
    y_ticks = [(y(tick), f"{tick:g}") for tick in nice_ticks(low, high)]
    ticks = log_ticks(*domain) if frame.labelled else log_ticks(*domain)[::2]
    parts = [axes(frame, [(x(tick), short(tick)) for tick in ticks], y_ticks, (x_name, "loss (nats a token)"))]
    parts += [draw_series(line, x, y, 0.0) for line in series]
    if frame.labelled:
        parts.append(side_labels(frame, [_end(line, x(line.points[-1][0]), y(line.points[-1][1])) for line in series]))
    first, last = min(losses), max(losses)
    said = (
        f"Loss with {labels.vocabulary_name(reading)} reading against {x_name}, {len(series)} lines, "
        f"from {number(last, 3)} down to {number(first, 3)}."
    )
    return svg_box(frame.width, frame.height, "plot wide" if frame.labelled else "plot narrow", said, *parts)


def _end(line: Series, x: float, y: float) -> tuple[float, float, str, str, Html | None]:
    style = f"mark s-{line.key}" + (" hollow" if line.hollow else "")
    return x, y, line.name, line.key, marker(line.shape, 0, 0, style)
