"""Rows of a corpus that are weighted alike (R4), found in memory that grows with blocks, not with rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from genomics_fm.corpus.manifest import Corpus

FIRST_FORMAT_WITH_ASSEMBLIES = 2


@dataclass(frozen=True, eq=False)
class Group:
    """The rows of one assembly's reference, or those of its haplotypes.

    Attributes:
        species: as in the source list.
        assembly: as in the source list.
        haplotypes: which of the two.
        weight: of the assembly, as in the source list.
        nucleotides: in its rows; overlaps of reference rows count once.
        blocks_B: numbers of the blocks that hold its rows.
        ends_B: its rows up to the end of each.
    """

    species: str
    assembly: str
    haplotypes: bool
    weight: float
    nucleotides: int
    blocks_B: np.ndarray
    ends_B: np.ndarray

    @property
    def rows(self) -> int:
        return int(self.ends_B[-1])

    def row(self, corpus: Corpus, place: int) -> int:
        """Number in the corpus of one of the group's rows, 0 ≤ place < rows."""
        at = int(np.searchsorted(self.ends_B, place, side="right"))
        block, before = int(self.blocks_B[at]), int(self.ends_B[at - 1]) if at else 0
        first, place = corpus.first_row(block), place - before
        if not self.haplotypes and self.ends_B[at] - before == corpus.blocks[block]["rows"]:
            return first + place  # a block without haplotypes need not be opened
        return first + int(np.flatnonzero(corpus.haplotypes(block) == self.haplotypes)[place])


def groups(corpus: Corpus) -> list[Group]:
    """All groups with rows, those of references first, in the corpus's order.

    Blocks of a species with haplotypes whose manifest does not say how many each holds are opened to count them.
    """
    if corpus.manifest["format_version"] < FIRST_FORMAT_WITH_ASSEMBLIES:
        rows_B = np.array([block["rows"] for block in corpus.blocks])
        return [Group("", "", False, 1.0, corpus.nucleotides, np.arange(len(rows_B)), np.cumsum(rows_B))]
    haplotypes_B = np.array([_haplotypes(corpus, number) for number in range(len(corpus.blocks))])
    rows_B = np.array([block["rows"] for block in corpus.blocks])
    assembly_B = np.array([block["assembly"] for block in corpus.blocks])
    found = []
    for haplotypes, counts_B in ((False, rows_B - haplotypes_B), (True, haplotypes_B)):
        for number, about in enumerate(corpus.manifest["assemblies"]):
            blocks_B = np.flatnonzero((assembly_B == number) & (counts_B > 0))
            if blocks_B.size:
                ends_B = np.cumsum(counts_B[blocks_B])
                nucleotides = _haplotype_nt(corpus, about, int(ends_B[-1])) if haplotypes else about["nucleotides_kept"]
                name = about["species"], about["assembly"]
                found.append(Group(*name, haplotypes, about["weight"], nucleotides, blocks_B, ends_B))
    return found


def _haplotypes(corpus: Corpus, number: int) -> int:
    block = corpus.blocks[number]
    if "haplotype_rows" in block:
        return int(block["haplotype_rows"])
    species = corpus.manifest["assemblies"][block["assembly"]]["species"]
    if not corpus.manifest["counts_by_species"][species].get("haplotype_rows"):
        return 0
    return int(np.count_nonzero(corpus.haplotypes(number)))


def _haplotype_nt(corpus: Corpus, about: dict[str, Any], rows: int) -> int:
    """Nucleotides of an assembly's haplotypes: its share by rows of those of its species."""
    counts = corpus.manifest["counts_by_species"][about["species"]]
    return round(counts["haplotype_nt"] * rows / counts["haplotype_rows"])
