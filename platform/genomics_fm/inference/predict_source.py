"""The sequences a file asks a head about: FASTA or GenBank, a table of sequences, or places in a genome."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from genomics_fm.errors import InputError
from genomics_fm.genome.reader import read_genome
from genomics_fm.inference.sequences import Familiar, Prepared
from genomics_fm.tasks import table as tables
from genomics_fm.tasks.layout import CONTIG_COLUMNS, END, START, Layout
from genomics_fm.tasks.places import Genome, contig_column, cut, positions, stream_bed_tables
from genomics_fm.tasks.table import Table

CHUNK_SEQUENCES = 1_024
ROWS_HELD = 1 << 14
"""Rows of a table of sequences in memory at once."""
PLACES_HELD, LETTERS_HELD = 1 << 18, 1 << 29
"""Places, and letters that they may have, in memory at once; the genome is read once for as many."""
SEQUENCE, NAME, STRAND = "sequence", "name", "strand"
_BED = (".bed", ".narrowpeak", ".broadpeak")
_TABLE = (".csv", ".tsv", ".parquet")
_COMPRESSED = (".gz", ".bgz", ".xz", ".zst")
_NAMELESS = ("", ".")

Item = tuple[str, Prepared]


def _places_held(familiar: Familiar) -> int:
    """Places in memory at once, fewer where they may be long."""
    return max(1, min(PLACES_HELD, LETTERS_HELD // familiar.most_bp))


@dataclass(frozen=True)
class Source:
    """A file and how it is read.

    Attributes:
        location: FASTA or GenBank; a table (`.csv`, `.tsv`, `.parquet`) with a column `sequence`, or with contig,
            start and end; or BED (`.bed`, `.narrowPeak`, `.broadPeak`). Plain or compressed.
        genome: what places lie in.
        stranded: places need a strand, and are read on it; on the forward strand otherwise.
    """

    location: str
    genome: str | None = None
    stranded: bool = False

    def chunks(self, familiar: Familiar) -> Iterator[list[Item]]:
        """Names and prepared sequences in file order, `CHUNK_SEQUENCES` at a time.

        All are streamed: a contig, `ROWS_HELD` rows of a table, or at most `PLACES_HELD` places are in memory at once.

        Raises:
            InputError: the file or the genome is refused, or a sequence is too short or too long.
        """
        items = self._items(familiar)
        while chunk := list(itertools.islice(items, CHUNK_SEQUENCES)):
            yield chunk

    def _items(self, familiar: Familiar) -> Iterator[Item]:
        name = self.location.lower()
        for suffix in _COMPRESSED:
            name = name.removesuffix(suffix)
        if name.endswith(_BED):
            return self._places(stream_bed_tables(self.location, NAME, STRAND, _places_held(familiar)), familiar)
        if name.endswith(_TABLE):
            return self._table(familiar)
        if self.genome is not None:
            raise InputError(f"{self.location}: sequences and a genome; leave --genome away, or name a BED file .bed")
        return self._records(familiar)

    def _records(self, familiar: Familiar) -> Iterator[Item]:
        """The reader has normalised the letters already."""
        for contig in read_genome(self.location):
            familiar.check_length(len(contig.sequence), f"{self.location}: record {contig.name!r}")
            said = familiar.reservations(contig.sequence, contig.u_to_t, contig.iupac_to_n)
            yield contig.name, Prepared(contig.sequence, said)

    def _table(self, familiar: Familiar) -> Iterator[Item]:
        columns = (SEQUENCE, NAME, STRAND, START, END, *CONTIG_COLUMNS)
        names = next(tables.stream(self.location, columns, 1))
        if contig_column(names) and (self.genome is not None or SEQUENCE not in names.columns):
            if SEQUENCE in names.columns:
                raise InputError(f"{self.location}: sequences and a genome; leave --genome away, or that column")
            return self._places(tables.stream(self.location, columns, _places_held(familiar)), familiar)
        if self.genome is not None:
            raise InputError(f"{self.location}: a genome, but no contig, start and end; leave --genome away")
        return self._sequences(tables.stream(self.location, columns, ROWS_HELD), familiar)

    def _sequences(self, pieces: Iterable[Table], familiar: Familiar) -> Iterator[Item]:
        for table in pieces:
            names = table.columns.get(NAME, [""] * len(table))
            for row, (name, text) in enumerate(zip(names, table.column(SEQUENCE), strict=True)):
                where = table.where(row)
                yield (where if name in _NAMELESS else name), familiar.prepare(text, f"{where}: column {SEQUENCE!r}")

    def _places(self, pieces: Iterable[Table], familiar: Familiar) -> Iterator[Item]:
        if self.genome is None:
            raise InputError(f"{self.location}: places without a genome; give the one they lie in with --genome")
        for table in pieces:
            starts, ends = positions(table)
            for row, length in enumerate((ends - starts).tolist()):
                familiar.check_length(length, table.where(row))
            found = cut(table, Genome(self.genome), Layout(stranded=self.stranded, strand=STRAND))
            names = table.columns.get(NAME, [""] * len(table))
            for name, locus, sequence in zip(names, found.locus, found.sequences, strict=True):
                prepared = Prepared(sequence, familiar.reservations(sequence))
                yield (locus if name in _NAMELESS else name), prepared
