"""Rows given by where they lie: read from BED or a table, and cut out of a genome."""

import itertools
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genomics_fm.errors import InputError
from genomics_fm.genome.alphabet import clipped, reverse_complement
from genomics_fm.genome.bed import stream_bed
from genomics_fm.genome.reader import stream_genome
from genomics_fm.genome.records import Contig, assembly_sum
from genomics_fm.tasks.layout import CONTIG_COLUMNS, END, START, Layout
from genomics_fm.tasks.table import Table

STRANDS = ("+", "-")
_PREFIX = "chr"
_POSITION = re.compile(r"[0-9]{1,12}")
_NAMES_SHOWN = 3


@dataclass
class Genome:
    """A genome's contigs, one in memory at a time, and what is known of it once all were read.

    Attributes:
        location: what `stream_genome` takes.
        lengths: by contig, of those read so far.
        sha256: of the assembly; "" until its end was reached.
    """

    location: str

    def __post_init__(self) -> None:
        self.lengths: dict[str, int] = {}
        self.sha256 = ""

    def contigs(self) -> Iterator[Contig]:
        """Every contig, in file order."""
        self.lengths, sums = {}, []
        for stream in stream_genome(self.location):
            sequence = b"".join(stream.letters()).decode("ascii")
            self.lengths[stream.name] = stream.length
            sums.append((stream.name, stream.length, stream.sha256))
            yield Contig(stream.name, sequence, stream.location, stream.line)
        self.sha256 = assembly_sum(sums).hexdigest()

    def own_name(self, contig: str, name: str) -> bool:
        """Whether `name`, as a file of intervals writes it, means `contig`: UCSC writes chr20 where Ensembl has 20."""
        return name == contig or name == _PREFIX + contig or contig == _PREFIX + name

    def no_contig(self, where: str, name: str) -> InputError:
        """An error about an interval on a contig that the genome does not have; all of it was read."""
        names = ", ".join([*list(self.lengths)[:_NAMES_SHOWN], *["…"] * (len(self.lengths) > _NAMES_SHOWN)])
        return InputError(
            f"{where}: no contig {clipped(name)!r} in {self.location}, which has {names}; "
            "give the genome it was made for, or only the intervals on its contigs"
        )


def read_bed_table(location: str, label: str, strand: str) -> Table:
    """A BED file as a table: columns contig, start and end, its name (column 4) as `label`, its strand as `strand`.

    Raises:
        InputError: a line that is no interval, or a file without any.
    """
    (table,) = stream_bed_tables(location, label, strand, sys.maxsize)
    return table


def stream_bed_tables(location: str, label: str, strand: str, rows: int) -> Iterator[Table]:
    """As `read_bed_table`, in tables of at most so many rows, one in memory at a time."""
    intervals = stream_bed(location, {})
    found = False
    while part := list(itertools.islice(intervals, rows)):
        found = True
        columns = {
            CONTIG_COLUMNS[0]: [row.contig for row in part],
            START: [str(row.start) for row in part],
            END: [str(row.end) for row in part],
            label: [row.name.strip() for row in part],
            strand: [row.strand for row in part],
        }
        yield Table(location, tuple(columns), columns, [row.line for row in part])
    if not found:
        raise InputError(f"{location}: no intervals; give a BED file with some")


def contig_column(table: Table) -> str:
    """The name of the column that holds contigs; "" where the table has no places."""
    found = [name for name in CONTIG_COLUMNS if name in table.columns]
    return found[0] if found and START in table.columns and END in table.columns else ""


@dataclass(frozen=True)
class Cut:
    """What a genome has at each place.

    Attributes:
        sequences: upper-case ACGTN, on the strand of the row.
        locus: "CONTIG:START-END:STRAND", with the genome's name of the contig.
        renamed: {name in the table: name in the genome}, where they differ by "chr" alone.
    """

    sequences: list[str]
    locus: list[str]
    renamed: dict[str, str]


def cut(table: Table, genome: Genome, layout: Layout) -> Cut:
    """Cut the rows of a table of places out of a genome.

    Sequences of a stranded problem lie on the strand the row names; all others on the forward strand.

    Raises:
        InputError: a position or strand that is none, a place outside of its contig, or a contig that is not there.
    """
    contigs = table.column(contig_column(table))
    starts, ends = positions(table)
    strands = _strands(table, layout)
    rows_of: dict[str, list[int]] = {}
    for row, name in enumerate(contigs):
        rows_of.setdefault(name, []).append(row)
    sequences, locus, renamed = [""] * len(table), [""] * len(table), {}
    for contig in genome.contigs():
        for name in [name for name in rows_of if genome.own_name(contig.name, name)]:
            if name != contig.name:
                renamed[name] = contig.name
            for row in rows_of.pop(name):
                start, end, strand = int(starts[row]), int(ends[row]), strands[row]
                if end > len(contig.sequence):
                    raise table.error(
                        row,
                        END,
                        f"{end:,} lies past the end of {name} ({len(contig.sequence):,} nt in "
                        f"{genome.location}); give the genome it was made for",
                    )
                piece = contig.sequence[start:end]
                sequences[row] = piece if strand == "+" else reverse_complement(piece)
                locus[row] = f"{contig.name}:{start}-{end}:{strand}"
    if rows_of:
        row = min(rows[0] for rows in rows_of.values())
        raise genome.no_contig(table.where(row), contigs[row])
    return Cut(sequences, locus, renamed)


def positions(table: Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(N,) starts and (N,) ends of a table of places, 0-based half-open.

    Raises:
        InputError: one that is no whole number, or a start that is not before its end.
    """
    found = []
    for name in (START, END):
        column = table.column(name)
        for value in set(column):
            if not _POSITION.fullmatch(value):
                raise table.error(
                    column.index(value), name, f"{value!r} is no position; give a whole number from 0 (half-open)"
                )
        found.append(np.fromiter(map(int, column), np.int64, len(table)))
    empty = np.flatnonzero(found[0] >= found[1])
    if len(empty):
        row = int(empty[0])
        raise table.error(
            row, START, f"interval {found[0][row]}-{found[1][row]} is empty; give a start before the end (half-open)"
        )
    return found[0], found[1]


def _strands(table: Table, layout: Layout) -> list[str]:
    given = table.columns.get(layout.strand)
    if not layout.stranded:
        return ["+"] * len(table)
    if given is None:
        raise table.missing(f"no column {layout.strand!r}, and the strand carries meaning in a stranded problem")
    for row, strand in enumerate(given):
        if strand not in STRANDS:
            raise table.error(row, layout.strand, f"{strand!r}; a stranded problem needs '+' or '-' in every row")
    return given
