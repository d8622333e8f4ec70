"""Counts that must add up before a corpus is committed: a builder that loses or doubles a base says so itself."""

from collections.abc import Mapping
from typing import Any

from genomics_fm.errors import CorruptArtefact

_CURE = "the builder is at fault: please report it, with the source"


def check_part(part: Mapping[str, Any], shown: str) -> None:
    """Refuse a part whose counts contradict each other or its blocks.

    Args:
        part: as `build.build_unit` returns it.
        shown: names it in messages.

    Raises:
        CorruptArtefact: says which two numbers should be the same.
    """
    counts = part["counts"]
    rows = sum(block["rows"] for block in part["blocks"])
    check_counts(counts, rows, shown)
    _same("rows whose content was hashed", part["content"][0], "rows in blocks", rows, shown)
    for name in ("gc_percent", "window_log2_bp"):
        _same(f"windows by {name}", sum(part[name].values()), "windows", counts.get("windows", 0), shown)


def check_counts(counts: Mapping[str, int], rows: int, shown: str) -> None:
    """Refuse counts of which some nucleotide, window or haplotype is missing, or counted twice.

    Args:
        counts: of a part, an assembly or a whole corpus.
        rows: in its blocks.
        shown: names it in messages.

    Raises:
        CorruptArtefact: says which two numbers should be the same.
    """

    def of(name: str) -> int:
        return counts.get(name, 0)

    kept = of("nucleotides_kept")
    dropped = sum(count for name, count in counts.items() if name.startswith("dropped_nt: "))
    _same("nucleotides kept and dropped", kept + dropped, "nucleotides read", of("nucleotides_read"), shown)
    overlapping = kept + of("nucleotides_in_overlaps")
    _same("nucleotides in windows", of("row_nt"), "kept, and again in overlaps", overlapping, shown)
    _same("windows and haplotypes", of("windows") + of("haplotype_rows"), "rows in blocks", rows, shown)
    merged = of("haplotype_rows") + of("haplotypes merged with one alike")
    _same("haplotypes stored and merged", merged, "haplotypes", of("haplotypes"), shown)


def _same(what: str, found: int, other: str, expected: int, shown: str) -> None:
    if found != expected:
        raise CorruptArtefact(f"{shown}: counts do not add up: {found:,} {what}, but {expected:,} {other}; {_CURE}")
