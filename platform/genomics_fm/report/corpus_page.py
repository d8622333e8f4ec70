"""One self-contained HTML page of what a corpus is made of, from its manifest alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from genomics_fm.corpus import composition
from genomics_fm.corpus.composition import Group
from genomics_fm.report import corpus_plots
from genomics_fm.report.markup import ABSENT, Child, Html, count, join, percent, table, tag
from genomics_fm.report.page import document
from genomics_fm.report.style import STYLE
from genomics_fm.report.svg import short

CORPUS_STYLE = (
    STYLE
    + """
.species{fill:var(--accent);fill-opacity:.45}
.ridge{fill:var(--accent);fill-opacity:.35;stroke:var(--accent);stroke-width:1.2;stroke-linejoin:round}
.plot .label{font-weight:500}
summary{cursor:pointer;color:var(--soft);font-size:.9rem}
"""
)
MANY_SPECIES = 50
"""More rows than this are folded away until asked for."""
HASH_LETTERS = 12
HAPLOTYPES = "Haplotype rows, nt"


def corpus_page(manifest: Mapping[str, Any], name: str) -> str:
    """Build the page.

    Args:
        manifest: of a corpus, format 1 or 2; what it does not hold is left out.
        name: what the corpus is called.

    Returns:
        A whole HTML document.
    """
    species = composition.by_species(manifest)
    clades = composition.by_clade(species)
    total = composition.whole(species)
    parts = [
        tag("header", tag("h1", f"Corpus: {name}"), tag("p", "corpus ", tag("code", manifest["corpus_sha256"]))),
        _tiles(total, len(clades)),
        _volumes(total),
        _clades(species, clades, total),
        _gc(clades),
        _lengths(total),
        _left_out(total),
        _weights(manifest, total),
        _similar(manifest),
        _species(species, clades, total),
        _other(total),
        _plan(manifest),
    ]
    return document(f"Genomics-FM corpus: {name}", parts, CORPUS_STYLE)


def _bar(share: float) -> Html:
    """A bar that says again what stands beside it."""
    filled = tag("span", "", class_="bar", style=f"width:{100 * share:.1f}%") if share > 0 else None
    return tag("span", filled, class_="track", aria_hidden="true")


def _tiles(total: Group, clades: int) -> Html:
    made = [
        (count(total.species), f"species in {clades} clade{'s' * (clades != 1)}"),
        (f"{short(total.kept)} nt", "distinct nucleotides of the references"),
        (count(total.counts["windows"]), "windows of the references"),
    ]
    if total.counts["haplotype_rows"]:
        made.append((count(total.counts["haplotype_rows"]), "haplotype rows beside them"))
    return tag("ul", *(tag("li", tag("b", b), tag("span", s)) for b, s in made), class_="tiles")


def _volumes(total: Group) -> Html:
    rows: list[list[Child]] = [[what, count(value)] for what, value in composition.volumes(total.counts)]
    words = (
        "Haplotypes of one locus are nearly the same sequence many times over: the distinct nucleotides of the "
        "references, not the total, say how much there is to learn from."
    )
    said = tag("p", words, class_="soft") if total.counts["haplotype_rows"] else None
    shown = tag("div", table("Nucleotides", ("What", "Nucleotides"), rows, (1,)), class_="slim")
    return tag("section", tag("h2", "Distinct and total nucleotides"), shown, said)


def _clades(species: Sequence[Group], clades: Sequence[Group], total: Group) -> Html:
    weighted, carried = len(set(total.weights)) > 1, total.counts["haplotype_rows"] > 0
    rows: list[list[Child]] = []
    for group in clades:
        share = group.kept / max(total.kept, 1)
        cells: list[Child] = [group.name, count(group.kept), percent(share), *_weighted(group, total, weighted)]
        cells += [_bar(share), count(group.species), count(group.assemblies)]
        cells += [percent(group.gc), percent(group.unknown, 2), *_carried(group, carried)]
        rows.append(cells)
    heads = ["Clade", "Nucleotides kept", "Share", *["Share by weight"] * weighted, ""]
    heads += ["Species", "Assemblies", "GC", "N", *[HAPLOTYPES] * carried]
    numeric = [number for number, head in enumerate(heads) if head and number]
    drawings = [corpus_plots.sizes(species, clades, wide) for wide in (True, False)]
    caption = "Each dot is a species; its height within the row means nothing and only keeps dots apart."
    figure = tag("figure", *drawings, tag("figcaption", caption)) if drawings[0] is not None else None
    return tag("section", tag("h2", "Species and clades"), table("By clade", heads, rows, numeric), figure)


def _weighted(group: Group, total: Group, weighted: bool) -> list[Child]:
    return [percent(group.weighted_nt / max(total.weighted_nt, 1e-9))] if weighted else []


def _carried(group: Group, carried: bool) -> list[Child]:
    return [count(group.counts["haplotype_nt"])] if carried else []


def _gc(clades: Sequence[Group]) -> Html | None:
    drawings = [corpus_plots.gc(clades, wide) for wide in (True, False)]
    if drawings[0] is None:
        return None
    caption = (
        "Windows of the references by GC among their known bases. Every ridge is as high as its own highest value: "
        "shapes can be compared, areas cannot."
    )
    return tag("section", tag("h2", "GC by clade"), tag("figure", *drawings, tag("figcaption", caption)))


def _lengths(total: Group) -> Html | None:
    windows = sum(total.log2_bp.values())
    if not windows:
        return None
    rows: list[list[Child]] = [
        [f"{2**log2:,} to {2 ** (log2 + 1) - 1:,}", count(number), percent(number / windows), _bar(number / windows)]
        for log2, number in sorted(total.log2_bp.items(), reverse=True)
    ]
    shown = table("Windows of the references by length", ("Length, nt", "Windows", "Share", ""), rows, (1, 2))
    return tag("section", tag("h2", "Window lengths"), shown)


def _left_out(total: Group) -> Html:
    reasons = composition.left_out(total.counts)
    read = max(total.counts["nucleotides_read"], 1)
    units = [
        unit for unit in dict.fromkeys(composition.LEFT_OUT.values()) if any(unit in row for row in reasons.values())
    ]
    most = max([row.get("nucleotides", 0) for row in reasons.values()] + [1])
    rows: list[list[Child]] = [
        [
            reason,
            *(count(row[unit]) if unit in row else ABSENT for unit in units),
            percent(row["nucleotides"] / read, 2) if "nucleotides" in row else ABSENT,
            _bar(row.get("nucleotides", 0) / most),
        ]
        for reason, row in reasons.items()
    ]
    heads = ("Reason", *(unit.capitalize() for unit in units), "Of nucleotides read", "")
    shown = table("Left out, by reason", heads, rows, range(1, len(units) + 2)) if rows else None
    return tag("section", tag("h2", "What was left out"), shown, tag("p", _adds_up(total), class_="soft"))


def _adds_up(total: Group) -> str:
    missing = composition.unaccounted(total.counts)
    if not missing:
        return "Nucleotides kept and left out add up to those read."
    return f"Kept and left out do not add up to those read: {count(abs(missing))} nucleotides differ."


def _weights(manifest: Mapping[str, Any], total: Group) -> Html | None:
    entries = [entry for entry in composition.assemblies(manifest) if "weight" in entry]
    if not entries:
        return None
    low, high = min(total.weights), max(total.weights)
    words = f"All weigh {low:g}: rows are drawn as often as there are of them." if low == high else (
        f"Weights from {low:g} to {high:g}. The share by weight is what an assembly contributes when rows are drawn "
        "in proportion to weight times nucleotides."
    )  # fmt: skip
    rows: list[list[Child]] = [
        [
            entry["species"],
            entry["assembly"] or ABSENT,
            entry.get("taxid") or ABSENT,
            f"{entry['weight']:g}",
            count(entry.get("nucleotides_kept")),
            percent(entry.get("nucleotides_kept", 0) * entry["weight"] / max(total.weighted_nt, 1e-9), 2),
            tag("code", str(entry.get("sha256", ABSENT))[:HASH_LETTERS]),
        ]
        for entry in entries
    ]
    heads = ("Species", "Assembly", "Taxid", "Weight", "Nucleotides kept", "Share by weight", "sha256 of the letters")
    shown = _folded(table("Assemblies", heads, rows, (2, 3, 4, 5)), len(rows), "assembly")
    return tag("section", tag("h2", "Sources and their weights"), tag("p", words), shown)


def _folded(shown: Html, rows: int, what: str) -> Html:
    """A table to unfold."""
    return tag("details", tag("summary", f"{rows:,} row{'s' * (rows != 1)}, one for each {what}"), shown)


def _similar(manifest: Mapping[str, Any]) -> Html | None:
    if "similar" not in manifest:
        return None
    rows: list[list[Child]] = [
        [pair["a"], pair["b"], percent(pair["ani"], 2), percent(pair["containment"]), pair["dropped"] or "both kept"]
        for pair in manifest["similar"]
    ]
    words = tag("p", "No two assemblies are nearly identical.")
    shown = table("Pairs", ("Assembly", "And", "Identity", "Containment", "Left out"), rows, (2, 3)) if rows else words
    return tag("section", tag("h2", "Near-identical assemblies"), shown)


def _species(species: Sequence[Group], clades: Sequence[Group], total: Group) -> Html:
    carried = total.counts["haplotype_rows"] > 0
    rows: list[list[Child]] = []
    for clade in clades:
        rows.append([f"{clade.name} ({clade.species:,})"])
        for group in species:
            if group.clade == clade.clade:
                share = group.kept / max(group.counts["nucleotides_read"], 1)
                cells: list[Child] = [group.name, count(group.kept), percent(share), percent(group.gc)]
                cells += [percent(group.unknown, 2), count(group.counts["windows"]), count(group.counts["contigs"])]
                rows.append([*cells, count(group.assemblies), *_carried(group, carried)])
    heads = ["Species", "Nucleotides kept", "Of those read", "GC", "N", "Windows", "Contigs", "Assemblies"]
    heads += [HAPLOTYPES] * carried
    shown = table("Species by clade, the largest first", heads, rows, range(1, len(heads)))
    if len(species) > MANY_SPECIES:
        shown = _folded(shown, len(species), "species")
    return tag("section", tag("h2", "Every species"), shown)


def _other(total: Group) -> Html | None:
    rows: list[list[Child]] = [[name, count(value)] for name, value in composition.other_counts(total.counts).items()]
    if not rows:
        return None
    shown = tag("div", table("Counted while the corpus was built", ("What", "Count"), rows, (1,)), class_="slim")
    return tag("section", tag("h2", "Other counts"), shown)


def _plan(manifest: Mapping[str, Any]) -> Html | None:
    """How the corpus was cut; nested settings by dotted name."""
    settings = _flat(manifest.get("plan") or manifest.get("recipe") or {})
    if not settings:
        return None
    facts = [join([tag("dt", name), tag("dd", tag("code", value))]) for name, value in settings]
    return tag("section", tag("h2", "How it was built"), tag("dl", *facts))


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    flat: list[tuple[str, str]] = []
    for name, value in sorted(settings.items()):
        if isinstance(value, Mapping):
            flat += _flat(value, f"{prefix}{name}.")
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            flat.append((f"{prefix}{name}", shown or ABSENT))
    return flat
