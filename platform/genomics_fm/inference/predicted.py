"""What a model said of labelled rows, as a file: of a head's validation rows what promotion compares (R30)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.tasks import metrics
from genomics_fm.tasks.metrics import Predictions
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.results import of_two
from genomics_fm.tasks.rows import Labels, Rows, of_bases

_PREDICTION = pa.list_(pa.float32())
_FIRST_PREDICTION = "probability"
"""Of class 1: what stood in the place of `prediction` in format 1."""


@dataclass(frozen=True)
class Predicted:
    """Labelled rows without their sequences, and a model's predictions of them.

    Attributes:
        locus: as `Rows.locus`; `block` and `labels` likewise.
        predictions: as `metrics.evaluate` takes them, before calibration: (N, C) float32, or (N,) of (L, C) arrays.
    """

    locus: list[str]
    block: NDArray[np.int64]
    labels: Labels
    predictions: Predictions

    @classmethod
    def of(cls, rows: Rows, predictions: Predictions) -> "Predicted":
        return cls(rows.locus, rows.block, rows.labels, predictions)

    def ordered(self) -> "Predicted":
        """The same rows, sorted by locus."""
        order = np.argsort(self.locus, kind="stable")
        locus = [self.locus[row] for row in order]
        return Predicted(locus, self.block[order], self.labels[order], self.predictions[order])

    def score(self, problem: Problem) -> float:
        """The metric of a problem."""
        return metrics.evaluate(problem, self.labels, self.predictions)[problem.metric]

    def to_parquet(self) -> bytes:
        """Columns locus, block, label and prediction, the numbers of a row (of bases one base's after another's)."""
        flat = [np.asarray(row, np.float32).reshape(-1) for row in self.predictions]
        label = list(self.labels) if self.labels.dtype == object or self.labels.ndim == 2 else self.labels
        columns = {
            "locus": pa.array(self.locus, pa.string()),
            "block": pa.array(self.block, pa.int64()),
            "label": pa.array(label, _label_type(self.labels)),
            "prediction": pa.array(flat, _PREDICTION),
        }
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(columns), sink)
        return sink.getvalue().to_pybytes()


def _label_type(labels: Labels) -> pa.DataType:
    if labels.dtype == object:
        return pa.list_(pa.int8())
    return pa.list_(pa.float32()) if labels.ndim == 2 else pa.int64()


def read_predicted(path: Path, problem: Problem) -> Predicted:
    """Read what `Predicted.to_parquet` wrote, now or in format 1.

    Raises:
        CorruptArtefact: it cannot be read, or does not fit the problem.
    """
    try:
        table = pq.read_table(path)
        if _FIRST_PREDICTION in table.column_names:
            predictions = of_two(table[_FIRST_PREDICTION].to_numpy())
        else:
            predictions = _predictions(table["prediction"], problem)
        labels = _labels(table["label"])
        metrics.rows_of(problem, labels, predictions)
        return Predicted(table["locus"].to_pylist(), table["block"].to_numpy(), labels, predictions)
    except (KeyError, ValueError, OSError, pa.ArrowException, InputError) as error:
        raise CorruptArtefact(f"{path}: not predictions of this problem ({error}); make them again") from error


def _predictions(column: pa.ChunkedArray, problem: Problem) -> Predictions:
    rows = column.to_numpy()
    if problem.kind != "per-base":
        return np.stack(rows) if len(rows) else np.empty((0, problem.outputs), np.float32)
    found = np.empty(len(rows), object)
    found[:] = [row.reshape(-1, problem.outputs) for row in rows]
    return found


def _labels(column: pa.ChunkedArray) -> Labels:
    if column.type == pa.int64():
        return column.to_numpy()
    rows = column.to_numpy()
    return of_bases(list(rows)) if column.type == pa.list_(pa.int8()) else np.stack(rows)
