"""Exact self-attention over packed documents on any device: no token attends beyond its document.

FlexAttention has no backward on CPU and varlen kernels take no bias, hence the plain path here: documents in order of
length, the long ones and those of one length attended where they lie, short ones of similar length in one padded
rectangle. Without padding the ALiBi bias takes O(L) memory, so a document may be of any length.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from genomics_fm.model.flex import Flex

MAX_PADDING = 0.25
"""A rectangle may hold at most this share of padding in its shortest document."""
MAX_PADDED_TOKENS = 192
"""Longer documents share a rectangle only with equals: copying them costs more than one more call."""
MAX_RECTANGLE_TOKENS = 8192
MATRIX_TOKENS = {torch.float32: 96, torch.bfloat16: 512}
"""Up to this length, scores as a matrix were faster than the fused kernel, forward and backward together. The fused
kernel's backward in bfloat16 takes two to ten times as long up to 512 tokens."""


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


def rectangles(lengths: list[int]) -> list[list[int]]:
    """Divide lengths, longest first, into runs of documents to be attended together."""
    runs: list[list[int]] = []
    for length in lengths:
        longest = runs[-1][0] if runs else 0
        alike = length == longest or (longest <= MAX_PADDED_TOKENS and length >= (1 - MAX_PADDING) * longest)
        if runs and alike and (len(runs[-1]) + 1) * longest <= MAX_RECTANGLE_TOKENS:
            runs[-1].append(length)
        else:
            runs.append([length])
    return runs


class _Moved(torch.autograd.Function):
    """Rows of a tensor at other places of a larger or smaller one; both directions copy whole rows."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, target_N: Tensor, rows: int, widen: bool) -> Tensor:
        ctx.target_N, ctx.rows, ctx.widen = target_N, len(values), widen
        return _widened(values, target_N, rows) if widen else values.index_select(0, target_N)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = gradients
        if ctx.widen:
            return gradient.index_select(0, ctx.target_N), None, None, None
        return _widened(gradient, ctx.target_N, ctx.rows), None, None, None


def _widened(values: Tensor, target_N: Tensor, rows: int) -> Tensor:
    """`rows` rows, zero but for those of `values` at `target_N`."""
    return values.new_zeros(rows, *values.shape[1:]).index_copy_(0, target_N, values)


def _distances(length: int, device: torch.device) -> Tensor:
    """|i − j|, (L, L)."""
    position_L = torch.arange(length, device=device)
    return (position_L[:, None] - position_L).abs()


@dataclass(frozen=True)
class Rectangle:
    """Documents attended together.

    Attributes:
        documents: R.
        length: L, of the longest.
        tokens: N, without padding.
        place_N: where each token stands in the (R · L) slots; None where there is no padding.
        bias: added to the scores; on CPU float32, or float64 where they are. (R or 1, H or 1, L, L) to queries and
            keys as they stand; or, of a `turned` rectangle, (1, H, L, L) to keys in reverse order.
        matrix: scores are computed as a matrix, else by the fused kernel.
        turned: keys and values are put in reverse order. Then the bias, −slope·|L − 1 − (i + j)|, depends on i + j
            alone, and is a view of 2L − 1 numbers a head.
    """

    documents: int
    length: int
    tokens: int
    place_N: Tensor | None
    bias: Tensor | None
    matrix: bool
    turned: bool

    @classmethod
    def of(cls, lengths: list[int], slopes_H: Tensor | None, device: torch.device, dtype: torch.dtype) -> "Rectangle":
        """The rectangle of a run of `rectangles`."""
        longest, padded = lengths[0], lengths[-1] != lengths[0]
        matrix = longest <= MATRIX_TOKENS.get(dtype, 0)
        turned = device.type == "cpu" and not padded and slopes_H is not None
        # Only a CPU's kernel adds float32 to scores of less; wider ones it would misread.
        wanted = torch.float32 if device.type == "cpu" and dtype != torch.float64 else dtype
        place_N = bias = None
        if turned and slopes_H is not None:
            offset_W = torch.arange(2 * longest - 1, device=device)
            ramp_HW = (-slopes_H[:, None] * (offset_W - (longest - 1)).abs()).to(wanted)
            bias = ramp_HW.as_strided((1, len(slopes_H), longest, longest), (0, 2 * longest - 1, 1, 1))
        elif slopes_H is not None:
            bias = (-slopes_H[:, None, None] * _distances(longest, device))[None].to(wanted)
        if padded:
            keep_RL = torch.arange(longest, device=device) < torch.tensor(lengths, device=device)[:, None]
            place_N = keep_RL.flatten().nonzero()[:, 0]
            nothing_RL = torch.zeros(keep_RL.shape, device=device, dtype=wanted).masked_fill(~keep_RL, float("-inf"))
            bias = nothing_RL[:, None, None] if bias is None else bias + nothing_RL[:, None, None]
        return cls(len(lengths), longest, sum(lengths), place_N, bias, matrix, turned)

    def attend(self, qkv_N3HK: Tensor) -> Tensor:
        """Softmax attention inside each document: (N, H·K)."""
        slots = self.documents * self.length
        qkv = qkv_N3HK if self.place_N is None else _Moved.apply(qkv_N3HK, self.place_N, slots, True)
        q, k, v = qkv.unflatten(0, (self.documents, self.length)).permute(2, 0, 3, 1, 4)  # each (R, H, L, K)
        if self.turned:
            k, v = k.flip(2), v.flip(2)
        if self.matrix:
            attended_RHLK = _by_matrix(q, k, v, self.bias)
        else:
            attended_RHLK = F.scaled_dot_product_attention(q, k, v, attn_mask=self.bias)
        attended_SD = attended_RHLK.transpose(1, 2).reshape(slots, -1)
        return attended_SD if self.place_N is None else _Moved.apply(attended_SD, self.place_N, self.tokens, False)


def _by_matrix(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """`scaled_dot_product_attention` by plain products: (R, H, L, K)."""
    with torch.autocast(q.device.type, enabled=False):
        scores_RHLL = q * q.shape[-1] ** -0.5 @ k.transpose(2, 3)
        if bias is not None:
            scores_RHLL += bias
        return scores_RHLL.softmax(-1) @ v


class Layout(Protocol):
    """How the packed documents of one forward pass are laid out for attention on a device."""

    def enter(self, values_N: Tensor) -> Tensor:
        """Values of the packed tokens in this layout's order, which may hold padding: (P,) or (P, …)."""

    def attend(self, qkv_P3HK: Tensor) -> Tensor:
        """Softmax attention inside each document: (P, H·K)."""

    def leave(self, values_PD: Tensor) -> Tensor:
        """Back to the packed order, without padding: (N, D)."""


