"""Rows of a source list as they are written: TSV or YAML to cells, every cell with its place in the file."""

import difflib
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from genomics_fm.errors import InputError

YAML_SUFFIXES = (".yaml", ".yml")
MAX_LIST_BYTES = 64 << 20
"""A million rows; what is larger is some other file."""
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")
_LIST_COLUMN = "exclude_contigs"


@dataclass(frozen=True)
class Cell:
    """A value as written, without the blanks around it, and `file:line:column` of its first character."""

    text: str
    place: str


@dataclass(frozen=True)
class Row:
    """The cells of one source by column name; absent and empty ones are left out."""

    cells: dict[str, Cell]
    place: str


def read_rows(location: str, columns: Sequence[str]) -> list[Row]:
    """Rows of a list; YAML by its suffix, else TSV.

    Args:
        location: a local file.
        columns: the names that are known.

    Raises:
        InputError: unreadable, not UTF-8, empty, or not of the form; names the place.
    """
    text = _read_text(location)
    if Path(location).suffix.lower() in YAML_SUFFIXES:
        rows = list(_yaml_rows(text, location, columns))
    else:
        rows = list(_tsv_rows(text, location, columns))
    if not rows:
        raise InputError(f"{location}:1: the list names no source; add a row for each file")
    return rows


def refuse_invisible(text: str, location: str, line: int, first_column: int = 1) -> None:
    """Refuse control characters, tabs too, marks that no editor shows, and blanks that only look like one."""
    if text.isprintable():
        return
    for column, letter in enumerate(text, first_column):
        if letter != " " and unicodedata.category(letter) in _INVISIBLE:
            raise InputError(f"{location}:{line}:{column}: the invisible character U+{ord(letter):04X}; remove it")


def _read_text(location: str) -> str:
    path = Path(location)
    if path.is_dir():
        raise InputError(f"{location}: a folder; name a source list")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_LIST_BYTES + 1)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{location}: {said.lower()}; name a source list") from error
    if len(data) > MAX_LIST_BYTES:
        raise InputError(f"{location}: larger than {MAX_LIST_BYTES >> 20} MiB; name a source list, not a genome")
    if data.startswith(_BYTE_ORDER_MARKS):
        raise InputError(f"{location}:1:1: begins with a byte order mark; save the list as plain UTF-8")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise InputError(f"{location}:{line}:{column}: not UTF-8; save the list as plain UTF-8") from error
    if not text.strip():
        raise InputError(f"{location}:1: the file is empty; write a header line and a row for each file")
    return text.replace("\r\n", "\n")


def _tsv_rows(text: str, location: str, columns: Sequence[str]) -> Iterator[Row]:
    header: list[str] = []
    for line, written in enumerate(text.split("\n"), 1):
        cells = list(_tsv_cells(written, location, line))
        if written.startswith("#") or not written.strip():
            continue
        if not header:
            _check_names(cells, columns)
            header = [cell.text for cell in cells]
            continue
        if len(cells) != len(header):
            raise InputError(
                f"{location}:{line}: {len(cells)} columns, the header has {len(header)}; "
                "separate them by one tab each, and keep the tabs of empty ones"
            )
        named = zip(header, cells, strict=True)
        yield Row({name: cell for name, cell in named if cell.text}, f"{location}:{line}")


def _tsv_cells(written: str, location: str, line: int) -> Iterator[Cell]:
    column = 1
    for part in written.split("\t"):
        refuse_invisible(part, location, line, column)
        yield Cell(part.strip(), f"{location}:{line}:{column + len(part) - len(part.lstrip())}")
        column += len(part) + 1


def _check_names(cells: Iterable[Cell], columns: Sequence[str]) -> None:
    """Refuse unknown column names, naming the nearest, and repeated ones."""
    seen = set()
    for cell in cells:
        if cell.text not in columns:
            near = difflib.get_close_matches(cell.text.lower(), columns, n=1, cutoff=0.5)
            cure = f"did you mean {near[0]}?" if near else f"the columns are {', '.join(columns)}"
            raise InputError(f"{cell.place}: unknown column {cell.text[:80]!r}; {cure}")
        if cell.text in seen:
            raise InputError(f"{cell.place}: a second column {cell.text}; keep one")
        seen.add(cell.text)


def _yaml_rows(text: str, location: str, columns: Sequence[str]) -> Iterator[Row]:
    for line, written in enumerate(text.split("\n"), 1):
        refuse_invisible(written.replace("\t", " "), location, line)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = _marked(location, mark) if mark else f"{location}:1"
        raise InputError(f"{place}: not YAML: {error.problem or error.context}; mend the list") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        said = str(error).splitlines()[0] if str(error) else "cannot be read"
        raise InputError(f"{location}:1: not YAML: {said}; write a list of mappings") from error
    if not isinstance(root, yaml.SequenceNode):
        place = _marked(location, root.start_mark) if root else f"{location}:1"
        raise InputError(f"{place}: not a list; write one item a source: `- location: …`")
    for item in root.value:
        yield _yaml_row(item, location, columns)


def _yaml_row(item: yaml.Node, location: str, columns: Sequence[str]) -> Row:
    place = _marked(location, item.start_mark)
    if not isinstance(item, yaml.MappingNode):
        raise InputError(f"{place}: not a mapping; write `- location: …` and the other names below it")
    names = [_yaml_cell(name, location) for name, _ in item.value]
    _check_names(names, columns)
    cells = {}
    for name, (_, node) in zip(names, item.value, strict=True):
        cell = _yaml_list(node, location) if name.text == _LIST_COLUMN else _yaml_cell(node, location)
        if cell.text:
            cells[name.text] = cell
    return Row(cells, place)


def _yaml_cell(node: yaml.Node, location: str) -> Cell:
    """A scalar as it is written, so that `no` stays a word; null is empty."""
    place = _marked(location, node.start_mark)
    if not isinstance(node, yaml.ScalarNode):
        raise InputError(f"{place}: not a single value; write one value here")
    value = "" if node.tag == "tag:yaml.org,2002:null" else node.value
    refuse_invisible(value, location, node.start_mark.line + 1, node.start_mark.column + 1)
    return Cell(value.strip(), place)


def _yaml_list(node: yaml.Node, location: str) -> Cell:
    """A list of names, or one text with commas as in a TSV."""
    if not isinstance(node, yaml.SequenceNode):
        return _yaml_cell(node, location)
    cells = [_yaml_cell(item, location) for item in node.value]
    for cell in cells:
        if "," in cell.text or not cell.text:
            raise InputError(f"{cell.place}: {cell.text!r} is no contig name; write one name an item, without commas")
    return Cell(",".join(cell.text for cell in cells), _marked(location, node.start_mark))


def _marked(location: str, mark: yaml.Mark) -> str:
    return f"{location}:{mark.line + 1}:{mark.column + 1}"
