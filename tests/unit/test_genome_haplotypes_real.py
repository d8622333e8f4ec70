"""Real haplotypes against `bcftools consensus`: equal wherever no two variants overlap and none crosses a border."""

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from genomics_fm.genome import cigar
from genomics_fm.genome.haplotype_rows import CONFLICT_SKIPPED
from genomics_fm.genome.haplotypes import HaplotypeRecipe, Haplotypes
from genomics_fm.genome.reader import stream_genome
from genomics_fm.genome.variants import Variants

SHARED = Path(__file__).parents[3] / "shared" / "data"
VCF = SHARED / "variants" / "kg_chr20_1-4Mb_shapeit4" / "reference.vcf.gz"
GENOME = SHARED / "genomes" / "human_GRCh37_chr20.fa.gz"
FIRST, LAST = 1_000_000, 4_000_000

pytestmark = [
    pytest.mark.skipif(not VCF.is_file(), reason="needs ../shared/data"),
    pytest.mark.skipif(not shutil.which("bcftools"), reason="needs bcftools"),
]


def windows(end: int, window_bp: int, overlap_bp: int = 100) -> list[tuple[int, int]]:
    starts = range(FIRST, end - overlap_bp, window_bp - overlap_bp)
    return [(start, min(start + window_bp, end)) for start in starts]


@pytest.fixture(scope="module")
def chromosome() -> bytes:
    """Chromosome 20 up to the last variant."""
    letters = b""
    for piece in next(stream_genome(str(GENOME))).letters():
        letters += piece
        if len(letters) >= LAST:
            break
    return letters


def consensus(folder: Path, cuts: list[tuple[int, int]], chromosome: bytes, sample: str, which: int) -> list[bytes]:
    """What bcftools makes of each window."""
    vcf = folder / "indexed.vcf.gz"
    if not vcf.exists():
        vcf.symlink_to(VCF)
        subprocess.run(["bcftools", "index", str(vcf)], check=True)
    fasta = folder / "windows.fa"
    fasta.write_text("".join(f">20:{start + 1}-{end}\n{chromosome[start:end].decode()}\n" for start, end in cuts))
    command = ["bcftools", "consensus", "-H", str(which), "-s", sample, "-f", str(fasta), str(vcf)]
    records = subprocess.run(command, capture_output=True, check=True).stdout.split(b">")[1:]
    return [record.partition(b"\n")[2].replace(b"\n", b"").upper() for record in records]


def compare(folder: Path, cuts: list[tuple[int, int]], chromosome: bytes, sample: str) -> Counter[str]:
    """How many windows of a sample's two haplotypes are equal, and why the others may differ."""
    people = folder / "people.tsv"
    people.write_text(f"{sample}\t.\n")
    haplotypes = Haplotypes(str(VCF), str(people), "yes", "GRCh37", HaplotypeRecipe())
    theirs = [consensus(folder, cuts, chromosome, sample, which) for which in (1, 2)]
    found: Counter[str] = Counter()
    for number, (start, end) in enumerate(cuts):
        reference, crossing = chromosome[start:end], "alleles skipped: across a window's border"
        before = haplotypes.counts[crossing]
        rows = {row.name: row for row in haplotypes.window("20", start, end, reference)}
        for which in (1, 2):
            row = rows.get(f"{sample}:{which}")
            if row is None and any(one.multiplicity == 2 for one in rows.values()):
                row = rows[f"{sample}:1"]
            ours = cigar.apply(reference, row.cigar, row.edits) if row else reference
            equal = "equal" if ours == theirs[which - 1][number] else "other"
            why = "overlapping variants: " if row and row.flags & CONFLICT_SKIPPED else ""
            why = why or ("variant across a border: " if haplotypes.counts[crossing] > before else "")
            found[why + equal] += 1
    return found


def test_equal_to_bcftools_consensus(tmp_path: Path, chromosome: bytes) -> None:
    assert compare(tmp_path, windows(1_500_000, 131_072), chromosome, "HG00096") == {"equal": 8}


@pytest.mark.full
def test_equal_to_bcftools_consensus_often(tmp_path: Path, chromosome: bytes) -> None:
    found: Counter[str] = Counter()
    for sample in Variants(str(VCF)).samples[:10]:
        for window_bp in (5_000, 131_072):
            found += compare(tmp_path, windows(LAST, window_bp), chromosome, sample)
    assert found == {
        "equal": 12_668,
        "overlapping variants: equal": 44,  # the later one is skipped by both
        "variant across a border: equal": 3,
        "variant across a border: other": 5,  # bcftools deletes the part of it inside
    }
