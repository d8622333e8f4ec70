"""One file of genomes to blocks. Files are independent: any worker may take any, and take it up again."""

import base64
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genomics_fm import __version__
from genomics_fm.artefacts import ContentSum, sha256_file
from genomics_fm.corpus.blocks import Place, Row, encode_block
from genomics_fm.corpus.plan import Plan, Unit
from genomics_fm.corpus.similarity import Sketch
from genomics_fm.corpus.windows import Cut, Cutter
from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.genome import fetch
from genomics_fm.genome.haplotypes import Haplotypes
from genomics_fm.genome.packing import pack
from genomics_fm.genome.reader import stream_genome
from genomics_fm.genome.records import ContigStream, assembly_sum
from genomics_fm.genome.source import PACKAGE
from genomics_fm.storage import Folder, is_remote

FORMAT_VERSION = 2
PARTS = "parts"


@dataclass
class Tally:
    """What is counted while a unit is cut.

    Attributes:
        counts: contigs, windows, nucleotides read, kept and dropped by reason.
        gc_percent: windows of the reference by GC of their known bases, in whole per cent.
        log2_bp: windows of the reference by the logarithm of their length, rounded down.
        assembly: sum over contigs; the assembly's sha256 once all its files are merged.
        held_out: those of `Source.exclude_contigs` that name a contig.
        unclaimed: contigs of a shared VCF that this file does not have.
        notes: what a person should be told.
    """

    counts: Counter[str] = field(default_factory=Counter)
    gc_percent: Counter[int] = field(default_factory=Counter)
    log2_bp: Counter[int] = field(default_factory=Counter)
    assembly: ContentSum = field(default_factory=ContentSum)
    held_out: set[str] = field(default_factory=set)
    unclaimed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def window(self, row: Row, cut: Cut) -> None:
        """Count a window of the reference in."""
        packed, length = row.packed, len(cut.letters)
        if packed is None:
            return
        self.counts["windows"] += 1
        self.counts["nucleotides_in_overlaps"] += cut.overlap
        self.counts["row_nt: N"] += packed.n
        self.counts["row_nt: GC"] += packed.gc
        self.counts["row_nt"] += length
        self.gc_percent[round(100 * packed.gc / max(length - packed.n, 1))] += 1
        self.log2_bp[length.bit_length() - 1] += 1


class _Work:
    """A unit under way: what it reads and what it counts."""

    def __init__(self, unit: Unit, plan: Plan, cache: Path) -> None:
        source = unit.source
        self.source = source
        self.shares_vcf = unit.shares_vcf
        self.location = unit.location
        if not unit.location.startswith(PACKAGE):
            self.location = str(fetch.local_copy(unit.location, source.checksum, cache))
        self.tally = Tally()
        self.sketch = Sketch()
        self.cutter = Cutter(plan.recipe)
        self.masker = plan.exclusion().of(source.assembly)
        self.haplotypes: Haplotypes | None = None
        if source.vcf:
            vcf, samples = (str(fetch.local_copy(at, "", cache)) if at else "" for at in (source.vcf, source.samples))
            self.haplotypes = Haplotypes(vcf, samples, source.phased, source.assembly, plan.haplotypes)

    def regions(self) -> Iterator[list[Row]]:
        """A window of the reference and the haplotypes that differ from it there, in reading order."""
        for contig in stream_genome(self.location):
            counts = self.tally.counts
            reason = self._dropped(contig)
            letters = self.sketch.watch(contig.letters())
            if reason:
                self.masker.meet(contig.name)
                for _ in letters:
                    pass
                counts[f"dropped_nt: {reason}"] += contig.length
                counts[f"dropped_contigs: {reason}"] += 1
            else:
                for cut in self.cutter.cut(self.masker.mask(contig.name, letters)):
                    yield self._region(contig.name, cut)
            if self.haplotypes:
                self.haplotypes.finish_contig(contig.name, contig.length)
            counts["contigs"] += 1
            counts["nucleotides_read"] += contig.length
            self.tally.assembly.merge(assembly_sum([(contig.name, contig.length, contig.sha256)]))
        self._finish()

    def _dropped(self, contig: ContigStream) -> str:
        """Why a contig is left out; "" when it stays."""
        if contig.organelle and not self.source.keep_organelles:
            return "organelle"
        named = {contig.name, contig.chromosome} & set(self.source.exclude_contigs)
        self.tally.held_out |= named
        return "held-out contig" if named else ""

    def _region(self, contig: str, cut: Cut) -> list[Row]:
        source, counts = self.source, self.tally.counts
        place = Place(source.species, source.assembly, contig, cut.start, cut.end)
        reference = Row(place, pack(cut.letters))
        self.tally.window(reference, cut)
        rows = [reference]
        found = self.haplotypes.window(contig, cut.start, cut.end, cut.letters) if self.haplotypes else []
        for one in found:
            rows.append(Row(place, None, one.name, one.cigar, one.edits.decode(), one.multiplicity, one.flags))
            counts["haplotype_rows"] += 1
            counts["haplotype_nt"] += one.length
            counts["haplotype_nt_with_multiplicity"] += one.length * one.multiplicity
        return rows

    def _finish(self) -> None:
        counts = self.tally.counts
        counts.update(self.cutter.counts)
        counts.update(self.masker.counts)
        if self.haplotypes:
            if self.shares_vcf:
                self.tally.unclaimed = list(self.haplotypes.unclaimed())
            else:
                self.haplotypes.finish()
            counts.update(self.haplotypes.counts)
            self.tally.notes += self.haplotypes.notes


