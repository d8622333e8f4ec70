"""How fast is a FASTA file read, and how fast by others?

`python -m benchmarks.read_fasta FILE…` prints a table of Markdown: MB of nucleotides a second of processor time, the
best of three runs. Ours gives checked, normalised letters and their sha256; the others give the letters as they are.
Those that are not installed are left out; a file that one of them cannot read gets a dash.
"""

import argparse
import sys
import time
from collections.abc import Callable

from genomics_fm.genome.reader import stream_genome

RUNS = 3


def ours(path: str) -> int:
    total = 0
    for contig in stream_genome(path):
        for letters in contig.letters():
            total += len(letters)
    return total


def with_pysam(path: str) -> int:
    import pysam

    with pysam.FastxFile(path) as file:
        return sum(len(record.sequence) for record in file)


def with_dnaio(path: str) -> int:
    import dnaio

    with dnaio.open(path, open_threads=0) as file:
        return sum(len(record.sequence) for record in file)


def with_oxbow(path: str) -> int:
    import oxbow

    compression = "gzip" if path.endswith(".gz") else None
    batches = oxbow.from_fasta(path, compression=compression).batches()
    return sum(len(text.as_py()) for batch in batches for text in batch.column("sequence"))


READERS: dict[str, Callable[[str], int]] = {
    "genomics_fm": ours,
    "pysam": with_pysam,
    "dnaio": with_dnaio,
    "oxbow": with_oxbow,
}


def rate(read: Callable[[str], int], path: str) -> str:
    """MB/s, or a dash."""
    best = 0.0
    for _ in range(RUNS):
        started = time.process_time()
        try:
            total = read(path)
        except Exception as error:  # noqa: BLE001  (what other packages raise is theirs)
            print(f"{path}: {type(error).__name__}: {error}", file=sys.stderr)
            return "–"
        best = max(best, total / max(time.process_time() - started, 1e-9) / 1e6)
    return f"{best:,.0f}"


def installed(read: Callable[[str], int], path: str) -> bool:
    try:
        read(path)
    except ImportError:
        return False
    except Exception:  # noqa: BLE001
        return True
    return True


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="FILE")
    files = parser.parse_args().files
    readers = {name: read for name, read in READERS.items() if installed(read, files[0])}
    print(f"| MB/s | {' | '.join(readers)} |\n| --- |{' --- |' * len(readers)}")
    for path in files:
        rates = [rate(read, path) for read in readers.values()]
        print(f"| {path.rpartition('/')[2]} | {' | '.join(rates)} |", flush=True)


if __name__ == "__main__":
    main()
