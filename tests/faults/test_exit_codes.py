"""Every wrong input and every broken artefact ends a real command with its exit code and one line."""

import json
import socket
from pathlib import Path

import pytest

from genomics_fm.corpus.sources import Source
from genomics_fm.corpus.windows import Recipe
from tests.commands import Ended, command, write_genome
from tests.corpora import build
from tests.heads import write_head


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    source, recipe = Source(str(write_genome(tmp_path / "genome.fa")), "made up"), Recipe(window_bp=8_192)
    folder = tmp_path / "corpus"
    return build(folder, [source], recipe).folder


def check_one_line(ended: Ended, code: int, *words: str) -> None:
    """The command ended with `code` and one line on stderr that holds all `words`."""
    assert ended.code == code, ended.err
    lines = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, ended.err
    assert "Traceback" not in ended.err
    for word in words:
        assert word in lines[0]


def test_a_missing_file() -> None:
    check_one_line(command("jobs.quickstart", "--fasta", "absent.fa"), 2, "absent.fa", "no such file")
    check_one_line(command("genomics_fm.cli", "check", "absent.fa"), 2, "absent.fa")


@pytest.mark.parametrize(
    ("content", "words"),
    [("", "empty"), (">p\nMEEPQSDPSVEPPLSQETFSDLWKLLPENNVLSPL\n", ":2"), ("<html></html>\n", "HTML")],
)
def test_files_that_are_no_genome(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "input.fa"
    path.write_text(content)
    check_one_line(command("genomics_fm.cli", "check", str(path)), 2, str(path), words)


def test_a_typo_in_the_config() -> None:
    check_one_line(command("jobs.quickstart", "--sweep.fractoins", "0.1"), 2, "--sweep.fractions")
    check_one_line(command("jobs.build_corpus", "--recipe.window-bp", "many"), 2, "--recipe.window-bp", "many")


def test_a_port_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        check_one_line(command("jobs.serve", "--port", port), 4, f"127.0.0.1:{port}", "--port")
        check_one_line(command("jobs.quickstart", "--port", port), 4, f"127.0.0.1:{port}", "--port")


def test_a_folder_without_a_manifest(tmp_path: Path, corpus: Path) -> None:
    (corpus / "manifest.json").unlink()
    check_one_line(command("jobs.train_vocabulary", "--corpus", str(corpus)), 2, "manifest.json", "jobs.build_corpus")


def test_a_manifest_that_disagrees_with_its_blocks(corpus: Path) -> None:
    block = next(corpus.glob("*.arrow"))
    data = bytearray(block.read_bytes())
    data[len(data) // 2] ^= 1
    block.write_bytes(bytes(data))
    check_one_line(command("jobs.train_vocabulary", "--corpus", str(corpus)), 3, block.name, "sha256")


def test_a_newer_format(corpus: Path, tmp_path: Path) -> None:
    manifest = json.loads((corpus / "manifest.json").read_text())
    (corpus / "manifest.json").write_text(json.dumps({**manifest, "format_version": 99}))
    check_one_line(command("jobs.train_vocabulary", "--corpus", str(corpus)), 3, "format_version 99", "upgrade")
    head = write_head(tmp_path / "head")
    manifest = json.loads((head / "manifest.json").read_text())
    (head / "manifest.json").write_text(json.dumps({**manifest, "format_version": 99}))
    source = str(write_genome(tmp_path / "short.fa", contigs=1, length=90))
    ended = command("genomics_fm.cli", "predict", "--head", str(head), source, "-o", str(tmp_path / "out.parquet"))
    check_one_line(ended, 3, "format_version 99", "upgrade")


def test_a_damaged_vocabulary(corpus: Path, tmp_path: Path) -> None:
    (corpus / "vocabulary.json").write_text("{}")
    ended = command("jobs.pretrain", "--corpus", str(corpus), GENOMICS_FM_STORAGE=str(tmp_path))
    check_one_line(ended, 3, "vocabulary.json")


def test_a_tracking_server_that_is_not_there(tmp_path: Path) -> None:
    arguments = ("--head", str(write_head(tmp_path / "head")), "--tracking", "http://127.0.0.1:9")
    check_one_line(command("jobs.register", *arguments, GENOMICS_FM_STORAGE=str(tmp_path)), 4, "http://127.0.0.1:9")


def test_a_full_disk_leaves_nothing_that_looks_whole(small_disk: Path, tmp_path: Path) -> None:
    genome = write_genome(tmp_path / "large.fa", contigs=1, length=3_000_000)
    place = {"GENOMICS_FM_STORAGE": str(small_disk)}
    ended = command("jobs.build_corpus", "--genomes", str(genome), "--name", "corpus", **place)
    check_one_line(ended, 4, str(small_disk), "disk full", "bytes needed", " free;")
    assert not list(small_disk.rglob("manifest.json"))
    ended = command("jobs.train_vocabulary", "--corpus", str(small_disk / "corpora" / "corpus"))
    check_one_line(ended, 2, "jobs.build_corpus")
