"""How fast are vocabularies, on one core and fresh DNA, beside `tokenizers` and a k-mer tokenizer in Python?

`python -m benchmarks.vocabularies GENOME… [--sizes 512 4096] [--rounds 7]` trains BPE on some stretches of the genomes,
encodes others in rounds, none of them twice, and prints a table of Markdown. Both sides take turns on the same
sequences, ours as the corpus gives them (one array of letters), the others as strings. Rates are medians by processor
time; ratios are of one round's two sides.
"""

import os

os.environ["RAYON_NUM_THREADS"] = "1"  # before tokenizers is imported

import argparse
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer, models

from genomics_fm.errors import GenomicsFmError
from genomics_fm.genome.reader import stream_genome
from genomics_fm.randomness import key, permuted
from genomics_fm.vocabulary.bpe import BpeVocabulary
from genomics_fm.vocabulary.kmer import KmerVocabulary
from genomics_fm.vocabulary.member import Member
from genomics_fm.vocabulary.special import SPECIAL_TOKENS, UNKNOWN

SEQUENCE_NT = 2_300
TRAINING = 400
"""Sequences that BPE is trained on; 0.9 Mnt, ten seconds."""
A_ROUND = 400
K = 6
FIRST_CALL = """
import time
from genomics_fm.vocabulary.{module} import {name}
member = {make}
started = time.perf_counter()
member.encode("ACGTN" * 10)
print(time.perf_counter() - started)
"""
FIRST_CALLS = {
    "BPE": FIRST_CALL.format(module="bpe", name="BpeVocabulary", make='BpeVocabulary([*"ACGT", "AC"], [("A", "C")])'),
    f"{K}-mers": FIRST_CALL.format(module="kmer", name="KmerVocabulary", make=f"KmerVocabulary({K})"),
}


@dataclass(frozen=True)
class Side:
    """What is timed, what it is given (made of strings before), and one array of local ids of its result (after)."""

    encode: Callable[[Any], Any]
    ids: Callable[[Any], np.ndarray]
    given: Callable[[list[str]], Any] = lambda texts: texts


@dataclass(frozen=True)
class Round:
    """Seconds of both sides, and what they read and made."""

    ours: float
    other: float
    nucleotides: int
    tokens: int