def build_unit(
    unit: Unit, plan: Plan, folder: Folder, cache: Path, identity: str, keep_downloads: bool = True
) -> dict[str, Any]:
    """Write a unit's blocks and then its part, unless exactly that has been done before.

    Args:
        unit: what to read.
        plan: what becomes of it.
        folder: the corpus.
        cache: where remote files are kept.
        identity: `unit.identity(plan.identity())`.
        keep_downloads: whether a fetched genome stays in the cache.

    Returns:
        The part: entries of its blocks, counts and sums, as JSON.

    Raises:
        InputError: the source cannot be trusted.
        EnvironmentFault: no space, or a store that does not answer.
    """
    if (done := finished_part(unit, folder, identity)) is not None:
        return done
    work = _Work(unit, plan, cache)
    blocks, content = [], ContentSum()
    for part, rows in enumerate(_full(work.regions(), plan.recipe.rows_per_block)):
        data, entry = encode_block(rows)
        content.merge(ContentSum.of(entry.pop("content")))
        name = f"block-{unit.name}-{part:05d}.arrow"
        folder.write(name, data)
        blocks.append({"file": name, **entry})
    tally = work.tally
    part_json = {
        "format_version": FORMAT_VERSION,
        "genomics_fm": __version__,
        "identity": identity,
        "blocks": blocks,
        "content": content.state(),
        "assembly": tally.assembly.state(),
        "counts": dict(tally.counts),
        "gc_percent": {str(key): count for key, count in tally.gc_percent.items()},
        "window_log2_bp": {str(key): count for key, count in tally.log2_bp.items()},
        "held_out": sorted(tally.held_out),
        "masked_contigs": sorted(work.masker.seen),
        "unclaimed": tally.unclaimed,
        "notes": tally.notes,
        "sketch": base64.b64encode(work.sketch.to_bytes()).decode(),
        "file_sha256": "" if unit.location.startswith(PACKAGE) else sha256_file(Path(work.location)),
    }
    (folder / PARTS).write_sealed_json(f"{unit.name}.json", part_json)
    if is_remote(unit.location) and not keep_downloads:
        Path(work.location).unlink(missing_ok=True)
    return part_json


def _full(regions: Iterator[list[Row]], rows_per_block: int) -> Iterator[list[Row]]:
    """Regions joined until there are `rows_per_block` rows; none is divided."""
    rows: list[Row] = []
    for region in regions:
        rows += region
        if len(rows) >= rows_per_block:
            yield rows
            rows = []
    if rows:
        yield rows


def finished_part(unit: Unit, folder: Folder, identity: str) -> dict[str, Any] | None:
    """The unit's part when an earlier build with this version finished it, its blocks included; else None."""
    try:
        part = (folder / PARTS).read_sealed_json(f"{unit.name}.json", FORMAT_VERSION, "")
    except (InputError, CorruptArtefact):
        return None
    whole = all(folder.size(block["file"]) == block["bytes"] for block in part["blocks"])
    return part if whole and (part["identity"], part.get("genomics_fm")) == (identity, __version__) else None
