"""How fast are genomes sketched, searched for excluded sequences and compared?

`python -m benchmarks.similarity GENOME.fa[.gz] [--rounds 3]` prints a table of Markdown. Rates are nucleotides a
second of processor time on one core, the best of some rounds, letters already in memory. The excluded sequences
are windows of the genome itself, so that some are found.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from genomics_fm.corpus.exclusion import Exclusion
from genomics_fm.corpus.similarity import MAXIMUM_HASHES, Sketch, near_identical
from genomics_fm.genome import queries
from genomics_fm.genome.reader import stream_genome
from genomics_fm.genome.records import Contig
from genomics_fm.tasks.clusters import cluster

Contigs = list[tuple[str, list[bytes]]]
EXCLUDED_BP = 200
EXCLUDED_COUNTS = (1_000, 30_000)
GENOMES = 1_160
ROWS = 100_000
SEED = 0


def read(location: str) -> Contigs:
    return [(contig.name, list(contig.letters())) for contig in stream_genome(location)]


def sketched(contigs: Contigs) -> None:
    sketch = Sketch()
    for _, letters in contigs:
        sketch.update(letters)
    sketch.to_bytes()


def excluded(contigs: Contigs, exclusion: Exclusion) -> None:
    masker = exclusion.of("")
    for name, letters in contigs:
        for _ in masker.mask(name, letters):
            pass


def searched(contigs: Contigs, wanted: queries.Queries) -> None:
    for _, letters in contigs:
        search = queries.Search(wanted)
        for chunk in letters:
            search.take(chunk)
        search.finish()


def windows(contigs: Contigs, count: int, size: int) -> list[str]:
    """Random windows without N of the longest contig."""
    letters = b"".join(max((letters for _, letters in contigs), key=lambda chunks: sum(map(len, chunks))))
    random = np.random.default_rng(SEED)
    made: list[str] = []
    while len(made) < count:
        start = int(random.integers(len(letters) - size))
        if b"N" not in (window := letters[start : start + size]):
            made.append(window.decode())
    return made


def cpu_seconds(run: Callable[[], object], rounds: int) -> float:
    run()  # compiles
    took = []
    for _ in range(rounds):
        begun = time.process_time()
        run()
        took.append(time.process_time() - begun)
    return min(took)


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def genome_rows(contigs: Contigs, rounds: int) -> None:
    nucleotides = sum(len(chunk) for _, letters in contigs for chunk in letters)
    print(f"| {nucleotides / 1e6:,.1f} M nt of a genome | MB/s |\n| --- | --- |")
    print(f"| sketched | {nucleotides / cpu_seconds(lambda: sketched(contigs), rounds) / 1e6:,.0f} |")
    for count in EXCLUDED_COUNTS:
        chosen = windows(contigs, count, EXCLUDED_BP)
        with tempfile.NamedTemporaryFile("w", suffix=".fa") as file:
            file.write("".join(f">{number}\n{window}\n" for number, window in enumerate(chosen)))
            file.flush()
            exclusion = Exclusion.load([], [file.name])
        wanted = queries.prepare(Contig(str(number), window, "windows") for number, window in enumerate(chosen))
        took = cpu_seconds(lambda: excluded(contigs, exclusion), rounds)  # noqa: B023  (run at once)
        print(f"| {count:,} sequences of {EXCLUDED_BP} nt excluded | {nucleotides / took / 1e6:,.0f} |")
        took = cpu_seconds(lambda: searched(contigs, wanted), rounds)  # noqa: B023
        print(f"| {count:,} sequences of {EXCLUDED_BP} nt located | {nucleotides / took / 1e6:,.0f} |")


def many_rows(contigs: Contigs) -> None:
    """Once each: pairs among sketches of random hashes, and clusters of windows."""
    random = np.random.default_rng(SEED)
    sketches = []
    for number in range(GENOMES):
        sketch = Sketch()
        sketch._take(random.integers(0, sketch.threshold, MAXIMUM_HASHES, np.uint64))
        sketches.append((str(number), sketch))
    chosen = windows(contigs, ROWS, EXCLUDED_BP)
    print("| many at once | s | peak of the process before, after |\n| --- | --- | --- |")
    for what, run in (
        (f"pairs among {GENOMES:,} sketches of {MAXIMUM_HASHES:,} hashes", lambda: near_identical(sketches, 0.95)),
        (f"clusters of {ROWS:,} windows of {EXCLUDED_BP} nt", lambda: cluster(chosen)),
    ):
        before, begun = peak_mb(), time.process_time()
        run()
        print(f"| {what} | {time.process_time() - begun:,.1f} | {before:,}, {peak_mb():,} MB |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("genome", help="a file of at least 1 M nt")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if not Path(arguments.genome).is_file():
        sys.exit(f"{arguments.genome}: no such file; give a genome")
    contigs = read(arguments.genome)
    genome_rows(contigs, arguments.rounds)
    print()
    many_rows(contigs)


if __name__ == "__main__":
    main()