class Rectangles:
    """The layout of devices without a fused kernel: longest document first, attention a rectangle at a time."""

    def __init__(self, lengths: list[int], slopes_H: Tensor | None, device: torch.device, dtype: torch.dtype) -> None:
        runs = rectangles(sorted(lengths, reverse=True))
        self.groups = [Rectangle.of(run, slopes_H, device, dtype) for run in runs]
        self.order_N: Tensor | None = None
        if any(before < after for before, after in itertools.pairwise(lengths)):
            self.order_N = _longest_first(lengths).to(device)

    def enter(self, values_N: Tensor) -> Tensor:
        return values_N if self.order_N is None else values_N.index_select(0, self.order_N)

    def attend(self, qkv_P3HK: Tensor) -> Tensor:
        parts = qkv_P3HK.split([group.tokens for group in self.groups])
        attended = [group.attend(part) for group, part in zip(self.groups, parts, strict=True)]
        return torch.cat(attended) if len(attended) > 1 else attended[0]

    def leave(self, values_PD: Tensor) -> Tensor:
        return values_PD if self.order_N is None else _Moved.apply(values_PD, self.order_N, len(values_PD), True)


def _longest_first(lengths: list[int]) -> Tensor:
    """Packed position of every token once documents are in order of length, longest first: (N,)."""
    length_B = torch.tensor(lengths)
    order_B = torch.argsort(length_B, descending=True, stable=True)
    moved_B, start_B = length_B[order_B], (length_B.cumsum(0) - length_B)[order_B]
    shift_B = start_B - (moved_B.cumsum(0) - moved_B)
    return torch.arange(sum(lengths)) + shift_B.repeat_interleave(moved_B)


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
