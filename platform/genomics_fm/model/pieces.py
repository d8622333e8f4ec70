"""Documents longer than a table of learned positions: cut, encoded and put together again, never truncated (R18)."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genomics_fm.errors import require
from genomics_fm.model.encoder import Encoder
from genomics_fm.model.pooling import LEADING_TOKENS, TRAILING_TOKENS

_FRAME = LEADING_TOKENS + TRAILING_TOKENS


@dataclass(frozen=True)
class Cut:
    """Documents as pieces, each of them a document with CLS, prompt and SEP.

    Attributes:
        source_P: packed token of the documents that stands at each packed place of the pieces.
        lengths: tokens of each piece.
        back_N: place among the pieces of each token of the documents: of CLS and prompt in the first piece, of SEP in
            the last.
    """

    source_P: NDArray[np.int64]
    lengths: list[int]
    back_N: NDArray[np.int64]


def cut(lengths: list[int], most: int) -> Cut:
    """Cut documents of more than `most` tokens into as few pieces as will do, of equal size but for one token.

    Raises:
        InputError: `most` leaves no room for content.
    """
    require(most > _FRAME, "max_positions", most, f"more than the {_FRAME} tokens around a document's content")
    source, back, cut_lengths = [], [], []
    first = place = 0
    for length in lengths:
        content = max(length - _FRAME, 0)
        pieces = -(-content // (most - _FRAME)) if length > most else 1
        edges = [content * number // pieces for number in range(pieces + 1)]
        for number, (begin, end) in enumerate(itertools.pairwise(edges)):
            if pieces == 1:
                token_T = np.arange(length)
            else:
                inside_T = np.arange(LEADING_TOKENS + begin, LEADING_TOKENS + end)
                token_T = np.concatenate([np.arange(LEADING_TOKENS), inside_T, [length - 1]])
            kept_T = slice(0 if number == 0 else LEADING_TOKENS, None if number == pieces - 1 else -TRAILING_TOKENS)
            source.append(first + token_T)
            back.append(place + np.arange(len(token_T))[kept_T])
            cut_lengths.append(len(token_T))
            place += len(token_T)
        first += length
    return Cut(np.concatenate(source), cut_lengths, np.concatenate(back))


def encode_any_length(encoder: Encoder, ids_N: Tensor, lengths: list[int]) -> Tensor:
    """Hidden states of packed documents, (N, D), whatever their length.

    ALiBi takes any. Where positions are learned, a document of more tokens than the table is encoded in pieces that
    do not see each other; what is pooled over its tokens is then the mean over its pieces, weighted by tokens.
    """
    most = encoder.config.max_positions
    if not encoder.embeddings.learned_positions or max(lengths, default=0) <= most:
        return encoder(ids_N, lengths)
    pieces = cut(lengths, most)
    source_P, back_N = (torch.from_numpy(index).to(ids_N.device) for index in (pieces.source_P, pieces.back_N))
    return encoder(ids_N[source_P], pieces.lengths)[back_N]
