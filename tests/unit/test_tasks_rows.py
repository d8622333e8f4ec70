"""Rows on disk: content comes back, damage does not."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.tasks import rows
from genomics_fm.tasks.rows import Rows

ROWS = Rows(["ACGT", "GGNN", "TTTT"], np.array([1, 0, 1]), ["I:0-4:+", "I:4-8:-", "V:0-4:+"], np.array([0, 0, 7]))


def _columns(value: Rows) -> tuple[list[str], list[int], list[str], list[int]]:
    return value.sequences, value.labels.tolist(), value.locus, value.block.tolist()


def test_round_trip(tmp_path: Path) -> None:
    rows.write(tmp_path / "deep" / "train.parquet", ROWS)
    back = rows.read(tmp_path / "deep" / "train.parquet")
    assert _columns(back) == _columns(ROWS)
    assert back.sha256 == ROWS.sha256
    assert (back.labels.dtype, back.block.dtype) == (np.int64, np.int64)


def test_take_keeps_columns_together() -> None:
    assert _columns(ROWS.take(np.array([2, 0]))) == (["TTTT", "ACGT"], [1, 1], ["V:0-4:+", "I:0-4:+"], [7, 0])
    assert len(ROWS.take(np.array([], np.int64))) == 0


def test_hash_is_of_the_content_in_order() -> None:
    # The hash is part of every run's record: a change needs a new format version.
    content = b"ACGT\t1\tI:0-4:+\t0\nGGNN\t0\tI:4-8:-\t0\nTTTT\t1\tV:0-4:+\t7\n"
    assert ROWS.sha256 == hashlib.sha256(content).hexdigest()
    others = [
        replace(ROWS, sequences=["ACGT", "GGNN", "TTTA"]),
        replace(ROWS, labels=np.array([1, 0, 0])),
        replace(ROWS, locus=["I:0-4:-", "I:4-8:-", "V:0-4:+"]),
        replace(ROWS, block=np.array([0, 0, 8])),
        ROWS.take(np.array([1, 0, 2])),
    ]
    assert len({ROWS.sha256, *(other.sha256 for other in others)}) == 6


def test_unequal_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="unequal"):
        replace(ROWS, locus=["I:0-4:+"])


def test_missing_damaged_foreign_and_newer_files(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    with pytest.raises(InputError, match="no such file"):
        rows.read(path)
    rows.write(path, ROWS)
    table = pq.read_table(path)
    good = table.schema.metadata
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CorruptArtefact, match="not readable"):
        rows.read(path)
    pq.write_table(table.replace_schema_metadata({}), path)
    with pytest.raises(CorruptArtefact, match="not a file of labelled rows"):
        rows.read(path)
    pq.write_table(table.drop_columns("block").replace_schema_metadata(good), path)
    with pytest.raises(CorruptArtefact, match="not a file of labelled rows"):
        rows.read(path)
    pq.write_table(table.replace_schema_metadata({**good, b"format_version": b"3"}), path)
    with pytest.raises(CorruptArtefact, match="newer than 2; upgrade"):
        rows.read(path)
    pq.write_table(table.slice(1).replace_schema_metadata(good), path)
    with pytest.raises(CorruptArtefact, match="disagree with their hash"):
        rows.read(path)


NUMBERS = replace(ROWS, labels=np.array([[1.5, -2.0], [np.nan, 0.25], [0.0, 1e-30]], np.float32))
BASES = replace(ROWS, labels=rows.of_bases([np.array([0, 1, 2, -100]), np.array([1, 1]), np.array([], np.int8)]))


@pytest.mark.parametrize("value", [NUMBERS, BASES], ids=["numbers", "classes of bases"])
def test_other_labels_come_back(tmp_path: Path, value: Rows) -> None:
    rows.write(tmp_path / "train.parquet", value)
    back = rows.read(tmp_path / "train.parquet")
    assert back.labels.dtype == value.labels.dtype and back.labels.shape == value.labels.shape
    assert [row.tobytes() for row in back.labels] == [row.tobytes() for row in value.labels]
    assert back.sha256 == value.sha256 != ROWS.sha256
    assert rows.concatenate([value.take(np.array([0])), value.take(np.array([1, 2]))]).sha256 == value.sha256


def test_each_label_is_part_of_the_hash() -> None:
    other = NUMBERS.labels.copy()
    other[2, 1] = 0
    assert replace(NUMBERS, labels=other).sha256 != NUMBERS.sha256
    changed = rows.of_bases([np.array([0, 1, 2, 0]), *BASES.labels[1:]])
    assert replace(BASES, labels=changed).sha256 != BASES.sha256


def test_bases_of_equal_length_stay_one_array_a_row(tmp_path: Path) -> None:
    value = replace(ROWS, labels=rows.of_bases([np.zeros(4, np.int8)] * 3))
    rows.write(tmp_path / "train.parquet", value)
    assert rows.read(tmp_path / "train.parquet").labels.shape == (3,)


def test_labels_of_unequal_width_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    rows.write(path, NUMBERS)
    table = pq.read_table(path)
    ragged = pa.chunked_array([pa.array([[1.0], [1.0, 2.0], [0.0]], pa.list_(pa.float32()))])
    pq.write_table(table.set_column(1, table.schema.field(1), ragged), path)
    with pytest.raises(CorruptArtefact, match="unequal width"):
        rows.read(path)
