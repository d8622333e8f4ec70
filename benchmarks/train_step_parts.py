"""The parts of `benchmarks.train_step` that take steps: the card's rate, and a size's steps packed and padded."""

import gc
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks.train_step_split import time_split
from benchmarks.train_step_work import (
    LAW_BPE,
    LAW_KMER,
    PADDED_TOKENS,
    SEED,
    SHORT_BPE,
    SHORT_KMER,
    VOCABULARY_SIZE,
    Kind,
    Padded,
    PaddedFlex,
    micro_batch_of,
    model_flops,
    packed_lengths,
    padded_lengths,
    token_lengths,
)
from genomics_fm.model import encoder
from genomics_fm.model.attention import layout_of
from genomics_fm.model.encoder import ENCODERS, EncoderConfig
from genomics_fm.model.flex import laid_out_tokens
from genomics_fm.model.heads import new_language_model
from genomics_fm.pretraining.batches import MicroBatch
from genomics_fm.training.optimizer import OptimizerConfig, adamw
from genomics_fm.training.step import train_step
from genomics_fm.training.workers import Workers
from genomics_fm.vocabulary.ensemble import Ensemble

MATRIX = {"cuda": 8192, "cpu": 128}
ROUNDS, PRODUCTS = 5, 20
TOKENS = {"cuda": 32_768, "cpu": 1_024}
"""Tokens of a micro-batch, and slots of a padded one."""
CPU_CONFIG = EncoderConfig(layers=2, width=32, heads=2, ffn_width=48)
DOCUMENTS = {"cuda": 3_000, "cpu": 120}
BATCHES = {"cuda": 4, "cpu": 1}
WARM_STEPS = {"cuda": 3, "cpu": 1}
STEP_SECONDS = {"cuda": 2.5, "cpu": 0.0}
"""How long a row's steps are timed for, compiling and warming up apart."""
GIB, TERA = 2**30, 1e12


@dataclass(frozen=True)
class Variant:
    """A way to take a step.

    Attributes:
        name: in the table.
        layout: in place of the encoder's own.
        compiled: whether layers are.
        bf16_weights: master weights in bfloat16 too, which bounds what autocast's casts and float32 residuals cost.
        kernels: needs CUDA's.
    """

    name: str
    layout: Callable[..., Any] | None = None
    compiled: bool = True
    bf16_weights: bool = False
    kernels: bool = False


PACKED = Variant("packed, compiled")
DENSE = Variant("padded, dense bias, compiled", Padded)
EAGER = Variant("padded, dense bias, eager", Padded, compiled=False)
OURS_PADDED = Variant("padded, FlexAttention, compiled", PaddedFlex, kernels=True)
BOUND = Variant("packed, compiled, bfloat16 weights (a bound, no training)", bf16_weights=True, kernels=True)
KINDS = (LAW_BPE, SHORT_BPE, LAW_KMER, SHORT_KMER)
Cases = list[tuple[Kind, int | None]]
AT_512: Cases = [(kind, PADDED_TOKENS) for kind in KINDS]
ALONE: Cases = [(kind, None) for kind in KINDS]
PLANS: dict[str, list[tuple[Variant, Cases]]] = {
    "base": [
        (PACKED, [*AT_512, (LAW_BPE, 2048), (LAW_BPE, 8192)]),
        (DENSE, ALONE),
        (EAGER, ALONE[:2]),
        (OURS_PADDED, ALONE[:2]),
        (BOUND, AT_512[:1]),
    ],
    "large": [(PACKED, [*AT_512, (LAW_BPE, 2048)]), (DENSE, ALONE[:2]), (EAGER, ALONE[:1]), (OURS_PADDED, ALONE[:1])],
}
"""What is measured, most wanted first, since time may run out: documents, and tokens of packed rows, or None for a row
a document."""


