"""Tokens of a sequence in a terminal, one column a base; colour only where the terminal has it."""

from collections.abc import Sequence

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from genomics_fm.report.token_tracks import SELECTED, SIGNS, State, Track

RULER_STEP = 10
GUTTER_MAX = 12
NAME_COLUMN, COUNT_COLUMN = 20, 18
"""Columns of the table of counts; where they do not fit beside each other, there are several tables."""
LETTERS_MIN = 10
"""Bases a line on the narrowest terminal."""
DOCUMENT_LINES = 2
SEEN = " sees"
"""Before what the model is left to read."""

STYLES = {
    State.VISIBLE: "",
    State.KEPT: "bold green",
    State.RANDOM: "bold red",
    State.MASK: "yellow",
    State.UNKNOWN: "dim",
}
MARKS = {State.VISIBLE: "·", State.KEPT: "K", State.RANDOM: "R", State.MASK: "M", State.UNKNOWN: "u"}
LEGEND = (
    (State.MASK, SIGNS[State.MASK], "hidden by [MASK]"),
    (State.RANDOM, SIGNS[State.RANDOM], "replaced by another piece"),
    (State.KEPT, "acgt", "to be predicted, left as it is"),
    (State.UNKNOWN, SIGNS[State.UNKNOWN], "no known token covers it"),
)


def print_tokens(console: Console, sequence: str, tracks: Sequence[Track], start: int) -> None:
    """Print a sequence with its tokens, a legend and the counts.

    Args:
        console: its width decides how many bases stand in a line.
        sequence: upper-case ACGTN.
        tracks: of this sequence, one a vocabulary.
        start: coordinate of the first base.
    """
    gutter = min(max(len(track.name) for track in tracks), GUTTER_MAX) + 2
    gutter = max(gutter, len(SEEN) + 1)
    room = max((console.width - gutter) // RULER_STEP * RULER_STEP, LETTERS_MIN)
    drawn = [(track, _token_line(track), _styled(list(track.seen(sequence)), track.base_states)) for track in tracks]
    for begin in range(0, len(sequence), room):
        part = slice(begin, min(begin + room, len(sequence)))
        _line(console, gutter, "", Text(ruler(start + part.start, part.stop - part.start), style="dim"))
        _line(console, gutter, "", Text(sequence[part]))
        for track, tokens, seen in drawn:
            _line(console, gutter, track.name, tokens[part])
            _line(console, gutter, SEEN, seen[part])
        console.print()
    for track in tracks:
        _document(console, gutter, track)
    console.print()
    console.print(_legend(tracks))
    beside = max((console.width - NAME_COLUMN) // COUNT_COLUMN, 1)
    for begin in range(0, len(tracks), beside):
        console.print(counts_table(tracks[begin : begin + beside]))


def ruler(start: int, width: int) -> str:
    """Coordinates, each with its first digit over its base; a later one that does not fit is left out."""
    made = f"{start:,}"
    for position in range(start + RULER_STEP, start + width, RULER_STEP):
        column, label = position - start, f"{position:,}"
        if len(made) < column and column + len(label) <= width:
            made = f"{made:<{column}}{label}"
    return made


def _line(console: Console, gutter: int, name: str, content: Text) -> None:
    shown = name if len(name) < gutter else name[: gutter - 2] + "…"
    console.print(Text(f"{shown:<{gutter}}") + content, no_wrap=True, overflow="crop", crop=False)


def _token_line(track: Track) -> Text:
    """Tokens that stand side by side as ├──┤; of tokens that overlap a mark where each begins."""
    letters = [" "] * track.bases
    states_L = np.full(track.bases, State.VISIBLE, dtype=np.int8)
    for (begin, end), state in zip(track.intervals_T2.tolist(), track.states_T.tolist(), strict=True):
        if track.overlap > 1:
            letters[begin], states_L[begin] = MARKS[State(state)], state
        else:
            letters[begin:end] = bracket(end - begin)
            states_L[begin:end] = state
    return _styled(letters, states_L)


def bracket(width: int) -> str:
    return "│" if width == 1 else "├" + "─" * (width - 2) + "┤"


def _styled(letters: Sequence[str], states_L: np.ndarray) -> Text:
    """Letters in the style of their state, a span a run."""
    made = Text("".join(letters))
    edges = np.flatnonzero(np.diff(states_L, prepend=-1, append=-1))
    for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        made.stylize(STYLES[State(states_L[begin])], begin, end)
    return made


def _document(console: Console, gutter: int, track: Track) -> None:
    """The tokens of the document with their ids, as many as fit in `DOCUMENT_LINES` lines."""
    *words, end = (f"{token} {number}" for token, number in track.document)
    room = console.width - gutter
    lines = [""]
    for number, word in enumerate(words):
        closing = f"{end}" if number == len(words) - 1 else f"…  {end}"
        last_line = len(lines) == DOCUMENT_LINES
        if len(lines[-1]) + len(word) + (2 + len(closing)) * last_line > room:
            if last_line:
                lines[-1] += "…  "
                break
            lines.append("")
        lines[-1] += f"{word}  "
    lines[-1] += end
    for number, line in enumerate(lines):
        _line(console, gutter, "" if number else track.name, Text(line, style="dim"))


def _legend(tracks: Sequence[Track]) -> Text:
    """The signs that occur, in one line."""
    present = {State(state) for track in tracks for state in np.unique(track.base_states).tolist()}
    made = Text()
    for state, sign, words in LEGEND:
        if state in present:
            made.append(sign, style=STYLES[state]).append(f" {words}   ")
    if any(track.overlap > 1 for track in tracks):
        made.append("· M R K u tokens that begin here: shown, masked, replaced, kept, unknown")
    return made


def counts_table(tracks: Sequence[Track]) -> Table:
    """Tokens and bases by vocabulary, a column each."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("", no_wrap=True)
    for track in tracks:
        made.add_column(track.name, justify="right")
    for name, cells in counts(tracks):
        made.add_row(name, *cells)
    return made


def counts(tracks: Sequence[Track]) -> list[tuple[str, list[str]]]:
    """What is counted, by its name: one cell a vocabulary."""

    def share(part: int, whole: int) -> str:
        return f"{part:,} ({part / max(whole, 1):.1%})"

    def fates(track: Track) -> str:
        return "/".join(str(track.tokens_that_are(state)) for state in (State.MASK, State.RANDOM, State.KEPT))

    tokens = [len(track.states_T) for track in tracks]
    return [
        ("kind", [track.title for track in tracks]),
        ("tokens", [f"{number:,}" for number in tokens]),
        ("nt a token", [track.nt_per_token for track in tracks]),
        ("[UNK]", [f"{track.tokens_that_are(State.UNKNOWN):,}" for track in tracks]),
        (
            "tokens to predict",
            [share(t.tokens_that_are(*SELECTED), n) for t, n in zip(tracks, tokens, strict=True)],
        ),
        ("mask/random/kept", [fates(track) for track in tracks]),
        ("bases to predict", [share(track.bases_that_are(*SELECTED), track.bases) for track in tracks]),
        ("of these left as is", [f"{track.bases_that_are(State.KEPT):,}" for track in tracks]),
    ]
