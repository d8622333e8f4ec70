"""Haplotype sequences a second against a loop of `bcftools consensus`, and the bytes they take.

python -m benchmarks.haplotypes --vcf FILE.vcf.gz --genome FILE.fa.gz --contig 20 --start 1000000 --end 4000000 [--all]

Both sides make the same sequences on one core: every haplotype of every sample over the interval. Ours comes in windows
that overlap, as CIGAR and edits, and, in the second row, decoded to letters as often as there are haplotypes. bcftools
writes each haplotype's interval whole to /dev/null; only the first SAMPLES are run, unless --all is given, and the
time is extrapolated from them.
"""

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from genomics_fm.genome import cigar
from genomics_fm.genome.haplotype_rows import Haplotype
from genomics_fm.genome.haplotypes import HaplotypeRecipe, Haplotypes
from genomics_fm.genome.reader import stream_genome
from genomics_fm.genome.variants import Variants

ROW_BYTES = 100
"""Taken for everything in a row but CIGAR and edits: names, coordinates, flags."""


def contig_letters(genome: str, name: str, end: int) -> bytes:
    """The beginning of a contig, up to `end`."""
    for contig in stream_genome(genome):
        if contig.name == name:
            letters = bytearray()
            for piece in contig.letters():
                letters += piece
                if len(letters) >= end:
                    return bytes(letters)
            return bytes(letters)
    raise SystemExit(f"{genome}: no contig {name}")


def cuts(start: int, end: int, window_bp: int, overlap_bp: int) -> Iterator[tuple[int, int]]:
    for begin in range(start, end - overlap_bp, window_bp - overlap_bp):
        yield begin, min(begin + window_bp, end)


def ours(vcf: str, contig: str, letters: bytes, windows: list[tuple[int, int]]) -> tuple[list[list[Haplotype]], float]:
    """Rows of every window and the CPU seconds they took, the reading of the VCF included."""
    begun = time.process_time()
    haplotypes = Haplotypes(vcf, "", "yes", "", HaplotypeRecipe())
    rows = [haplotypes.window(contig, start, end, letters[start:end]) for start, end in windows]
    return rows, time.process_time() - begun


def decode(rows: list[list[Haplotype]], letters: bytes, windows: list[tuple[int, int]]) -> tuple[int, float]:
    """Nucleotides and CPU seconds of every haplotype's letters, those that are alike made one by one."""
    begun, nucleotides = time.process_time(), 0
    for (start, end), found in zip(windows, rows, strict=True):
        reference = letters[start:end]
        for row in found:
            for _ in range(row.multiplicity):
                nucleotides += len(cigar.apply(reference, row.cigar, row.edits))
    return nucleotides, time.process_time() - begun


def consensus(vcf: str, fasta: Path, samples: tuple[str, ...]) -> float:
    """CPU seconds of one `bcftools consensus` for each haplotype of these samples."""
    begun = os.times()
    for sample in samples:
        for which in ("1", "2"):
            command = ["bcftools", "consensus", "-H", which, "-s", sample, "-f", str(fasta), vcf]
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    ended = os.times()
    return ended.children_user + ended.children_system - begun.children_user - begun.children_system


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vcf", required=True)
    parser.add_argument("--genome", required=True)
    parser.add_argument("--contig", required=True)
    parser.add_argument("--start", type=int, required=True)
    parser.add_argument("--end", type=int, required=True)
    parser.add_argument("--window-bp", type=int, default=131_072)
    parser.add_argument("--overlap-bp", type=int, default=100)
    parser.add_argument("--samples", type=int, default=10, help="of bcftools' side")
    parser.add_argument("--all", action="store_true", help="every sample on bcftools' side too")
    return parser.parse_args()


def theirs(vcf: str, contig: str, start: int, interval: bytes, samples: tuple[str, ...]) -> float:
    """CPU seconds of bcftools' side; its index is made before."""
    with tempfile.TemporaryDirectory() as folder:
        indexed, fasta = Path(folder) / "indexed.vcf.gz", Path(folder) / "interval.fa"
        indexed.symlink_to(Path(vcf).resolve())
        subprocess.run(["bcftools", "index", str(indexed)], check=True)
        fasta.write_text(f">{contig}:{start + 1}-{start + len(interval)}\n{interval.decode()}\n")
        return consensus(str(indexed), fasta, samples)


def main() -> None:
    given = arguments()
    letters = contig_letters(given.genome, given.contig, given.end)
    windows = list(cuts(given.start, given.end, given.window_bp, given.overlap_bp))
    samples = Variants(given.vcf).samples
    rows, _ = ours(given.vcf, given.contig, letters, windows[:1])  # compiles
    decode(rows, letters, windows[:1])
    rows, built = ours(given.vcf, given.contig, letters, windows)
    nucleotides, decoded = decode(rows, letters, windows)
    chosen = samples if given.all else samples[: given.samples]
    loop = theirs(given.vcf, given.contig, given.start, letters[given.start : given.end], chosen)
    loop *= len(samples) / len(chosen)

    haplotypes, distinct = 2 * len(samples), [row for found in rows for row in found]
    how = "measured" if len(chosen) == len(samples) else f"extrapolated from {len(chosen)} samples"
    print(f"{haplotypes} haplotypes of {given.end - given.start:,} nt, {len(windows)} windows; CPU seconds, one core\n")
    print("| what | seconds | haplotypes/s | × |\n|---|---|---|---|")
    for what, seconds in (
        ("CIGAR and edits, identical ones once", built),
        ("the same, then every haplotype's letters", built + decoded),
        (f"`bcftools consensus` for each haplotype ({how})", loop),
    ):
        print(f"| {what} | {seconds:.2f} | {haplotypes / seconds:.1f} | {loop / seconds:.1f} |")
    size = sum(len(row.cigar) + len(row.edits) + ROW_BYTES for row in distinct)
    print(
        f"\n{len(distinct):,} distinct rows of {sum(row.multiplicity for row in distinct):,}, {nucleotides:,} nt; "
        f"{size / sum(row.length for row in distinct):.4f} bytes a nucleotide of a row before compression "
        f"(CIGAR, edits and {ROW_BYTES} bytes)"
    )


if __name__ == "__main__":
    main()
