"""The encoder over a window of sequences: packed, documents of like length together, in file order again."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genomics_fm.errors import InputError
from genomics_fm.inference.embed_windows import Window
from genomics_fm.model.encoder import Encoder
from genomics_fm.model.pooling import LEADING_TOKENS, TRAILING_TOKENS, cls_of, content_of, mean_of_content
from genomics_fm.tasks.documents import batches
from genomics_fm.vocabulary.special import CLS_ID, SEP_ID

FRAME_TOKENS = LEADING_TOKENS + TRAILING_TOKENS
"""What a document holds beside its content: CLS, prompt and SEP."""
DTYPES = ("fp32", "bf16")


@dataclass(frozen=True)
class Computing:
    """How an encoder is run.

    Attributes:
        encoder: in evaluation mode, on its device.
        prompt_id: the token that announces the vocabulary.
        layer: after which hidden states are taken; 0: the embeddings.
        dtype: of `DTYPES`.
        batch_tokens: tokens computed at once, or one document.
        most_tokens: content tokens of a document; longer sequences are cut into pieces of equal size (R18).
    """

    encoder: Encoder
    prompt_id: int
    layer: int
    dtype: str
    batch_tokens: int
    most_tokens: int


@dataclass(frozen=True)
class Pieces:
    """Stretches of a window's tokens that are documents each; a sequence without tokens is one empty piece.

    Attributes:
        begin_P: first token.
        end_P: exclusive.
        first_S: number of each sequence's first piece.
    """

    begin_P: np.ndarray
    end_P: np.ndarray
    first_S: np.ndarray


def pieces_of(ends_S: np.ndarray, most: int) -> Pieces:
    """Cut sequences of more than `most` tokens into as few pieces as will do, of equal size but for one token.

    Args:
        ends_S: where each sequence's tokens begin, and the end of the last, (S + 1,).
        most: tokens of a piece, at least 1.
    """
    tokens_S = np.diff(ends_S)
    count_S = np.maximum(-(-tokens_S // most), 1)
    first_S = np.cumsum(count_S) - count_S
    rank_P = np.arange(count_S.sum()) - np.repeat(first_S, count_S)
    tokens_P, count_P, start_P = (np.repeat(values, count_S) for values in (tokens_S, count_S, ends_S[:-1]))
    return Pieces(start_P + tokens_P * rank_P // count_P, start_P + tokens_P * (rank_P + 1) // count_P, first_S)


def packed(ids_T: np.ndarray, pieces: Pieces, rows: list[int], prompt_id: int) -> tuple[np.ndarray, list[int]]:
    """Ids of some pieces as documents end to end, (N,) int64, and the tokens of each document."""
    content = [ids_T[pieces.begin_P[row] : pieces.end_P[row]] for row in rows]
    head, tail = [CLS_ID, prompt_id], [SEP_ID]
    ids_N = np.concatenate([part for ids in content for part in (head, ids, tail)]).astype(np.int64)
    return ids_N, [len(ids) + FRAME_TOKENS for ids in content]


def sequence_values(how: Computing, window: Window, pooling: str) -> np.ndarray:
    """Mean of the content tokens, or the CLS token, of each sequence: (S, D) float32.

    A sequence in several pieces gets their mean, weighted by tokens; one without tokens a mean of 0.
    """
    pieces = pieces_of(window.ends_S, how.most_tokens)
    values_PD = np.empty((len(pieces.begin_P), how.encoder.config.width), np.float32)
    pool = mean_of_content if pooling == "mean" else cls_of
    for rows, hidden_ND, lengths in _batches(how, window, pieces):
        values_PD[rows] = _finite(pool(hidden_ND, lengths))
    if len(values_PD) == len(window.names):
        return values_PD
    tokens_P = np.maximum(pieces.end_P - pieces.begin_P, 1).astype(np.float64)
    sums_SD = np.add.reduceat(values_PD * tokens_P[:, None], pieces.first_S)
    return (sums_SD / np.add.reduceat(tokens_P, pieces.first_S)[:, None]).astype(np.float32)


def token_values(how: Computing, window: Window) -> np.ndarray:
    """Hidden states of a window's content tokens, in order: (T, D) float32."""
    pieces = pieces_of(window.ends_S, how.most_tokens)
    hidden_TD = np.empty((len(window.ids_T), how.encoder.config.width), np.float32)
    for rows, hidden_ND, lengths in _batches(how, window, pieces):
        content = content_of(lengths, hidden_ND.device)
        place_T = [np.arange(pieces.begin_P[row], pieces.end_P[row]) for row in rows]
        hidden_TD[np.concatenate(place_T)] = _finite(hidden_ND[content.place_T])
    return hidden_TD


def _batches(how: Computing, window: Window, pieces: Pieces) -> Iterator[tuple[list[int], Tensor, list[int]]]:
    """Numbers of the pieces of each batch, their hidden states (N, D), and their lengths."""
    device = how.encoder.embeddings.word_embeddings.weight.device
    documents = (pieces.end_P - pieces.begin_P + FRAME_TOKENS).tolist()
    for rows in batches(documents, how.batch_tokens):
        ids_N, lengths = packed(window.ids_T, pieces, rows, how.prompt_id)
        yield rows, hidden_states(how, torch.from_numpy(ids_N).to(device), lengths), lengths


def _finite(values_RD: Tensor) -> np.ndarray:
    """The same numbers as float32.

    Raises:
        InputError: one is not finite, which would pass for what no token covers.
    """
    if not torch.isfinite(values_RD).all():
        raise InputError("hidden states that are not finite: the encoder's weights are damaged; use another encoder")
    return values_RD.float().cpu().numpy()


def hidden_states(how: Computing, ids_N: Tensor, lengths: list[int]) -> Tensor:
    """Hidden states of packed documents after the layer, (N, D), without a graph."""
    bf16 = how.dtype == "bf16"
    with torch.inference_mode(), torch.autocast(ids_N.device.type, torch.bfloat16, enabled=bf16):
        return how.encoder(ids_N, lengths, how.layer)
