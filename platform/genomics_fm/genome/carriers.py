"""Who carries which allele at the sites of a window: from genotypes to one row of alleles a haplotype."""

from dataclasses import dataclass

import numpy as np

from genomics_fm import randomness
from genomics_fm.genome.genotypes import ABSENT, MISSING, NO_PHASE_SET, UNKNOWN, Genotypes
from genomics_fm.genome.vcf_records import Record

_NO_SET = np.int32(np.iinfo(np.int32).min)


@dataclass(slots=True)
class Carriers:
    """Genotypes of the chosen samples at one record.

    Attributes:
        first: int8 [S], allele of the first haplotype.
        second: int8 [S], allele of the second, or ABSENT or UNKNOWN.
        unphased: bool [S], heterozygotes whose phase is not known; None: there are none.
        phase_set: int32 [S], of phased heterozygotes; None: all are of the one set that has no name.
    """

    first: np.ndarray
    second: np.ndarray
    unphased: np.ndarray | None
    phase_set: np.ndarray | None

    @property
    def informative(self) -> bool:
        """Whether anyone has anything but two reference alleles."""
        return bool(self.first.any() or self.second.any())

    def count(self, number: int) -> int:
        """Haplotypes that carry an allele."""
        return int((self.first == number).sum() + (self.second == number).sum())


def carriers_of(genotypes: Genotypes, columns: np.ndarray, as_reference: list[int], phase_known: bool) -> Carriers:
    """Genotypes of the samples in some columns.

    Args:
        genotypes: of all samples.
        columns: int64 [S].
        as_reference: alleles that are read as the reference.
        phase_known: False: what is phased in the file is not trusted.
    """
    first, second = genotypes.first[columns], genotypes.second[columns]
    for number in as_reference:
        first[first == number] = 0
        second[second == number] = 0
    heterozygous = (first != second) & (second >= MISSING)
    phased = heterozygous & genotypes.phased[columns] & phase_known
    unphased = heterozygous & ~phased
    phase_set = None
    if genotypes.phase_set is not None:
        phase_set = np.where(phased, genotypes.phase_set[columns], _NO_SET)
    return Carriers(first, second, unphased if unphased.any() else None, phase_set)


def phase_at_random(carriers: Carriers, record: Record, sample_keys: list[int]) -> None:
    """Give unphased heterozygotes and named phase sets a phase, by a draw of (seed, sample, variant or set).

    Args:
        carriers: changed in place; `unphased` and `phase_set` go on telling what was drawn.
        record: the variant.
        sample_keys: of seed and sample, for each of the samples.
    """
    swaps = []
    if carriers.unphased is not None:
        variant = randomness.key(record.contig, record.start, *(a.decode() for a in (record.ref, *record.alts)))
        swaps += [(sample, variant) for sample in np.flatnonzero(carriers.unphased).tolist()]
    if carriers.phase_set is not None:
        named = np.flatnonzero((carriers.phase_set != _NO_SET) & (carriers.phase_set != NO_PHASE_SET))
        for sample, number in zip(named.tolist(), carriers.phase_set[named].tolist(), strict=True):
            swaps.append((sample, randomness.key(record.contig, "phase set", number)))
    for sample, drawn_for in swaps:
        if randomness.key(sample_keys[sample], drawn_for) & 1:
            first = carriers.first[sample]
            carriers.first[sample], carriers.second[sample] = carriers.second[sample], first


def phase_doubts(sites: list[Carriers], samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Which samples have an unphased heterozygote, and which heterozygotes of two phase sets, at these sites."""
    unphased = np.zeros(samples, np.bool_)
    for site in sites:
        if site.unphased is not None:
            unphased |= site.unphased
    if all(site.phase_set is None for site in sites):
        return unphased, np.zeros(samples, np.bool_)
    lowest, highest = np.full(samples, np.iinfo(np.int32).max), np.full(samples, _NO_SET)
    for site in sites:
        phased = (site.first != site.second) & (site.second >= MISSING)
        if site.unphased is not None:
            phased &= ~site.unphased
        phase_set = np.where(phased, NO_PHASE_SET if site.phase_set is None else site.phase_set, _NO_SET)
        lowest = np.where(phased, np.minimum(lowest, phase_set), lowest)
        highest = np.maximum(highest, phase_set)
    return unphased, lowest < highest


@dataclass(frozen=True)
class Haploids:
    """The haplotypes of a window before they are edited.

    Attributes:
        carried_HR: int8, allele at each site; MISSING where it is not known.
        sample_H: index of the sample.
        number_H: 1 or 2.
        uneven: bool [S], samples left out: haploid at one site, diploid at another.
        forced: genotypes of single haplotypes that were heterozygous, now MISSING.
    """

    carried_HR: np.ndarray
    sample_H: np.ndarray
    number_H: np.ndarray
    uneven: np.ndarray
    forced: int


def haploids(sites: list[Carriers], left_out: np.ndarray, single: np.ndarray) -> Haploids:
    """One row a haplotype, in the order of the samples.

    Args:
        sites: of the window.
        left_out: bool [S], samples without rows.
        single: bool [S], samples with one haplotype whatever is written (males on X and Y).
    """
    samples = left_out.size
    first_RS = np.stack([site.first for site in sites]) if sites else np.zeros((0, samples), np.int8)
    second_RS = np.stack([site.second for site in sites]) if sites else np.zeros((0, samples), np.int8)
    forced_RS = single & (second_RS >= MISSING) & (second_RS != first_RS)
    first_RS[forced_RS] = MISSING
    haploid = (second_RS == ABSENT).any(0)
    uneven = haploid & (second_RS >= MISSING).any(0) & ~single & ~left_out
    second_RS[second_RS == UNKNOWN] = MISSING
    kept = ~left_out & ~uneven
    both = np.stack([kept, kept & ~haploid & ~single], axis=1)
    sample_H, number_H = np.nonzero(both)
    carried_HR = np.stack([first_RS.T, second_RS.T], axis=1)[both]
    return Haploids(np.ascontiguousarray(carried_HR), sample_H, number_H + 1, uneven, int(forced_RS.sum()))
