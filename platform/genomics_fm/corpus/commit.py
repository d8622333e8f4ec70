"""From finished parts to a corpus: the manifest, written last."""

import base64
import dataclasses
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from genomics_fm.artefacts import ContentSum, sha256_json
from genomics_fm.corpus.accounts import check_counts, check_part
from genomics_fm.corpus.build import PARTS
from genomics_fm.corpus.manifest import FORMAT_VERSION, MANIFEST, PROVENANCE
from genomics_fm.corpus.plan import Plan, Unit, stamp
from genomics_fm.corpus.similarity import Sketch, near_identical
from genomics_fm.corpus.sources import Source
from genomics_fm.errors import InputError
from genomics_fm.storage import Folder

REPORTED_ANI = 0.99
"""Assemblies at least so alike are reported, whatever is dropped."""
_HISTOGRAMS = ("gc_percent", "window_log2_bp")
_OURS = ("block-", ".block-", f".{MANIFEST}.", f".{PROVENANCE}.")
"""How blocks and what a killed writer leaves of our files begin."""


@dataclass
class _Assembly:
    """All files of one assembly, merged."""

    source: Source
    units: list[Unit] = field(default_factory=list)
    blocks: list[dict[str, Any]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    histograms: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in _HISTOGRAMS})
    content: ContentSum = field(default_factory=ContentSum)
    letters: ContentSum = field(default_factory=ContentSum)
    masked_contigs: set[str] = field(default_factory=set)
    sketch: Sketch = field(default_factory=Sketch)

    @property
    def key(self) -> tuple[str, str]:
        return self.source.species, self.source.assembly

    @property
    def name(self) -> str:
        return " ".join(filter(None, self.key))

    def merge(self, unit: Unit, part: dict[str, Any]) -> None:
        self.units.append(unit)
        self.blocks += part["blocks"]
        self.counts.update(part["counts"])
        for name, histogram in self.histograms.items():
            histogram.update(part[name])
        self.content.merge(ContentSum.of(part["content"]))
        self.letters.merge(ContentSum.of(part["assembly"]))
        self.masked_contigs.update(part["masked_contigs"])
        self.sketch.merge(Sketch.from_bytes(base64.b64decode(part["sketch"])))

    def described(self) -> dict[str, Any]:
        source = self.source
        about = {name: getattr(source, name) for name in ("species", "assembly", "clade", "taxid", "weight")}
        kept = self.counts["nucleotides_kept"]
        return {**about, "sha256": self.letters.hexdigest(), "files": len(self.units), "nucleotides_kept": kept}


def commit(folder: Folder, units: list[Unit], plan: Plan, request: str = "", quick: str = "") -> dict[str, Any]:
    """Merge the parts, write `provenance.json`, then the manifest, which makes the folder a corpus.

    Args:
        folder: holds blocks and parts of all units.
        units: in order.
        plan: by which they were built.
        request: identity of what was asked for, kept beside the corpus so that another request is noticed.
        quick: the same, files told by size and time.

    Returns:
        The manifest.

    Raises:
        InputError: no window came out at all, or something that was to be left out is nowhere to be found.
        CorruptArtefact: the counts do not add up.
    """
    provenance: list[dict[str, Any]] = []
    assemblies = list(_assemblies(folder, units, provenance))
    _refuse_unfound(units, assemblies, provenance, plan)
    similar = _near_identical(assemblies, plan.max_similarity)
    left_out = {pair["dropped"] for pair in similar} - {""}
    kept = [assembly for assembly in assemblies if assembly.name not in left_out]
    if not any(assembly.blocks for assembly in kept):
        raise InputError(f"{folder}: no window left of {len(units)} files; see 'What is dropped' in docs/corpus.md")
    manifest = _manifest(kept, [a for a in assemblies if a.name in left_out], plan, similar)
    check_counts(manifest["counts"], sum(block["rows"] for block in manifest["blocks"]), folder.shown(MANIFEST))
    folder.write_sealed_json(
        PROVENANCE,
        {
            "format_version": FORMAT_VERSION,
            "sources": [dataclasses.asdict(s) for _, s in sorted({u.number: u.source for u in units}.items())],
            "plan": dataclasses.asdict(plan),
            "files": provenance,
            "identity": request,
            "quick_identity": quick,
            "built_unixtime": round(time.time()),
        },
    )
    folder.write_sealed_json(MANIFEST, manifest)
    tidy(folder, manifest)
    return manifest


def _assemblies(folder: Folder, units: list[Unit], provenance: list[dict[str, Any]]) -> Iterator[_Assembly]:
    """Assemblies in the order of their first file; one part is in memory at a time."""
    made: dict[tuple[str, str], _Assembly] = {}
    for unit in units:
        parts, name = folder / PARTS, f"{unit.name}.json"
        part = parts.read_sealed_json(name, FORMAT_VERSION, "run the same build again")
        check_part(part, parts.shown(name))
        key = (unit.source.species, unit.source.assembly)
        made.setdefault(key, _Assembly(unit.source)).merge(unit, part)
        about = {"location": unit.location, "stamp": stamp(unit.location), "sha256": part["file_sha256"]}
        told = {name: part[name] for name in ("held_out", "unclaimed", "notes")}
        provenance.append({**about, "vcf": unit.source.vcf, **told})
    yield from made.values()


