import dataclasses

import pyarrow as pa
import pytest

from genomics_fm.corpus.blocks import ROWS_PER_BATCH, SCHEMA, Window, chunks, content_sha256, encode_block
from tests.corpora import dna

ROWS = [Window(dna(100 + i, i), "Fictus exemplaris", "one", "chr", 10 * i, 10 * i + 100 + i) for i in range(40)]


def test_a_block_reads_back_as_it_was_written() -> None:
    data, entry = encode_block(ROWS)
    table = pa.ipc.open_file(pa.BufferReader(data)).read_all()
    assert [Window(**row) for row in table.to_pylist()] == ROWS
    assert table.schema == SCHEMA
    assert (entry["rows"], entry["bytes"]) == (40, len(data))
    assert entry["nucleotides"] == sum(len(row.sequence) for row in ROWS)


def test_a_random_read_decompresses_few_windows() -> None:
    data, _ = encode_block(ROWS)
    reader = pa.ipc.open_file(pa.BufferReader(data))
    sizes = [reader.get_batch(i).num_rows for i in range(reader.num_record_batches)]
    assert sizes == [ROWS_PER_BATCH, ROWS_PER_BATCH, 40 - 2 * ROWS_PER_BATCH]


def test_the_same_rows_give_the_same_bytes() -> None:
    assert encode_block(ROWS) == encode_block([dataclasses.replace(row) for row in ROWS])


def test_nucleotides_are_compressed() -> None:
    data, entry = encode_block([dataclasses.replace(row, sequence=dna(10_000, i)) for i, row in enumerate(ROWS)])
    assert entry["bytes"] == len(data) < 0.35 * 400_000


@pytest.mark.parametrize(
    ("field", "value"),
    [("sequence", "ACGA"), ("species", "b"), ("assembly", "b"), ("contig", "b"), ("start", 1), ("end", 5),
     ("haplotype", "b"), ("cigar", "4M"), ("multiplicity", 2), ("flags", 1)],
)  # fmt: skip
def test_the_content_hash_sees_every_column(field: str, value: str | int) -> None:
    row = Window("ACGT", "a", "a", "a", 0, 4)
    changed = dataclasses.replace(row, **{field: value})  # type: ignore[arg-type]
    assert content_sha256([row]) != content_sha256([changed])


def test_the_content_hash_sees_the_order_of_rows() -> None:
    assert content_sha256(ROWS) != content_sha256(ROWS[::-1])


def test_the_content_hash_is_the_same_for_ever() -> None:
    """R8: encoders, heads and cards name corpora by it."""
    row = Window("ACGTN", "Fictus exemplaris", "one", "chr", 10, 15)
    assert content_sha256([row, row]) == "f371b6efe0072150178007a63494d6aea4ecd4549139d440040bec5cfba7ccf3"


def test_chunks_hold_every_row_once_in_order() -> None:
    assert [len(chunk) for chunk in chunks(iter(ROWS), 16)] == [16, 16, 8]
    assert [row for chunk in chunks(iter(ROWS), 16) for row in chunk] == ROWS
    assert [len(chunk) for chunk in chunks(iter(ROWS), 40)] == [40]
    assert list(chunks(iter([]), 3)) == []
