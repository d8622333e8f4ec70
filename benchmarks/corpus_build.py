"""How fast do genomes become Arrow blocks, in what memory, and how many bytes do they take?

`python -m benchmarks.corpus_build GENOME.fa[.gz]… [--vcf VCF] [--big 2e9]` prints tables of Markdown. Rates are
nucleotides of processor time, both sides in one run. Peers: a Python loop over `pysam.FastxFile` that writes the same
blocks, one that writes the letters under zstd instead, and readers that only read.
"""

import argparse
import gzip
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pysam

from genomics_fm.corpus.blocks import Place, Row, encode_block
from genomics_fm.corpus.build import build_unit
from genomics_fm.corpus.plan import Plan, units
from genomics_fm.corpus.sources import Source
from genomics_fm.corpus.windows import Recipe
from genomics_fm.genome.packing import NUCLEOTIDES, Packed
from genomics_fm.storage import Folder

RECIPE = Recipe(min_contig_bp=1)
ROUNDS = 3
PEAK = (
    "import resource, sys; from benchmarks.corpus_build import ours; from pathlib import Path; "
    "ours(Path(sys.argv[1]), Path(sys.argv[2])); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
)
NORMAL = str.maketrans("RYSWKMBDHVU", "NNNNNNNNNNT")
_PACKED: dict[str, int] = {}


def ours(genome: Path, folder: Path, vcf: str = "") -> dict[str, int]:
    """Our builder, in this process; its counts and `bytes`."""
    (unit,) = units([Source(str(genome), "species", "assembly", vcf=vcf, phased="yes" if vcf else "")])
    plan = Plan(recipe=RECIPE)
    part = build_unit(unit, plan, Folder(folder), folder, unit.identity(plan.identity()))
    return {**part["counts"], "bytes": sum(block["bytes"] for block in part["blocks"])}


def _windows(genome: Path) -> Iterator[tuple[str, int, str]]:
    """What a script would do: the whole record in hand, cut at runs of N, windows by slices."""
    step = RECIPE.window_bp - RECIPE.overlap_bp
    for record in pysam.FastxFile(str(genome)):
        sequence = record.sequence.upper().translate(NORMAL)
        edges = [0, *(edge for run in re.finditer("N{50,}", sequence) for edge in run.span()), len(sequence)]
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            for begin in range(start, max(end - RECIPE.overlap_bp, start + 1), step):
                if begin < end:
                    yield record.name, begin, sequence[begin : min(begin + RECIPE.window_bp, end)]


def _pack_in_python(text: str) -> Packed:
    """Two bits a base, four bases at a time, from a table."""
    if not _PACKED:
        codes = {chr(letter): code for code, letter in enumerate(NUCLEOTIDES)} | {"N": 3}
        for a in codes:
            for b in codes:
                for c in codes:
                    for d in codes:
                        _PACKED[a + b + c + d] = codes[a] | codes[b] << 2 | codes[c] << 4 | codes[d] << 6
    padded = text + "A" * (-len(text) % 4)
    data = bytes([_PACKED[padded[i : i + 4]] for i in range(0, len(padded), 4)])
    runs = [value for run in re.finditer("N+", text) for value in (run.start(), run.end() - run.start())]
    return Packed(data, np.array(runs, dtype=np.int32), text.count("G") + text.count("C"), text.count("N"))


def loop_same_blocks(genome: Path, folder: Path) -> dict[str, int]:
    """pysam and a Python loop that writes the blocks we write."""
    rows: list[Row] = []
    counts = {"nucleotides_read": 0, "bytes": 0}

    def write() -> None:
        data, entry = encode_block(rows)
        (folder / f"loop-{counts['nucleotides_read']}.arrow").write_bytes(data)
        counts["bytes"] += entry["bytes"]
        rows.clear()

    for name, start, text in _windows(genome):
        rows.append(Row(Place("species", "assembly", name, start, start + len(text)), _pack_in_python(text)))
        counts["nucleotides_read"] += len(text)
        if len(rows) == RECIPE.rows_per_block:
            write()
    write()
    return counts


def loop_zstd_letters(genome: Path, folder: Path) -> dict[str, int]:
    """pysam and a Python loop that writes letters, compressed by pyarrow."""
    counts = {"nucleotides_read": 0, "bytes": 0}
    schema = pa.schema([("sequence", pa.large_string()), ("contig", pa.string()), ("start", pa.int64())])
    path = folder / "letters.arrow"
    options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=1), use_threads=False)
    with pa.ipc.new_file(str(path), schema, options=options) as writer:
        for name, start, text in _windows(genome):
            writer.write_batch(pa.record_batch([[text], [name], [start]], schema=schema))
            counts["nucleotides_read"] += len(text)
    counts["bytes"] = path.stat().st_size
    return counts