def _refuse_unfound(
    units: list[Unit], assemblies: list[_Assembly], provenance: list[dict[str, Any]], plan: Plan
) -> None:
    absent = {name for unit in units for name in unit.source.exclude_contigs}
    absent -= {name for entry in provenance for name in entry["held_out"]}
    if absent:
        raise InputError(f"exclude_contigs {', '.join(sorted(absent))}: no contig of that name; nothing was held out")
    _refuse_unclaimed({unit.source.vcf for unit in units if unit.shares_vcf}, provenance)
    exclusion = plan.exclusion()
    exclusion.unused({assembly.source.assembly for assembly in assemblies})
    for assembly in assemblies:
        exclusion.check(assembly.source.assembly, assembly.letters.hexdigest(), assembly.masked_contigs)


def _refuse_unclaimed(shared: set[str], provenance: list[dict[str, Any]]) -> None:
    """Refuse a shared VCF with contigs that none of the files beside it has."""
    for vcf in sorted(shared):
        unclaimed = set.intersection(*(set(entry["unclaimed"]) for entry in provenance if entry["vcf"] == vcf))
        if unclaimed:
            names = ", ".join(sorted(unclaimed)[:10])
            raise InputError(
                f"{vcf}: contigs {names} are in none of its genome's files; was it called on another genome?"
            )


def _near_identical(assemblies: list[_Assembly], max_similarity: float) -> list[dict[str, Any]]:
    """Pairs that are reported; `dropped` names the later of two too similar ones, unless the earlier has gone."""
    order = {assembly.name: number for number, assembly in enumerate(assemblies)}
    pairs = near_identical([(a.name, a.sketch) for a in assemblies], min(REPORTED_ANI, max_similarity))
    gone: set[str] = set()
    reported = []
    for pair in sorted(pairs, key=lambda pair: (max(order[pair.a], order[pair.b]), min(order[pair.a], order[pair.b]))):
        earlier, later = sorted((pair.a, pair.b), key=order.__getitem__)
        drop = pair.ani > max_similarity and earlier not in gone
        gone |= {later} if drop else set()
        measured = {"ani": round(pair.ani, 6), "containment": round(pair.containment, 6)}
        reported.append({"a": earlier, "b": later, **measured, "dropped": later if drop else ""})
    return reported


def _manifest(
    kept: list[_Assembly], dropped: list[_Assembly], plan: Plan, similar: list[dict[str, Any]]
) -> dict[str, Any]:
    by_species: dict[str, Counter[str]] = {}
    histograms: dict[str, dict[str, Counter[str]]] = {}
    for assembly in kept:
        by_species.setdefault(assembly.source.species, Counter()).update(assembly.counts)
        mine = histograms.setdefault(assembly.source.species, {name: Counter() for name in _HISTOGRAMS})
        for name, histogram in assembly.histograms.items():
            mine[name].update(histogram)
    for assembly in dropped:
        gone = by_species.setdefault(assembly.source.species, Counter())
        gone["dropped_assemblies: near-identical"] += 1
        gone["nucleotides_read"] += assembly.counts["nucleotides_read"]
        gone["contigs"] += assembly.counts["contigs"]
        gone["dropped_nt: near-identical assembly"] += assembly.counts["nucleotides_read"]
        gone["dropped_contigs: near-identical assembly"] += assembly.counts["contigs"]
    blocks = [{**block, "assembly": number} for number, one in enumerate(kept) for block in one.blocks]
    return {
        "format_version": FORMAT_VERSION,
        "plan": plan.identity(),
        "assemblies": [assembly.described() for assembly in kept],
        "counts": _sorted(sum(by_species.values(), Counter())),
        "counts_by_species": {name: _sorted(counts) for name, counts in sorted(by_species.items())},
        "histograms": {s: {n: _sorted(h) for n, h in both.items()} for s, both in sorted(histograms.items())},
        "similar": similar,
        "blocks": blocks,
        "corpus_sha256": sha256_json([[*assembly.key, *assembly.content.state()] for assembly in kept]),
    }


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted((name, count) for name, count in counts.items() if count))


def tidy(folder: Folder, manifest: Mapping[str, Any]) -> None:
    """Delete parts, and what killed builds and dropped assemblies have left. The folder of parts goes last."""
    listed = {block["file"] for block in manifest["blocks"]}
    for name in folder.names():
        if name.startswith(_OURS) and name not in listed:
            folder.delete(name)
    parts = folder / PARTS
    for name in parts.names():
        parts.delete(name)
    parts.remove()
