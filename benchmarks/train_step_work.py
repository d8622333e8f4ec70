"""Documents, micro-batches and ways to lay them out, for `benchmarks.train_step`."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.flex import Flex
from genomics_fm.pretraining.batches import MicroBatch
from genomics_fm.pretraining.masking import HEAD, TAIL
from genomics_fm.pretraining.packing import pack
from genomics_fm.pretraining.segments import PUBLISHED_MAX_BP, draw_length
from genomics_fm.randomness import key
from genomics_fm.vocabulary.ensemble import Ensemble

SEED = 0
PADDED_TOKENS = 512
"""Tokens that documents are cut to, and padded to where they are padded."""
SHORT_NT = 352
NT_PER_BPE_TOKEN = 4.9
"""Where no vocabulary is given, BPE tokens are counted as of BPE-4096 on DNA: 352 nt are 72 of them."""
KMER = 6
HIDDEN_TOKENS = {"bpe": 0.15, "kmer": 0.233}
"""Share of tokens that are predicted: 15 % of the bases (R15)."""
VOCABULARY_SIZE = 7266
PENDING = 64
FORWARD_AND_BACKWARD = 3
"""A backward pass multiplies twice as much as a forward pass."""


@dataclass(frozen=True)
class Kind:
    """Documents of one vocabulary: of the length law, or all of `nt` nucleotides."""

    name: str
    vocabulary: str
    nt: int | None = None


LAW_BPE = Kind("BPE, length law", "bpe")
SHORT_BPE = Kind("BPE, 352 nt", "bpe", SHORT_NT)
LAW_KMER = Kind("6-mers, length law", "kmer")
SHORT_KMER = Kind("6-mers, 352 nt", "kmer", SHORT_NT)


def token_lengths(kind: Kind, vocabulary: Ensemble | None, count: int) -> NDArray[np.int64]:
    """Tokens of documents from random DNA, with CLS, prompt and SEP, cut at `PADDED_TOKENS`."""
    longest = PUBLISHED_MAX_BP[kind.vocabulary]
    keys = (np.uint64(key(SEED, "length", kind.name, number)) for number in range(count))
    nt_D = np.array([kind.nt or draw_length(of, longest) for of in keys])
    if vocabulary is None:
        content_D = nt_D - KMER + 1 if kind.vocabulary == "kmer" else np.ceil(nt_D / NT_PER_BPE_TOKEN).astype(np.int64)
    else:
        letters_L = np.frombuffer(b"ACGT", np.uint8)[np.random.default_rng(SEED).integers(0, 4, nt_D.sum())]
        _, ends_D = vocabulary.encode_many(kind.vocabulary, letters_L, np.cumsum([0, *nt_D]))
        content_D = np.diff(ends_D)
    return np.minimum(content_D + HEAD + TAIL, PADDED_TOKENS).astype(np.int64)


def micro_batch_of(lengths: list[int], kind: Kind, size: int, seed: int) -> MicroBatch:
    """Random tokens, of which a share is to be predicted."""
    random = np.random.default_rng(seed)
    tokens = sum(lengths)
    select_M = np.flatnonzero(random.random(tokens) < HIDDEN_TOKENS[kind.vocabulary])
    return MicroBatch(
        ids_N=torch.from_numpy(random.integers(5, size, tokens)),
        lengths=lengths,
        select_M=torch.from_numpy(select_M),
        labels_M=torch.from_numpy(random.integers(5, size, len(select_M))),
        vocabulary_M=torch.zeros(len(select_M), dtype=torch.int64),
    )


def packed_lengths(lengths_D: NDArray[np.int64], tokens: int, row_tokens: int) -> list[list[int]]:
    """Documents packed into rows as the loader packs them, as many rows to a micro-batch as hold `tokens` or fewer.

    Slots that a row leaves empty are not laid out, so that this is the same work for all sizes of rows.
    """
    order_O, ends_R, _ = pack(lengths_D, row_tokens, PENDING)
    batches: list[list[int]] = [[]]
    for first, end in itertools.pairwise(ends_R):
        row = lengths_D[order_O[first:end]].tolist()
        if sum(batches[-1]) + sum(row) > tokens:
            batches.append([])
        batches[-1] += row
    return batches[:-1]


def padded_lengths(lengths_D: NDArray[np.int64], slots: int) -> list[list[int]]:
    """Documents of as many micro-batches of `slots` as there are, each in a row of its own."""
    rows = slots // PADDED_TOKENS
    return [lengths_D[first : first + rows].tolist() for first in range(0, len(lengths_D) - rows + 1, rows)]


def model_flops(config: EncoderConfig, batch: MicroBatch) -> float:
    """Floating-point operations of a training step that its documents ask for.

    6·(N·matrices of the layers + M·matrices of the head) + 12·D·layers·Σ length², where recomputing, the embedding
    and everything that is not a matrix product count nothing. Of documents of 512 tokens with M = 0.15·N, `base` takes
    741.7 MFLOP a token and `large` 2,574.5: at 790 TFLOP/s that is 1,065 k and 307 k tokens/s.
    """
    width = config.width
    layer = 4 * width**2 + 3 * width * config.ffn_width
    head = width**2 + width * config.vocabulary_size
    products = len(batch.ids_N) * config.layers * layer + len(batch.select_M) * head
    scores = 2 * width * config.layers * sum(length**2 for length in batch.lengths)
    return FORWARD_AND_BACKWARD * 2 * (products + scores)


class Padded:
    """A layout: every document in a row of its own, padded to 512 tokens; attention under a dense bias."""

    def __init__(self, lengths: list[int], slopes_H: Tensor | None, device: torch.device, dtype: torch.dtype) -> None:
        self.rows = len(lengths)
        length_B = torch.tensor(lengths)
        keep_BT = torch.arange(PADDED_TOKENS) < length_B[:, None]
        self.index_N = keep_BT.flatten().nonzero()[:, 0].to(device)
        place_T = torch.arange(PADDED_TOKENS, device=device)
        bias_B11T = torch.zeros(keep_BT.shape, device=device).masked_fill(~keep_BT.to(device), float("-inf"))[
            :, None, None
        ]
        if slopes_H is None:
            bias = bias_B11T.expand(-1, 1, PADDED_TOKENS, -1)
        else:
            bias = bias_B11T - slopes_H[:, None, None] * (place_T[:, None] - place_T).abs()
        self.bias = bias.to(dtype)

    def enter(self, values_N: Tensor) -> Tensor:
        values_P = values_N.new_zeros(self.rows * PADDED_TOKENS, *values_N.shape[1:])
        return values_P.index_copy(0, self.index_N, values_N)

    def attend(self, qkv_P3HK: Tensor) -> Tensor:
        query, key, value = qkv_P3HK.unflatten(0, (self.rows, PADDED_TOKENS)).permute(2, 0, 3, 1, 4)
        attended_BHTK = F.scaled_dot_product_attention(query, key, value, attn_mask=self.bias)
        return attended_BHTK.transpose(1, 2).flatten(2).flatten(0, 1)

    def leave(self, values_PD: Tensor) -> Tensor:
        return values_PD[self.index_N]


class PaddedFlex:
    """A layout: padded to 512 tokens likewise, but with our kernels; padding attends to itself."""

    def __init__(self, lengths: list[int], slopes_H: Tensor | None, device: torch.device, dtype: torch.dtype) -> None:
        filled = [part for length in lengths for part in (length, PADDED_TOKENS - length) if part]
        keep_BT = torch.arange(PADDED_TOKENS) < torch.tensor(lengths)[:, None]
        self.index_N = keep_BT.flatten().nonzero()[:, 0].to(device)
        self.flex = Flex(filled, slopes_H, device)

    def enter(self, values_N: Tensor) -> Tensor:
        values_P = values_N.new_zeros(self.flex.tokens, *values_N.shape[1:])
        return self.flex.enter(values_P.index_copy(0, self.index_N, values_N))

    def attend(self, qkv_P3HK: Tensor) -> Tensor:
        return self.flex.attend(qkv_P3HK)

    def leave(self, values_PD: Tensor) -> Tensor:
        return self.flex.leave(values_PD)[self.index_N]
