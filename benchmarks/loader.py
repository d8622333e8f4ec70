"""How fast rows come, where the time goes, how full they are, and how soon a stream is back at a state.

`python -m benchmarks.loader CORPUS VOCABULARY` prints tables of Markdown. Rates are tokens a second of processor time
of one core, after a first refill that has compiled and opened everything. The state is restored on the corpus listed
until it holds a billion nucleotides, by a new object that hashes every block it touches.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genomics_fm.corpus.manifest import FORMAT_VERSION, MANIFEST, Corpus
from genomics_fm.pretraining import lane
from genomics_fm.pretraining.batches import Batches, micro_batch
from genomics_fm.pretraining.lane import Row
from genomics_fm.pretraining.prefetch import Prefetched
from genomics_fm.pretraining.stream import Stream, StreamConfig
from genomics_fm.pretraining.walk import Walk
from genomics_fm.storage import Folder
from genomics_fm.vocabulary.ensemble import Ensemble

ROW_TOKENS = 2_048
LEAST_RATE = {"bpe": 5e6, "kmer": 50e6}
LEAST_FILL, LEAST_FILL_FROM = 0.995, 2_048
STRETCH = 100
"""Rows over which the useful share is looked at; of all such stretches the worst counts."""
ASKED, MOST_STALL = 640_000, 0.005
BATCH_ROWS, ROWS_AT_ONCE = 32, 8
NUCLEOTIDES, ROWS_BEFORE, ROWS_AFTER, MOST_SECONDS = 1_000_000_000, 2_000, 1_000, 5.0
PARTS: dict[str, tuple[Any, str]] = {
    "read": (Corpus, "letters"),
    "cut, gather": (Walk, "take"),
    "encode": (Ensemble, "encode_many"),
    "wrap": (lane, "wrap"),
    "pack": (lane, "pack"),
    "lay out": (lane, "gather"),
    "mask": (lane, "mask_many"),
}
INSIDE = {"cut, gather": "read"}
"""A part whose time holds another's."""


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """Processor seconds spent in each part while the context lasts."""
    spent: dict[str, float] = defaultdict(float)

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def watch(*given: Any) -> Any:
            started = time.process_time()
            try:
                return call(*given)
            finally:
                spent[name] += time.process_time() - started

        return watch

    kept = {name: getattr(owner, attribute) for name, (owner, attribute) in PARTS.items()}
    for name, (owner, attribute) in PARTS.items():
        setattr(owner, attribute, timed(name, kept[name]))
    try:
        yield spent
    finally:
        for name, (owner, attribute) in PARTS.items():
            setattr(owner, attribute, kept[name])


def rates(corpus: Corpus, vocabulary: Ensemble, name: str, seconds: float) -> tuple[float, dict[str, float]]:
    """Tokens a second with their tensors, and the share of the time each part takes."""
    stream = Stream(corpus, vocabulary, StreamConfig(row_tokens=ROW_TOKENS, cycle=(name,)), 0)
    micro_batch([stream.row() for _ in range(STRETCH)], vocabulary.names)
    tokens, tensors, started = 0, 0.0, time.process_time()
    with watched() as spent:
        while time.process_time() - started < seconds:
            rows = [stream.row() for _ in range(ROWS_AT_ONCE)]
            before = time.process_time()
            tokens += len(micro_batch(rows, vocabulary.names).ids_N)
            tensors += time.process_time() - before
    total = time.process_time() - started
    shares = {part: (spent[part] - spent[INSIDE.get(part, "")]) / total for part in PARTS}
    shares |= {"tensors": tensors / total}
    return tokens / total, shares | {"the rest": 1 - sum(shares.values())}


def fill(corpus: Corpus, vocabulary: Ensemble, name: str, row_tokens: int, rows: int) -> tuple[float, float]:
    """Useful share of the slots: on average, and of the worst stretch."""
    stream = Stream(corpus, vocabulary, StreamConfig(row_tokens=row_tokens, cycle=(name,)), 0)
    useful = np.cumsum([0] + [len(stream.row().ids_N) for _ in range(rows)])
    stretches = (useful[STRETCH:] - useful[:-STRETCH]) / (STRETCH * row_tokens)
    return useful[-1] / (rows * row_tokens), stretches.min()


def waiting(corpus: Corpus, vocabulary: Ensemble, steps: int, ahead: bool) -> float:
    """Share of the time that a consumer of `ASKED` tokens a second waits for rows."""
    batches = Batches(corpus, vocabulary, StreamConfig(row_tokens=ROW_TOKENS), BATCH_ROWS, 0, 1)

    def made(rows: list[Row]) -> int:
        return sum(len(micro_batch([row], vocabulary.names).ids_N) for row in rows)

    made(batches.rows(0))
    first = range(1, steps)
    rows = Prefetched(batches, made, first, lambda step: False, 2) if ahead else None
    time.sleep(BATCH_ROWS * ROW_TOKENS / ASKED)
    stall, started = 0.0, time.perf_counter()
    for step in first:
        before = time.perf_counter()
        tokens = rows.take().made if rows else made(batches.rows(step))
        stall += time.perf_counter() - before
        time.sleep(tokens / ASKED)
    if rows:
        rows.close()
    return stall / (time.perf_counter() - started)


