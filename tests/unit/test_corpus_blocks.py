import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from genomics_fm.artefacts import ContentSum
from genomics_fm.corpus.blocks import FORMAT_1_SCHEMA, SCHEMA, Block, Place, Row, Window, content_sum, encode_block
from genomics_fm.genome.packing import pack
from tests.corpora import dna


def reference(number: int) -> Row:
    sequence = dna(100 + number, number, "ACGTN" if number % 5 == 0 else "ACGT")
    return Row(
        Place("Fictus exemplaris", "one", "chr", 10 * number, 10 * number + len(sequence)), pack(sequence.encode())
    )


def haplotype(row: Row, name: str, cigar: str, edits: str, **more: int) -> Row:
    return Row(row.place, None, name, cigar, edits, **more)


REFERENCES = [reference(number) for number in range(12)]
ROWS = [
    *REFERENCES[:3],
    haplotype(REFERENCES[2], "S1:1", "50=1X51=", "T", multiplicity=4),
    haplotype(REFERENCES[2], "S2:2", "10=2I42=5D45=", "AC", flags=3),
    *REFERENCES[3:],
]


def opened(rows: list[Row]) -> Block:
    data, entry = encode_block(rows)
    return Block(pa.BufferReader(data), entry["rows"])


def test_a_block_reads_back_as_it_was_written() -> None:
    block = opened(ROWS)
    for number, row in enumerate(ROWS):
        window = block.window(number)
        assert (window.contig, window.start, window.end) == (row.place.contig, row.place.start, row.place.end)
        assert (window.haplotype, window.cigar) == (row.haplotype, row.cigar)
        assert (window.multiplicity, window.flags) == (row.multiplicity, row.flags)
        assert window.sequence.encode() == block.letters(number).tobytes()
    for number, row in enumerate(ROWS):
        if not row.haplotype:
            seed = row.place.start // 10
            assert block.window(number).sequence == dna(100 + seed, seed, "ACGTN" if seed % 5 == 0 else "ACGT")


def test_a_haplotype_is_its_region_with_its_edits() -> None:
    block = opened(ROWS)
    region = block.window(2).sequence
    assert block.window(3).sequence == region[:50] + "T" + region[51:]
    assert block.window(4).sequence == region[:10] + "AC" + region[10:52] + region[57:]


def test_rows_are_read_in_any_order() -> None:
    block, again = opened(ROWS), opened(ROWS)
    forward = [block.letters(number).tobytes() for number in range(len(ROWS))]
    assert [again.letters(number).tobytes() for number in reversed(range(len(ROWS)))] == forward[::-1]


def test_the_same_rows_give_the_same_bytes() -> None:
    assert encode_block(ROWS) == encode_block([dataclasses.replace(row) for row in ROWS])


def test_a_nucleotide_takes_two_bits_and_a_haplotype_next_to_nothing() -> None:
    sequence = dna(131_072, 0)
    row = Row(Place("Homo sapiens", "GRCh38", "chr20", 0, 131_072), pack(sequence.encode()))
    alone = encode_block([row] * 16)[1]["bytes"]
    assert alone / (16 * 131_072) < 0.253
    people = [haplotype(row, f"S{i}:1", "1000=1X" * 120 + "10952=", "A" * 120) for i in range(100)]
    assert (encode_block([row, *people])[1]["bytes"] - alone / 16) / (100 * 131_072) < 0.02


@pytest.mark.parametrize(
    ("field", "value"),
    [("packed", pack(b"ACGA")), ("packed", pack(b"ACGN")), ("haplotype", "b"), ("cigar", "4="), ("edits", "A"),
     ("multiplicity", 2), ("flags", 1)],
)  # fmt: skip
def test_the_content_hash_sees_every_column(field: str, value: object) -> None:
    row = Row(Place("a", "a", "a", 0, 4), pack(b"ACGG"))
    changed = dataclasses.replace(row, **{field: value})  # type: ignore[arg-type]
    assert content_sum([row]).hexdigest() != content_sum([changed]).hexdigest()


@pytest.mark.parametrize(
    ("field", "value"), [("species", "b"), ("assembly", "b"), ("contig", "b"), ("start", 1), ("end", 5)]
)
def test_the_content_hash_sees_the_place(field: str, value: object) -> None:
    place = Place("a", "a", "a", 0, 4)
    moved = dataclasses.replace(place, **{field: value})  # type: ignore[arg-type]
    sums = [content_sum([Row(at, pack(b"ACGT"))]).hexdigest() for at in (place, moved)]
    assert sums[0] != sums[1]


def test_the_content_hash_is_the_same_for_ever() -> None:
    """R8: encoders, heads and cards name corpora by it."""
    row = Row(Place("Fictus exemplaris", "one", "chr", 10, 15), pack(b"ACGTN"))
    expected = ContentSum()
    expected.add(b'["Fictus exemplaris","one","chr",10,15,"","","",1,0,[4,1]]' + b"\n" + bytes([0b10110100, 0b11]))
    assert content_sum([row]).hexdigest() == expected.hexdigest()
    assert encode_block([row])[1]["content"] == expected.state()


def test_letters_of_format_1_are_read() -> None:
    rows = [Window(dna(100 + i, i), "Fictus exemplaris", "one", "chr", 10 * i, 10 * i + 100 + i) for i in range(40)]
    table = pa.table({name: [getattr(row, name) for row in rows] for name in FORMAT_1_SCHEMA.names}, FORMAT_1_SCHEMA)
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(sink, FORMAT_1_SCHEMA, options=options) as writer:
        writer.write_table(table, max_chunksize=16)
    block = Block(pa.BufferReader(sink.getvalue()), 40)
    assert [block.window(number) for number in range(40)] == rows
    assert block.letters(17).tobytes().decode() == rows[17].sequence


@pytest.mark.parametrize("rows", [13, 15])
def test_another_number_of_rows_is_noticed(rows: int) -> None:
    data, _ = encode_block(ROWS)
    with pytest.raises(ValueError, match="14 rows, the manifest says"):
        Block(pa.BufferReader(data), rows)


def test_another_schema_is_noticed() -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, pa.schema([("x", pa.int8())])):
        pass
    with pytest.raises(ValueError, match="schema"):
        Block(pa.BufferReader(sink.getvalue()), 0)
    assert "sequence" not in SCHEMA.names
    assert np.array_equal(opened(ROWS[:1]).letters(0), np.frombuffer(dna(100, 0, "ACGTN").encode(), np.uint8))
