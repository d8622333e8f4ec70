"""What a pretraining will need, calculated before it is started: parameters, memory of a worker, hours."""

import functools
from dataclasses import dataclass, replace
from typing import Literal

import torch

from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import MaskedLanguageModel
from genomics_fm.training.config import TrainingConfig

FLOAT32_BYTES, BFLOAT16_BYTES = 4, 2
STATE_FLOATS = 4
"""Of a parameter: weight, gradient and AdamW's two moments, all float32."""
FORWARD_AND_BACKWARD = 3
"""A backward pass multiplies twice as much as a forward pass."""
HIDDEN_SHARE = 0.19
"""Of tokens are predicted where BPE and 6-mers have equal rows: 15 % of the one's, 23.3 % of the other's (R15)."""
ATTENDED = 455
"""Tokens of the document a token is in, on average over tokens, by the published length law up to 512."""
FULL_ROWS = 0.99
"""Of the slots of a row hold a token."""
LAYER_WIDTHS, LAYER_FFN_WIDTHS = 9, 4
"""Numbers a layer keeps of a token for its backward pass, in widths: what goes in, queries, keys, values, what was
attended to, two sums, their two LayerNorms; and in FFN widths: gate and value, the gate's GELU, the product."""
HEAD_VOCABULARIES = 3
"""Float32 numbers the head has at once of a predicted token, in vocabularies: logits, log-softmax, gradient."""
MEMORY_SHARE = 0.8
"""Of a worker's memory, what is calculated may fill; libraries, copies and fragments come on top."""
GIB = 2**30
TERA = 1e12
SECONDS_AN_HOUR = 3_600


@dataclass(frozen=True)
class Choice:
    """How the workers of a run hold its model, and why, in one line."""

    parallel: Literal["alone", "ddp", "fsdp"]
    why: str


@dataclass(frozen=True)
class Estimate:
    """What a run needs.

    Attributes:
        parameters: of encoder and head.
        choice: how the workers hold the model.
        state_bytes: of a worker: weights, gradients and moments, all or its shard of them.
        activation_bytes: of a worker: what a micro-batch leaves for the backward pass, and the head's logits.
        accumulation: micro-batches of a worker in a step.
        tokens: in a step, special tokens included.
        steps: updates.
        flops: of a step.
        hours: at the given rate.
    """

    parameters: int
    choice: Choice
    state_bytes: int
    activation_bytes: int
    accumulation: int
    tokens: int
    steps: int
    flops: float
    hours: float


