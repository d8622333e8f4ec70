"""How a file of labelled sequences is to be read: its columns, its question, and what becomes of contradictions."""

from dataclasses import dataclass
from typing import Literal, get_args

from genomics_fm.errors import require
from genomics_fm.tasks.problem import Kind

Conflicts = Literal["drop", "refuse", "keep"]
CONTIG_COLUMNS = ("contig", "chrom", "chr", "chromosome", "seqnames", "#chrom")
"""Names of the column that holds a contig; the first that a table has counts."""
START, END = "start", "end"


@dataclass(frozen=True)
class Layout:
    """How labelled rows are to be read. What a name stands for is optional unless it says otherwise.

    Attributes:
        sequence: column of the sequences; a table without it needs contig, start and end, and a genome.
        label: column of the label, the class of a row, its value, or a character a base.
        targets: columns of several labels or values, instead of `label`.
        split: column that puts a row in a split; "" where such a column shall not count.
        locus: column with "CONTIG:START-END" or "CONTIG:START-END:STRAND", 0-based half-open.
        group: column of what is not independent: a gene, a donor, a plate.
        strand: column of "+" or "-" for rows cut out of a genome.
        kind: of the problem, where the labels leave it open or say another.
        classes: their names in the order of outputs, of two the second is the positive one; sorted otherwise.
        stranded: the strand carries meaning (R20).
        metric: what heads are compared by; the usual one of the kind otherwise.
        conflicts: what becomes of equal sequences with different classes or labels. Which of them is right nobody
            knows, so that training on them teaches noise and testing on them counts errors that are none: all of
            them are left out ("drop") and counted. "refuse" names the first; "keep" is for published sets, whose
            numbers are only comparable on all their rows.
    """

    sequence: str = "sequence"
    label: str = "label"
    targets: tuple[str, ...] = ()
    split: str = "split"
    locus: str = "locus"
    group: str = "group"
    strand: str = "strand"
    kind: Kind | None = None
    classes: tuple[str, ...] = ()
    stranded: bool = False
    metric: str = ""
    conflicts: Conflicts = "drop"

    def __post_init__(self) -> None:
        kinds = get_args(Kind)
        require(self.kind is None or self.kind in kinds, "kind", self.kind or "", f"one of {', '.join(kinds)}")
        ways = get_args(Conflicts)
        require(self.conflicts in ways, "conflicts", self.conflicts, f"one of {', '.join(ways)}")
        for name, values in (("targets", self.targets), ("classes", self.classes)):
            require(len(set(values)) == len(values), name, list(values), "each name once")

    @property
    def answers(self) -> tuple[str, ...]:
        """Columns that hold labels or values."""
        return self.targets or (self.label,)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is read where it is there."""
        places = (*CONTIG_COLUMNS, START, END)
        named = (self.sequence, *self.answers, self.split, self.locus, self.group, self.strand, *places)
        return tuple(dict.fromkeys(filter(None, named)))


PLAIN = Layout()
"""A table with the columns sequence and label."""
