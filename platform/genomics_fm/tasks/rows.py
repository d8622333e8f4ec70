"""Labelled sequences of one split, in memory and as a parquet file."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from genomics_fm import artefacts
from genomics_fm.errors import CorruptArtefact, InputError

FORMAT_VERSION = 2
"""1 knew classes alone; a file of classes is the same in both."""
_CLASS, _CLASSES, _NUMBERS = pa.int64(), pa.list_(pa.int8()), pa.list_(pa.float32())

Labels = NDArray[Any]


@dataclass(frozen=True)
class Rows:
    """Rows of one split.

    Attributes:
        sequences: upper-case ACGTN, oriented as the model shall read them.
        labels: (N,) int64 class ids, of a binary task 1 the positive class; (N, C) float32 of labels (0, 1) or
            targets, NaN where nothing was measured; or (N,) of arrays of int8, a class id a base,
            `problem.UNLABELLED` where there is none.
        locus: where a row comes from, unique: "CHROMOSOME:START-END:STRAND", 0-based half-open on the forward
            strand, where that is known, with "#LINE" behind it if rows before it lie there too; else file and row.
        block: id of the group of rows that are not independent, a stretch of genome or a cluster of similar
            sequences: the unit of splits and of the bootstrap.
    """

    sequences: list[str]
    labels: Labels
    locus: list[str]
    block: NDArray[np.int64]

    def __post_init__(self) -> None:
        lengths = {len(self.sequences), len(self.labels), len(self.locus), len(self.block)}
        if len(lengths) != 1:
            raise ValueError(f"columns of unequal length: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.sequences)

    @cached_property
    def sha256(self) -> str:
        """Hash of the canonical content, whatever file or library wrote it."""
        digest = hashlib.sha256()
        texts = map(_canonical, self.labels)
        for row in zip(self.sequences, texts, self.locus, self.block.tolist(), strict=True):
            digest.update("\t".join(map(str, row)).encode() + b"\n")
        return digest.hexdigest()

    def take(self, index: NDArray[np.int64]) -> "Rows":
        """The rows at `index`, in that order."""
        return Rows(
            [self.sequences[i] for i in index],
            self.labels[index],
            [self.locus[i] for i in index],
            self.block[index],
        )


def _canonical(label: Any) -> str:
    """A row's label as text that says its bits: a class id, or the hex of numbers or of bases' classes."""
    if not isinstance(label, np.ndarray):
        return str(int(label))
    return np.ascontiguousarray(label, "<f4" if label.dtype.kind == "f" else np.int8).tobytes().hex()


def concatenate(parts: list[Rows]) -> Rows:
    """Rows one after the other; all of one kind."""
    return Rows(
        [sequence for part in parts for sequence in part.sequences],
        np.concatenate([part.labels for part in parts]),
        [locus for part in parts for locus in part.locus],
        np.concatenate([part.block for part in parts]),
    )


def of_bases(classes: list[NDArray[np.int8]]) -> Labels:
    """Labels of a "per-base" task: (N,) of arrays, also where all have one length."""
    labels = np.empty(len(classes), object)
    labels[:] = [np.asarray(row, np.int8) for row in classes]
    return labels


def _type_of(labels: Labels) -> pa.DataType:
    if labels.dtype == object:
        return _CLASSES
    return _NUMBERS if labels.ndim == 2 else _CLASS


def _schema(label: pa.DataType) -> pa.Schema:
    return pa.schema([("sequence", pa.string()), ("label", label), ("locus", pa.string()), ("block", pa.int64())])


def write(path: Path, rows: Rows) -> None:
    """Write rows as parquet, atomically, with format version and content hash in the schema's metadata."""
    kind = _type_of(rows.labels)
    version = 1 if kind == _CLASS else FORMAT_VERSION
    metadata = {"format_version": str(version), "sha256": rows.sha256}
    labels = rows.labels if kind == _CLASS else list(rows.labels)
    columns = [rows.sequences, pa.array(labels, kind), rows.locus, rows.block]
    table = pa.table(columns, schema=_schema(kind).with_metadata(metadata))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    artefacts.write_bytes(path, sink.getvalue().to_pybytes())


def read(path: Path) -> Rows:
    """Read rows and check them against the hash they were written with.

    Raises:
        InputError: there is no such file.
        CorruptArtefact: not ours, damaged, or of a newer format.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; build the task first")
    try:
        table = pq.read_table(pa.BufferReader(path.read_bytes()))
    except (pa.ArrowException, OSError) as error:
        raise CorruptArtefact(f"{path}: not readable as parquet; build the task again") from error
    metadata = table.schema.metadata or {}
    version = int(metadata.get(b"format_version", b"0"))
    if version > FORMAT_VERSION:
        raise CorruptArtefact(f"{path}: format_version {version} is newer than {FORMAT_VERSION}; upgrade genomics-fm")
    ours = any(table.schema.equals(_schema(kind), check_metadata=False) for kind in (_CLASS, _CLASSES, _NUMBERS))
    if not version or not ours:
        raise CorruptArtefact(f"{path}: not a file of labelled rows; build the task again")
    try:
        labels = _labels(table["label"])
    except ValueError as error:
        raise CorruptArtefact(f"{path}: labels of unequal width; build the task again") from error
    rows = Rows(table["sequence"].to_pylist(), labels, table["locus"].to_pylist(), table["block"].to_numpy())
    if rows.sha256 != metadata.get(b"sha256", b"").decode():
        raise CorruptArtefact(f"{path}: rows disagree with their hash; build the task again")
    return rows


def _labels(column: pa.ChunkedArray) -> Labels:
    if column.type == _CLASS:
        return column.to_numpy()
    values = [np.asarray(row) for row in column.to_numpy()]
    if column.type == _CLASSES:
        return of_bases(values)
    return np.stack(values).astype(np.float32) if values else np.empty((0, 0), np.float32)