def listed(corpus: Corpus, folder: Path) -> Path:
    """The corpus over and over, under other names, until it holds `NUCLEOTIDES`."""
    manifest, times = corpus.manifest, -(-NUCLEOTIDES // corpus.nucleotides)
    many: dict[str, Any] = {"blocks": [], "assemblies": [], "counts_by_species": {}}
    for number in range(times):
        before = len(many["assemblies"])
        for block in manifest["blocks"]:
            name = f"{number}-{block['file']}"
            (folder / name).symlink_to(corpus.folder.absolute() / block["file"])
            many["blocks"].append({**block, "file": name, "assembly": block["assembly"] + before})
        named = [{**about, "species": f"{about['species']} {number}"} for about in manifest["assemblies"]]
        many["assemblies"] += named
        many["counts_by_species"] |= {f"{s} {number}": c for s, c in manifest["counts_by_species"].items()}
    counts = {name: times * count for name, count in manifest["counts"].items()}
    Folder(folder).write_sealed_json(MANIFEST, {**manifest, **many, "counts": counts, "format_version": FORMAT_VERSION})
    return folder


def spelled(batches: Batches, steps: range) -> list[tuple[bytes, bytes]]:
    return [(row.ids_N.tobytes(), row.labels_N.tobytes()) for step in steps for row in batches.rows(step)]


def resumed(corpus: Corpus, vocabulary: Ensemble, config: StreamConfig) -> tuple[float, bool, int]:
    """Seconds to the first global batch after a state, whether the next rows are the same, and bytes of the state."""
    whole = Batches(corpus, vocabulary, config, config.streams, 0, 1)
    steps = ROWS_BEFORE // config.streams
    for step in range(steps):
        whole.rows(step)
    state = json.dumps(whole.states(steps))
    after = range(steps, steps + ROWS_AFTER // config.streams)
    expected = spelled(whole, after)
    started = time.perf_counter()
    again = Batches(Corpus(corpus.folder), vocabulary, config, config.streams, 0, 1)
    again.restore(json.loads(state))
    first = spelled(again, after[:1])
    seconds = time.perf_counter() - started
    return seconds, first + spelled(again, after[1:]) == expected, len(state)


def resident_mb() -> float:
    """Memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> int:
    """Print the tables; ends with 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("vocabulary", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each rate")
    parser.add_argument("--rows", type=int, default=2_000, help="for each useful share")
    given = parser.parse_args()
    torch.set_num_threads(1)
    corpus, vocabulary = Corpus(given.corpus), Ensemble.load(given.vocabulary)
    held = []
    print(f"{corpus.nucleotides:,} nt in {len(corpus):,} windows; rows of {ROW_TOKENS}; {os.cpu_count()} cores\n")
    print(f"| vocabulary | M tokens/s | {' | '.join([*PARTS, 'tensors', 'the rest'])} |\n| {'--- | ' * 11}")
    for name in vocabulary.names:
        rate, shares = rates(corpus, vocabulary, name, given.seconds)
        held.append(rate >= LEAST_RATE.get(name, 0))
        print(f"| {name} | {rate / 1e6:.1f} | {' | '.join(f'{s:.0%}' for s in shares.values())} |", flush=True)
    print(f"\n| useful slots | row | mean | worst {STRETCH} rows |\n| --- | --- | --- | --- |")
    for name in vocabulary.names:
        for row_tokens in (1_024, 2_048, 4_096, 8_192):
            mean, worst = fill(corpus, vocabulary, name, row_tokens, given.rows)
            held.append(row_tokens < LEAST_FILL_FROM or worst >= LEAST_FILL)
            print(f"| {name} | {row_tokens:,} | {mean:.2%} | {worst:.2%} |", flush=True)
    stalls = {ahead: waiting(corpus, vocabulary, 60, ahead) for ahead in (True, False)}
    held.append(stalls[True] < MOST_STALL)
    print(f"\n| {ASKED:,} tokens/s asked, made | waits |\n| --- | --- |")
    print(f"| ahead, by a thread | {stalls[True]:.2%} |\n| when they are asked for | {stalls[False]:.2%} |")
    with tempfile.TemporaryDirectory() as folder:
        large, before = Corpus(listed(corpus, Path(folder))), resident_mb()
        config = StreamConfig(row_tokens=ROW_TOKENS)
        seconds, same, size = resumed(large, vocabulary, config)
        held.append(same and seconds < MOST_SECONDS)
        print("\n| nucleotides | windows | back at a state after | bytes of it | next rows | memory grew by |")
        print(
            f"| --- | --- | --- | --- | --- | --- |\n| {large.nucleotides:,} | {len(large):,} | {seconds:.1f} s", end=""
        )
        told, grown = "the same" if same else "OTHERS", resident_mb() - before
        print(f" | {size:,} | {ROWS_AFTER:,}: {told} | {grown:.0f} MB, two loaders of {config.streams} streams |")
    return int(not all(held))


if __name__ == "__main__":
    sys.exit(main())
