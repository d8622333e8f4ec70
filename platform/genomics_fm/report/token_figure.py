"""Tokens of a sequence as a figure: boxes on base coordinates, what is hidden shaded. Lengths are inches.

Letters are drawn as outlines at exact places, so that PNG and SVG agree and every letter stands over its base.
"""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path as Outline
from matplotlib.text import Text
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

from genomics_fm.report.token_tracks import SELECTED, State, Track

LINE_BP = 100
BASE, LETTER = 0.087, 0.135
"""Width of a base and size of its letter."""
GUTTER, MARGIN, HEADING, COUNTS, LEGEND = 0.95, 0.12, 0.20, 0.19, 0.30
RULER_STEP, RULER, SEQUENCE, GAP = 10, 0.17, 0.19, 0.20
BOX, STAIR, SEEN, TRACK_GAP = 0.22, 0.075, 0.19, 0.10
"""Height of a token's box, of one of k rows of overlapping tokens, of the bases left to read."""
NAME_SHIFT, NAME_LETTERS = 0.065, 11
SWATCH = (0.26, 0.14)
PNG_DPI = 170

INK, SOFT, HIDDEN = "#1b1f24", "#55606b", "#ffe9b8"
TINTS = ("#cfe3f3", "#f9d8c2", "#cfe9df", "#ecd3e3", "#ece3bd", "#dde1e6")
"""Tokens that are shown as they are, by vocabulary; the report page's colours, lightened."""
LOOKS = {
    State.MASK: ("#33393f", "#33393f", ""),
    State.RANDOM: ("#ffffff", "#b3261e", "//////"),
    State.KEPT: ("#ffffff", "#00795a", ""),
    State.UNKNOWN: ("#eceef0", "#98a3ad", "xxxx"),
}
"""Face, edge and hatch of tokens that are not shown as they are: told apart without colour too."""
EDGE_POINTS = 0.8
LEGEND_WORDS = (
    (State.VISIBLE, "shown as it is"),
    (State.MASK, "[MASK]"),
    (State.RANDOM, "replaced by another piece"),
    (State.KEPT, "to be predicted, left as it is"),
    (State.UNKNOWN, "[UNK]"),
)
SVG_SALT = "genomics-fm tokens"
"""Makes the ids inside an SVG the same at every call."""


@dataclass(frozen=True)
class _Line:
    """The bases [begin, end) that stand side by side, from `top` downwards."""

    begin: int
    end: int
    top: float

    def x(self, base: float) -> float:
        return GUTTER + (base - self.begin) * BASE


def figure_bytes(sequence: str, tracks: Sequence[Track], start: int, heading: str, suffix: str) -> bytes:
    """The figure as a file, the same bytes at every call.

    Args:
        sequence: upper-case ACGTN.
        tracks: of this sequence, one a vocabulary.
        start: coordinate of the first base.
        heading: what is shown, in a line.
        suffix: `png` or `svg`.
    """
    out = io.BytesIO()
    with rc_context({"svg.hashsalt": SVG_SALT, "hatch.linewidth": 0.6}):
        figure = token_figure(sequence, tracks, start, heading)
        figure.savefig(out, format=suffix, dpi=PNG_DPI, metadata={"Date": None} if suffix == "svg" else None)
    return out.getvalue()


