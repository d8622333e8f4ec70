"""VCF files written by hand for tests."""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

COLUMNS = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]


def vcf_text(
    records: Iterable[str], samples: Sequence[str] = ("S",), contigs: Sequence[str] = (), keys: str = "GT"
) -> str:
    """A VCF of records `[CONTIG:]POS REF ALT [INFO=…] genotype…`."""
    lines = ["##fileformat=VCFv4.2", *(f"##contig=<{contig}>" for contig in contigs)]
    lines.append("\t".join([*COLUMNS, *(["FORMAT", *samples] if samples else [])]))
    for record in records:
        place, ref, alt, *rest = record.split()
        contig, _, position = place.rpartition(":")
        info = rest.pop(0).removeprefix("INFO=") if rest and rest[0].startswith("INFO=") else "."
        columns = [contig or "chr1", position, ".", ref, alt, ".", ".", info]
        lines.append("\t".join([*columns, *([keys, *rest] if samples else [])]))
    return "\n".join(itertools.chain(lines, [""]))


def write_vcf(path: Path, records: Iterable[str], samples: Sequence[str] = ("S",), keys: str = "GT") -> str:
    """Write `vcf_text` and give its location."""
    path.write_text(vcf_text(records, samples, keys=keys))
    return str(path)
