"""How much faster is the packed encoder than the same documents padded to 512, on this CPU?

`python -m benchmarks.encoder_cpu CORPUS VOCABULARY` prints tables of Markdown and ends with 1 when a target is missed.
The padded side is `hf/modeling_genomics_fm.py`: plain PyTorch, `scaled_dot_product_attention` with a dense bias. It too
predicts masked positions only, so that what differs is padding alone; both sides start with the same weights and their
losses are compared. Steps are forward, the loss of R16, backward, clipping and AdamW. Rounds alternate; each figure is
the median, each ratio the median of the rounds' ratios.
"""

import argparse
import contextlib
import dataclasses
import functools
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.hf.configuration_genomics_fm import GenomicsFmConfig
from genomics_fm.hf.modeling_genomics_fm import GenomicsFmForMaskedLM
from genomics_fm.model.attention import alibi_slopes, layout_of
from genomics_fm.model.encoder import ENCODERS, Encoder, EncoderConfig
from genomics_fm.model.heads import MaskedLanguageModel, new_language_model
from genomics_fm.model.published import NAMES
from genomics_fm.model.weights import parameter_count
from genomics_fm.pretraining.batches import MicroBatch, micro_batch
from genomics_fm.pretraining.lane import Row
from genomics_fm.pretraining.masking import MaskingConfig, mask_many
from genomics_fm.pretraining.packing import wrap
from genomics_fm.pretraining.stream import Stream, StreamConfig
from genomics_fm.randomness import bits, key
from genomics_fm.training.optimizer import OptimizerConfig, adamw
from genomics_fm.training.step import train_step
from genomics_fm.training.workers import Workers
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.special import CLS_ID, SEP_ID

ROW_TOKENS, ROWS_AT_ONCE = 1_024, 2
PADDED_TOKENS = 512
SHORT_BP = 352
"""Length of the published task's sequences."""
SIZES = {"tiny": ENCODERS["tiny"], "7 M": EncoderConfig(layers=4, width=320, heads=5, ffn_width=960)}
KINDS = ("352 nt, BPE", "length law, BPE", "length law, 6-mers")
LEAST_RATIO = {"352 nt, BPE": 3.0}
REQUEST_TOKENS, MOST_OVER_SHARE = 72, 1.3
CLIP_NORM = 1.0
MOST_GAP = {"fp32": 1e-5, "bf16": 1e-2}
"""Relative difference of the two sides' losses."""
LONG_TOKENS = (2_048, 8_192)


def short_rows(corpus: Corpus, vocabulary: Ensemble, count: int) -> list[Row]:
    """Rows of BPE documents of `SHORT_BP`, in the order of the corpus, as many as fit."""
    letters_L = np.concatenate([corpus.letters(row)[: SHORT_BP * 32] for row in range(8)])
    offsets_D = np.arange(0, len(letters_L) + 1, SHORT_BP)
    content_T, ends_D = vocabulary.encode_many("bpe", letters_L[: offsets_D[-1]], offsets_D)
    head = np.array([CLS_ID, vocabulary.prompt_id("bpe")], np.int32)
    ids_T, offsets_D = wrap(content_T, ends_D, head, np.array([SEP_ID], np.int32))
    keys_D = bits(key("benchmark", "mask"), len(offsets_D) - 1)
    labels_T = mask_many(ids_T, offsets_D, keys_D, 1, vocabulary.piece_ids("bpe"), MaskingConfig())
    rows, first = [], 0
    for _ in range(count):
        last = int(np.searchsorted(offsets_D, offsets_D[first] + ROW_TOKENS, side="right")) - 1
        tokens = slice(offsets_D[first], offsets_D[last])
        lengths_D = np.diff(offsets_D[first : last + 1])
        rows.append(Row("bpe", ids_T[tokens], labels_T[tokens], lengths_D, np.zeros((len(lengths_D), 6), np.int64)))
        first = last
    return rows


def batch_of(kind: str, corpus: Corpus, vocabulary: Ensemble) -> MicroBatch:
    """One micro-batch of packed rows with a kind of documents."""
    if kind == "352 nt, BPE":
        return micro_batch(short_rows(corpus, vocabulary, ROWS_AT_ONCE), vocabulary.names)
    name = "bpe" if "BPE" in kind else "kmer"
    stream = Stream(corpus, vocabulary, StreamConfig(row_tokens=ROW_TOKENS, cycle=(name,)), 0)
    return micro_batch([stream.row() for _ in range(ROWS_AT_ONCE)], vocabulary.names)


@dataclass
class PaddedSide:
    """The plain model and its optimizer, on one micro-batch padded once."""

    model: GenomicsFmForMaskedLM
    optimizer: torch.optim.AdamW
    ids_BT: Tensor
    keep_BT: Tensor
    batch: MicroBatch

    @classmethod
    def of(cls, ours: MaskedLanguageModel, batch: MicroBatch) -> "PaddedSide":
        config = ours.bert.config
        names = {theirs: getattr(config, mine) for theirs, mine in NAMES.items()}
        model = GenomicsFmForMaskedLM(GenomicsFmConfig(**names, position=config.position))
        model.load_state_dict(ours.state_dict())
        width = max(PADDED_TOKENS, *batch.lengths)
        keep_BT = torch.arange(width) < torch.tensor(batch.lengths)[:, None]
        ids_BT = torch.zeros(keep_BT.shape, dtype=torch.int64).masked_scatter(keep_BT, batch.ids_N)
        return cls(model, adamw(model, OptimizerConfig()), ids_BT, keep_BT, batch)

    def step(self, half: bool) -> float:
        """One update; the loss."""
        self.optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16) if half else contextlib.nullcontext():
            hidden_BTD = self.model.bert(self.ids_BT, attention_mask=self.keep_BT).last_hidden_state
            logits_MV = self.model.cls.predictions(hidden_BTD[self.keep_BT][self.batch.select_M])
        loss = F.cross_entropy(logits_MV.float(), self.batch.labels_M)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        self.optimizer.step()
        return loss.item()


