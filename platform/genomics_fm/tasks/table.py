"""Tables of text (CSV, TSV, plain or compressed) and Parquet files as columns of text, with the line of each value."""

import codecs
import csv
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from genomics_fm.errors import InputError
from genomics_fm.genome import source
from genomics_fm.genome.alphabet import clipped
from genomics_fm.genome.compressed import Damaged

MAX_LINE_BYTES = 16 << 20
"""Longest line of a table; a file without line ends must not fill the memory."""

_DELIMITERS = ("\t", ",")
_FOREIGN_DELIMITERS = (";", "|")
_PARQUET = b"PAR1"
_SHOWN = 12


@dataclass(frozen=True)
class Table:
    """Columns of a file.

    Attributes:
        location: the file.
        names: of all its columns.
        columns: values of those that were kept, without blanks around them; "" where a Parquet file holds null.
        lines: where each row stands, in lines of the file, or rows of a Parquet file, from 1.
        unit: "line" or "row".
    """

    location: str
    names: tuple[str, ...]
    columns: dict[str, list[str]]
    lines: Sequence[int]
    unit: str = "line"

    def __len__(self) -> int:
        return len(self.lines)

    def where(self, row: int) -> str:
        """`file:17` or `file: row 17`."""
        line = self.lines[row]
        return f"{self.location}:{line}" if self.unit == "line" else f"{self.location}: row {line}"

    def error(self, row: int, column: str, what: str) -> InputError:
        """`file:17: column 'label': what is wrong; what to do`."""
        return InputError(f"{self.where(row)}: column {column!r}: {clipped(what)}")

    def column(self, name: str) -> list[str]:
        """Values of a column that must be there.

        Raises:
            InputError: it is not.
        """
        if name not in self.columns:
            raise self.missing(f"no column {name!r}")
        return self.columns[name]

    def missing(self, what: str) -> InputError:
        """An error about the header."""
        names = ", ".join([*map(repr, self.names[:_SHOWN]), *["…"] * (len(self.names) > _SHOWN)])
        return InputError(
            f"{self.location}{':1' if self.unit == 'line' else ''}: {what} (it has {clipped(names)}); "
            "name the columns as the header does, or add the one that is missing"
        )


def read(location: str, wanted: Sequence[str]) -> Table:
    """Read a table whole.

    Args:
        location: CSV or TSV with a header, plain or compressed (gzip, xz, zstd), or Parquet; told apart by content.
        wanted: columns to keep; those that the table does not have are passed over.

    Raises:
        InputError: no such file, no table, or a line that is not one of it; `file:line: what; what to do`.
    """
    first, *rest = stream(location, wanted, sys.maxsize)
    if not rest:
        return first
    pieces = (first, *rest)
    columns = {name: [value for piece in pieces for value in piece.columns[name]] for name in first.columns}
    return Table(location, first.names, columns, [line for piece in pieces for line in piece.lines], first.unit)


def stream(location: str, wanted: Sequence[str], rows: int) -> Iterator[Table]:
    """As `read`, in tables of at most so many rows, one in memory at a time."""
    found = False
    for table in (_stream_parquet if _is_parquet(location) else _stream_text)(location, wanted, rows):
        found = True
        yield table
    if not found:
        raise InputError(f"{location}: a header and no rows; give labelled rows")


def header(location: str, text: str, wanted: Sequence[str]) -> tuple[list[str], str]:
    """Column names of a table's first line, and what separates them.

    Raises:
        InputError: columns separated by something else, or two of one name.
    """
    found = [delimiter for delimiter in _DELIMITERS if delimiter in text]
    if not found and (others := [mark for mark in _FOREIGN_DELIMITERS if mark in text]):
        raise InputError(f"{location}:1: columns separated by {others[0]!r}; save the table with commas or tabs")
    by_names = [(len(set(_fields(location, 1, text, mark)) & set(wanted)), mark) for mark in found or [","]]
    delimiter = max(by_names, key=lambda pair: pair[0])[1]
    names = _fields(location, 1, text, delimiter)
    if repeated := [name for name in dict.fromkeys(names) if name and names.count(name) > 1]:
        raise InputError(f"{location}:1: column {clipped(repeated[0])!r} twice; rename or remove one")
    return names, delimiter


