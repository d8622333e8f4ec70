"""The haplotypes of people, window by window: what each changes in the reference (SPEC A4, R10)."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from genomics_fm import randomness
from genomics_fm.errors import InputError, require
from genomics_fm.genome.alleles import EDIT, Allele, alleles_of, as_array
from genomics_fm.genome.carriers import Carriers, Haploids, carriers_of, haploids, phase_at_random, phase_doubts
from genomics_fm.genome.edits import edit_haplotypes
from genomics_fm.genome.genotypes import read_genotypes
from genomics_fm.genome.haplotype_rows import Haplotype, merged
from genomics_fm.genome.samples import BOTH, X_BORDER, Y, choose, human_assembly, sex_region
from genomics_fm.genome.variants import Variants
from genomics_fm.genome.vcf_records import Record, check_reference, spelling

PHASED, STATISTICAL, UNPHASED = "yes", "statistical", "no"


@dataclass(frozen=True)
class HaplotypeRecipe:
    """How variants become haplotypes; stored in the manifest.

    Attributes:
        snv_only: only single nucleotide variants are applied, as in the paper.
        random_phase: unphased heterozygotes get a phase by a counted draw instead of costing their rows.
        seed: of those draws.
        max_missing: a haplotype with a larger share of missing alleles in a window is dropped there.
    """

    snv_only: bool = False
    random_phase: bool = False
    seed: int = 0
    max_missing: float = 0.05

    def __post_init__(self) -> None:
        require(0 <= self.max_missing <= 1, "max_missing", self.max_missing, "a share from 0 to 1")


@dataclass(slots=True)
class _Site:
    record: Record
    carriers: Carriers
    alleles: list[Allele] | None = None  # once all of REF has been compared with the genome


class Haplotypes:
    """Haplotypes from a VCF or BCF that is read once, along with the genome.

    Attributes:
        counts: of variants, alleles and haplotypes by what became of them; those of alleles and haplotypes count
            once a window.
        notes: what a person should be told.
    """

    def __init__(self, vcf: str, samples: str, phased: str, assembly: str, recipe: HaplotypeRecipe) -> None:
        """Open the variants.

        Args:
            vcf: VCF or BCF; its index, if any, beside it.
            samples: list of samples and sexes; "" for all, of unknown sex.
            phased: `yes`, `statistical` or `no`: then heterozygotes are unphased whatever the file says.
            assembly: for the pseudoautosomal regions, which are known of GRCh37 and GRCh38.
            recipe: how variants become haplotypes.

        Raises:
            InputError: a file that cannot be trusted, or a sample that is not in it.
        """
        if phased not in (PHASED, STATISTICAL, UNPHASED):
            raise InputError(f"{vcf}: phased {phased!r}; write one of yes, statistical, no")
        self._variants = Variants(vcf)
        self._recipe, self._assembly, self._phase_known = recipe, assembly, phased != UNPHASED
        people = choose(samples, self._variants.samples, vcf)
        self._names = [sample.name for sample in people]
        place = {name: column for column, name in enumerate(self._variants.samples)}
        self._columns = np.array([place[name] for name in self._names])
        self._male = np.array([sample.sex == "M" for sample in people])
        self._female = np.array([sample.sex == "F" for sample in people])
        nothing = np.zeros(len(people), np.int8)
        self._nobody = Carriers(nothing, nothing, None, None)  # shared: most sites of a few samples are like this
        self._keys = [randomness.key(recipe.seed, "random phase", name) for name in self._names]
        self.counts: Counter[str] = Counter()
        self.notes = self._variants.notes
        self._contig = ""
        self._records: Iterator[Record] = iter(())
        self._ahead: Record | None = None
        self._sites: list[_Site] = []
        self._start, self._letters = 0, b""  # of the last window

    def window(self, contig: str, start: int, end: int, reference: bytes) -> list[Haplotype]:
        """The haplotypes that differ from the reference in a window.

        Args:
            contig: name in the genome.
            start: 0-based; windows of a contig ascend.
            end: exclusive.
            reference: upper-case ACGTN of this interval.

        Raises:
            InputError: the variants are malformed, or were not called on this genome.
        """
        if len(reference) != end - start or (contig == self._contig and start < self._start):
            raise ValueError(f"window {contig}:[{start}, {end}) with {len(reference)} letters, after {self._start}")
        self._go_to(contig)
        left = self._letters[: start - self._start] if start <= self._start + len(self._letters) else b""
        self._start, self._letters = start, reference
        self._read(start, end)
        found = self._found(start, end, left + reference, start - len(left))
        if not found:
            self.counts["regions without a variant"] += 1
            return []
        rows, doubtful = self._haploids(contig, start, end, [site for site, _ in found])
        informative = [alleles for site, alleles in found if site.carriers.informative]
        alleles, pool = as_array([(number, one) for number, many in enumerate(informative) for one in many])
        edited = edit_haplotypes(rows.carried_HR, alleles, pool, np.frombuffer(reference, np.uint8), start)
        allowed = self._recipe.max_missing * len(found)
        return merged(rows, edited, self._names, allowed, doubtful, self.counts)

    def finish_contig(self, contig: str, length: int) -> None:
        """Say that a contig is over; to be said of every contig, also of those without a window.

        Raises:
            InputError: a record is malformed or outside the contig.
        """
        self._go_to(contig)
        rest = sum(1 for _ in self._records) + (self._ahead is not None)
        if rest:
            self.counts["variants outside every window"] += rest
        self._variants.close(contig, length)
        self._contig, self._records, self._ahead, self._sites, self._letters = "", iter(()), None, [], b""

    def unclaimed(self) -> tuple[str, ...]:
        """Instead of `finish`, where the genome comes in several files: contigs not met in this one.

        Raises:
            InputError: the VCF has no index, which this needs.
        """
        return self._variants.unclaimed()

    def finish(self) -> None:
        """Say that the genome is over.

        Raises:
            InputError: the VCF has a contig that the genome lacks.
        """
        self._variants.finish()

    def _go_to(self, contig: str) -> None:
        if contig == self._contig:
            return
        if self._contig:
            raise ValueError(f"contig {contig} before contig {self._contig} was finished")
        self._contig, self._start, self._letters = contig, 0, b""
        self._records = self._variants.of(contig)
        self._ahead = next(self._records, None)
        if spelling(contig) in ("X", "Y") and (why := self._sex_unused()):
            self.notes.append(f"contig {contig}: {why}, so genotypes alone say who has one haplotype")

    def _sex_unused(self) -> str:
        """Why some of the sexes are of no use; "" when they are."""
        if not human_assembly(self._assembly):
            return f"the pseudoautosomal regions of assembly {self._assembly!r} are not known"
        unknown = int((~self._male & ~self._female).sum())
        return f"the sex of {unknown} samples is not known" if unknown else ""

    def _read(self, start: int, end: int) -> None:
        """Read on to the window's end; forget what lies before its start."""
        self._sites = [site for site in self._sites if site.record.stop > start]
        while self._ahead and self._ahead.start < end:
            if self._ahead.stop > start:
                self.counts["variants"] += 1
                self._sites.append(_Site(self._ahead, self._carriers(self._ahead)))
            else:
                self.counts["variants outside every window"] += 1
            self._ahead = next(self._records, None)

    def _carriers(self, record: Record) -> Carriers:
        genotypes = read_genotypes(record, self._variants.samples)
        others: list[int] = []
        if self._recipe.snv_only:
            alleles = alleles_of(record, np.empty(0, np.uint8), 0)
            others = [one.number for one in alleles if not one.is_snv]
        carriers = carriers_of(genotypes, self._columns, others, self._phase_known)
        if self._recipe.random_phase:
            phase_at_random(carriers, record, self._keys)
        return carriers if carriers.informative else self._nobody

    def _found(self, start: int, end: int, known: bytes, origin: int) -> list[tuple[_Site, list[Allele]]]:
        """Sites of a window, each with those of its alleles that lie inside."""
        letters, found = np.frombuffer(known, np.uint8), []
        for site in self._sites:
            record, alleles = site.record, site.alleles
            if alleles is None:
                check_reference(record, known, origin)
                alleles = alleles_of(record, letters, origin)
                site.alleles = alleles if record.end <= end else None
            inside = [one for one in alleles if one.inside(start, end)]
            if inside or (record.start >= start and record.end <= end):
                found.append((site, inside))
            for one in alleles:
                if one.kind == EDIT and one not in inside and one.start < end and one.end >= start:
                    self._count("alleles skipped: across a window's border", site.carriers.count(one.number))
        return found

    def _haploids(self, contig: str, start: int, end: int, sites: list[_Site]) -> tuple[Haploids, np.ndarray]:
        """The haplotypes of a window, and for each sample whether its phase was drawn."""
        carriers = [site.carriers for site in sites]
        unphased, border = phase_doubts(carriers, len(self._names))
        region = sex_region(self._assembly, contig, start, end)
        left_out = np.zeros(len(self._names), np.bool_)
        single = self._male & (region not in (BOTH, X_BORDER))
        reasons = [("female on Y", self._female & (region == Y))]
        reasons += [("male across the border of a pseudoautosomal region", self._male & (region == X_BORDER))]
        if not self._recipe.random_phase:
            reasons += [("unphased heterozygote", unphased & ~single), ("border of a phase set", border & ~single)]
        for reason, samples in reasons:
            self._count(f"samples left out of a window: {reason}", int((samples & ~left_out).sum()))
            left_out |= samples
        rows = haploids([one for one in carriers if one.informative], left_out, single)
        self._count("samples left out of a window: haploid and diploid genotypes", int(rows.uneven.sum()))
        self._count("genotypes missing: heterozygous male on X or Y", rows.forced)
        return rows, (unphased | border) & ~single

    def _count(self, name: str, number: int) -> None:
        if number:
            self.counts[name] += number