@functools.cache  # a study asks for each of its cells, and a large model takes tens of milliseconds
def parameters_of(encoder: EncoderConfig) -> int:
    """Of encoder and head, the tied matrix once; nothing is allocated."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in MaskedLanguageModel(encoder).parameters())


def flops_per_token(encoder: EncoderConfig) -> float:
    """Floating-point operations of forward and backward pass for a token of the published length law.

    Matrix products alone: 6 for each weight of a layer, 6 · `HIDDEN_SHARE` for each of the head, and attention's
    scores and sums. What is recomputed, looked up or added counts nothing.
    """
    width = encoder.width
    layers = encoder.layers * (4 * width**2 + 3 * width * encoder.ffn_width)
    head = HIDDEN_SHARE * (width**2 + width * encoder.vocabulary_size)
    scores = 2 * width * encoder.layers * ATTENDED
    return FORWARD_AND_BACKWARD * 2 * (layers + head + scores)


def activation_bytes(config: TrainingConfig, bfloat16: bool) -> int:
    """What a micro-batch keeps for its backward pass, attention by kernels that keep no scores."""
    encoder, size = config.encoder, BFLOAT16_BYTES if bfloat16 else FLOAT32_BYTES
    tokens = config.rows_per_microbatch * config.stream.row_tokens
    layer = (LAYER_WIDTHS * encoder.width + LAYER_FFN_WIDTHS * encoder.ffn_width) * size
    inputs = encoder.layers * encoder.width * size
    kept = inputs + layer if config.activation_checkpointing else encoder.layers * layer
    head = HIDDEN_SHARE * HEAD_VOCABULARIES * encoder.vocabulary_size * FLOAT32_BYTES
    return int(tokens * (kept + head))


def _of_a_worker(config: TrainingConfig, vocabulary_size: int, workers: int) -> TrainingConfig:
    """The config with the vocabulary's size, and micro-batches no larger than a worker's share of the rows."""
    rows = min(-(-config.batch_rows // workers), config.rows_per_microbatch)
    return replace(config, rows_per_microbatch=rows, encoder=replace(config.encoder, vocabulary_size=vocabulary_size))


def choose(config: TrainingConfig, vocabulary_size: int, workers: int, memory_bytes: int, gpu: bool) -> Choice:
    """How workers hold the model: DDP where that fits, for it gathers nothing, else FSDP2.

    Args:
        config: of the run; what it asks for is done.
        vocabulary_size: of the ensemble.
        workers: of the run.
        memory_bytes: of the worker that has least.
        gpu: whether they compute in bfloat16 as CUDA does.
    """
    if workers == 1:
        return Choice("alone", "there is one worker")
    if config.parallel != "auto":
        return Choice(config.parallel, "the config asks for it")
    of_one = _of_a_worker(config, vocabulary_size, workers)
    state = STATE_FLOATS * FLOAT32_BYTES * parameters_of(of_one.encoder)
    needed, room = state + activation_bytes(of_one, gpu or config.autocast), MEMORY_SHARE * memory_bytes
    why = f"a whole copy with its activations takes about {needed / GIB:.3g} GiB, a worker has {MEMORY_SHARE:.0%} of "
    return Choice("ddp" if needed <= room else "fsdp", f"{why}{memory_bytes / GIB:.3g} GiB for it")


def estimate(
    config: TrainingConfig,
    vocabulary_size: int,
    workers: int,
    gpu: bool,
    tflops: float,
    share: float,
    memory_bytes: int,
) -> Estimate:
    """What a run needs on so many workers.

    Args:
        config: of the run.
        vocabulary_size: of the ensemble.
        workers: one GPU each, or one CPU.
        gpu: whether they compute in bfloat16 as CUDA does.
        tflops: the peak of one of them.
        share: of the peak that training reaches.
        memory_bytes: of one of them.
    """
    choice = choose(config, vocabulary_size, workers, memory_bytes, gpu)
    config = _of_a_worker(config, vocabulary_size, workers)
    parameters = parameters_of(config.encoder)
    tokens = int(config.batch_rows * config.stream.row_tokens * FULL_ROWS)
    flops = tokens * flops_per_token(config.encoder)
    rows = -(-config.batch_rows // workers)
    held = -(-parameters // workers) if choice.parallel == "fsdp" else parameters
    return Estimate(
        parameters=parameters,
        choice=choice,
        state_bytes=STATE_FLOATS * FLOAT32_BYTES * held,
        activation_bytes=activation_bytes(config, gpu or config.autocast),
        accumulation=-(-rows // config.rows_per_microbatch),
        tokens=tokens,
        steps=config.steps,
        flops=flops,
        hours=flops * config.steps / (workers * tflops * TERA * share) / SECONDS_AN_HOUR,
    )


def lines_of(found: Estimate, workers: int, tflops: float, share: float) -> list[str]:
    """An estimate for a reader; the first line says what it is."""
    state, activations = found.state_bytes / GIB, found.activation_bytes / GIB
    held = f"sharded over {workers}" if found.choice.parallel == "fsdp" else "whole on each"
    return [
        "calculated, not measured; nothing has been started",
        f"parameters        {found.parameters:,}",
        f"parallel          {found.choice.parallel}: {found.choice.why}",
        f"memory a worker   {state + activations:.2f} GiB: weights, gradients and moments {state:.2f} ({held}), "
        f"activations about {activations:.2f}; libraries and fragments come on top",
        f"tokens a step     {found.tokens:,}, in {found.accumulation} micro-batches a worker",
        f"steps             {found.steps:,}, {found.tokens * found.steps:,} tokens",
        f"operations        {found.flops / TERA:,.3g} TFLOP a step",
        f"hours             {found.hours:,.3g} on {workers} workers of {tflops:g} TFLOP/s at {share:.0%} of that",
    ]
