"""Exact self-attention over packed documents on any device: no token attends beyond its document.

Documents of similar length share one padded rectangle, so little is computed for padding, and the ALiBi
bias is added inside `scaled_dot_product_attention`. FlexAttention has no backward on CPU and varlen kernels
take no bias, hence this plain path.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from genomics_fm.model.flex import Flex

MAX_PADDING = 0.25
"""A rectangle may hold at most this share of padding in its shortest document."""
MAX_RECTANGLE_TOKENS = 8192


def alibi_slopes(heads: int) -> Tensor:
    """Slopes of Press et al. 2022 (H,): a geometric series for powers of two, interleaved otherwise."""

    def of_power(count: int) -> list[float]:
        first = 2.0 ** (-(2.0 ** -(math.log2(count) - 3)))
        return [first ** (rank + 1) for rank in range(count)]

    closest = 2 ** math.floor(math.log2(heads))
    slopes = of_power(closest)
    if closest < heads:
        slopes += of_power(2 * closest)[0::2][: heads - closest]
    return torch.tensor(slopes, dtype=torch.float32)


@dataclass(frozen=True)
class Rectangle:
    """Documents of similar length, as indices into the packed tokens.

    Attributes:
        index_RL: packed position of every token (rows are documents, padding repeats position 0).
        keep_RL: True where `index_RL` is a real token.
        length: tokens of the longest document.
    """

    index_RL: Tensor
    keep_RL: Tensor

    @property
    def length(self) -> int:
        return self.index_RL.shape[1]

    @property
    def full(self) -> bool:
        return bool(self.keep_RL.all())


def rectangles(lengths: list[int], device: torch.device) -> list[Rectangle]:
    """Group packed documents by length.

    Args:
        lengths: tokens of each document, in packed order, each ≥ 1.
        device: where the indices go.
    """
    starts = [0]
    for length in lengths[:-1]:
        starts.append(starts[-1] + length)
    order = sorted(range(len(lengths)), key=lambda document: (-lengths[document], document))
    groups: list[list[int]] = []
    for document in order:
        longest = lengths[groups[-1][0]] if groups else 0
        fits = lengths[document] >= (1 - MAX_PADDING) * longest
        if groups and fits and (len(groups[-1]) + 1) * longest <= max(MAX_RECTANGLE_TOKENS, longest):
            groups[-1].append(document)
        else:
            groups.append([document])
    result = []
    for group in groups:
        longest = lengths[group[0]]
        start_R1 = torch.tensor([starts[document] for document in group], device=device)[:, None]
        length_R1 = torch.tensor([lengths[document] for document in group], device=device)[:, None]
        offset_L = torch.arange(longest, device=device)
        keep_RL = offset_L < length_R1
        result.append(Rectangle(torch.where(keep_RL, start_R1 + offset_L, 0), keep_RL))
    return result


def rectangle_bias(rectangle: Rectangle, slopes_H: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Additive attention bias, (R or 1, H or 1, L, L): −slope·|i − j|, and −inf on padded keys."""
    bias = None
    if slopes_H is not None:
        position_L = torch.arange(rectangle.length, device=slopes_H.device)
        distance_LL = (position_L[:, None] - position_L[None, :]).abs()
        bias = (-slopes_H[:, None, None] * distance_LL)[None].to(dtype)
    if rectangle.full:
        return bias
    padding = torch.zeros(rectangle.keep_RL.shape, dtype=dtype, device=rectangle.keep_RL.device)
    padding = padding.masked_fill(~rectangle.keep_RL, float("-inf"))[:, None, None, :]
    return padding if bias is None else bias + padding


class Layout(Protocol):
    """How the packed documents of one forward pass are laid out for attention on a device."""

    def enter(self, values_N: Tensor) -> Tensor:
        """Values of the packed tokens in this layout's order, which may hold padding: (P,) or (P, …)."""

    def attend(self, qkv_P3HK: Tensor) -> Tensor:
        """Softmax attention inside each document: (P, H·K)."""

    def leave(self, values_PD: Tensor) -> Tensor:
        """Back to the packed order, without padding: (N, D)."""


class Rectangles:
    """The layout of devices without a fused kernel: packed order, attention a rectangle at a time."""

    def __init__(self, lengths: list[int], slopes_H: Tensor | None, device: torch.device, dtype: torch.dtype) -> None:
        self.groups = rectangles(lengths, device)
        self.biases = [rectangle_bias(group, slopes_H, dtype) for group in self.groups]

    def enter(self, values_N: Tensor) -> Tensor:
        return values_N

    def attend(self, qkv_P3HK: Tensor) -> Tensor:
        tokens, _, heads, width = qkv_P3HK.shape
        out_PD = qkv_P3HK.new_zeros(tokens, heads * width)
        for group, bias in zip(self.groups, self.biases, strict=True):
            q, k, v = qkv_P3HK[group.index_RL].permute(2, 0, 3, 1, 4)  # each (R, H, L, K)
            attended_RHLK = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
            attended_RLD = attended_RHLK.transpose(1, 2).flatten(2)
            out_PD = out_PD.index_put((group.index_RL[group.keep_RL],), attended_RLD[group.keep_RL])
        return out_PD

    def leave(self, values_PD: Tensor) -> Tensor:
        return values_PD


def layout_of(
    lengths: list[int], slopes_H: Tensor | None, device: torch.device, dtype: torch.dtype, compiled: bool = False
) -> Layout:
    """The fastest exact layout on a device.

    Args:
        lengths: tokens of each document, in packed order, each ≥ 1.
        slopes_H: of ALiBi; None without it.
        device: where the model is.
        dtype: of queries, keys and values.
        compiled: whether `torch.compile` runs what attends, without which FlexAttention makes every score at once.
    """
    if compiled and device.type == "cuda":
        return Flex(lengths, slopes_H, device)
    return Rectangles(lengths, slopes_H, device, dtype)
