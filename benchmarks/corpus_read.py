"""How fast are windows of an opened corpus read in shuffled order?

`python -m benchmarks.corpus_read CORPUS` prints a table of Markdown: MB of nucleotides a second of processor time, on
one core, every window once in the order of an epoch; references and haplotypes apart. The first pass hashes blocks.
"""

import argparse
import time

import numpy as np

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.randomness import key, permuted_many

MOST_ROWS = 20_000


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus")
    corpus = Corpus(parser.parse_args().corpus)
    order = permuted_many(np.arange(len(corpus)), len(corpus), key(0, "benchmark"))[:MOST_ROWS].tolist()
    haplotype = {row: bool(corpus.window(row).haplotype) for row in order}
    print("| rows | MB/s hashing blocks | MB/s afterwards |\n| --- | --- | --- |")
    for name, wanted in (("reference", False), ("haplotypes", True)):
        rows = [row for row in order if haplotype[row] == wanted]
        measured = []
        fresh = Corpus(corpus.storage)
        for _ in range(2):
            started, total = time.process_time(), 0
            for row in rows:
                total += fresh.letters(row).size
            measured.append(total / max(time.process_time() - started, 1e-9) / 1e6)
        print(f"| {name}, {len(rows):,} rows | {measured[0]:.0f} | {measured[1]:.0f} |", flush=True)


if __name__ == "__main__":
    main()