def sequences(genomes: list[str]) -> Iterator[str]:
    """Stretches of all genomes in shuffled order, each once."""
    contigs = [b"".join(contig.letters()).decode() for genome in genomes for contig in stream_genome(genome)]
    counts = np.cumsum([0, *(len(contig) // SEQUENCE_NT for contig in contigs)])
    for number in range(counts[-1]):
        place = permuted(number, int(counts[-1]), key("benchmarks.vocabularies"))
        contig = int(np.searchsorted(counts, place, side="right")) - 1
        begin = (place - int(counts[contig])) * SEQUENCE_NT
        yield contigs[contig][begin : begin + SEQUENCE_NT]


def letters(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """What the corpus gives: all letters in one array, and where each sequence begins."""
    return np.frombuffer(bytearray("".join(texts).encode("ascii")), np.uint8), np.cumsum([0, *map(len, texts)])


def ours(member: Member) -> Side:
    return Side(lambda given: member.encode_many(*given), lambda result: result[0], letters)


def by_tokenizers(bpe: BpeVocabulary) -> Side:
    """`encode_batch` without a normalizer: the texts are upper case."""
    unknown = len(bpe.pieces)
    ranks = {piece: rank for rank, piece in enumerate([*bpe.pieces, "[UNK]"])}
    tokenizer = Tokenizer(models.BPE(ranks, bpe.merges, unk_token="[UNK]", fuse_unk=False))

    def ids(encodings: list[Encoding]) -> np.ndarray:
        local_ids = np.concatenate([encoding.ids for encoding in encodings])
        return np.where(local_ids == unknown, UNKNOWN, local_ids)

    return Side(tokenizer.encode_batch, ids)


def by_python(k: int) -> Side:
    """Slices and a dictionary, as tokenizers of k-mers for DNA models do it."""
    ranks = {piece: rank for rank, piece in enumerate(KmerVocabulary(k).pieces)}

    def encode(texts: list[str]) -> list[list[int]]:
        return [[ranks.get(text[i : i + k], UNKNOWN) for i in range(len(text) - k + 1)] for text in texts]

    return Side(encode, np.concatenate)


def timed(side: Side, texts: list[str]) -> tuple[float, np.ndarray]:
    given = side.given(texts)
    started = time.process_time()
    result = side.encode(given)
    return time.process_time() - started, side.ids(result)


def measure(one: Side, other: Side, batches: list[list[str]]) -> list[Round]:
    """Both sides on every batch, in turns.

    Raises:
        SystemExit: their ids differ.
    """
    rounds = []
    one.encode(one.given(batches[0][:1]))  # tables and compilers
    for number, texts in enumerate(batches[1:]):
        results = {side: timed(side, texts) for side in ([one, other] if number % 2 else [other, one])}
        (seconds, ids), (others_seconds, others_ids) = results[one], results[other]
        if not np.array_equal(ids, others_ids):
            raise SystemExit("the two sides differ: there is nothing to compare")
        rounds.append(Round(seconds, others_seconds, sum(map(len, texts)), len(ids)))
    return rounds


def row(name: str, rounds: list[Round]) -> str:
    """A row of the table."""
    ratios = [r.other / r.ours for r in rounds]
    cells = [
        name,
        f"{median(r.nucleotides / r.ours for r in rounds) / 1e6:,.0f}",
        f"{median(r.tokens / r.ours for r in rounds) / 1e6:,.1f}",
        f"{median(r.nucleotides / r.other for r in rounds) / 1e6:,.1f}",
        f"**{median(ratios):,.0f}** ({min(ratios):,.0f} to {max(ratios):,.0f})",
    ]
    return f"| {' | '.join(cells)} |"


def first_call(code: str, cache: str) -> float:
    """Wall seconds of the first encoding in a new process with its compiled code in `cache`."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    return float(subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True).stdout)


def first_calls() -> str:
    """Markdown: seconds with an empty and with a filled cache."""
    rows = ["| first call, s | compiling | compiled before |", "| --- | --- | --- |"]
    for name, code in FIRST_CALLS.items():
        with tempfile.TemporaryDirectory() as cache:
            rows.append(f"| {name} | {first_call(code, cache):.1f} | {first_call(code, cache):.2f} |")
    return "\n".join(rows)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("genomes", nargs="+", metavar="GENOME")
    parser.add_argument("--sizes", nargs="+", type=int, default=[512, 4096], help="with the special tokens")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    try:
        drawn = list(itertools.islice(sequences(options.genomes), TRAINING + (options.rounds + 1) * A_ROUND))
    except GenomicsFmError as error:
        raise SystemExit(str(error)) from error
    batches = [drawn[begin : begin + A_ROUND] for begin in range(TRAINING, len(drawn), A_ROUND)]
    if len(batches) <= options.rounds:
        raise SystemExit(f"{len(drawn)} sequences of {SEQUENCE_NT} nt: give more genomes or fewer rounds")
    print("| vocabulary | MB nt/s | M tokens/s | the other side, MB nt/s | × (of all rounds) |")
    print("| --- | --- | --- | --- | --- |")
    training = [part for text in drawn[:TRAINING] for part in text.split("N") if part]
    for size in options.sizes:
        bpe = BpeVocabulary.train(training, size - len(SPECIAL_TOKENS))
        started = time.process_time()
        bpe.encode("A")
        tables = time.process_time() - started
        rounds = measure(ours(bpe), by_tokenizers(bpe), batches)
        print(row(f"BPE {size:,}, tables in {tables:.2f} s; `tokenizers`", rounds), flush=True)
    kmers = KmerVocabulary(K)
    print(row(f"overlapping {K}-mers; Python", measure(ours(kmers), by_python(K), batches)), flush=True)
    print(f"\n{first_calls()}")


if __name__ == "__main__":
    main()
