"""Sequences in, parquet out, one chunk of predictions in memory; `predict_source` reads them."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from genomics_fm import __version__
from genomics_fm.errors import InputError, writing
from genomics_fm.inference.card import HeadCard
from genomics_fm.inference.head import Head
from genomics_fm.inference.predict_source import Item, Source
from genomics_fm.inference.prediction import Prediction
from genomics_fm.inference.prior import Prior, shares
from genomics_fm.tasks.problem import Problem

PROGRESS_SECONDS = 2.0
DTYPES = ("fp32", "bf16")
_NAMES = pa.list_(pa.string())
_NUMBER, _NUMBERS = pa.float64(), pa.list_(pa.float32())


@dataclass(frozen=True)
class Summary:
    """What a run over a file did."""

    sequences: int
    warned: int
    seconds: float


@dataclass(frozen=True)
class PredictSettings:
    """How a head is asked.

    Attributes:
        genome: FASTA or GenBank that the places of a BED file or a table lie in.
        prior: how frequent classes or labels are where the sequences come from; as in training otherwise.
        dtype: the model computes in fp32 or bf16.
    """

    genome: str | None = None
    prior: Prior | None = None
    dtype: str = "fp32"

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise InputError(f"dtype {self.dtype}: give {' or '.join(DTYPES)}")


def predict_file(
    head: Head,
    source: str,
    target: Path,
    report: Callable[[int, float], None] | None = None,
    settings: PredictSettings | None = None,
) -> Summary:
    """Score every sequence of a file and write a table, a row a sequence, in the order of the file.

    Columns: name, what is predicted (`schema`), strand_gap, length, warning.

    Args:
        head: the head.
        source: as `predict_source.Source` reads it.
        target: the parquet file; it appears only when it is complete.
        report: called with (sequences done, seconds) every few seconds.
        settings: genome, prior, precision.

    Raises:
        InputError: the file is refused by its strict reader, a sequence is too short or too long, or a prior that
            does not fit the head.
        EnvironmentFault: the target cannot be written.
    """
    started = last = time.monotonic()
    settings, problem = settings or PredictSettings(), head.card.problem
    if settings.prior is not None:
        shares(head.card, settings.prior)
    done = warned = 0
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    metadata = made_of(head.sha256, head.card, settings)
    file = Source(source, settings.genome, problem.stranded)
    try:
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with pq.ParquetWriter(temporary, schema(head.card).with_metadata(metadata)) as writer:
                for items in file.chunks(head.familiar):
                    found = head.score([item for _, item in items], settings.prior, settings.dtype == "bf16")
                    writer.write_table(table_of(head.card, items, found))
                    done += len(items)
                    warned += sum(bool(p.warnings) for p in found)
                    if report and time.monotonic() - last >= PROGRESS_SECONDS:
                        last = time.monotonic()
                        report(done, last - started)
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return Summary(done, warned, time.monotonic() - started)


def made_of(head_sha256: str, card: HeadCard, settings: PredictSettings) -> dict[str, str]:
    """What a table of predictions says of how it was made, beside the sequences; its metadata."""
    prior = "" if settings.prior is None else str(settings.prior)
    named = {"head_sha256": head_sha256, "task": card.task, "genomics_fm": __version__}
    return named | {"dtype": settings.dtype, "prior": prior}


def schema(card: HeadCard) -> pa.Schema:
    """Columns of a table of a head's predictions."""
    kinds: dict[str, pa.DataType] = {}
    problem, bounded = card.problem, card.calibrator.radius is not None
    match problem.kind:
        case "classification":
            kinds = {"label": pa.string(), "probability": _NUMBER} | ({"possible": _NAMES} if bounded else {})
        case "multilabel":
            kinds = {"labels": _NAMES}
        case "per-base":
            kinds = {"labels": _NAMES, "probability": _NUMBERS}
        case "regression":
            pass
    each = dict.fromkeys(_each(problem), _NUMBER)
    if problem.kind == "regression" and bounded:
        each |= dict.fromkeys(_bounds(problem), _NUMBER)
    rest = {"strand_gap": _NUMBER, "length": pa.int32(), "warning": pa.string()}
    return pa.schema({"name": pa.string(), **kinds, **each, **rest})


def _each(problem: Problem) -> list[str]:
    """Columns that hold one output each."""
    if problem.binary or problem.kind == "per-base":
        return []
    what = "value" if problem.kind == "regression" else "probability"
    return [f"{what}/{name}" for name in problem.names]


def _bounds(problem: Problem) -> list[str]:
    """Columns of the intervals of targets."""
    return [f"{end}/{name}" for name in problem.names for end in ("low", "high")]


def table_of(card: HeadCard, items: list[Item], predictions: list[Prediction]) -> pa.Table:
    """Rows of a table of predictions."""
    problem, wanted = card.problem, schema(card)
    columns: dict[str, Any] = {
        "name": [name for name, _ in items],
        "label": [p.label for p in predictions],
        "labels": [p.labels for p in predictions],
        "probability": [p.probability for p in predictions],
        "possible": [p.possible for p in predictions],
        "strand_gap": [p.reverse_complement_gap for p in predictions],
        "length": [len(item.sequence) for _, item in items],
        "warning": ["; ".join(p.warnings) for p in predictions],
    }
    if problem.kind == "per-base":
        columns["probability"] = [p.values.max(axis=1) for p in predictions]
    elif each := _each(problem):
        columns |= dict(zip(each, np.stack([p.values for p in predictions]).T, strict=True))
    if intervals := [p.interval for p in predictions if p.interval is not None]:
        bounds = np.stack(intervals).reshape(len(predictions), -1)
        columns |= dict(zip(_bounds(problem), bounds.T, strict=True))
    return pa.table([pa.array(columns[field.name], field.type) for field in wanted], schema=wanted)


def print_progress(done: int, seconds: float) -> None:
    """One line on stderr with the rate."""
    print(f"predict: {done:,} sequences, {done / max(seconds, 1e-9):,.0f}/s", file=sys.stderr, flush=True)
