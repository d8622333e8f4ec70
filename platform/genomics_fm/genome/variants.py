"""Records of a VCF or BCF, contig by contig: every one is checked, none is skipped in silence."""

from collections import Counter
from collections.abc import Iterator

from genomics_fm.errors import InputError
from genomics_fm.genome.genotypes import MISSING, read_genotypes
from genomics_fm.genome.reader import read_genome
from genomics_fm.genome.vcf_lines import VcfLines
from genomics_fm.genome.vcf_records import STAR, Record, check_reference, is_symbolic, parse_record, spelling

_CONTIGS_NAMED = 3


class Variants:
    """The records of a file, contig by contig of a genome.

    With an index contigs may be asked for in any order; without one in the order of the file.

    Attributes:
        samples: names, in the order of their columns.
        notes: what a person should be told: contigs spelled differently.
    """

    def __init__(self, location: str) -> None:
        """Open a file.

        Raises:
            InputError: no VCF or BCF that can be trusted.
        """
        self.location = location
        self._lines = VcfLines(location)
        self.samples = self._lines.header.samples
        self.notes: list[str] = []
        self._asked: dict[str, str] = {}  # spelling → name in the genome
        self._said = False
        self._furthest: Record | None = None
        self._stream = self._sequential()
        self._ahead: Record | None = None
        self._indexed: dict[str, str] | None = None
        if self._lines.index:
            self._indexed = {}
            for name in self._lines.contigs():
                self._once(self._indexed, name)
                self._indexed[spelling(name)] = name
        else:
            self._ahead = next(self._stream, None)

    def of(self, contig: str) -> Iterator[Record]:
        """Records of one contig of the genome, sorted by position. To be exhausted before the next is asked for.

        Raises:
            InputError: a record that is malformed, or not where its order has it.
        """
        self._furthest = None
        self._once(self._asked, contig)
        self._asked[spelling(contig)] = contig
        for record in self._of_indexed(contig) if self._indexed is not None else self._of_ahead(contig):
            if not self._furthest:
                self._say(record.contig, contig)
            if not self._furthest or record.end > self._furthest.end:
                self._furthest = record
            yield record

    def close(self, contig: str, length: int) -> None:
        """Say how long the contig is whose records were read last.

        Raises:
            InputError: a record lies outside it, or the header has another length.
        """
        last = self._furthest
        if last is None:
            return
        if last.end > length:
            raise last.refuse(f"outside the contig of {length:,} nt; give the genome the variants were called on")
        declared = self._lines.header.lengths.get(last.contig, length)
        if declared != length:
            raise InputError(
                f"{self.location}: the header gives {last.contig} {declared:,} nt, the genome {length:,}; "
                "give the genome the variants were called on"
            )

    def unclaimed(self) -> tuple[str, ...]:
        """Contigs with records that were not asked for, where a genome comes in several files.

        Raises:
            InputError: there are some, and no index.
        """
        if self._indexed is None and self._ahead:
            raise self._ahead.refuse("the genome is in several files; index the variants with `bcftools index`")
        return tuple(name for spelled, name in (self._indexed or {}).items() if spelled not in self._asked)

    def finish(self) -> None:
        """Say that the genome has no more contigs.

        Raises:
            InputError: the file has records on one more.
        """
        cure = "give the genome the variants were called on, or leave the contig out with `bcftools view -t`"
        if self._ahead:
            raise self._ahead.refuse(f"contig {self._ahead.contig!r} is not in the genome; {cure}")
        if left := self.unclaimed():
            raise InputError(f"{self.location}: contig {left[0]!r} is not in the genome; {cure}")

    def _once(self, known: dict[str, str], name: str) -> None:
        if (other := known.get(spelling(name), name)) != name:
            raise InputError(f"{self.location}: contigs {other!r} and {name!r} would be one; rename one of them")

    def _say(self, name: str, contig: str) -> None:
        if name != contig and not self._said:
            self.notes.append(f"contig names: VCF {name!r} read as {contig!r}, and others alike")
            self._said = True

    def _parsed(self, lines: Iterator[tuple[int, bytes]]) -> Iterator[Record]:
        """Records, sorted inside their contig, and inside the length the header gives it."""
        contig, start = "", 0
        for number, line in lines:
            record = parse_record(line, number, self.location, bool(self.samples))
            if record.contig == contig and record.start < start:
                raise record.refuse(f"stands after position {start + 1}; sort the file with `bcftools sort`")
            contig, start = record.contig, record.start
            if record.end > (length := self._lines.header.lengths.get(contig, record.end)):
                raise record.refuse(f"outside the contig of {length:,} nt that the header gives; correct either")
            yield record

    def _sequential(self) -> Iterator[Record]:
        """All records; each contig's stand together."""
        seen: set[str] = set()
        spelled: dict[str, str] = {}
        contig = ""
        for record in self._parsed(self._lines.all()):
            if record.contig != contig:
                contig = record.contig
                if contig in seen:
                    raise record.refuse(f"contig {contig} begins a second time; sort the file with `bcftools sort`")
                seen.add(contig)
                self._once(spelled, contig)
                spelled[spelling(contig)] = contig
            yield record

    def _of_indexed(self, contig: str) -> Iterator[Record]:
        name = (self._indexed or {}).get(spelling(contig))
        if name is not None:
            yield from self._parsed(self._lines.of(name))

    def _of_ahead(self, contig: str) -> Iterator[Record]:
        while self._ahead and spelling(self._ahead.contig) == spelling(contig):
            yield self._ahead
            self._ahead = next(self._stream, None)
        if self._ahead and spelling(self._ahead.contig) in self._asked:
            raise self._ahead.refuse(
                f"contig {self._ahead.contig} stands earlier in the genome than in this file; "
                "index the file with `bcftools index`"
            )

    def all(self) -> Iterator[Record]:
        """Every record in the order of the file, without a genome."""
        return self._sequential()


