"""Strict BED: intervals on the contigs of an assembly that the file may name.

BED is 0-based half-open already. Comment lines `# assembly: NAME` and `# assembly_sha256: HEX` say of which assembly
(`genomics-fm check GENOME` prints the second); `track` and `browser` lines are passed over.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from genomics_fm.errors import InputError
from genomics_fm.genome.scanner import END, Scanner

MAX_INTERVALS = 5_000_000
"""Held in memory at once, about 1 GB; the largest public peak files have half of that."""

_DISPLAY = re.compile(r"(?:track|browser)(?:\s|$)")
_HEADER = re.compile(r"#\s*(assembly|assembly_sha256)\s*:\s*(.*?)\s*$")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_POSITION = re.compile(r"[0-9]{1,12}")
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{0,15})?(?:[eE][+-]?[0-9]{1,2})?")
_MIN_COLUMNS, _SCORE, _STRAND = 3, 4, 5


class BedInterval(NamedTuple):
    """An interval [start, end), 0-based; `line` is where it stands in its file, from 1."""

    contig: str
    start: int
    end: int
    name: str = ""
    score: float = 0.0
    strand: str = "."
    line: int = 0


@dataclass(frozen=True)
class Bed:
    """A BED file.

    Attributes:
        assembly: as its header names it, else "".
        assembly_sha256: as its header gives it, else "".
        intervals: in file order.
    """

    assembly: str
    assembly_sha256: str
    intervals: tuple[BedInterval, ...]


def read_bed(location: str) -> Bed:
    """Read a BED file whole; plain or compressed, as genomes are.

    Raises:
        InputError: a line that is no interval, or more than `MAX_INTERVALS` of them; `file:line: what; what to do`.
    """
    header: dict[str, str] = {}
    intervals: list[BedInterval] = []
    for interval in stream_bed(location, header):
        if len(intervals) == MAX_INTERVALS:
            raise InputError(
                f"{location}:{interval.line}: more than {MAX_INTERVALS:,} intervals; merge them or split the file"
            )
        intervals.append(interval)
    return Bed(header.get("assembly", ""), header.get("assembly_sha256", ""), tuple(intervals))


def stream_bed(location: str, header: dict[str, str]) -> Iterator[BedInterval]:
    """Intervals of a BED file one after the other; `header` receives what the file says of its assembly."""
    text = Scanner(location)
    columns = 0
    while text.peek() != END:
        number, line = text.line, text.text_line()
        if line.startswith("#"):
            _read_header(text, number, line, header)
        elif line and not _DISPLAY.match(line):
            fields = line.split("\t")
            columns = columns or len(fields)
            if len(fields) != columns:
                raise text.error(f"{len(fields)} columns after lines of {columns}; mend the line", number)
            yield _interval(text, number, fields)


def _read_header(text: Scanner, number: int, line: str, header: dict[str, str]) -> None:
    found = _HEADER.match(line)
    if not found:
        return
    key, value = found.groups()
    if key == "assembly_sha256" and not _SHA256.fullmatch(value):
        raise text.error("assembly_sha256 is not 64 hexadecimal digits; take what `genomics-fm check` prints", number)
    if header.setdefault(key, value) != value:
        raise text.error(f"a second {key}, {value!r} after {header[key]!r}; keep one assembly a file", number)


def _interval(text: Scanner, number: int, fields: list[str]) -> BedInterval:
    if len(fields) < _MIN_COLUMNS:
        raise text.error(f"{len(fields)} columns; give contig, start and end separated by tabs", number)
    contig, start, end = fields[:_MIN_COLUMNS]
    if not contig or contig.strip() != contig:
        raise text.error(f"contig {contig!r}; give its name without blanks", number)
    for name, value in (("start", start), ("end", end)):
        if not _POSITION.fullmatch(value):
            raise text.error(f"{name} {value!r} is no position; give a whole number from 0", number)
    if int(start) >= int(end):
        raise text.error(f"interval {start}-{end} is empty; give a start before the end (0-based half-open)", number)
    score = fields[_SCORE] if len(fields) > _SCORE else "."
    if score != "." and not _NUMBER.fullmatch(score):
        raise text.error(f"score {score!r} (column 5) is no number; give one or '.'", number)
    strand = fields[_STRAND] if len(fields) > _STRAND else "."
    if strand not in ("+", "-", "."):
        raise text.error(f"strand {strand!r} (column 6); give '+', '-' or '.'", number)
    return BedInterval(
        contig=sys.intern(contig),
        start=int(start),
        end=int(end),
        name=fields[3] if len(fields) > _MIN_COLUMNS else "",
        score=0.0 if score == "." else float(score),
        strand=strand,
        line=number,
    )
