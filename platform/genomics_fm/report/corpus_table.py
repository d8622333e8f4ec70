"""What a corpus is made of, for a terminal of 100 columns."""

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from genomics_fm.corpus import composition
from genomics_fm.corpus.composition import Group
from genomics_fm.report.markup import count, percent

SHOWN_SPECIES = 20
"""The largest; a page shows all."""


def corpus_text(manifest: Mapping[str, Any], width: int = 100) -> str:
    """Composition as plain text; what the manifest (format 1 or 2) does not hold is left out."""
    species = composition.by_species(manifest)
    total = composition.whole(species)
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False, color_system=None)
    console.print(Text(f"corpus {manifest['corpus_sha256']}"))
    console.print(_table("Nucleotides", ("", "nt"), [(a, count(b)) for a, b in composition.volumes(total.counts)]))
    console.print(_groups("Clades (species)", composition.by_clade(species), total))
    largest = sorted(species, key=lambda group: -group.kept)[:SHOWN_SPECIES]
    title = "Species" if len(largest) == len(species) else f"The {len(largest)} largest of {len(species):,} species"
    console.print(_groups(title, largest, total))
    if reasons := composition.left_out(total.counts):
        console.print(_reasons(reasons))
    if total.log2_bp:
        rows = [(f"{2**log2:,} or more", count(number)) for log2, number in sorted(total.log2_bp.items(), reverse=True)]
        console.print(_table("Windows by length", ("nt", "windows"), rows))
    if other := composition.other_counts(total.counts):
        console.print(_table("Other counts", ("", "count"), [(name, count(value)) for name, value in other.items()]))
    for line in _sentences(manifest, total):
        console.print(Text(line))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).rstrip() + "\n"


def _sentences(manifest: Mapping[str, Any], total: Group) -> Iterable[str]:
    missing = composition.unaccounted(total.counts)
    if missing:
        yield f"Kept and left out do not add up to those read: {count(abs(missing))} nucleotides differ."
    else:
        yield "Nucleotides kept and left out add up to those read."
    if total.weights:
        low, high = min(total.weights), max(total.weights)
        yield f"Weights of {len(total.weights):,} assemblies: " + (f"{low:g} to {high:g}" if low < high else f"{low:g}")
    for pair in manifest.get("similar", []):
        became = f"{pair['dropped']} left out" if pair["dropped"] else "both kept"
        yield f"Nearly identical ({pair['ani']:.2%}): {pair['a']} and {pair['b']}; {became}"


def _groups(title: str, groups: Sequence[Group], total: Group) -> Table:
    """One row a group; columns that say nothing of this corpus are left out."""
    weighted, carried = len(set(total.weights)) > 1, total.counts["haplotype_nt"] > 0
    rows = []
    for group in groups:
        name = group.name if group.name != group.clade else f"{group.name} ({group.species:,})"
        cells = [name, count(group.kept), percent(group.kept / max(total.kept, 1))]
        cells += [percent(group.weighted_nt / max(total.weighted_nt, 1e-9))] * weighted
        cells += [percent(group.gc), percent(group.unknown, 2)] + [count(group.counts["haplotype_nt"])] * carried
        rows.append(cells)
    heads = ["", "nt kept", "share", *["by weight"] * weighted, "GC", "N", *["haplotype nt"] * carried]
    return _table(title, heads, rows)


def _reasons(reasons: Mapping[str, Mapping[str, int]]) -> Table:
    units = [
        unit for unit in dict.fromkeys(composition.LEFT_OUT.values()) if any(unit in row for row in reasons.values())
    ]
    rows = [(reason, *(count(row.get(unit)) for unit in units)) for reason, row in reasons.items()]
    return _table("Left out, by reason", ("", *units), rows)


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    made = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD)
    made.add_column(heads[0], overflow="fold")
    for head in heads[1:]:
        made.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        made.add_row(*map(Text, row))
    return made
