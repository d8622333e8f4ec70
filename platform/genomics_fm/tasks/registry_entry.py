"""What the registry knows of a published data set: where it is, how it is read, and what may be done with it."""

from dataclasses import dataclass, field
from typing import Literal

from genomics_fm.tasks.layout import Layout
from genomics_fm.tasks.problem import DEFAULT_METRIC, Kind

Reader = Literal["table", "classes", "deepstarr", "tracks"]


@dataclass(frozen=True)
class File:
    """One file of a data set.

    Attributes:
        path: below the set's local folder; there it may end in .gz besides.
        split: its rows are of this split; "" where the publisher divides nothing, or not so that we keep it.
        url: where the publisher, or a mirror that keeps the publisher's format, has it; "" where nobody has.
        checksum: `md5:HEX` or `sha256:HEX`, as the publisher gives it; "" where none is given.
        name: of the class, in a FASTA file a class.
    """

    path: str
    split: str = ""
    url: str = ""
    checksum: str = ""
    name: str = ""


@dataclass(frozen=True)
class Entry:
    """A data set of SPEC 1.H.

    Attributes:
        name: by which it is asked for.
        family: of SPEC 1.H, "H1" to "H19"; "" of a set beyond them.
        title: one line for people.
        length: of the sequences, in nt.
        layout: columns, kind, classes, strand (R20) and metric.
        home: a page that describes it.
        licence, citation: of the data.
        folder: below the root of local data.
        files: none where it cannot be had.
        reader: how the files are read.
        place: columns of contig, start (0-based), end and strand, where rows lie on a genome.
        only: (column, value): other rows of a file with that column are left out.
        genome: file below the root of local data that tracks lie on.
        outputs: how many classes, labels or targets; 0 where the files say so.
        unavailable: why it cannot be had; "" where it can.
    """

    name: str
    family: str
    title: str
    length: str
    layout: Layout
    home: str
    licence: str
    citation: str
    folder: str = ""
    files: tuple[File, ...] = ()
    reader: Reader = "table"
    place: tuple[str, str, str, str] | None = None
    only: tuple[str, str] | None = None
    genome: str = ""
    outputs: int = 0
    unavailable: str = ""
    note: str = field(default="")

    @property
    def kind(self) -> Kind:
        """Of the problem."""
        return self.layout.kind or "classification"

    @property
    def metric(self) -> str:
        """What heads are compared by."""
        return self.layout.metric or DEFAULT_METRIC[self.kind]

    @property
    def official(self) -> tuple[str, ...]:
        """The publisher's splits that are kept, in the order of the files."""
        return tuple(dict.fromkeys(file.split for file in self.files if file.split))

    @property
    def fetchable(self) -> bool:
        """Whether all files have an address."""
        return bool(self.files) and all(file.url for file in self.files)