def measured_rate(workers: Workers) -> dict[str, Any]:
    """bf16 products of random square matrices, TFLOP/s: the median round of products in a row."""
    side = MATRIX[workers.device.type]
    generator = torch.Generator(workers.device).manual_seed(SEED)
    a, b = (torch.randn(side, side, generator=generator, device=workers.device).to(torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(1 + ROUNDS):  # the first warms up
        _wait(workers)
        started = time.perf_counter()
        for _ in range(PRODUCTS):
            torch.mm(a, b)
        _wait(workers)
        seconds.append((time.perf_counter() - started) / PRODUCTS)
    cuda = workers.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name() if cuda else "CPU",
        "torch": torch.__version__,
        "python": sys.version.split()[0],
        "matrix": side,
        "tflops": 2 * side**3 / statistics.median(seconds[1:]) / TERA,
    }


def _wait(workers: Workers) -> None:
    if workers.device.type == "cuda":
        torch.cuda.synchronize()


def batches_of(
    kind: Kind, row_tokens: int | None, vocabulary: Ensemble | None, size: int, device: str
) -> list[MicroBatch]:
    """Micro-batches of a kind, to be taken in turn; packed into rows, or for a row a document."""
    lengths_D = token_lengths(kind, vocabulary, DOCUMENTS[device])
    tokens = TOKENS[device]
    found = packed_lengths(lengths_D, tokens, row_tokens) if row_tokens else padded_lengths(lengths_D, tokens)
    return [micro_batch_of(lengths, kind, size, seed) for seed, lengths in enumerate(found[: BATCHES[device]])]


def layout_for(variant: Variant) -> Callable[..., Any]:
    """What the encoder is to ask for a layout."""
    own = variant.layout
    if own is None:
        return layout_of
    return lambda lengths, slopes_H, device, dtype, *_: own(lengths, slopes_H, device, dtype)


def stepper(config: EncoderConfig, variant: Variant, workers: Workers) -> Callable[[MicroBatch], Any]:
    """A new model, and a function that makes one update of it: `training.step`'s, as in a real training."""
    encoder.layout_of = layout_for(variant)
    model = new_language_model(config, SEED)
    cuda = workers.device.type == "cuda"
    if variant.bf16_weights:
        model.to(torch.bfloat16)
    if variant.compiled and cuda:
        torch._dynamo.reset()
        model.bert.compile()
    model.to(workers.device)
    optimizer = adamw(model, OptimizerConfig())

    def step(batch: MicroBatch) -> Any:
        return train_step(
            model, optimizer, [batch], ("all",), [1.0], 1.0, workers, autocast=cuda and not variant.bf16_weights
        )

    return step


def timed(step: Callable[[MicroBatch], Any], batches: list[MicroBatch], workers: Workers) -> dict[str, float]:
    """Median seconds of a step after warming up, seconds until then, and memory at most."""
    turn = itertools.cycle(batches)
    cuda = workers.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    for _ in range(WARM_STEPS[workers.device.type]):
        step(next(turn))
    _wait(workers)
    seconds: list[float] = []
    start = time.perf_counter()
    least, enough = len(batches), STEP_SECONDS[workers.device.type]
    while len(seconds) < least or time.perf_counter() - start < enough:
        before = time.perf_counter()
        step(next(turn))
        _wait(workers)
        seconds.append(time.perf_counter() - before)
    memory = torch.cuda.max_memory_allocated() / GIB if cuda else 0.0
    return {"seconds": statistics.median(seconds), "warm": start - began, "steps": len(seconds), "gib": memory}


def size_rows(
    name: str, vocabulary: Ensemble | None, rate: float, until: float, workers: Workers
) -> Iterator[dict[str, Any]]:
    """A size's rows of the table, one after the other until `time.perf_counter()` says `until`; then the split.

    Args:
        name: in `PLANS`.
        vocabulary: of the documents; None for lengths by rule.
        rate: measured, in TFLOP/s.
        until: when to stop.
        workers: this one.
    """
    cuda = workers.device.type == "cuda"
    size = vocabulary.size if vocabulary else VOCABULARY_SIZE
    config = replace(ENCODERS[name] if cuda else CPU_CONFIG, vocabulary_size=size)
    for variant, cases in PLANS[name]:
        step: Callable[[MicroBatch], Any] | None = None
        for kind, row_tokens in cases:
            what = {"variant": variant.name, "row_tokens": row_tokens, "documents": kind.name}
            if not cuda and (variant.kernels or (row_tokens or 0) > TOKENS["cpu"]):
                yield {**what, "left_out": "needs CUDA"}
                continue
            if time.perf_counter() > until:
                yield {**what, "left_out": "no time"}
                continue
            step = step or stepper(config, variant, workers)
            batches = batches_of(kind, row_tokens, vocabulary, size, workers.device.type)
            yield {**what, **_figures(timed(step, batches, workers), batches, config, rate)}
            if variant is PACKED and (kind, row_tokens) == AT_512[0]:
                laid_out = {laid_out_tokens(len(batch.ids_N)) if cuda else len(batch.ids_N) for batch in batches}
                yield {"split": time_split(step, batches, config, laid_out, cuda)}
        del step
        gc.collect()
        if cuda:
            torch.cuda.empty_cache()


def _figures(times: dict[str, float], batches: list[MicroBatch], config: EncoderConfig, rate: float) -> dict[str, Any]:
    tokens = statistics.mean(len(batch.ids_N) for batch in batches)
    tflops = statistics.mean(model_flops(config, batch) for batch in batches) / times["seconds"] / TERA
    documents = statistics.mean(len(batch.lengths) for batch in batches)
    return {
        **times, "tokens": tokens, "documents_a_step": documents, "tokens_a_second": tokens / times["seconds"],
        "tflops": tflops, "share": tflops / rate, "useful": tokens / (documents * PADDED_TOKENS),
    }  # fmt: skip
