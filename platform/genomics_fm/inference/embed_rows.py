"""From hidden states to rows: one a sequence, a token or a base."""

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import torch

from genomics_fm.errors import InputError
from genomics_fm.inference.embed_windows import Window
from genomics_fm.model.pooling import mean_over_bases
from genomics_fm.vocabulary.ensemble import Ensemble

EmbedPooling = Literal["mean", "cls", "token", "base"]
NOTHING = np.float32("nan")
"""Fills the embedding of what no token covers: pyarrow cannot read nulls among lists of a fixed size."""
ROWS_AT_ONCE = 1 << 13
"""Rows of tokens or bases that become a batch of a table: bounds memory for any length."""
_COLUMNS: dict[str, dict[str, pa.DataType]] = {
    "sequence": {"name": pa.string(), "length": pa.int64(), "tokens": pa.int64()},
    "token": {"name": pa.string(), "token": pa.int64(), "start": pa.int64(), "end": pa.int64(), "string": pa.string()},
    "base": {"name": pa.string(), "position": pa.int64(), "base": pa.string()},
}


def check_pooling(pooling: str) -> None:
    """Refuse what is no `EmbedPooling`."""
    if pooling not in get_args(EmbedPooling):
        raise InputError(f"pooling {pooling!r}: choose one of {', '.join(get_args(EmbedPooling))}")


def schema(pooling: EmbedPooling, width: int) -> pa.Schema:
    """Columns of the table; embeddings have `width` numbers."""
    kind = pooling if pooling in _COLUMNS else "sequence"
    return pa.schema({**_COLUMNS[kind], "embedding": pa.list_(pa.float32(), width)})


def _embeddings(values_RD: np.ndarray) -> pa.FixedSizeListArray:
    flat = pa.array(np.ascontiguousarray(values_RD, np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values_RD.shape[1])


def sequence_rows(window: Window, values_SD: np.ndarray, pooling: EmbedPooling) -> pa.RecordBatch:
    """A row a sequence: name, length in bases, tokens, embedding; `NOTHING` for a mean over no token."""
    tokens_S = np.diff(window.ends_S)
    if pooling == "mean":
        values_SD = np.where(tokens_S[:, None] == 0, NOTHING, values_SD)
    columns = [window.names, [len(text) for text in window.texts], tokens_S]
    fields = schema(pooling, values_SD.shape[1])
    arrays = [pa.array(column, field.type) for column, field in zip(columns, fields, strict=False)]
    return pa.record_batch([*arrays, _embeddings(values_SD)], schema=fields)


def spans(window: Window, vocabulary: Ensemble, name: str) -> np.ndarray:
    """Half-open interval of every token in the window's letters, laid end to end, (T, 2)."""
    tokens_S = np.diff(window.ends_S)
    span_T2 = vocabulary.intervals(name, window.ids_T)  # of one long sequence: right up to where each begins
    some_S = tokens_S > 0
    shift_S = np.zeros(len(tokens_S), np.int64)
    shift_S[some_S] = window.offsets_S[:-1][some_S] - span_T2[window.ends_S[:-1][some_S], 0]
    return span_T2 + np.repeat(shift_S, tokens_S)[:, None]


def token_rows(window: Window, hidden_TD: np.ndarray, vocabulary: Ensemble, name: str) -> Iterator[pa.RecordBatch]:
    """A row a token: name, number in its sequence, half-open base interval, string, embedding."""
    fields = schema("token", hidden_TD.shape[1])
    names, strings = pa.array(window.names), pa.array(vocabulary.tokens)
    sequence_T = np.repeat(np.arange(len(window.names)), np.diff(window.ends_S))
    number_T = np.arange(len(sequence_T)) - window.ends_S[sequence_T]
    span_2T = (spans(window, vocabulary, name) - window.offsets_S[sequence_T][:, None]).T.copy()
    for first in range(0, len(sequence_T), ROWS_AT_ONCE):
        rows = slice(first, first + ROWS_AT_ONCE)
        arrays = [
            names.take(pa.array(sequence_T[rows])),
            pa.array(number_T[rows]),
            pa.array(span_2T[0, rows]),
            pa.array(span_2T[1, rows]),
            strings.take(pa.array(window.ids_T[rows])),
            _embeddings(hidden_TD[rows]),
        ]
        yield pa.record_batch(arrays, schema=fields)


def base_rows(window: Window, hidden_TD: np.ndarray, vocabulary: Ensemble, name: str) -> Iterator[pa.RecordBatch]:
    """A row a base: name, position from 0, letter, and the mean of the tokens that cover it."""
    fields = schema("base", hidden_TD.shape[1])
    names, text = pa.array(window.names), "".join(window.texts)
    span_T2 = spans(window, vocabulary, name)
    for first in range(0, len(text), ROWS_AT_ONCE):
        end = min(first + ROWS_AT_ONCE, len(text))
        base_R = np.arange(first, end)
        sequence_R = np.searchsorted(window.offsets_S, base_R, side="right") - 1
        arrays = [
            names.take(pa.array(sequence_R)),
            pa.array(base_R - window.offsets_S[sequence_R]),
            pa.array(list(text[first:end])),
            _embeddings(_covering_means(hidden_TD, span_T2, first, end)),
        ]
        yield pa.record_batch(arrays, schema=fields)


def _covering_means(hidden_TD: np.ndarray, span_T2: np.ndarray, first: int, end: int) -> np.ndarray:
    """Mean of the tokens that cover each base from `first` to `end`, (R, D); `NOTHING` where none does."""
    tokens = slice(np.searchsorted(span_T2[:, 1], first, side="right"), np.searchsorted(span_T2[:, 0], end))
    inside_T2 = torch.from_numpy(span_T2[tokens].clip(first, end) - first)
    values_RD = mean_over_bases(torch.from_numpy(hidden_TD[tokens]), inside_T2, end - first).numpy()
    base_R = np.arange(first, end)
    ended_R = np.searchsorted(span_T2[:, 1], base_R, side="right")
    values_RD[ended_R == np.searchsorted(span_T2[:, 0], base_R, side="right")] = NOTHING
    return values_RD
