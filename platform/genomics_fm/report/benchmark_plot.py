"""The benchmark as a picture: a line a set, a mark a model, the test score with its interval."""

from collections.abc import Sequence
from typing import Any

from genomics_fm.report.benchmark_text import columns, model_of
from genomics_fm.report.markup import Html, join, svg_box, tag
from genomics_fm.report.svg import linear, marker, nice_ticks, segment, text

Row = dict[str, Any]
WIDTH, LEFT, RIGHT, TOP, BOTTOM = 960.0, 250.0, 20.0, 84.0, 48.0
_APART, _BETWEEN = 7.5, 10.0  # px from mark to mark of one set, and from set to set beside that
_LOOK = {
    "nothing": ("circle", "majority", True),
    "GC, length": ("square", "gc", False),
    "k-mers": ("triangle", "logistic", False),
    "CNN": ("diamond", "cnn", False),
}
_STYLE = """
text{font:13px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:#1b1f24}
.tick,.axis-name,.soft{fill:#55606b;font-size:12px}.grid{stroke:#dde1e6}.axis{stroke:#55606b}
.whisker{stroke-width:1.5;opacity:.75}.mark{stroke-width:1.8}.mark.hollow{fill:#fff}
"""
_COLOURS = {"bpe": "#0068a8", "kmer": "#c24e00", "logistic": "#00795a", "cnn": "#94377a", "gc": "#7d6200",
            "majority": "#6b7580"}  # fmt: skip


def _look(name: str, row: Row) -> tuple[str, str, bool]:
    """Marker, colour and whether it is hollow: colours are vocabularies and baselines, hollow is from scratch."""
    if row["start"] == "baseline":
        return _LOOK.get(name, ("square", "majority", True))
    colour = row["vocabulary"] if row["vocabulary"] in _COLOURS else "majority"
    return "circle" if row["how"] == "probe" else "square", colour, row["start"] == "scratch"


def picture(rows: Sequence[Row]) -> str:
    """A self-contained SVG: sets from top to bottom, scores from left to right, in the order of the table."""
    sets = list(dict.fromkeys(row["set"] for row in rows))
    names = columns(rows)
    low = min([0.0, *(row["low"] for row in rows if row["low"] is not None)])
    x = linear((max(low, -1.0), 1.0), (LEFT, WIDTH - RIGHT))
    drawn, top = [], TOP
    for one in sets:
        of = {model_of(row): row for row in reversed([row for row in rows if row["set"] == one])}
        metric = next(iter(of.values()))["metric"].upper()
        bottom = top + _APART * (len(of) - 1) + _BETWEEN
        drawn += [text(LEFT - 12, (top + bottom) / 2 + 4, f"{one} ({metric})", "name", "end"),
                  segment(LEFT, bottom, WIDTH - RIGHT, bottom, "grid")]  # fmt: skip
        for number, name in enumerate(name for name in names if name in of):
            drawn.append(_mark(of[name], name, x, top + _BETWEEN / 2 + number * _APART))
        top = bottom
    height = top + BOTTOM
    parts = [_scale(x, low, height), _legend(names, rows), *drawn]
    colours = "".join(
        f".s-{key}{{stroke:{value}}}.s-{key}.mark:not(.hollow){{fill:{value}}}" for key, value in _COLOURS.items()
    )
    white = tag("rect", x=0, y=0, width=WIDTH, height=height, fill="#fff")
    plot = svg_box(WIDTH, height, "plot", "Test scores of all models on all sets",
                    tag("style", Html(_STYLE + colours)), white, *parts)  # fmt: skip
    return plot.replace("<svg ", f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH:g}" height="{height:g}" ', 1)


def _scale(x: Any, low: float, height: float) -> Html:
    base = height - BOTTOM
    parts = []
    for tick in nice_ticks(max(low, -1.0), 1.0, 6):
        parts += [segment(x(tick), TOP, x(tick), base, "grid"), text(x(tick), base + 18, f"{tick:g}", "tick", "middle")]
    said = "test score (the set's metric) and its 95 % interval; 0 is chance, of AUROC 0.5"
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, height - 8, said, "axis-name", "middle"))
    return join(parts)


def _mark(row: Row, name: str, x: Any, y: float) -> Html:
    shape, colour, hollow = _look(name, row)
    style = f"s-{colour}" + (" hollow" if hollow else "")
    said = f"{row['set']}, {name}: {row['test']:.3f}"
    parts = []
    if row["low"] is not None and row["high"] is not None:
        parts.append(segment(x(max(row["low"], -1.0)), y, x(row["high"]), y, f"whisker {style}"))
    return join([*parts, marker(shape, x(row["test"]), y, f"mark {style}", said)])


def _legend(names: Sequence[str], rows: Sequence[Row]) -> Html:
    parts, left, top = [], LEFT, 20.0
    for name in names:
        row = next(row for row in rows if model_of(row) == name)
        shape, colour, hollow = _look(name, row)
        width = 34 + 7.2 * len(name)
        if left + width > WIDTH - RIGHT:
            left, top = LEFT, top + 22
        parts.append(marker(shape, left, top, f"mark s-{colour}" + (" hollow" if hollow else "")))
        parts.append(text(left + 11, top + 4, name, "name"))
        left += width
    return join(parts)
