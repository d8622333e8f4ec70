"""Large tables of genome registries, a piece at a time: every line is checked before any of it is used."""

import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl

from genomics_fm.errors import InputError

CHUNK_BYTES = 16 << 20
MAX_LINE_BYTES = 1 << 20
_GZIP = b"\x1f\x8b"
_LOOKED_AT = 100  # bytes in which an HTML page shows itself
_TAB, _LINE_FEED = 9, 10
_NOT_CONTROL = bytes(sorted({*range(256)} - {*range(32), 127} | {_TAB, _LINE_FEED}))
Report = Callable[[str, int], None]


@dataclass(frozen=True)
class Layout:
    """What a kind of table looks like.

    Attributes:
        columns: those wanted.
        names: the first columns of a table without a header line; empty when a `#` line names them all.
        patterns: regular expressions that values of a column match, and what to say of one that does not.
        normalise: (whole lines, number of columns) to lines whose cells are separated by one tab.
        example: a file of this kind, for messages.
    """

    columns: Sequence[str]
    names: Sequence[str]
    patterns: dict[str, tuple[str, str]]
    normalise: Callable[[bytes, int], bytes]
    example: str


def read_pieces(location: str, layout: Layout, report: Report | None = None) -> Iterator[pl.DataFrame]:
    """Pieces of a table with the wanted columns as text, in order; memory is bounded by the piece.

    Args:
        location: a local file, plain or gzip.
        layout: what it looks like.
        report: called with the location and the lines read so far.

    Raises:
        InputError: not such a table; names the line.
    """
    names: list[str] = []
    first_line = 1
    for lines in _chunks(location, layout):
        if not names and not layout.names:
            names, lines, first_line = _header(lines, location, layout)
        lines = layout.normalise(lines, len(names))
        names = names or _first_names(lines, location, layout)
        count = _check_lines(lines, location, first_line, len(names))
        if count:
            frame = _frame(lines, names, layout)
            _check_values(frame, location, first_line, layout)
            yield frame
        first_line += count
        if report:
            report(location, first_line - 1)


def _chunks(location: str, layout: Layout) -> Iterator[bytes]:
    """Whole lines, each ended by LF."""
    pending = b""
    seen = False
    try:
        with _open(location) as file:
            while chunk := file.read(CHUNK_BYTES):
                if not seen and chunk[:_LOOKED_AT].lstrip()[:1] == b"<":
                    raise InputError(f"{location}:1: an HTML or XML page; download {layout.example} itself")
                seen = True
                whole, end, rest = (pending + chunk).rpartition(b"\n")
                if len(rest) > MAX_LINE_BYTES:
                    raise InputError(f"{location}: a line of more than {MAX_LINE_BYTES:,} bytes; give {layout.example}")
                pending = rest
                if end:
                    yield (whole + end).replace(b"\r\n", b"\n")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{location}: the gzip data are damaged or cut short; fetch the file again") from error
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{location}: {said.lower()}; give {layout.example}") from error
    if not seen:
        raise InputError(f"{location}:1: the file is empty; give {layout.example}")
    if pending:
        yield pending.removesuffix(b"\r") + b"\n"


def _open(location: str) -> IO[bytes]:
    with Path(location).open("rb") as file:
        packed = file.read(len(_GZIP)) == _GZIP
    return gzip.open(location, "rb") if packed else Path(location).open("rb")  # type: ignore[return-value]


def _header(lines: bytes, location: str, layout: Layout) -> tuple[list[str], bytes, int]:
    """Column names of the last `#` line at the top, the lines below it, and the number of the first of them."""
    number, begin, header = 0, 0, b""
    while lines[begin : begin + 1] == b"#":
        end = lines.find(b"\n", begin)
        header, begin, number = lines[begin + 1 : end], end + 1, number + 1
    if not header:
        raise InputError(f"{location}:1: no header line that begins with #; give {layout.example} as it is published")
    names = [name.strip() for name in header.decode(errors="replace").split("\t")]
    for column in layout.columns:
        if names.count(column) != 1:
            raise InputError(f"{location}:{number}: no column {column}; give {layout.example} as it is published today")
    return names, lines[begin:], number + 1


def _first_names(lines: bytes, location: str, layout: Layout) -> list[str]:
    """Names of as many columns as the first line has; those that the layout does not name are numbered."""
    columns = lines[: lines.find(b"\n")].count(b"\t") + 1
    if columns < len(layout.names):
        raise InputError(f"{location}:1: {columns} columns, fewer than {len(layout.names)}; give {layout.example}")
    return [*layout.names, *(f"column {place}" for place in range(len(layout.names), columns))]


def _check_lines(lines: bytes, location: str, first_line: int, columns: int) -> int:
    """Refuse control characters, what is not UTF-8, and lines of another number of cells; counts the lines."""
    if control := lines.translate(None, _NOT_CONTROL):
        line = first_line + lines.count(b"\n", 0, lines.find(control[:1]))
        raise InputError(f"{location}:{line}: the control character {control[0]:#04x}; fetch the file again")
    if not lines.isascii():
        try:
            lines.decode()
        except UnicodeDecodeError as error:
            line = first_line + lines.count(b"\n", 0, error.start)
            raise InputError(f"{location}:{line}: not UTF-8; fetch the file again") from error
    letters = np.frombuffer(lines, np.uint8)
    ends = np.flatnonzero(letters == _LINE_FEED)
    tabs = np.diff(np.searchsorted(np.flatnonzero(letters == _TAB), ends), prepend=0)
    wrong = np.flatnonzero(tabs != columns - 1)
    if wrong.size:
        cells = tabs[wrong[0]] + 1
        raise InputError(
            f"{location}:{first_line + wrong[0]}: {cells} columns instead of {columns}; fetch the file again"
        )
    return int(ends.size)


def _frame(lines: bytes, names: list[str], layout: Layout) -> pl.DataFrame:
    places = sorted(names.index(column) for column in layout.columns)
    frame = pl.read_csv(
        lines,
        separator="\t",
        has_header=False,
        quote_char=None,
        infer_schema=False,
        empty_string_is_null=False,
        columns=places,
    )
    frame.columns = [names[place] for place in places]
    return frame


def _check_values(frame: pl.DataFrame, location: str, first_line: int, layout: Layout) -> None:
    for column, (pattern, what) in layout.patterns.items():
        wrong = (~frame[column].str.contains(pattern)).arg_true()
        if len(wrong):
            value = frame[column][wrong[0]][:60]
            raise InputError(
                f"{location}:{first_line + wrong[0]}: {column} {value!r} is not {what}; fetch the file again"
            )