def _is_parquet(location: str) -> bool:
    return location.endswith(".parquet") or source.head(location, len(_PARQUET)) == _PARQUET


def _stream_text(location: str, wanted: Sequence[str], rows: int) -> Iterator[Table]:
    text = ((number, line) for number, line in _lines(location) if line and not line.isspace())
    number, first = next(text, (1, ""))
    if number != 1 or not first:
        raise InputError(f"{location}:1: a blank line; begin the file with the names of its columns")
    names, delimiter = header(location, first, wanted)
    kept = [(place, name) for place, name in enumerate(names) if name in wanted]
    while True:
        columns: dict[str, list[str]] = {name: [] for _, name in kept}
        appends = [(place, columns[name].append) for place, name in kept]
        lines: list[int] = []
        for number, line in itertools.islice(text, rows):
            fields = _fields(location, number, line, delimiter)
            if len(fields) != len(names):
                raise InputError(
                    f"{location}:{number}: {len(fields)} columns under a header of {len(names)}; mend the line, "
                    "and put a value that holds a separator in quotes"
                )
            lines.append(number)
            for place, append in appends:
                append(fields[place])
        if not lines:
            return
        yield Table(location, tuple(names), columns, lines)


def _fields(location: str, number: int, line: str, delimiter: str) -> list[str]:
    if '"' not in line:
        return [field.strip() for field in line.split(delimiter)]
    try:
        return [field.strip() for field in next(csv.reader([line], delimiter=delimiter, strict=True))]
    except csv.Error as error:
        raise InputError(f"{location}:{number}: quotes that do not close ({error}); keep a row on one line") from error


def _lines(location: str) -> Iterator[tuple[int, str]]:
    """(number from 1, text) of every line."""
    number, held = 0, b""
    if source.head(location, len(codecs.BOM_UTF8)) == codecs.BOM_UTF8:
        raise InputError(f"{location}:1: a byte order mark (Excel's “CSV UTF-8”); save it as plain CSV")
    try:
        for piece in source.chunks(location):
            *whole, held = (held + piece).split(b"\n")
            for line in whole:
                number += 1
                yield number, _decoded(location, number, line)
            if len(held) > MAX_LINE_BYTES:
                raise InputError(f"{location}:{number + 1}: a line of more than {MAX_LINE_BYTES >> 20} MiB; no table?")
    except Damaged as error:
        raise InputError(f"{location}:{number + 1}: {error}") from error
    if held:
        yield number + 1, _decoded(location, number + 1, held)


def _decoded(location: str, number: int, line: bytes) -> str:
    if b"\0" in line:
        raise InputError(f"{location}:{number}: a NUL byte, so no text; give CSV, TSV or Parquet")
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        byte = line[error.start]
        raise InputError(
            f"{location}:{number}: byte 0x{byte:02x} is no UTF-8 text; save the table as CSV in UTF-8"
        ) from error


def _stream_parquet(location: str, wanted: Sequence[str], rows: int) -> Iterator[Table]:
    if not Path(location).is_file():
        raise InputError(f"{location}: no such file; check the path")
    try:
        with pq.ParquetFile(location) as file:
            names, total = tuple(file.schema_arrow.names), file.metadata.num_rows
            kept = [name for name in names if name in wanted]
            if not kept and total:
                yield Table(location, names, {}, range(1, total + 1), "row")
                return
            done = 0
            for batch in file.iter_batches(min(rows, max(total, 1)), columns=kept):
                columns = {name: _as_text(location, name, batch[name]) for name in kept}
                yield Table(location, names, columns, range(done + 1, done + len(batch) + 1), "row")
                done += len(batch)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{location}: not readable as Parquet; write it again, or give CSV") from error


def _as_text(location: str, name: str, column: pa.Array) -> list[str]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _as_text(location, name, column.cast(kind.value_type))
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or _is_text(kind)):
        raise InputError(f"{location}: column {name!r} holds {kind}; give text or numbers, a column a target")
    return ["" if value is None else str(value).strip() for value in column.to_pylist()]


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