def token_figure(sequence: str, tracks: Sequence[Track], start: int, heading: str) -> Figure:
    """Lines of `LINE_BP` bases: coordinates, letters, then each vocabulary's tokens and what it leaves to read."""
    line_height = RULER + SEQUENCE + sum(_height(track) for track in tracks) + GAP
    number_of_lines = -(-len(sequence) // LINE_BP)
    head = HEADING + (len(tracks) + 1) * COUNTS + LEGEND
    width, height = GUTTER + LINE_BP * BASE + MARGIN, head + number_of_lines * line_height
    figure = Figure(figsize=(width, height), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    _legend(axes, _header(axes, tracks, heading), any(track.overlap > 1 for track in tracks))
    lines = [
        _Line(begin, min(begin + LINE_BP, len(sequence)), head + number * line_height)
        for number, begin in enumerate(range(0, len(sequence), LINE_BP))
    ]
    for line in lines:
        _coordinates(axes, line, start)
        top = line.top + RULER
        _letters(axes, line, sequence, top + SEQUENCE / 2)
        top += SEQUENCE
        for number, track in enumerate(tracks):
            draw = _stairs if track.overlap > 1 else _boxes
            draw(axes, line, track, sequence, top, TINTS[number % len(TINTS)])
            top += _height(track)
    return figure


def _height(track: Track) -> float:
    return (track.overlap * STAIR + SEEN if track.overlap > 1 else BOX) + TRACK_GAP


def _header(axes: Axes, tracks: Sequence[Track], heading: str) -> float:
    """What is shown and a line of counts a vocabulary; returns where they end."""
    _text(axes, MARGIN, HEADING, heading, 10.5, fontweight="bold")
    y = HEADING
    for track in tracks:
        y += COUNTS
        tokens, bases = len(track.states_T), track.bases_that_are(*SELECTED) / max(track.bases, 1)
        words = f"{tokens:,} tokens, {track.nt_per_token} nt each, {bases:.1%} of bases to predict"
        _text(axes, MARGIN, y, f"{track.name}: {words}", 8.2, color=SOFT)
    return y + COUNTS


def _legend(axes: Axes, top: float, in_runs: bool) -> None:
    """The looks of tokens; `in_runs` also the colour of bases hidden by runs of overlapping tokens."""
    x, (width, height) = MARGIN, SWATCH
    entries = [(state, TINTS[0], words) for state, words in LEGEND_WORDS]
    if in_runs:
        entries.append((State.VISIBLE, HIDDEN, "bases to predict, under a run"))
    for state, tint, words in entries:
        _patches(axes, [_box(x, top, width, height)], state, tint)
        drawn = _text(axes, x + width + 0.06, top + height / 2, words, 8)
        x += width + 0.22 + drawn.get_window_extent().width / drawn.figure.dpi


def _coordinates(axes: Axes, line: _Line, start: int) -> None:
    first = -(start + line.begin) % RULER_STEP
    for base in range(line.begin + first, line.end, RULER_STEP):
        x = line.x(base + 0.5)
        _text(axes, x, line.top + 0.05, f"{start + base:,}", 6.8, color=SOFT, ha="center")
        axes.plot([x, x], [line.top + 0.11, line.top + RULER], color=SOFT, linewidth=0.6)


def _text(axes: Axes, x: float, y: float, words: str, points: float, **more: Any) -> Text:
    """Words as they are (a $ in a name is no formula), their middle at y."""
    return axes.text(x, y, words, **{"fontsize": points, "color": INK, "va": "center", "parse_math": False, **more})


def _boxes(axes: Axes, line: _Line, track: Track, sequence: str, top: float, tint: str) -> None:
    """Tokens side by side, with what is left to read inside."""
    _name(axes, track, top + BOX / 2)
    _tokens(axes, line, track, lambda _: top, BOX, tint)
    _letters(axes, line, track.seen(sequence), top + BOX / 2)


def _stairs(axes: Axes, line: _Line, track: Track, sequence: str, top: float, tint: str) -> None:
    """Overlapping tokens in k rows, each a row below the one before, with what is left to read underneath."""
    stairs = track.overlap * STAIR
    _name(axes, track, top + stairs / 2)
    runs = [
        _box(line.x(base), top, BASE, stairs + SEEN, 0.0)
        for base in range(line.begin, line.end)
        if track.base_states[base] in SELECTED
    ]
    _patches(axes, runs, State.VISIBLE, HIDDEN)
    _tokens(axes, line, track, lambda token: top + token % track.overlap * STAIR, STAIR, tint)
    _letters(axes, line, track.seen(sequence), top + stairs + SEEN / 2)


def _name(axes: Axes, track: Track, y: float) -> None:
    name = track.name if len(track.name) <= NAME_LETTERS else f"{track.name[: NAME_LETTERS - 1]}…"
    _text(axes, GUTTER - 0.1, y - NAME_SHIFT, name, 8.5, fontweight="bold", ha="right")
    _text(axes, GUTTER - 0.1, y + NAME_SHIFT, track.title, 6.5, color=SOFT, ha="right")


def _tokens(axes: Axes, line: _Line, track: Track, top_of: Callable[[int], float], height: float, tint: str) -> None:
    """The parts of tokens that lie in a line, as boxes in the look of their state."""
    boxes: dict[State, list[Rectangle]] = {}
    for token, ((begin, end), state) in enumerate(
        zip(track.intervals_T2.tolist(), track.states_T.tolist(), strict=True)
    ):
        left, right = max(begin, line.begin), min(end, line.end)
        if left < right:
            box = _box(line.x(left), top_of(token), (right - left) * BASE, height)
            boxes.setdefault(State(state), []).append(box)
    for state, drawn in boxes.items():
        _patches(axes, drawn, state, tint)


def _box(x: float, y: float, width: float, height: float, inset: float = 0.008) -> Rectangle:
    return Rectangle((x + inset, y + inset), width - 2 * inset, height - 2 * inset)


def _patches(axes: Axes, boxes: Iterable[Rectangle], state: State, tint: str) -> None:
    """Add boxes in the look of a state; `tint` is that of what is shown as it is."""
    face, edge, hatch = LOOKS.get(state, (tint, "none", ""))
    axes.add_collection(
        PatchCollection(list(boxes), facecolor=face, edgecolor=edge, hatch=hatch or None, linewidth=EDGE_POINTS)
    )


def _letters(axes: Axes, line: _Line, letters: str, middle: float) -> None:
    """The letters of a line as one outline; what is hidden by [MASK] has none."""
    outlines = [
        _outline(letter).transformed(Affine2D().translate(line.x(base), middle))
        for base, letter in enumerate(letters[line.begin : line.end], line.begin)
        if letter != "▒"
    ]
    if outlines:
        axes.add_patch(PathPatch(Outline.make_compound_path(*outlines), facecolor=INK, linewidth=0))


@cache
def _outline(letter: str) -> Outline:
    """A letter in the middle of a base's width, its capitals' middle at y = 0, y downwards."""
    font = FontProperties(family="DejaVu Sans Mono")
    raw = TextPath((0, 0), letter, size=LETTER, prop=font)
    capital = TextPath((0, 0), "H", size=LETTER, prop=font).get_extents()
    middle = raw.get_extents()
    shift = Affine2D().translate(BASE / 2 - (middle.x0 + middle.x1) / 2, -(capital.y0 + capital.y1) / 2)
    return (shift + Affine2D().scale(1, -1)).transform_path(raw)
