"""Where the time of a training step goes, by torch's profiler, for `benchmarks.train_step`."""

import itertools
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.pretraining.batches import MicroBatch

PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm")
KERNELS = {
    "attention": ("triton_tem", "flex_attention", "fmha", "flash", "_sdpa", "mem_efficient"),
    "products": ("gemm", "nvjet", "cutlass", "xmma", "cublas", "splitk"),
    "optimizer": ("multi_tensor", "fused_adam", "fusedadam", "lpnorm"),
    "copies": ("memcpy", "memset"),
}
"""Kernels by parts of their names, in the order in which they are tried."""
OPERATORS = {
    "attention": ("scaled_dot_product", "_flash_attention", "flex"),
    "optimizer": ("_fused_adam", "_foreach", "lerp", "addcdiv"),
    "copies": ("aten::copy_", "aten::cat"),
}
"""Likewise for a CPU's operators."""
REST = "norms, GELU, residuals, loss, embedding"


def _part_of(name: str, parts: dict[str, tuple[str, ...]]) -> str:
    low = name.lower()
    return next((part for part, words in parts.items() if any(word in low for word in words)), REST)


def _product_of(shapes: list[list[int]], config: EncoderConfig, laid_out: set[int]) -> str:
    """Which of the model's matrix products has operands of these shapes."""
    sizes = set(itertools.chain.from_iterable(shapes))
    if not sizes & laid_out:
        return "products of the head"
    if sizes & {config.ffn_width, 2 * config.ffn_width}:
        return "products of the FFN"
    return "products of attention's projections"


def time_split(
    step: Callable[[MicroBatch], Any], batches: list[MicroBatch], config: EncoderConfig, laid_out: set[int], cuda: bool
) -> dict[str, float]:
    """Share of the busy time of each part, and the share of the time in which the device was busy at all.

    Args:
        step: makes one update.
        batches: one a step.
        config: of the encoder.
        laid_out: numbers of tokens that its layers see; what has none of them for a side belongs to the head.
        cuda: look at kernels, not operators.
    """
    activities = [ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * cuda]
    started = time.perf_counter()
    with profile(activities=activities, record_shapes=True) as seen:
        for batch in batches:
            step(batch)
        if cuda:
            torch.cuda.synchronize()
    wall = time.perf_counter() - started
    spent: dict[str, float] = defaultdict(float)
    products: dict[str, float] = defaultdict(float)
    for event in seen.key_averages(group_by_input_shape=True):
        if getattr(event, "is_user_annotation", False):  # spans kernels that are counted themselves
            continue
        on_card = event.device_type == DeviceType.CUDA
        own = event.self_device_time_total if cuda else event.self_cpu_time_total
        if event.key in PRODUCTS and not on_card:
            products[_product_of([s for s in event.input_shapes if s], config, laid_out)] += own
        if on_card == cuda and not (event.key in PRODUCTS and not cuda):
            spent[_part_of(event.key, KERNELS if cuda else OPERATORS)] += own
    matched = sum(products.values())
    total = sum(spent.values()) + (0 if cuda else matched)
    whole = spent.pop("products", matched)
    spent |= {name: whole * own / matched for name, own in products.items()} if matched else {"products": whole}
    shares = {name: own / total for name, own in sorted(spent.items(), key=lambda item: -item[1])}
    return shares | {"busy": total * 1e-6 / wall}
