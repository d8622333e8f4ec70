"""Arrow blocks: a file of windows, the same bytes whenever and wherever it is written (ARCHITECTURE 1).

Format 2 holds a window of the reference in two bits a base and a window of a haplotype as what it changes: its
CIGAR against the reference row of its region, which stands before it in the block, and the bases of the CIGAR's X
and I. A file is one uncompressed record batch, so that any row is read from a memory map without its neighbours.
Format 1 held letters under zstd, `FORMAT_1_ROWS_PER_BATCH` rows at a time; it is read, no longer written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from genomics_fm.artefacts import ContentSum, canonical_json, sha256_bytes
from genomics_fm.genome.cigar import apply
from genomics_fm.genome.packing import Packed, unpack

_COMMON = [
    ("species", pa.string()),
    ("assembly", pa.string()),
    ("contig", pa.string()),
    ("start", pa.int64()),
    ("end", pa.int64()),
    ("haplotype", pa.string()),
    ("cigar", pa.string()),
    ("multiplicity", pa.int32()),
    ("flags", pa.int32()),
]
SCHEMA = pa.schema(
    [
        ("packed", pa.large_binary()),
        ("n_runs", pa.large_list(pa.int32())),
        ("edits", pa.large_string()),
        ("reference_row", pa.int32()),
        *_COMMON,
    ]
)
FORMAT_1_SCHEMA = pa.schema([("sequence", pa.large_string()), *_COMMON])
FORMAT_1_ROWS_PER_BATCH = 16
_WINDOW_COLUMNS = [name for name, _ in _COMMON]


@dataclass(frozen=True)
class Window:
    """One row of a corpus, as it is read.

    Attributes:
        sequence: upper case, A C G T N.
        species: as in the source list.
        assembly: as in the source list.
        contig: name of the record it was cut from.
        start: 0-based, on the forward strand of the reference.
        end: exclusive.
        haplotype: empty for the reference.
        cigar: alignment of a haplotype to the reference (= X I D); empty for the reference.
        multiplicity: how many haplotypes are identical here.
        flags: bits; see `genome.haplotype_rows`.
    """

    sequence: str
    species: str
    assembly: str
    contig: str
    start: int
    end: int
    haplotype: str = ""
    cigar: str = ""
    multiplicity: int = 1
    flags: int = 0


@dataclass(frozen=True)
class Place:
    """Where a window lies."""

    species: str
    assembly: str
    contig: str
    start: int
    end: int


@dataclass(frozen=True)
class Row:
    """One row of a corpus, as it is written.

    Attributes:
        place: where on the reference.
        packed: the letters of a reference row; None for a haplotype.
        haplotype: name; empty for the reference.
        cigar: of a haplotype.
        edits: the bases of the CIGAR's X and I, in order.
        multiplicity: how many haplotypes are identical here.
        flags: bits.
    """

    place: Place
    packed: Packed | None
    haplotype: str = ""
    cigar: str = ""
    edits: str = ""
    multiplicity: int = 1
    flags: int = 0

    def content(self) -> bytes:
        """What the corpus hash sees of the row, however it is encoded (R8)."""
        place = self.place
        about = [place.species, place.assembly, place.contig, place.start, place.end]
        about += [self.haplotype, self.cigar, self.edits, self.multiplicity, self.flags]
        runs = self.packed.n_runs.tolist() if self.packed else []
        return canonical_json([*about, runs]) + b"\n" + (self.packed.data if self.packed else b"")


def encode_block(rows: Sequence[Row]) -> tuple[bytes, dict[str, Any]]:
    """A block's bytes and its entry for the manifest (without the file's name).

    Args:
        rows: every haplotype row behind the reference row of its region.
    """
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, SCHEMA) as writer:
        writer.write_batch(_batch(rows))
    data = sink.getvalue().to_pybytes()
    content = content_sum(rows)
    return data, {
        "rows": len(rows),
        "haplotype_rows": sum(row.packed is None for row in rows),
        "bytes": len(data),
        "sha256": sha256_bytes(data),
        "content": content.state(),
    }


def content_sum(rows: Sequence[Row]) -> ContentSum:
    """Hash of what the rows say, whatever their order and the file they stand in (R8)."""
    content = ContentSum()
    for row in rows:
        content.add(row.content())
    return content


def _batch(rows: Sequence[Row]) -> pa.RecordBatch:
    reference_row, columns = -1, []
    for number, row in enumerate(rows):
        if row.packed is not None:
            reference_row = number
        columns.append(reference_row)
    values: dict[str, Any] = {
        "packed": [row.packed.data if row.packed else b"" for row in rows],
        "n_runs": [row.packed.n_runs.tolist() if row.packed else [] for row in rows],
        "reference_row": columns,
    }
    for name in ("edits", "haplotype", "cigar", "multiplicity", "flags"):
        values[name] = [getattr(row, name) for row in rows]
    for name in ("species", "assembly", "contig", "start", "end"):
        values[name] = [getattr(row.place, name) for row in rows]
    return pa.record_batch([pa.array(values[field.name], field.type) for field in SCHEMA], schema=SCHEMA)


class Block:
    """The rows of an opened block."""

    def __init__(self, source: pa.NativeFile, rows: int) -> None:
        """Open a block whose bytes have been checked.

        Args:
            source: the file, best a memory map.
            rows: how many the manifest lists.

        Raises:
            ValueError: not the schema of any format, or another number of rows.
        """
        self._reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(use_threads=False))
        if self._reader.schema not in (SCHEMA, FORMAT_1_SCHEMA):
            raise ValueError("another schema")
        self._letters_only = self._reader.schema == FORMAT_1_SCHEMA
        if self._letters_only:
            found = sum(self._reader.get_batch(i).num_rows for i in range(self._reader.num_record_batches))
        else:
            self._batch = self._reader.get_batch(0)
            found = self._batch.num_rows
            packed, runs = self._batch.column("packed"), self._batch.column("n_runs")
            self._packed_at, self._packed = _ends(packed), _values(packed.buffers()[2], np.uint8)
            self._runs_at, self._runs = _ends(runs), runs.values.to_numpy()
        if found != rows:
            raise ValueError(f"{found} rows, the manifest says {rows}")

    @cached_property
    def haplotypes(self) -> np.ndarray:
        """Which rows are haplotypes, bool."""
        batches = [self._reader.get_batch(number) for number in range(self._reader.num_record_batches)]
        names = [name for batch in batches for name in batch.column("haplotype").to_pylist()]
        return np.array([name != "" for name in names], dtype=bool)

    def _row(self, row: int) -> tuple[pa.RecordBatch, int]:
        if not self._letters_only:
            return self._batch, row
        number, row = divmod(row, FORMAT_1_ROWS_PER_BATCH)
        return self._reader.get_batch(number), row

    def letters(self, row: int) -> np.ndarray:
        """The nucleotides of a row, uint8 ASCII."""
        batch, row = self._row(row)
        if self._letters_only:
            return np.frombuffer(batch.column("sequence")[row].as_py().encode(), dtype=np.uint8)
        reference = batch.column("reference_row")[row].as_py()
        length = batch.column("end")[row].as_py() - batch.column("start")[row].as_py()
        data = self._packed[self._packed_at[reference] : self._packed_at[reference + 1]]
        runs = self._runs[self._runs_at[reference] : self._runs_at[reference + 1]]
        letters = unpack(data, runs, length)
        if reference == row:
            return letters
        edits = batch.column("edits")[row].as_py().encode()
        return np.frombuffer(apply(letters.tobytes(), batch.column("cigar")[row].as_py(), edits), dtype=np.uint8)

    def window(self, row: int) -> Window:
        """A whole row."""
        batch, at = self._row(row)
        about = {name: batch.column(name)[at].as_py() for name in _WINDOW_COLUMNS}
        return Window(self.letters(row).tobytes().decode("ascii"), **about)


def _ends(array: pa.Array) -> np.ndarray:
    """Where each value begins, and where the last ends, in the array's flat values."""
    return _values(array.buffers()[1], np.int64)[array.offset : array.offset + len(array) + 1]


def _values(buffer: pa.Buffer | None, kind: type) -> np.ndarray:
    return np.frombuffer(buffer, dtype=kind) if buffer is not None else np.empty(0, dtype=kind)
