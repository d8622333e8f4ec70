"""How fast `genomics-fm predict --dtype bf16` is beside a padded loop in fp32, on this CPU.

`python -m benchmarks.predict [--vocabulary FILE]` prints a table of Markdown and ends with 1 when the goal is missed.
Both sides read the same FASTA, tokenise it, score both strands with the same weights and average them. The loop is what
one writes with transformers: batches of 32 in file order through `hf/modeling_genomics_fm.py`, plain PyTorch with a
dense bias, padded to 512 tokens as BERT was, or (second ratio) to the longest of each batch. `predict` also checks
letters and lengths and writes parquet. Rounds alternate; ratios are medians over rounds. Weights are drawn, letters are
random, without a vocabulary a BPE of 4,096 pieces is trained on random letters; probabilities are compared.
"""

import argparse
import dataclasses
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

from benchmarks.embed import BPE_SIZE, SAMPLE_LETTERS, SHORT_BP, lengths_of, seconds_of
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.genome.reader import read_genome
from genomics_fm.hf.configuration_genomics_fm import GenomicsFmConfig
from genomics_fm.hf.modeling_genomics_fm import GenomicsFmForSequenceClassification
from genomics_fm.inference.card import HeadCard
from genomics_fm.inference.head import Head
from genomics_fm.inference.predict import PredictSettings, predict_file
from genomics_fm.model.encoder import ENCODERS
from genomics_fm.model.heads import new_classifier
from genomics_fm.model.published import NAMES
from genomics_fm.tasks.problem import Problem
from genomics_fm.vocabulary.bpe import BpeVocabulary
from genomics_fm.vocabulary.ensemble import Ensemble
from tests.corpora import dna, write_fasta

LEAST_RATIO = 3.0
PADDED_TOKENS, BATCH_ROWS = 512, 32
LETTERS = {"tiny": 40_000, "small": 20_000, "base": 10_000}
"""About how many are scored in a round."""
MOST_BP = 2_000
MOST_GAP = {"fp32": 1e-4, "bf16": 5e-2}
"""Of a probability, between the two sides."""


def head_of(size: str, vocabulary: Ensemble) -> Head:
    """A head of two classes with drawn weights, large enough for probabilities to differ."""
    config = dataclasses.replace(ENCODERS[size], vocabulary_size=vocabulary.size)
    module = new_classifier(config, outputs=2, seed=0)
    problem = Problem("classification", ("no", "yes"))
    card = HeadCard("benchmark", problem, vocabulary.names[0], dataclasses.asdict(config), (SHORT_BP, SHORT_BP))
    return Head(Path(), "0" * 64, card, vocabulary, module)


class PaddedLoop:
    """The same head in plain PyTorch, fed with padded batches."""

    def __init__(self, head: Head, path: str) -> None:
        config = head.module.bert.config
        names = {theirs: getattr(config, ours) for theirs, ours in NAMES.items()}
        self.model = GenomicsFmForSequenceClassification(
            GenomicsFmConfig(**names, position=config.position, num_labels=2)
        )
        self.model.load_state_dict(head.module.state_dict())
        self.model.eval()
        self.head, self.path = head, path

    def __call__(self, least_tokens: int) -> np.ndarray:
        """Probability of class 1 of every record, (N,); rows are padded to at least so many tokens."""
        sequences = [contig.sequence for contig in read_genome(self.path)]
        found = []
        for first in range(0, len(sequences), BATCH_ROWS):
            part = sequences[first : first + BATCH_ROWS]
            both = [self._scored(strand, least_tokens) for strand in (part, [*map(reverse_complement, part)])]
            found.append(np.mean(both, axis=0))
        return np.concatenate(found)

    def _scored(self, sequences: list[str], least_tokens: int) -> np.ndarray:
        documents = [self.head.vocabulary.document(self.head.card.vocabulary, text) for text in sequences]
        width = max(least_tokens, *map(len, documents))
        ids_BT = torch.zeros(len(documents), width, dtype=torch.int64)
        keep_BT = torch.zeros(len(documents), width, dtype=torch.int64)
        for row, document in enumerate(documents):
            ids_BT[row, : len(document)] = torch.from_numpy(np.asarray(document)).long()
            keep_BT[row, : len(document)] = 1
        with torch.inference_mode():
            return torch.softmax(self.model(ids_BT, attention_mask=keep_BT).logits, 1)[:, 1].numpy()


def measure(size: str, law: str, vocabulary: Ensemble, rounds: int) -> tuple[list[str], bool]:
    """Cells of one row, and whether the goal is met and the two sides agree."""
    head = head_of(size, vocabulary)
    lengths = [min(length, MOST_BP) for length in lengths_of(law, LETTERS[size])]
    with tempfile.TemporaryDirectory() as place:
        sequences = {f"s{i}": dna(length, i) for i, length in enumerate(lengths)}
        path, target = str(write_fasta(Path(place) / "in.fa", sequences)), Path(place) / "out.parquet"
        loop = PaddedLoop(head, path)
        expected, gaps = loop(0), {}
        for dtype in ("fp32", "bf16"):
            predict_file(head, path, target, settings=PredictSettings(dtype=dtype))
            gaps[dtype] = float(np.abs(pq.read_table(target)["probability"].to_numpy() - expected).max())
        half, full = PredictSettings(dtype="bf16"), PredictSettings()
        sides = (
            lambda: predict_file(head, path, target, settings=half),
            lambda: predict_file(head, path, target, settings=full),
            lambda: loop(PADDED_TOKENS),
            lambda: loop(0),
        )
        loop(PADDED_TOKENS)
        timed = [[seconds_of(side) for side in sides] for _ in range(rounds)]
    bf16, fp32, padded, tight = (statistics.median(column) for column in zip(*timed, strict=True))
    ratios = [statistics.median(row[side] / row[0] for row in timed) for side in (2, 3)]
    rates = [f"{len(lengths) / seconds:,.0f}" for seconds in (bf16, fp32, padded, tight)]
    held = ratios[0] >= LEAST_RATIO and all(gaps[dtype] <= most for dtype, most in MOST_GAP.items())
    said = " / ".join(f"{gaps[dtype]:.0e}" for dtype in MOST_GAP)
    return [size, law, *rates, *(f"{ratio:.2f}" for ratio in ratios), said], held


def main() -> int:
    """Print the table; ends with 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vocabulary", type=Path)
    parser.add_argument("--sizes", nargs="+", default=["tiny", "small"], choices=list(LETTERS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.vocabulary:
        vocabulary = Ensemble.load(given.vocabulary)
    else:
        bpe = BpeVocabulary.train([dna(1_000, i) for i in range(SAMPLE_LETTERS // 1_000)], BPE_SIZE)
        vocabulary = Ensemble({"bpe": bpe})
    print(f"{given.threads} threads; {given.rounds} rounds; sequences/s; goal: ratio to 512 ≥ {LEAST_RATIO:g}\n")
    columns = ["encoder", "lengths", "bf16", "fp32", f"loop, padded to {PADDED_TOKENS}", "loop, to the longest",
               f"bf16 to loop of {PADDED_TOKENS}", "to the longest", "largest gap, fp32 / bf16"]  # fmt: skip
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    held = []
    for size in given.sizes:
        for law in ("short", "law"):
            cells, good = measure(size, law, vocabulary, given.rounds)
            held.append(good)
            print(f"| {' | '.join(cells)} |", flush=True)
    return int(not all(held))


if __name__ == "__main__":
    sys.exit(main())
