import gzip

import numpy as np
import pyarrow.parquet as pq
import pytest

from genomics_fm.errors import InputError
from genomics_fm.inference import predict as module
from genomics_fm.inference import predict_source
from genomics_fm.inference.head import load_head
from genomics_fm.inference.predict import predict_file
from tests.heads import random_sequences, write_head


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    return load_head(write_head(tmp_path_factory.mktemp("head")))


def write_fasta(path, sequences):
    path.write_text("".join(f">s{i} text\n{s}\n" for i, s in enumerate(sequences)))
    return str(path)


def test_the_table_is_the_heads_predictions_in_file_order(head, tmp_path, monkeypatch):
    monkeypatch.setattr(predict_source, "CHUNK_SEQUENCES", 7)
    sequences = random_sequences(30, seed=1)
    target = tmp_path / "deep" / "out.parquet"
    summary = predict_file(head, write_fasta(tmp_path / "in.fa", sequences), target)
    table = pq.read_table(target)
    assert table.column_names == ["name", "label", "probability", "strand_gap", "length", "warning"]
    expected = head.predict(sequences)
    assert table["name"].to_pylist() == [f"s{i}" for i in range(30)]
    assert table["label"].to_pylist() == [p.label for p in expected]
    np.testing.assert_allclose(table["probability"].to_numpy(), [p.probability for p in expected], atol=1e-5)
    np.testing.assert_allclose(table["strand_gap"].to_numpy(), [p.reverse_complement_gap for p in expected], atol=1e-5)
    assert table["length"].to_pylist() == [len(s) for s in sequences]
    assert table["warning"].to_pylist() == ["; ".join(p.warnings) for p in expected]
    assert table.schema.metadata[b"head_sha256"].decode() == head.sha256
    assert (summary.sequences, summary.warned) == (30, sum(bool(p.warnings) for p in expected))


def test_gzip_and_rna_are_read_and_said(head, tmp_path):
    path = tmp_path / "in.fa.gz"
    path.write_bytes(gzip.compress(b">a\n" + b"ACGU" * 50 + b"\n"))
    predict_file(head, str(path), tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet")["warning"].to_pylist() == ["50 U read as T"]


def test_a_record_of_the_wrong_length_is_named_and_nothing_is_left(head, tmp_path, monkeypatch):
    monkeypatch.setattr(predict_source, "CHUNK_SEQUENCES", 2)
    source = write_fasta(tmp_path / "in.fa", ["ACGTACGTACGT"] * 5 + ["A" * 2001])
    with pytest.raises(InputError, match=r"in\.fa: record 's5': 2,001 nt; give sequences of 10 to 2,000"):
        predict_file(head, source, tmp_path / "out" / "out.parquet")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_older_table_survives_a_failure(head, tmp_path):
    target = tmp_path / "out.parquet"
    predict_file(head, write_fasta(tmp_path / "in.fa", ["ACGTACGTACGT"]), target)
    before = target.read_bytes()
    with pytest.raises(InputError):
        predict_file(head, write_fasta(tmp_path / "bad.fa", ["MKVLAAGIVGL"]), target)
    assert target.read_bytes() == before


def test_progress_is_reported_with_the_rate(head, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(predict_source, "CHUNK_SEQUENCES", 4)
    monkeypatch.setattr(module, "PROGRESS_SECONDS", 0.0)
    source = write_fasta(tmp_path / "in.fa", random_sequences(8))
    predict_file(head, source, tmp_path / "out.parquet", report=module.print_progress)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == ["predict: 4 sequences", "predict: 8 sequences"]
    assert all(line.endswith("/s") for line in lines)
