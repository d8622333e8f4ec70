"""The plots of a corpus page: sizes of genomes and GC of windows, a row a clade, drawn wide and narrow."""

import math
from collections import Counter
from collections.abc import Sequence

from genomics_fm.corpus.composition import Group
from genomics_fm.report.markup import Html, count, svg_box, tag
from genomics_fm.report.svg import Frame, Scale, axes, linear, log_ticks, logarithmic, nice_ticks, segment, short, text

ROW_PX = 40.0
AXIS_PX = 50.0
TOP_PX = 10.0
RIDGE_PX = 34.0
"""Height of a ridge at its highest, a little less than a row."""
JITTER_PX = 22.0
GOLDEN = 0.6180339887
"""Multiples of it, modulo 1, keep neighbours in a row apart without a pattern."""
LABEL_LETTERS = 14
DECADE_TICKS = 14
"""More ticks than this at 1, 2 and 5 are too many for the width; then decades alone."""


def frame(rows: int, wide: bool) -> Frame:
    height = TOP_PX + rows * ROW_PX + AXIS_PX
    width, left = (940, 128) if wide else (380, 100)
    return Frame(width=width, height=height, left=left, right=18, top=TOP_PX, bottom=AXIS_PX)


def sizes(species: Sequence[Group], clades: Sequence[Group], wide: bool) -> Html | None:
    """A dot a species: nucleotides kept, on a logarithmic scale, in the row of its clade; None for one alone."""
    shown = [group for group in species if group.kept > 0]
    if len(shown) < 2:
        return None
    within = frame(len(clades), wide)
    low, high = min(group.kept for group in shown), max(group.kept for group in shown)
    domain = (low / 1.5, high * 1.5)
    x = logarithmic(domain, (within.left, within.x_end))
    rows = _rows(within, clades)
    dots = []
    for number, group in enumerate(shown):
        y = rows[group.clade] + ((number * GOLDEN) % 1 - 0.5) * JITTER_PX
        title = tag("title", f"{group.name}: {group.kept:,} nt")
        dots.append(tag("circle", title, cx=f"{x(group.kept):.1f}", cy=f"{y:.1f}", r=4.5, class_="species"))
    ticks = log_ticks(*domain)
    if len(ticks) > DECADE_TICKS or not wide:
        ticks = [tick for tick in ticks if math.isclose(math.log10(tick), round(math.log10(tick)))] or ticks[:2]
    name = "nucleotides kept of a species (log scale)"
    base = _base(within, clades, rows, [(x(tick), short(tick)) for tick in ticks], name)
    said = f"Nucleotides kept of {len(shown)} species in {len(clades)} clades, from {count(low)} to {count(high)}."
    return svg_box(within.width, within.height, _class(wide), said, base, *dots)


def gc(clades: Sequence[Group], wide: bool) -> Html | None:
    """A ridge a clade: its windows by GC, each as high as its highest; None where nothing was counted."""
    shown = [group for group in clades if group.gc_percent]
    if not shown:
        return None
    within = frame(len(shown), wide)
    everywhere = [percent for group in shown for percent in group.gc_percent]
    low, high = max(0, min(everywhere) - 2), min(100, max(everywhere) + 2)
    x = linear((low, high), (within.left, within.x_end))
    rows = {clade: y + ROW_PX / 2 for clade, y in _rows(within, shown).items()}
    ridges = [_ridge(group, x, rows[group.clade]) for group in shown]
    ticks = [(x(tick), f"{tick:g}") for tick in nice_ticks(low, high, 8 if wide else 4)]
    base = _base(within, shown, rows, ticks, "GC of a window, per cent")
    said = "Windows by GC: " + ", ".join(f"{group.name} mostly {_mode(group.gc_percent)} per cent" for group in shown)
    return svg_box(within.width, within.height, _class(wide), said + ".", base, *ridges)


def _ridge(group: Group, x: Scale, baseline: float) -> Html:
    """Steps one per cent wide, centred on the value."""
    highest = max(group.gc_percent.values())
    points = []
    for percent in range(min(group.gc_percent), max(group.gc_percent) + 1):
        y = baseline - RIDGE_PX * group.gc_percent[percent] / highest
        points += [(x(percent - 0.5), y), (x(percent + 0.5), y)]
    closed = [(points[0][0], baseline), *points, (points[-1][0], baseline)]
    title = tag("title", f"{group.name}: {sum(group.gc_percent.values()):,} windows")
    return tag("polygon", title, points=" ".join(f"{a:.1f},{b:.1f}" for a, b in closed), class_="ridge")


def _mode(histogram: Counter[int]) -> int:
    return max(sorted(histogram), key=histogram.__getitem__)


def _rows(within: Frame, clades: Sequence[Group]) -> dict[str, float]:
    """Middle of each clade's row."""
    return {group.clade: within.top + (number + 0.5) * ROW_PX for number, group in enumerate(clades)}


def _base(
    within: Frame, clades: Sequence[Group], rows: dict[str, float], ticks: Sequence[tuple[float, str]], name: str
) -> Html:
    """Axes, clade names, and a faint line for each tick."""
    y_ticks = [(rows[group.clade], _clipped(group.name)) for group in clades]
    grid = [segment(at, within.top, at, within.y_end, "grid") for at, _ in ticks]
    bare = [text(within.left - 8, y + 4, words, "label", "end") for y, words in y_ticks]
    lines = [segment(within.left, y, within.x_end, y, "grid") for y, _ in y_ticks]
    return tag("g", *grid, *lines, *bare, axes(within, ticks, (), (name, "")))


def _clipped(name: str) -> str:
    return name if len(name) <= LABEL_LETTERS else name[: LABEL_LETTERS - 1] + "…"


def _class(wide: bool) -> str:
    return "plot wide" if wide else "plot narrow"
