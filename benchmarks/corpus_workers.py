"""Do two workers build a corpus faster than one?

`python -m benchmarks.corpus_workers GENOME…` builds the genomes, listed until they hold 1.5 billion nucleotides, on a
Ray of one CPU and one of two in turn, `ROUNDS` times, and prints a table of Markdown. Seconds are of the clock, after a
small build that has started the workers.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from genomics_fm.corpus.plan import Plan, Unit, units
from genomics_fm.corpus.sources import Source
from genomics_fm.genome.reader import stream_genome
from genomics_fm.storage import Folder
from jobs import launch
from jobs.build_corpus import build

NUCLEOTIDES = 1_500_000_000
ROUNDS = 3


def length(genome: str) -> int:
    """Nucleotides of a genome."""
    total = 0
    for contig in stream_genome(genome):
        contig.drain()
        total += contig.length
    return total


def listed(genomes: list[str], folder: Path) -> list[Source]:
    """Sources, over and over under other names, until they hold `NUCLEOTIDES`."""
    sources: list[Source] = []
    lengths, total = {genome: length(genome) for genome in genomes}, 0
    while total < NUCLEOTIDES:
        for genome in genomes:
            link = folder / f"{len(sources)}-{Path(genome).name}"
            link.symlink_to(Path(genome).absolute())
            sources.append(Source(str(link), f"species {len(sources)}", "assembly"))
            total += lengths[genome]
    print(f"{len(sources)} files, {total:,} nt", flush=True)
    return sources


def timed(work: list[Unit]) -> float:
    """Seconds to build the units on the connected Ray."""
    with tempfile.TemporaryDirectory() as corpus:
        started = time.perf_counter()
        build(work, Plan(), Folder(corpus))
        return time.perf_counter() - started


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("genomes", nargs="+")
    given = parser.parse_args()
    seconds: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        work = units(listed(given.genomes, Path(folder)))
        for _ in range(ROUNDS):
            for workers, taken in seconds.items():
                with launch.connect(workers):
                    timed(work[:8])
                    taken.append(timed(work))
    print("\n| workers | seconds | median |\n| --- | --- | --- |")
    for workers, taken in seconds.items():
        print(f"| {workers} | {', '.join(f'{one:.1f}' for one in taken)} | {statistics.median(taken):.1f} |")
    print(f"\ntwo against one: {statistics.median(seconds[1]) / statistics.median(seconds[2]):.2f} ×")


if __name__ == "__main__":
    main()
