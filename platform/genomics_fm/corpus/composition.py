"""What a corpus is made of, from its manifest alone: by species, by clade, in all."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from genomics_fm.corpus.manifest import FORMAT_VERSION, MANIFEST
from genomics_fm.corpus.sources import CLADES
from genomics_fm.storage import Folder

NO_CLADE = "no clade given"
LEFT_OUT = {
    "dropped_nt": "nucleotides",
    "dropped_contigs": "contigs",
    "dropped_rows": "rows",
    "dropped_assemblies": "assemblies",
}
"""Counts by reason (`KIND: REASON`), and what they count. `excluded_nt: …` says more of `dropped_nt: excluded`."""
_SHOWN_ELSEWHERE = frozenset(
    {
        "contigs",
        "windows",
        "nucleotides_read",
        "nucleotides_kept",
        "nucleotides_in_overlaps",
        "row_nt",
        "row_nt: GC",
        "row_nt: N",
        "haplotype_rows",
        "haplotype_nt",
        "haplotype_nt_with_multiplicity",
    }
)


@dataclass
class Group:
    """A species, a clade, or the whole corpus.

    Attributes:
        name: of the species or clade.
        clade: of a species; its own name for a clade.
        species: how many.
        assemblies: how many.
        counts: of the manifest.
        gc_percent: windows by whole per cent.
        log2_bp: windows by the logarithm of their length, rounded down.
        weights: of its assemblies (R4).
        weighted_nt: nucleotides kept, times the weight of their assembly.
    """

    name: str
    clade: str
    species: int = 0
    assemblies: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    gc_percent: Counter[int] = field(default_factory=Counter)
    log2_bp: Counter[int] = field(default_factory=Counter)
    weights: list[float] = field(default_factory=list)
    weighted_nt: float = 0.0

    @property
    def kept(self) -> int:
        """Nucleotides of the reference in the corpus, each once."""
        return self.counts["nucleotides_kept"]

    @property
    def gc(self) -> float | None:
        """Share of G and C among the known bases of the reference rows; None where it was not counted."""
        known = self.counts["row_nt"] - self.counts["row_nt: N"]
        return self.counts["row_nt: GC"] / known if known else None

    @property
    def unknown(self) -> float | None:
        """Share of N in the reference rows; None where it was not counted."""
        return self.counts["row_nt: N"] / self.counts["row_nt"] if self.counts["row_nt"] else None

    def add(self, other: "Group") -> None:
        self.species += other.species
        self.assemblies += other.assemblies
        self.counts.update(other.counts)
        self.gc_percent.update(other.gc_percent)
        self.log2_bp.update(other.log2_bp)
        self.weights += other.weights
        self.weighted_nt += other.weighted_nt


def read_manifest(location: str) -> dict[str, Any]:
    """The manifest of a corpus in a folder or an object store.

    Raises:
        InputError: there is none: no corpus, or an unfinished one.
        CorruptArtefact: it was changed, or is of a newer format.
    """
    return Folder(location).read_sealed_json(MANIFEST, FORMAT_VERSION, "build (or finish) the corpus")


def by_species(manifest: Mapping[str, Any]) -> list[Group]:
    """Species by clade, the largest of a clade first; a manifest of format 1 has no histograms and no weights."""
    groups: dict[str, Group] = {}
    for name, counts in manifest.get("counts_by_species", {}).items():
        histograms = manifest.get("histograms", {}).get(name, {})
        groups[name] = Group(
            name,
            NO_CLADE,
            species=1,
            counts=Counter(counts),
            gc_percent=_numbered(histograms.get("gc_percent", {})),
            log2_bp=_numbered(histograms.get("window_log2_bp", {})),
        )
    for assembly in assemblies(manifest):
        group = groups.setdefault(assembly["species"], Group(assembly["species"], NO_CLADE, species=1))
        group.clade = assembly["clade"] or group.clade
        group.assemblies += 1
        if "weight" in assembly:
            group.weights.append(assembly["weight"])
        group.weighted_nt += assembly.get("nucleotides_kept", 0) * assembly.get("weight", 1.0)
    return sorted(groups.values(), key=lambda group: (*_place(group.clade), -group.kept, group.name))


def assemblies(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Entries of the assemblies; format 1 has lists of species, assembly and clade."""
    names = ("species", "assembly", "clade")
    return [
        dict(entry) if isinstance(entry, Mapping) else dict(zip(names, entry, strict=True))
        for entry in manifest.get("assemblies", [])
    ]


def by_clade(species: Iterable[Group]) -> list[Group]:
    """Sums over clades, the paper's first and in its order."""
    clades: dict[str, Group] = {}
    for group in species:
        clades.setdefault(group.clade, Group(group.clade, group.clade)).add(group)
    return sorted(clades.values(), key=lambda group: _place(group.clade))


def whole(species: Iterable[Group]) -> Group:
    total = Group("all", "")
    for group in species:
        total.add(group)
    return total


def volumes(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Distinct and total nucleotides (R4); haplotypes are left out where there are none."""
    kept, overlaps = counts.get("nucleotides_kept", 0), counts.get("nucleotides_in_overlaps", 0)
    once, carried = counts.get("haplotype_nt", 0), counts.get("haplotype_nt_with_multiplicity", 0)
    said = [
        ("read from the sources", counts.get("nucleotides_read", 0)),
        ("kept: distinct nucleotides of the references", kept),
        ("reference rows, overlaps twice", kept + overlaps),
    ]
    if counts.get("haplotype_rows", 0):
        said += [
            ("haplotype rows, each once", once),
            ("haplotype rows, as often as they are carried", carried),
            ("all rows, as stored", kept + overlaps + once),
            ("all rows, as often as they are carried", kept + overlaps + carried),
        ]
    return said


def left_out(counts: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """By reason, what was left out (`nucleotides`, `contigs`, …: how many), the most nucleotides first."""
    reasons: dict[str, dict[str, int]] = {}
    for name, count in counts.items():
        kind, _, reason = name.partition(": ")
        if reason and kind in LEFT_OUT and count:
            row = reasons.setdefault(reason, {})
            row[LEFT_OUT[kind]] = row.get(LEFT_OUT[kind], 0) + count
    return dict(sorted(reasons.items(), key=lambda item: (-item[1].get("nucleotides", 0), item[0])))


def unaccounted(counts: Mapping[str, int]) -> int:
    """Nucleotides read that were neither kept nor left out for a reason: 0, or the builder is wrong."""
    gone = sum(row.get("nucleotides", 0) for row in left_out(counts).values())
    return counts.get("nucleotides_read", 0) - counts.get("nucleotides_kept", 0) - gone


def other_counts(counts: Mapping[str, int]) -> dict[str, int]:
    """What the builder counted beside volumes and reasons, such as how variants were applied."""
    return {
        name: count
        for name, count in sorted(counts.items())
        if count and name not in _SHOWN_ELSEWHERE and name.partition(": ")[0] not in LEFT_OUT
    }


def _numbered(histogram: Mapping[str, int]) -> Counter[int]:
    """JSON has no numbers as keys."""
    return Counter({int(key): count for key, count in histogram.items()})


def _place(clade: str) -> tuple[int, str]:
    return (CLADES.index(clade), "") if clade in CLADES else (len(CLADES) + (clade == NO_CLADE), clade)
