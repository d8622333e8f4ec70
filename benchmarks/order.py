"""How fast is a position of the order turned into a block and a row of it, and what memory does that take (R5)?

`python -m benchmarks.order` prints a table of Markdown. Rates are of processor time, on one core.
"""

import resource
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np

from genomics_fm.randomness import key, permuted, permuted_many, uniform

ROWS = 1_900_000_000
BLOCKS = 15_000
POSITIONS = 20_000_000
AT_ONCE = 1_000_000
ONE_BY_ONE = 50_000
SEED = key(0, "order", "bpe", 0)


def first_rows(rows: int, blocks: int) -> np.ndarray:
    """First row of every block of a made-up manifest, and the number of rows at its end; sizes differ."""
    edges = np.concatenate(([0.0], np.cumsum(0.5 + uniform(key("block sizes"), blocks))))
    return np.rint(edges / edges[-1] * rows).astype(np.int64)


def positions(count: int) -> Iterator[np.ndarray]:
    for begin in range(0, count, AT_ONCE):
        yield np.arange(begin, min(begin + AT_ONCE, count))


def one_by_one() -> int:
    for position in range(ONE_BY_ONE):
        permuted(position, ROWS, SEED)
    return ONE_BY_ONE


def many() -> int:
    for some in positions(POSITIONS):
        permuted_many(some, ROWS, SEED)
    return POSITIONS


def many_to_block_and_row() -> int:
    edges = first_rows(ROWS, BLOCKS)
    for some in positions(POSITIONS):
        rows = permuted_many(some, ROWS, SEED)
        blocks = np.searchsorted(edges, rows, side="right") - 1
        rows -= edges[blocks]
    return POSITIONS


def peak_mb() -> float:
    """Peak resident memory of this process so far; Linux counts in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def measured(work: Callable[[], int]) -> tuple[float, float]:
    """(rows per second of processor time, MB by which the peak grew)."""
    before, started = peak_mb(), time.process_time()
    count = work()
    return count / (time.process_time() - started), peak_mb() - before


def main() -> int:
    """Print the table; ends with 1 below a million rows a second."""
    permuted_many(np.arange(AT_ONCE), ROWS, SEED)  # one call's arrays: what any number of further calls may use
    print(f"{ROWS:,} rows in {BLOCKS:,} blocks; peak memory before: {peak_mb():.0f} MB\n")
    print("| position to | positions | M rows/s | peak grew by, MB |\n| --- | --- | --- | --- |")
    rates = []
    for name, work, count in (
        ("row, one by one (`permuted`)", one_by_one, ONE_BY_ONE),
        ("row (`permuted_many`)", many, POSITIONS),
        ("block and row of it", many_to_block_and_row, POSITIONS),
    ):
        rate, grown = measured(work)
        rates.append(rate)
        print(f"| {name} | {count:,} | {rate / 1e6:.3g} | {grown:.1f} |", flush=True)
    return int(min(rates[1:]) < 1e6)


if __name__ == "__main__":
    sys.exit(main())
