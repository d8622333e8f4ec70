"""Made-up manifests of corpora: what the page and the terminal's tables are tried on, built by nobody."""

import math
from typing import Any

from genomics_fm.corpus.manifest import FORMAT_VERSION

# Clade, GC in per cent, and species with the logarithm of their nucleotides.
CLADES: tuple[tuple[str, float, dict[str, float]], ...] = (
    (
        "Fungi",
        44,
        {"Saccharomyces cerevisiae": 7.08, "Ustilago maydis": 7.29, "Candida albicans": 7.16, "Aspergillus niger": 7.5},
    ),
    (
        "Bacteria",
        52,
        {
            "Escherichia coli": 6.67,
            "Helicobacter pylori": 6.22,
            "Staphylococcus aureus": 6.45,
            "Vibrio cholerae": 6.6,
            "Streptococcus suis": 6.31,
            "Klebsiella pneumoniae": 6.75,
        },
    ),
    (
        "Protozoa",
        23,
        {
            "Dictyostelium discoideum": 7.53,
            "Plasmodium falciparum": 7.37,
            "Drosophila melanogaster": 8.1,
            "Caenorhabditis elegans": 8.0,
        },
    ),
    ("Mammalian", 41, {"Homo sapiens": 9.46, "Mus musculus": 9.43, "Rattus norvegicus": 9.42, "Canis lupus": 9.37}),
    ("Birds", 43, {"Gallus gallus": 9.02, "Taeniopygia guttata": 9.0, "Anas platyrhynchos": 9.05}),
    ("Reptiles", 44, {"Anolis carolinensis": 9.25, "Chelonia mydas": 9.33, "Crocodylus porosus": 9.31}),
    ("Amphibians", 40, {"Xenopus tropicalis": 9.16, "Xenopus laevis": 9.43}),
    (
        "Fish",
        39,
        {"Danio rerio": 9.14, "Oryzias latipes": 8.86, "Latimeria chalumnae": 9.44, "Takifugu rubripes": 8.58},
    ),
)
WINDOW_LOG2 = 17


def species_counts(nucleotides: int, gc: float, haplotypes: int) -> dict[str, int]:
    """Counts that add up, as the builder writes them."""
    short, runs, organelle = nucleotides // 900, nucleotides // 40, 16_569
    windows = max(nucleotides >> WINDOW_LOG2, 1)
    rows = nucleotides + 100 * windows
    counts = {
        "contigs": 24,
        "windows": windows,
        "nucleotides_read": nucleotides + short + runs + organelle,
        "nucleotides_kept": nucleotides,
        "nucleotides_in_overlaps": 100 * windows,
        "row_nt": rows,
        "row_nt: N": rows // 5_000,
        "row_nt: GC": round((rows - rows // 5_000) * gc / 100),
        "dropped_nt: piece shorter than minimum": short,
        "dropped_nt: run of N": runs,
        "dropped_nt: organelle": organelle,
        "dropped_contigs: organelle": 1,
    }
    if haplotypes:
        counts |= {
            "haplotype_rows": haplotypes,
            "haplotype_nt": haplotypes << WINDOW_LOG2,
            "haplotype_nt_with_multiplicity": 3 * haplotypes << WINDOW_LOG2,
            "dropped_rows: more than 5 % missing": 12,
            "variants applied": 23_670,
        }
    return counts


def histograms(counts: dict[str, int], gc: float) -> dict[str, dict[str, int]]:
    spread = 6.0
    shares = {percent: math.exp(-(((percent - gc) / spread) ** 2) / 2) for percent in range(8, 80)}
    percents = {str(p): round(counts["windows"] * share / spread / 2.5) for p, share in shares.items()}
    lengths = (
        {str(WINDOW_LOG2): counts["windows"] - 12, "12": 4, "9": 6, "6": 2}
        if counts["windows"] > 12
        else {"15": counts["windows"]}
    )
    return {"gc_percent": {p: n for p, n in percents.items() if n}, "window_log2_bp": lengths}


def made_up() -> dict[str, Any]:
    """Thirty species in eight clades; one with haplotypes, one with two assemblies, unequal weights."""
    manifest: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "corpus_sha256": "5e" * 32,
        "plan": {
            "recipe": {"window_bp": 131_072, "overlap_bp": 100, "min_piece_bp": 70},
            "exclude": ["0f" * 32],
            "max_similarity": 0.999,
        },
        "assemblies": [],
        "counts_by_species": {},
        "histograms": {},
        "similar": [
            {"a": "Mus musculus GRCm38", "b": "Mus musculus GRCm39", "ani": 0.9996, "containment": 0.98, "dropped": ""}
        ],
        "blocks": [],
    }
    taxid = 4_000
    for clade, gc, species in CLADES:
        for number, (name, log10) in enumerate(species.items()):
            taxid += 1
            own_gc = gc + 2.5 * (number - (len(species) - 1) / 2)
            counts = species_counts(round(10**log10), own_gc, 5_400 if name == "Homo sapiens" else 0)
            manifest["counts_by_species"][name] = counts
            manifest["histograms"][name] = histograms(counts, own_gc)
            manifest["assemblies"].append(
                {
                    "species": name,
                    "assembly": f"ASM{taxid}v1",
                    "clade": clade,
                    "taxid": taxid,
                    "weight": 2.5 if clade == "Bacteria" else 1.0,
                    "sha256": f"{taxid:064x}",
                    "nucleotides_kept": counts["nucleotides_kept"],
                }
            )
    totals: dict[str, int] = {}
    for counts in manifest["counts_by_species"].values():
        for name, count in counts.items():
            totals[name] = totals.get(name, 0) + count
    return manifest | {"counts": totals}


def format_1() -> dict[str, Any]:
    """What the first version wrote: no histograms, no weights, assemblies as lists."""
    counts = {
        "contigs": 2,
        "dropped_nt: piece shorter than minimum": 0,
        "dropped_nt: run of N": 0,
        "nucleotides_in_overlaps": 300,
        "nucleotides_kept": 4_520,
        "nucleotides_read": 4_520,
        "windows": 5,
    }
    return {
        "format_version": 1,
        "corpus_sha256": "6a" * 32,
        "assemblies": [["Fictus exemplaris", "one", ""]],
        "blocks": [],
        "counts": counts,
        "counts_by_species": {"Fictus exemplaris": counts},
        "recipe": {"window_bp": 1024, "overlap_bp": 100},
        "rows_per_batch": 16,
    }
