"""Exact attention over packed documents on CUDA: FlexAttention with ALiBi in the score and a mask of documents.

Nothing is padded but the end of the row, and neither a bias nor a mask of tokens by tokens is ever made: which blocks
of 128 × 128 scores are computed follows from where documents begin and end. Only compiled code is fused: what calls
`Flex.attend` must run under `torch.compile`, as the layers do after `Encoder.compile`.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

BLOCK = 128
"""Tokens on a side of the mask's blocks; the kernels' tiles must divide it."""
SIZES_PER_DOUBLING = 8
"""Numbers of tokens are rounded up to so many between two powers of two: shapes, and with them compiled code, repeat,
and less than an eighth is padding."""
LEAST_HEAD_WIDTH = 16
"""Narrower heads are filled up with zeros: the kernels multiply matrices of at least 16 columns."""


def laid_out_tokens(tokens: int) -> int:
    """How many tokens `tokens` ≥ 1 are padded to: a multiple of `BLOCK`."""
    doubled = 1 << (tokens - 1).bit_length()
    step = max(BLOCK, doubled // (2 * SIZES_PER_DOUBLING))
    return -(-tokens // step) * step


def with_padding(lengths: list[int], tokens_P: int) -> NDArray[np.int64]:
    """Lengths of the documents and of those that fill the row up: a block each, lest they attend to much."""
    blocks, rest = divmod(tokens_P - sum(lengths), BLOCK)
    return np.array([*lengths, *[BLOCK] * blocks, *[rest] * (rest > 0)], np.int64)


def block_ranges(lengths_D: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which blocks of keys a block of queries meets.

    Args:
        lengths_D: tokens of each document; they fill whole blocks.

    Returns:
        (4, blocks): the first block that holds a token of the same document, the first and the end of those in which
        every pair of tokens shares it, and the end of the first kind. Since documents lie in one piece, so do blocks.
    """
    ends_D = np.cumsum(lengths_D)
    starts_D = ends_D - lengths_D
    document_P = np.repeat(np.arange(len(lengths_D)), lengths_D)
    first_B, last_B = document_P[::BLOCK], document_P[BLOCK - 1 :: BLOCK]
    low_B = starts_D[first_B] // BLOCK
    high_B = -(-ends_D[last_B] // BLOCK)
    alone_B = first_B == last_B
    whole_low_B = np.where(alone_B, -(-starts_D[first_B] // BLOCK), low_B)
    whole_high_B = np.where(alone_B, ends_D[last_B] // BLOCK, low_B)
    return np.stack([low_B, whole_low_B, whole_high_B, high_B])


def document_mask(lengths_D: NDArray[np.int64], device: torch.device) -> BlockMask:
    """The mask under which tokens attend to their own document, without a look at any pair of tokens.

    Args:
        lengths_D: tokens of each document; they fill whole blocks.
        device: where the mask goes, by one copy that nobody waits for.
    """
    tokens = int(lengths_D.sum())
    blocks = tokens // BLOCK
    document_P = np.repeat(np.arange(len(lengths_D)), lengths_D)
    made = torch.from_numpy(np.concatenate([document_P, block_ranges(lengths_D).ravel()]).astype(np.int32))
    moved = (made.pin_memory() if device.type == "cuda" else made).to(device, non_blocking=True)
    shared_P = moved[:tokens]
    low_B1, whole_low_B1, whole_high_B1, high_B1 = moved[tokens:].view(4, blocks, 1)
    column_B = torch.arange(blocks, dtype=torch.int32, device=device)
    before_B1 = whole_low_B1 - low_B1
    partial_BB = torch.where(column_B < before_B1, low_B1 + column_B, whole_high_B1 + column_B - before_B1)
    counts = [before_B1 + high_B1 - whole_high_B1, whole_high_B1 - whole_low_B1]
    partial, whole = ((count_B1.view(1, 1, blocks)) for count_B1 in counts)
    partial_at, whole_at = (
        indices_BB.clamp(max=blocks - 1)[None, None] for indices_BB in (partial_BB, whole_low_B1 + column_B)
    )

    def same_document(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return shared_P[query] == shared_P[key]

    # Sharing a document is symmetric, so the blocks of queries that a block of keys meets are the same lists.
    return BlockMask(
        seq_lengths=(tokens, tokens),
        kv_num_blocks=partial,
        kv_indices=partial_at,
        full_kv_num_blocks=whole,
        full_kv_indices=whole_at,
        q_num_blocks=partial,
        q_indices=partial_at,
        full_q_num_blocks=whole,
        full_q_indices=whole_at,
        BLOCK_SIZE=(BLOCK, BLOCK),
        mask_mod=same_document,
    )


def alibi_score(slopes_H: Tensor) -> Callable[..., Tensor]:
    """−slope·|i − j| added to a score; inside a document, distance in the row is distance in the document."""

    def score(score: Tensor, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return score - slopes_H[head] * (query - key).abs()

    return score


class Flex:
    """The layout of CUDA devices under `torch.compile`: packed order, filled up at the end to a size that repeats."""

    def __init__(self, lengths: list[int], slopes_H: Tensor | None, device: torch.device) -> None:
        """Lay documents out.

        Args:
            lengths: tokens of each document, in packed order, each ≥ 1.
            slopes_H: of ALiBi; None without it.
            device: where the model is.
        """
        self.tokens = sum(lengths)
        self.padding = laid_out_tokens(self.tokens) - self.tokens
        self.mask = document_mask(with_padding(lengths, self.tokens + self.padding), device)
        self.score = None if slopes_H is None else alibi_score(slopes_H)

    def enter(self, values_N: Tensor) -> Tensor:
        return F.pad(values_N, [0, 0] * (values_N.ndim - 1) + [0, self.padding])

    def attend(self, qkv_P3HK: Tensor) -> Tensor:
        width = qkv_P3HK.shape[-1]
        if width < LEAST_HEAD_WIDTH:
            qkv_P3HK = F.pad(qkv_P3HK, (0, LEAST_HEAD_WIDTH - width))
        query, key, value = qkv_P3HK.permute(1, 2, 0, 3)[:, None]  # each (1, H, P, K)
        attended_1HPK = flex_attention(query, key, value, score_mod=self.score, block_mask=self.mask, scale=width**-0.5)
        return attended_1HPK[0, :, :, :width].transpose(0, 1).flatten(1)

    def leave(self, values_PD: Tensor) -> Tensor:
        return values_PD[: self.tokens]
