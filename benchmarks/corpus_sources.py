"""Does the driver's memory stay flat when a corpus has 1,160 sources?

`python -m benchmarks.corpus_sources GENOME…` cuts the genomes into 1,160 files of one contig, builds a corpus of them
on a local Ray and prints the driver's resident memory as files are done, as a table of Markdown.
"""

import argparse
import tempfile
import threading
import time
from pathlib import Path

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.corpus.plan import Plan
from genomics_fm.corpus.sources import Source
from genomics_fm.genome.reader import read_genome
from genomics_fm.storage import Folder
from jobs import build_corpus

SOURCES = 1_160
LOOK_SECONDS = 0.5
SHOWN = 8


def resident_mb() -> float:
    """Of this process; Linux counts pages of 4 KiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def cut(genomes: list[str], folder: Path) -> list[Source]:
    """`SOURCES` files, as equal as whole contigs allow."""
    contigs = [contig for genome in genomes for contig in read_genome(genome)]
    size = sum(len(contig.sequence) for contig in contigs) // SOURCES
    sources: list[Source] = []
    for contig in contigs:
        for start in range(0, len(contig.sequence), size):
            letters = contig.sequence[start : start + size]
            if len(letters.replace("N", "")) < size // 2 or len(sources) == SOURCES:
                continue
            path = folder / f"{len(sources)}.fa"
            path.write_text(f">c{len(sources)}\n{letters}\n")
            sources.append(Source(str(path), f"species {len(sources)}", f"assembly {len(sources)}"))
    return sources


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("genomes", nargs="+")
    given = parser.parse_args()
    looks: list[tuple[int, float]] = []
    ended = threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        sources = cut(given.genomes, Path(folder))
        corpus = Path(folder) / "corpus"

        def look() -> None:
            while not ended.wait(LOOK_SECONDS):
                parts = corpus / "parts"
                done = len(list(parts.iterdir())) if parts.is_dir() else 0
                looks.append((done, resident_mb()))

        watcher = threading.Thread(target=look)
        watcher.start()
        started = time.perf_counter()
        result = build_corpus.run_sources(sources, Plan(), Folder(corpus))
        seconds = time.perf_counter() - started
        ended.set()
        watcher.join()
        blocks = len(Corpus(corpus).blocks)
    looks = [look for look in looks if look[0]]
    print(f"{len(sources):,} sources, {result['nucleotides']:,} nt, {blocks:,} blocks")
    print(f"{seconds:.0f} s, the start of Ray included\n")
    print("| files done | driver, MB |\n| --- | --- |")
    for done, megabytes in [*looks[:: max(1, len(looks) // SHOWN)], looks[-1]]:
        print(f"| {done:,} | {megabytes:.0f} |")


if __name__ == "__main__":
    main()