def summarise(location: str, genome: str | None) -> str:
    """What is in a VCF or BCF, as a line for people, after every record and genotype was checked.

    Args:
        location: the file.
        genome: what `read_genome` takes, to compare REF and positions with; None: they are not.

    Raises:
        InputError: the file cannot be trusted.
    """
    variants = Variants(location)
    counts: Counter[str] = Counter()
    contigs: dict[str, None] = {}
    for record in variants.all() if genome is None else _checked(variants, genome):
        contigs[record.contig] = None
        _count(record, variants.samples, counts)
    if not contigs:
        raise InputError(f"{location}: no record behind the header; give a file with variants")
    names = list(contigs)
    named = ", ".join(names if len(names) <= _CONTIGS_NAMED else [names[0], "…", names[-1]])
    parts = [
        f"{counts['records']:,} records",
        f"{len(variants.samples):,} samples",
        f"contigs {named}",
        *(f"{counts[kind]:,} {kind}" for kind in ("SNV", "indel", "other", "symbolic")),
    ]
    if variants.samples:
        share = counts["phased"] / max(counts["heterozygous"], 1)
        parts.append(f"{counts['heterozygous']:,} heterozygotes, {share:.1%} of them phased")
        parts.append(f"{counts['missing']:,} genotypes missing")
    parts += [f"every REF is that of {genome}"] if genome else []
    return f"{location}: {', '.join([*parts, *variants.notes])}"


def _checked(variants: Variants, genome: str) -> Iterator[Record]:
    """Every record, compared with its contig."""
    for contig in read_genome(genome):
        letters = contig.sequence.encode("ascii")
        for record in variants.of(contig.name):
            if record.end <= len(letters):
                check_reference(record, letters, 0)
            yield record
        variants.close(contig.name, len(letters))
    variants.finish()


def _count(record: Record, samples: tuple[str, ...], counts: Counter[str]) -> None:
    counts["records"] += 1
    for alt in record.alts:
        if is_symbolic(alt):
            counts["symbolic"] += 1
        elif alt == STAR or len(alt) == len(record.ref) > 1:
            counts["other"] += 1
        else:
            counts["SNV" if len(alt) == len(record.ref) else "indel"] += 1
    if samples:
        genotypes = read_genotypes(record, samples)
        heterozygous = (genotypes.first != genotypes.second) & (genotypes.second >= MISSING)
        counts["heterozygous"] += int(heterozygous.sum())
        counts["phased"] += int((heterozygous & genotypes.phased).sum())
        counts["missing"] += int(((genotypes.first == MISSING) | (genotypes.second == MISSING)).sum())
