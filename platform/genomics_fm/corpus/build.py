"""One source of genomes to blocks, and blocks to a corpus. Sources are independent: any worker may take any."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from genomics_fm.artefacts import sha256_json, write_bytes, write_json, write_sealed_json
from genomics_fm.corpus.blocks import ROWS_PER_BATCH, Window, chunks, encode_block
from genomics_fm.corpus.manifest import FORMAT_VERSION, MANIFEST, PROVENANCE
from genomics_fm.corpus.windows import Recipe, pieces, windows
from genomics_fm.errors import InputError
from genomics_fm.genome.reader import read_genome
from genomics_fm.genome.records import Contig


@dataclass(frozen=True)
class Source:
    """A file of contigs that belong to one assembly.

    Attributes:
        location: what `read_genome` takes.
        species: binomial name.
        assembly: name of the assembly.
        clade: the paper's category (Fungi, Mammalian, …); "" if unknown.
        exclude_contigs: contigs left out, by record name or chromosome.
        keep_organelles: whether mitochondria and plastids stay in.
    """

    location: str
    species: str
    assembly: str = ""
    clade: str = ""
    exclude_contigs: tuple[str, ...] = ()
    keep_organelles: bool = False


def _dropped(contig: Contig, source: Source) -> str:
    """Why a contig is left out; "" when it stays."""
    if contig.organelle and not source.keep_organelles:
        return "organelle"
    if contig.name in source.exclude_contigs or contig.chromosome in source.exclude_contigs:
        return "held-out contig"
    return ""


def rows_of(source: Source, recipe: Recipe, counts: Counter[str], found: set[str]) -> Iterator[Window]:
    """Windows of a source in reading order.

    Args:
        source: what to read.
        recipe: how to cut.
        found: receives those of `source.exclude_contigs` that name a contig.
        counts: receives contigs, nucleotides read, kept and in overlaps, and nucleotides dropped by reason.
    """
    for contig in read_genome(source.location):
        counts["contigs"] += 1
        counts["nucleotides_read"] += len(contig.sequence)
        if reason := _dropped(contig, source):
            counts[f"dropped_nt: {reason}"] += len(contig.sequence)
            counts[f"dropped_contigs: {reason}"] += 1
            found |= {contig.name, contig.chromosome} & set(source.exclude_contigs)
            continue
        kept_nt = short_nt = 0
        for piece_start, piece_end in pieces(contig.sequence, recipe):
            if piece_end - piece_start < recipe.min_piece_bp:
                short_nt += piece_end - piece_start
                continue
            kept_nt += piece_end - piece_start
            for number, (start, end) in enumerate(windows(piece_start, piece_end, recipe)):
                counts["windows"] += 1
                counts["nucleotides_in_overlaps"] += recipe.overlap_bp if number else 0
                yield Window(contig.sequence[start:end], source.species, source.assembly, contig.name, start, end)
        counts["nucleotides_kept"] += kept_nt
        counts["dropped_nt: piece shorter than minimum"] += short_nt
        counts["dropped_nt: run of N"] += len(contig.sequence) - kept_nt - short_nt


def build_source(number: int, source: Source, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Write a source's blocks.

    Args:
        number: the source's place in the list; part of the blocks' names, so that order is no accident.
        source: what to read.
        recipe: how to cut.
        folder: the corpus.

    Returns:
        Entries of its blocks and its counts, as JSON.
    """
    counts: Counter[str] = Counter()
    found: set[str] = set()
    blocks = []
    for part, rows in enumerate(chunks(rows_of(source, recipe, counts, found), recipe.rows_per_block)):
        data, entry = encode_block(rows)
        name = f"block-{number:05d}-{part:05d}.arrow"
        write_bytes(folder / name, data)
        blocks.append({"file": name, "source": number, **entry})
    return {"source": number, "blocks": blocks, "counts": dict(sorted(counts.items())), "excluded": sorted(found)}


def commit(
    folder: Path, sources: list[Source], recipe: Recipe, reports: list[dict[str, Any]], identity: str = ""
) -> dict[str, Any]:
    """Write `provenance.json`, then the manifest, which makes the folder a corpus.

    Args:
        folder: holds the blocks.
        sources: in the order of their numbers.
        recipe: how they were cut.
        reports: of `build_source`, in any order.
        identity: what the corpus was asked to be, kept beside it so that another request is noticed.

    Raises:
        InputError: no window at all came out of the sources, or a contig to be held out is in none of them.
    """
    reports = sorted(reports, key=lambda report: report["source"])
    blocks = [block for report in reports for block in report["blocks"]]
    absent = {name for source in sources for name in source.exclude_contigs}
    absent -= {name for report in reports for name in report["excluded"]}
    if absent:
        raise InputError(f"exclude_contigs {', '.join(sorted(absent))}: no contig of that name; nothing was held out")
    if not blocks:
        raise InputError(
            f"{folder}: no window left of {len(sources)} sources; see 'What is dropped' in docs/quickstart.md"
        )
    total: Counter[str] = Counter()
    species: dict[str, Counter[str]] = {}
    for report, source in zip(reports, sources, strict=True):
        total.update(report["counts"])
        species.setdefault(source.species, Counter()).update(report["counts"])
    manifest = {
        "format_version": FORMAT_VERSION,
        "recipe": asdict(recipe),
        "assemblies": sorted({(s.species, s.assembly, s.clade) for s in sources}),
        "counts": dict(sorted(total.items())),
        "counts_by_species": {name: dict(sorted(counts.items())) for name, counts in sorted(species.items())},
        "rows_per_batch": ROWS_PER_BATCH,
        "blocks": blocks,
        "corpus_sha256": sha256_json([block["content_sha256"] for block in blocks]),
    }
    write_json(
        folder / PROVENANCE,
        {
            "format_version": FORMAT_VERSION,
            "sources": [asdict(source) for source in sources],
            "identity": identity,
            "built_unixtime": round(time.time()),
        },
    )
    write_sealed_json(folder / MANIFEST, manifest)
    return manifest
