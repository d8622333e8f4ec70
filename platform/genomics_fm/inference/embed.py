"""Embeddings of every sequence of a file, or of its tokens or bases, as a parquet table; a killed run goes on."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import torch

from genomics_fm import __version__
from genomics_fm.errors import InputError, require
from genomics_fm.inference.embed_hidden import DTYPES, FRAME_TOKENS, Computing, sequence_values, token_values
from genomics_fm.inference.embed_parts import parts_of
from genomics_fm.inference.embed_progress import Progress, Say
from genomics_fm.inference.embed_rows import EmbedPooling, base_rows, check_pooling, schema, sequence_rows, token_rows
from genomics_fm.inference.embed_source import EmbedSource
from genomics_fm.inference.embed_windows import Scan, Window, ahead, scan, windows
from genomics_fm.vocabulary.ensemble import Ensemble

BATCH_TOKENS = 8_192
LONG_LETTERS = 100_000
"""A sequence of more is computed, but a warning says what it costs."""
_UNCUT = 1 << 40


@dataclass(frozen=True)
class EmbedSettings:
    """What is asked for.

    Attributes:
        vocabulary: which of the encoder's reads; None: its default.
        pooling: a row a sequence (mean of its content tokens, or CLS), a token, or a base.
        layer: hidden states after this layer, 0 for the embeddings; None: the last.
        dtype: of `DTYPES`; bf16 is autocast.
        batch_tokens: tokens computed at once, or one document.
        max_tokens: sequences of more are cut into pieces of equal size; None: only where positions are learned.
    """

    vocabulary: str | None = None
    pooling: EmbedPooling = "mean"
    layer: int | None = None
    dtype: str = "fp32"
    batch_tokens: int = BATCH_TOKENS
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        check_pooling(self.pooling)
        require(self.dtype in DTYPES, "dtype", self.dtype, f"one of {', '.join(DTYPES)}")
        require(self.batch_tokens >= 1, "batch_tokens", self.batch_tokens, "at least 1")
        require(self.max_tokens is None or self.max_tokens >= 1, "max_tokens", self.max_tokens, "at least 1")


@dataclass(frozen=True)
class EmbedSummary:
    """What a run did; tokens and seconds are of this run, without what an earlier one had done."""

    sequences: int
    tokens: int
    seconds: float


def embed_file(source: EmbedSource, path: str, target: Path, settings: EmbedSettings, say: Say) -> EmbedSummary:
    """Embed every record of a file, in its order.

    Args:
        source: the encoder.
        path: FASTA or GenBank, as `read_genome` takes it.
        target: the parquet file; it appears only when it is complete.
        settings: what is asked for.
        say: takes lines for people.

    Raises:
        InputError: the file is refused by the strict reader, before anything is computed; a setting does not
            fit the encoder; or another run writes the same table.
        EnvironmentFault: the target cannot be written.
    """
    started = time.monotonic()
    how, name = computing(source, settings), settings.vocabulary or source.default
    found = scan(path)
    for line in _foreword(source, found, how, name, settings.pooling):
        say(line)
    made_of = _made_of(source, found, how, name, settings.pooling)
    columns = schema(settings.pooling, source.encoder.config.width)
    with parts_of(target, columns, made_of) as (parts, changed):
        if changed:
            say(f"an unfinished run of other make is there ({changed}): starting anew")
        progress, skip = Progress(found, say), len(parts.files)
        for number, window in enumerate(ahead(windows(path, source.vocabulary, name, skip))):
            if number < skip:
                progress.skip(window)
                continue
            progress.begin()
            parts.write(_rows(how, window, source.vocabulary, name, settings.pooling))
            progress.done(window)
        progress.end()
        parts.finish(target, made_of)
    return EmbedSummary(found.sequences, progress.tokens, time.monotonic() - started)


def computing(source: EmbedSource, settings: EmbedSettings) -> Computing:
    """Settings for an encoder.

    Raises:
        InputError: it has no such vocabulary or layer.
    """
    config = source.encoder.config
    name = settings.vocabulary or source.default
    source.vocabulary.member(name)
    layer = config.layers if settings.layer is None else settings.layer
    require(0 <= layer <= config.layers, "layer", layer, f"0 to {config.layers}")
    fits = config.max_positions - FRAME_TOKENS if config.position == "ape" else _UNCUT
    most = min(fits, settings.max_tokens or _UNCUT)
    if most < 1:
        raise InputError(f"encoder with {config.max_positions} learned positions: a document needs more; use another")
    prompt_id = source.vocabulary.prompt_id(name)
    return Computing(source.encoder, prompt_id, layer, settings.dtype, settings.batch_tokens, most)


def _rows(
    how: Computing, window: Window, vocabulary: Ensemble, name: str, pooling: EmbedPooling
) -> Iterable[pa.RecordBatch]:
    if pooling in ("mean", "cls"):
        return [sequence_rows(window, sequence_values(how, window, pooling), pooling)]
    rows = token_rows if pooling == "token" else base_rows
    return rows(window, token_values(how, window), vocabulary, name)


def _made_of(source: EmbedSource, found: Scan, how: Computing, name: str, pooling: str) -> dict[str, str]:
    """All that the table's bytes depend on, but for the number of threads; also its metadata."""
    return {
        "input_sha256": found.sha256,
        "encoder_sha256": source.sha256,
        "vocabulary": name,
        "vocabulary_sha256": source.vocabulary.sha256,
        "pooling": pooling,
        "layer": str(how.layer),
        "dtype": how.dtype,
        "batch_tokens": str(how.batch_tokens),
        "max_tokens": "" if how.most_tokens == _UNCUT else str(how.most_tokens),
        "device": how.encoder.embeddings.word_embeddings.weight.device.type,
        "genomics_fm": __version__,
        "torch": torch.__version__,
        "pyarrow": pa.__version__,
    }


def _foreword(source: EmbedSource, found: Scan, how: Computing, name: str, pooling: str) -> Iterable[str]:
    others = [other for other in source.vocabulary.names if other != name]
    also = f" (there is also {', '.join(others)})" if others else ""
    yield (
        f"{found.sequences:,} sequences, {found.letters:,} nt; vocabulary {name}{also}, "
        f"layer {how.layer} of {source.encoder.config.layers}, {pooling}"
    )
    if how.most_tokens < _UNCUT:
        yield f"sequences of more than {how.most_tokens:,} tokens are cut into pieces of equal size"
    elif found.longest > LONG_LETTERS:
        yield (
            f"warning: the longest sequence has {found.longest:,} nt, and time grows with the square of it; "
            "--max-tokens cuts sequences into pieces"
        )
