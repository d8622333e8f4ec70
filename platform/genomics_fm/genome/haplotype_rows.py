"""Haplotypes of a window as rows of a corpus: those alike stored once, the doubtful flagged, all counted."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from genomics_fm.genome import edits
from genomics_fm.genome.carriers import Haploids
from genomics_fm.genome.genotypes import MISSING

SYMBOLIC_SKIPPED, CONFLICT_SKIPPED, MISSING_AS_REFERENCE, RANDOM_PHASE = 1, 2, 4, 8
"""Bits of a row's flags. A bit is set where it holds for every haplotype the row stands for: symbolic alleles were left
out; alleles were left out for others they overlap; missing genotypes were read as reference; the phase was drawn."""

_COUNTED = {
    edits.APPLIED: "alleles applied",
    edits.CONFLICT: "alleles skipped: overlap with another",
    edits.BORDER: "alleles skipped: across a window's border",
    edits.WITHOUT_BASES: "alleles skipped: symbolic",
    edits.COVERED: "alleles *: deletion applied",
    edits.UNCOVERED: "alleles *: without their deletion, missing",
}


@dataclass(frozen=True, slots=True)
class Haplotype:
    """A sequence that differs from the reference in a window.

    Attributes:
        name: of the first haplotype that has it, `SAMPLE:1` or `SAMPLE:2`.
        cigar: against the window (`genome.cigar`).
        edits: its bases that the reference does not have.
        multiplicity: how many haplotypes have it.
        flags: bits, above.
        length: of the sequence, in nt.
    """

    name: str
    cigar: str
    edits: bytes
    multiplicity: int
    flags: int
    length: int


def merged(
    rows: Haploids,
    edited: edits.Edited,
    names: list[str],
    allowed_missing: float,
    doubtful: np.ndarray,
    counts: Counter[str],
) -> list[Haplotype]:
    """The rows of a window, in the order of the haplotypes that come first.

    Args:
        rows: who the haplotypes are.
        edited: what they change.
        names: of the samples.
        allowed_missing: alleles; haplotypes with more missing are dropped.
        doubtful: bool [S], samples whose phase was drawn.
        counts: receives what became of haplotypes and alleles.
    """
    counts_HC = edited.counts_HC
    missing = (rows.carried_HR == MISSING).sum(1) + counts_HC[:, edits.UNCOVERED]
    kept, changed = missing <= allowed_missing, counts_HC[:, edits.APPLIED] > 0
    flags = SYMBOLIC_SKIPPED * (counts_HC[:, edits.WITHOUT_BASES] > 0)
    flags = flags | CONFLICT_SKIPPED * (counts_HC[:, edits.CONFLICT] > 0)
    flags = flags | MISSING_AS_REFERENCE * (missing > 0) | RANDOM_PHASE * doubtful[rows.sample_H]
    alike: dict[tuple[str, bytes], list[int]] = {}
    for one in np.flatnonzero(kept & changed).tolist():
        alike.setdefault(_text(edited, one), []).append(one)
    found = {name: int(counts_HC[kept, column].sum()) for column, name in _COUNTED.items()}
    found["alleles missing, read as reference"] = int(missing[kept].sum())
    found["haplotypes dropped: too many missing alleles"] = int((~kept).sum())
    found["haplotypes skipped: all reference"] = int((kept & ~changed).sum())
    found["haplotypes"] = int((kept & changed).sum())
    found["haplotypes merged with one alike"] = found["haplotypes"] - len(alike)
    counts.update({name: number for name, number in found.items() if number})
    return [
        Haplotype(
            name=f"{names[rows.sample_H[many[0]]]}:{rows.number_H[many[0]]}",
            cigar=cigar,
            edits=bases,
            multiplicity=len(many),
            flags=int(np.bitwise_and.reduce(flags[many])),
            length=int(counts_HC[many[0], edits.LENGTH]),
        )
        for (cigar, bases), many in alike.items()
    ]


def _text(edited: edits.Edited, one: int) -> tuple[str, bytes]:
    """CIGAR and edits of a haplotype."""
    cigar_begin, edit_begin = (edited.cigar_ends[one - 1], edited.edit_ends[one - 1]) if one else (0, 0)
    cigar = edited.cigars[cigar_begin : edited.cigar_ends[one]].tobytes().decode("ascii")
    return cigar, edited.edits[edit_begin : edited.edit_ends[one]].tobytes()
