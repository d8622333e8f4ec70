import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from genomics_fm import __version__
from genomics_fm.cli import app
from genomics_fm.inference.head import load_head
from tests.heads import random_sequences, write_head


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    return write_head(tmp_path_factory.mktemp("head"))


@pytest.fixture
def fasta(tmp_path):
    path = tmp_path / "in.fa"
    path.write_text("".join(f">s{i}\n{s}\n" for i, s in enumerate(random_sequences(5))))
    return path


def call(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_predict_writes_the_table_and_says_so(head, fasta, tmp_path):
    target = tmp_path / "out.parquet"
    result = call("predict", "--head", head, fasta, "-o", target, "--threads", 1)
    assert result.exit_code == 0, result.output
    assert "5 sequences in" in result.stderr
    assert str(target) in result.stderr
    expected = [p.probability for p in load_head(head).predict(random_sequences(5))]
    assert pq.read_table(target)["probability"].to_pylist() == pytest.approx(expected, abs=1e-5)


def test_predict_takes_places_a_prior_and_bf16(head, tmp_path):
    sequence = random_sequences(1, seed=2, low=500, high=500)[0]
    (tmp_path / "g.fa").write_text(f">chr1\n{sequence}\n")
    (tmp_path / "in.bed").write_text("chr1\t10\t210\nchr1\t300\t500\n")
    target = tmp_path / "out.parquet"
    options = ("--genome", tmp_path / "g.fa", "--prior", "0.01", "--dtype", "bf16")
    result = call("predict", "--head", head, tmp_path / "in.bed", "-o", target, *options)
    assert result.exit_code == 0, result.output
    table = pq.read_table(target)
    assert table["name"].to_pylist() == ["chr1:10-210:+", "chr1:300-500:+"]
    expected = [p.probability for p in load_head(head).predict([sequence[10:210], sequence[300:500]], prior=0.01)]
    assert table["probability"].to_pylist() == pytest.approx(expected, rel=0.1)
    metadata = table.schema.metadata
    assert (metadata[b"prior"], metadata[b"dtype"]) == (b"0.01", b"bf16")


def test_predict_does_not_write_over_what_it_reads(head, tmp_path):
    table = tmp_path / "t.parquet"
    table.write_bytes(b"mine")
    result = call("predict", "--head", head, table, "-o", table)
    assert result.exit_code == 2 and "is read, and would be replaced" in result.stderr
    assert table.read_bytes() == b"mine"


def test_errors_are_one_line_with_the_documented_code(head, fasta, tmp_path):
    target = tmp_path / "out.parquet"
    (tmp_path / "empty").mkdir()
    cases = [
        (("predict", "--head", head, tmp_path / "no.fa", "-o", target), 2, "no.fa"),
        (("predict", "--head", tmp_path / "no", fasta, "-o", target), 2, "no such folder"),
        (("predict", "--head", tmp_path / "empty", fasta, "-o", target), 2, "manifest.json"),
        (("predict", "--head", head, fasta, "-o", tmp_path / "out.csv"), 2, ".parquet"),
        (("predict", "--head", head, fasta, "-o", target, "--prior", "2"), 2, "shares above 0 and below 1"),
        (("predict", "--head", head, fasta, "-o", target, "--dtype", "int8"), 2, "fp32 or bf16"),
    ]
    for arguments, code, words in cases:
        result = call(*arguments)
        assert result.exit_code == code, arguments
        (line,) = [x for x in result.stderr.splitlines() if not x.startswith("predict:")]
        assert line.startswith("error: ")
        assert words in line
    assert not target.exists()


def test_a_damaged_head_ends_with_3_and_debug_shows_where(head, fasta, tmp_path):
    damaged = write_head(tmp_path / "damaged")
    (damaged / "README.md").write_text("changed")
    arguments = ("predict", "--head", damaged, fasta, "-o", tmp_path / "out.parquet")
    result = call(*arguments)
    assert result.exit_code == 3
    assert "README.md" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Traceback" in call("--debug", *arguments).stderr
    assert "Traceback" in call(*arguments, "--debug").stderr


def test_check_says_what_is_in_every_file_and_what_is_wrong(fasta, tmp_path):
    bad = tmp_path / "protein.fa"
    bad.write_text(">p\nMKVLAAGIVGLEEE\n")
    result = call("check", fasta, bad)
    assert result.exit_code == 2
    assert f"{fasta}: 5 records" in result.stdout
    assert result.stderr.startswith(f"error: {bad}:2:4: ")
    assert call("check", fasta).exit_code == 0


def test_wrong_options_end_with_2():
    assert call("predict", "--heads", "x").exit_code == 2
    assert call("predictt").exit_code == 2


def test_version_and_help_do_not_load_torch():
    result = call("--version")
    assert result.stdout == f"genomics-fm {__version__}\n"
    code = "import sys, genomics_fm.cli; sys.exit(bool({'torch', 'ray', 'pyarrow', 'mlflow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