def read_pysam(genome: Path, _: Path) -> dict[str, int]:
    """Reading alone."""
    return {"nucleotides_read": sum(len(record.sequence) for record in pysam.FastxFile(str(genome))), "bytes": 0}


def read_dnaio(genome: Path, _: Path) -> dict[str, int]:
    """Reading alone."""
    import dnaio

    with dnaio.open(genome) as file:
        return {"nucleotides_read": sum(len(record.sequence) for record in file), "bytes": 0}


def read_oxbow(genome: Path, _: Path) -> dict[str, int]:
    """Reading alone."""
    import oxbow

    batches = (pa.record_batch(batch) for batch in oxbow.from_fasta(str(genome)).batches())
    return {"nucleotides_read": sum(len(s.as_py()) for b in batches for s in b.column("sequence")), "bytes": 0}


SIDES: dict[str, Callable[[Path, Path], dict[str, int]]] = {
    "ours": ours,
    "pysam + Python loop, the same blocks": loop_same_blocks,
    "pysam + Python loop, letters under zstd": loop_zstd_letters,
    "reading alone: pysam": read_pysam,
    "reading alone: dnaio": read_dnaio,
    "reading alone: oxbow": read_oxbow,
}


def rates(genome: Path) -> None:
    """One table: every side, alternating, the best of `ROUNDS`."""
    best: dict[str, tuple[float, dict[str, int]]] = {}
    for _ in range(ROUNDS):
        for name, side in SIDES.items():
            with tempfile.TemporaryDirectory() as folder:
                started = time.process_time()
                try:
                    counts = side(genome, Path(folder))
                except ImportError:
                    continue
                rate = counts["nucleotides_read"] / (time.process_time() - started)
            best[name] = max(best.get(name, (0.0, counts)), (rate, counts), key=lambda pair: pair[0])
    mine = best["ours"][0]
    print(f"\n{genome.name}\n\n| | MB of nucleotides/CPU-s | ours is | bytes/nt |\n| --- | --- | --- | --- |")
    for name, (rate, counts) in best.items():
        density = counts["bytes"] / (counts.get("nucleotides_kept") or counts["nucleotides_read"])
        print(f"| {name} | {rate / 1e6:.0f} | {mine / rate:.1f} × | {density:.3f} |", flush=True)


def memory(genomes: list[Path]) -> None:
    """Peak resident memory of a process that builds one genome."""
    print("\n| one contig of | peak, MiB |\n| --- | --- |")
    for genome in genomes:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-c", PEAK, str(genome), folder]
            kib = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"| {genome.name} | {kib / 1024:.0f} |", flush=True)


def big_contig(path: Path, nucleotides: int) -> Path:
    """A FASTA of one made-up contig."""
    draw, line = np.random.default_rng(0), 1 << 20
    letters = np.frombuffer(b"ACGT", np.uint8)
    with path.open("wb") as file:
        file.write(b">big\n")
        for _ in range(nucleotides // line):
            file.write(letters[draw.integers(0, 4, line, dtype=np.uint8)].tobytes() + b"\n")
    return path


def haplotypes(genome: Path, vcf: str) -> None:
    """Bytes of what the haplotypes add."""
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        alone, both = ours(genome, Path(first)), ours(genome, Path(second), vcf)
    added, rows = both["bytes"] - alone["bytes"], both["haplotype_nt"]
    print(f"\nHaplotypes: {both['haplotype_rows']:,} rows of {rows:,} nt add {added:,} bytes: {added / rows:.4f} a nt")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("genomes", nargs="+", type=Path)
    parser.add_argument("--vcf", default="", help="of the first genome")
    parser.add_argument("--big", type=float, default=0, help="nucleotides of a made-up contig for the memory table")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.fa"
        with gzip.open(given.genomes[0]) as file:
            plain.write_bytes(file.read())
        for genome in (plain, given.genomes[0]):
            rates(genome)
        if given.big:
            memory([plain, big_contig(Path(folder) / f"{given.big:.0e}.fa", int(given.big))])
        print("\n| all of | bytes/nt |\n| --- | --- |")
        for genome in given.genomes:
            with tempfile.TemporaryDirectory() as blocks:
                counts = ours(genome, Path(blocks))
            print(f"| {genome.name} | {counts['bytes'] / counts['nucleotides_kept']:.4f} |", flush=True)
        if given.vcf:
            haplotypes(given.genomes[0], given.vcf)


if __name__ == "__main__":
    main()