def paired(first: Callable[[], object], second: Callable[[], object], rounds: int) -> tuple[float, float, float]:
    """Median seconds of each, and the median of second over first."""
    times: list[tuple[float, float]] = []
    for number in range(rounds + 1):
        begun = time.perf_counter()
        first()
        between = time.perf_counter()
        second()
        if number:  # the first warms up
            times.append((between - begun, time.perf_counter() - between))
    ratio = statistics.median(b / a for a, b in times)
    return statistics.median(a for a, _ in times), statistics.median(b for _, b in times), ratio


def step_row(size: str, kind: str, half: bool, batch: MicroBatch, vocabulary: Ensemble, rounds: int) -> bool:
    """Print one row of the table of steps; whether its target is met."""
    ours = new_language_model(dataclasses.replace(SIZES[size], vocabulary_size=vocabulary.size), 0)
    theirs, optimizer, alone = PaddedSide.of(ours, batch), adamw(ours, OptimizerConfig()), Workers.current()
    losses: tuple[list[float], list[float]] = ([], [])
    weights = [1.0] * len(vocabulary.names)

    def packed() -> None:
        result = train_step(ours, optimizer, [batch], vocabulary.names, weights, CLIP_NORM, alone, half)
        losses[0].extend(result.loss.values())

    mine, plain, ratio = paired(packed, lambda: losses[1].append(theirs.step(half)), rounds)
    gap = max(abs(a - b) / b for a, b in zip(*losses, strict=True))
    tokens, slots = len(batch.ids_N), theirs.ids_BT.numel()
    precision = "bf16" if half else "fp32"
    cells = (size, kind, precision, len(batch.lengths), f"{tokens:,}", f"{tokens / mine:,.0f}",
             f"{tokens / plain:,.0f}", f"{ratio:.2f}", f"{slots / tokens:.2f}", f"{gap:.0e}")  # fmt: skip
    print(f"| {' | '.join(map(str, cells))} |", flush=True)
    return ratio >= LEAST_RATIO.get(kind, 0) and gap <= MOST_GAP[precision]


def requests(rounds: int) -> bool:
    """Print the rows about single requests to `base`; whether the target is met.

    Its weights are in the precision named: autocast would turn all of them at every request, of whatever length.
    """
    generator, met = torch.Generator().manual_seed(0), True
    ids_T = torch.randint(5, ENCODERS["base"].vocabulary_size, (PADDED_TOKENS,), generator=generator)
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        encoder = Encoder(ENCODERS["base"]).eval().to(dtype)
        with torch.inference_mode():
            forward = {n: functools.partial(encoder, ids_T[:n], [n]) for n in (REQUEST_TOKENS, PADDED_TOKENS)}
            short, long, ratio = paired(forward[REQUEST_TOKENS], forward[PADDED_TOKENS], rounds)
        over = PADDED_TOKENS / REQUEST_TOKENS / ratio
        met &= over <= MOST_OVER_SHARE
        print(f"| {precision} | {short * 1e3:.0f} ms | {long * 1e3:.0f} ms | {ratio:.2f} | {over:.2f} |", flush=True)
    return met


def long_documents() -> None:
    """Print how the attention of `base` over one long document does: forward, then forward and backward."""
    config = ENCODERS["base"]
    for tokens in LONG_TOKENS:
        qkv_N3HK = torch.randn(tokens, 3, config.heads, config.width // config.heads)
        seconds = []
        for trained in (False, True):
            given, begun = qkv_N3HK.clone().requires_grad_(trained), time.perf_counter()
            layout = layout_of([tokens], alibi_slopes(config.heads), torch.device("cpu"), torch.float32)
            attended_ND = layout.attend(given)
            if trained:
                attended_ND.sum().backward()
            seconds.append(time.perf_counter() - begun)
        dense_mb, bias_mb = (4e-6 * config.heads * count for count in (tokens**2, 2 * tokens - 1))
        print(f"| {tokens:,} | {seconds[0]:.2f} s | {seconds[1]:.2f} s | {bias_mb:.1f} MB | {dense_mb:,.0f} MB |")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("vocabulary", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    corpus, vocabulary = Corpus(given.corpus), Ensemble.load(given.vocabulary)
    batches = {kind: batch_of(kind, corpus, vocabulary) for kind in KINDS}
    sizes = {n: parameter_count(new_language_model(c, 0)) / 1e6 for n, c in SIZES.items()}
    print(
        f"{given.threads} threads; {', '.join(f'{name}: {count:.2f} M parameters' for name, count in sizes.items())}\n"
    )
    print(
        "| training step | documents | | a step | tokens | packed, tokens/s | padded, useful tokens/s | ratio", end=" "
    )
    print(f"| slots a token | losses differ by |\n|{' --- |' * 10}")
    met = [
        step_row(size, kind, half, batches[kind], vocabulary, given.rounds)
        for size in SIZES
        for kind in KINDS
        for half in (False, True)
    ]
    print(f"\n| `base`, one request | 72 tokens | 512 tokens | ratio | 72 over its share |\n|{' --- |' * 5}")
    met.append(requests(given.rounds))
    print("\n| `base`, attention, one document | forward | and backward | bias | dense bias |\n|" + " --- |" * 5)
    long_documents()
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main())
