"""Labelled sequences of one split, in memory and as a parquet file."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from genomics_fm import artefacts
from genomics_fm.errors import CorruptArtefact, InputError

FORMAT_VERSION = 1
_SCHEMA = pa.schema([("sequence", pa.string()), ("label", pa.int64()), ("locus", pa.string()), ("block", pa.int64())])


@dataclass(frozen=True)
class Rows:
    """Rows of one split, one a locus.

    Attributes:
        sequences: upper-case ACGTN, oriented as the model shall read them.
        labels: class ids; for a binary task 1 is the positive class.
        locus: "CHROMOSOME:START-END:STRAND", 0-based half-open on the forward strand.
        block: id of the stretch of genome a row lies in: the unit of the bootstrap.
    """

    sequences: list[str]
    labels: NDArray[np.int64]
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
        for row in zip(self.sequences, self.labels.tolist(), self.locus, self.block.tolist(), strict=True):
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


def write(path: Path, rows: Rows) -> None:
    """Write rows as parquet, atomically, with format version and content hash in the schema's metadata."""
    metadata = {"format_version": str(FORMAT_VERSION), "sha256": rows.sha256}
    columns = [rows.sequences, rows.labels, rows.locus, rows.block]
    table = pa.table(columns, schema=_SCHEMA.with_metadata(metadata))
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
    if not version or not table.schema.equals(_SCHEMA, check_metadata=False):
        raise CorruptArtefact(f"{path}: not a file of labelled rows; build the task again")
    if version > FORMAT_VERSION:
        raise CorruptArtefact(f"{path}: format_version {version} is newer than {FORMAT_VERSION}; upgrade genomics-fm")
    rows = Rows(
        table["sequence"].to_pylist(),
        table["label"].to_numpy(),
        table["locus"].to_pylist(),
        table["block"].to_numpy(),
    )
    if rows.sha256 != metadata.get(b"sha256", b"").decode():
        raise CorruptArtefact(f"{path}: rows disagree with their hash; build the task again")
    return rows
