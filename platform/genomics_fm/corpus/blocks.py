"""Arrow blocks: a file of windows, the same bytes whenever and wherever it is written (ARCHITECTURE 1)."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from genomics_fm.artefacts import canonical_json, sha256_bytes

SCHEMA = pa.schema(
    [
        ("sequence", pa.large_string()),
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
)
ROWS_PER_BATCH = 16
"""Windows compressed together: what one random read has to decompress."""
ZSTD_LEVEL = 1


@dataclass(frozen=True)
class Window:
    """One row of a corpus.

    Attributes:
        sequence: upper case, A C G T N.
        species: as in the source list.
        assembly: as in the source list.
        contig: name of the record it was cut from.
        start: 0-based, on the forward strand of the reference.
        end: exclusive.
        haplotype: empty for the reference.
        cigar: alignment of a haplotype to the reference; empty for the reference.
        multiplicity: how many haplotypes are identical here.
        flags: bits; none is in use.
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


def content_sha256(rows: Sequence[Window]) -> str:
    """Hash of what the rows say, whatever file they stand in (R8)."""
    digest = hashlib.sha256()
    for row in rows:
        values = asdict(row)
        sequence = values.pop("sequence")
        digest.update(canonical_json(values))
        digest.update(b"\n" + sequence.encode("ascii") + b"\n")
    return digest.hexdigest()


def encode_block(rows: Sequence[Window]) -> tuple[bytes, dict[str, Any]]:
    """A block's bytes and its entry for the manifest (without the file's name)."""
    columns = {name: [getattr(row, name) for row in rows] for name in SCHEMA.names}
    table = pa.table(columns, schema=SCHEMA)
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=ZSTD_LEVEL), use_threads=False)
    with pa.ipc.new_file(sink, SCHEMA, options=options) as writer:
        writer.write_table(table, max_chunksize=ROWS_PER_BATCH)
    data = sink.getvalue().to_pybytes()
    return data, {
        "rows": len(rows),
        "bytes": len(data),
        "nucleotides": sum(row.end - row.start for row in rows),
        "sha256": sha256_bytes(data),
        "content_sha256": content_sha256(rows),
    }


def chunks(rows: Iterator[Window], size: int) -> Iterator[list[Window]]:
    """Lists of `size` rows; the last may be shorter."""
    chunk: list[Window] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
