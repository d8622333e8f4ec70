"""From the hidden states of packed tokens to one vector a document or a base; no padding, no loop over documents."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

LEADING_TOKENS, TRAILING_TOKENS = 2, 1
"""CLS and the prompt stand before a document's content, SEP behind it (R18)."""


@dataclass(frozen=True)
class Content:
    """Which packed tokens are content. Here T counts content tokens only.

    Attributes:
        place_T: positions among the packed tokens, ascending.
        document_T: number of the document each is of.
        count_B: content tokens of each document; 0 where it has none.
    """

    place_T: Tensor
    document_T: Tensor
    count_B: Tensor


def content_of(lengths: list[int], device: torch.device) -> Content:
    """Content tokens of documents with so many tokens each, CLS, prompt and SEP included."""
    length_B = torch.tensor(lengths, device=device)
    document_N = torch.repeat_interleave(torch.arange(len(lengths), device=device), length_B)
    offset_N = torch.arange(len(document_N), device=device) - _first(length_B)[document_N]
    is_content_N = (offset_N >= LEADING_TOKENS) & (offset_N < length_B[document_N] - TRAILING_TOKENS)
    place_T = torch.nonzero(is_content_N).squeeze(1)
    return Content(place_T, document_N[place_T], (length_B - LEADING_TOKENS - TRAILING_TOKENS).clamp(min=0))


def _first(length_B: Tensor) -> Tensor:
    """Position of each document's first token."""
    return torch.cumsum(length_B, 0) - length_B


def sums_of(values_TD: Tensor, of_T: Tensor, count: int) -> Tensor:
    """Sum of the values of each of `count` groups, (count, D) float32; `of_T` is the group of each value."""
    return values_TD.new_zeros(count, *values_TD.shape[1:], dtype=torch.float32).index_add(0, of_T, values_TD.float())


def mean_of_content(hidden_ND: Tensor, lengths: list[int]) -> Tensor:
    """Mean hidden state over each document's content tokens: (B, D), float32; 0 where it has none."""
    content = content_of(lengths, hidden_ND.device)
    sums_BD = sums_of(hidden_ND[content.place_T], content.document_T, len(lengths))
    return sums_BD / content.count_B.clamp(min=1)[:, None]


def cls_of(hidden_ND: Tensor, lengths: list[int]) -> Tensor:
    """Hidden state of each document's first token: (B, D), float32."""
    return hidden_ND[_first(torch.tensor(lengths, device=hidden_ND.device))].float()


class AttentionPooling(nn.Module):
    """Mean over content tokens, weighted by the softmax of their products with one learned query.

    The query starts at 0, so that training starts from the plain mean.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(width))

    def forward(self, hidden_ND: Tensor, lengths: list[int]) -> Tensor:
        """(B, D) float32; 0 for a document without content."""
        content = content_of(lengths, hidden_ND.device)
        hidden_TD = hidden_ND[content.place_T].float()
        score_T = hidden_TD @ self.query.float() / math.sqrt(len(self.query))
        largest_B = score_T.detach().new_full((len(lengths),), -math.inf)
        largest_B = largest_B.scatter_reduce(0, content.document_T, score_T.detach(), "amax")
        weight_T = torch.exp(score_T - largest_B[content.document_T])
        total_B = sums_of(weight_T, content.document_T, len(lengths))
        share_T1 = (weight_T / total_B[content.document_T])[:, None]
        return sums_of(share_T1 * hidden_TD, content.document_T, len(lengths))


def mean_over_bases(values_TD: Tensor, interval_T2: Tensor, bases: int) -> Tensor:
    """Mean of the tokens that cover each base: (L, D) float32; 0 where none does.

    Args:
        values_TD: of content tokens.
        interval_T2: half-open base interval of each token, as `Ensemble.intervals` gives it.
        bases: L, of the sequence; for several, count bases through all of them.
    """
    start_T, end_T = interval_T2.unbind(1)
    token_S = torch.repeat_interleave(torch.arange(len(start_T), device=start_T.device), end_T - start_T)
    first_T = _first(end_T - start_T)
    base_S = start_T[token_S] + torch.arange(len(token_S), device=start_T.device) - first_T[token_S]
    covering_L = torch.bincount(base_S, minlength=bases)
    return sums_of(values_TD[token_S], base_S, bases) / covering_L.clamp(min=1)[:, None]
