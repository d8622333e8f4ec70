"""How fast `genomics-fm embed` is beside its own encoder.

`python -m benchmarks.embed [--vocabulary FILE]` prints a table of Markdown. The encoder's own rate is that of its
forward pass over the same documents, tokenised and packed beforehand, like lengths together over the whole input;
`embed` also checks and reads the FASTA, tokenises, pools, and writes parts and parquet. Both in turn, several
rounds; the ratio is the median over rounds. Weights are drawn, letters are random, without a vocabulary a BPE of
4,096 pieces is trained on random letters.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from genomics_fm.inference.embed import EmbedSettings, computing, embed_file
from genomics_fm.inference.embed_hidden import Computing, hidden_states, packed, pieces_of
from genomics_fm.inference.embed_source import EmbedSource
from genomics_fm.inference.embed_windows import windows
from genomics_fm.model.encoder import ENCODERS
from genomics_fm.model.heads import new_language_model
from genomics_fm.pretraining.segments import PUBLISHED_MAX_BP, cut
from genomics_fm.tasks.scoring import batches
from genomics_fm.vocabulary.bpe import BpeVocabulary
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.kmer import KmerVocabulary
from tests.corpora import dna, write_fasta

LEAST_RATIO = 0.9
TOKENS = {"tiny": 100_000, "small": 12_000, "base": 4_000}
"""About how many are embedded in a round."""
LETTERS_A_TOKEN = 5
"""Of tokens that stand side by side, about; 1 of overlapping k-mers."""
SHORT_BP = 352
BPE_SIZE, SAMPLE_LETTERS = 4_096, 3_000_000


def lengths_of(law: str, letters: int) -> list[int]:
    """Lengths of sequences that add up to `letters`: all `SHORT_BP`, or cut by the length law."""
    if law == "law":
        return np.diff(cut(letters, 7, PUBLISHED_MAX_BP["bpe"])[0], prepend=0).tolist()
    return [SHORT_BP] * (letters // SHORT_BP)


def source_of(size: str, vocabulary: Ensemble) -> EmbedSource:
    """An encoder of a preset's size with drawn weights."""
    model = new_language_model(replace(ENCODERS[size], vocabulary_size=vocabulary.size), seed=0).eval()
    return EmbedSource(model.bert, vocabulary, vocabulary.names[0], "0" * 64)


def packed_batches(path: str, vocabulary: Ensemble, name: str, how: Computing) -> list[tuple[torch.Tensor, list[int]]]:
    """All documents of a file, packed in batches of like length."""
    found = list(windows(path, vocabulary, name))
    ids_T = np.concatenate([window.ids_T for window in found])
    ends_S = np.cumsum([0, *(tokens for window in found for tokens in np.diff(window.ends_S))])
    pieces = pieces_of(ends_S, how.most_tokens)
    lengths = np.diff(ends_S).tolist()
    made = [packed(ids_T, pieces, rows, how.prompt_id) for rows in batches(lengths, how.batch_tokens)]
    return [(torch.from_numpy(ids_N), documents) for ids_N, documents in made]


def seconds_of(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measure(source: EmbedSource, name: str, law: str, letters: int, rounds: int) -> tuple[float, float, float]:
    """Tokens a second of the encoder alone and of `embed`, and the median ratio of the two over rounds."""
    settings = EmbedSettings(vocabulary=name)
    how = computing(source, settings)
    with tempfile.TemporaryDirectory() as place:
        sequences = {f"s{i}": dna(length, i) for i, length in enumerate(lengths_of(law, letters))}
        path, target = str(write_fasta(Path(place) / "in.fa", sequences)), Path(place) / "out.parquet"
        ready = packed_batches(path, source.vocabulary, name, how)

        def own() -> None:
            for ids_N, documents in ready:
                hidden_states(how, ids_N, documents)

        def whole() -> None:
            embed_file(source, path, target, settings, lambda _: None)

        own(), whole()
        timed = [(seconds_of(own), seconds_of(whole)) for _ in range(rounds)]
    tokens = sum(len(ids_N) for ids_N, _ in ready)
    alone, together = (statistics.median(column) for column in zip(*timed, strict=True))
    return tokens / alone, tokens / together, statistics.median(first / second for first, second in timed)


def main() -> int:
    """Print the table; ends with 1 when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vocabulary", type=Path)
    parser.add_argument("--sizes", nargs="+", default=["tiny", "small"], choices=list(TOKENS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.vocabulary:
        vocabulary = Ensemble.load(given.vocabulary)
    else:
        bpe = BpeVocabulary.train([dna(1_000, i) for i in range(SAMPLE_LETTERS // 1_000)], BPE_SIZE)
        vocabulary = Ensemble({"bpe": bpe, "kmer": KmerVocabulary(6)})
    print(f"{given.threads} threads; {given.rounds} rounds; goal: ratio ≥ {LEAST_RATIO}\n")
    print("| encoder | vocabulary | sequences | encoder alone, tokens/s | embed, tokens/s | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    held = []
    for size in given.sizes:
        for name in vocabulary.names:
            letters = TOKENS[size] * (LETTERS_A_TOKEN if vocabulary.member(name).overlap == 1 else 1)
            for law, shown in (("short", f"{SHORT_BP} nt"), ("law", "length law")):
                alone, whole, ratio = measure(source_of(size, vocabulary), name, law, letters, given.rounds)
                held.append(ratio >= LEAST_RATIO)
                print(f"| {size} | {name} | {shown} | {alone:,.0f} | {whole:,.0f} | {ratio:.2f} |", flush=True)
    return int(not all(held))


if __name__ == "__main__":
    sys.exit(main())
