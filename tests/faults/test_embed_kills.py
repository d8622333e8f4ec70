"""`genomics-fm embed` killed with SIGKILL ends in the bytes of a run that was left alone; a full disk is said."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from genomics_fm.inference.embed_parts import folder_of
from tests.commands import ROOT, command
from tests.corpora import dna, write_fasta
from tests.embedding import write_encoder

LIMIT_SECONDS = 120
MOMENTS = [[1, 3], pytest.param([0, 1, 1, 2, 2, 3, 3, 4, 4], marks=pytest.mark.full)]
"""How many windows of 4 are done, or more, when it is killed."""


def arguments(fasta: Path, encoder: Path, target: Path) -> list[str]:
    options = ["--encoder", str(encoder), "-o", str(target), "--pooling", "base", "--threads", "1"]
    return ["genomics_fm.cli", "embed", str(fasta), *options]


def kill_after(parts: int, target: Path, words: list[str]) -> bool:
    """Whether a run was still going when it had so many windows, and so was killed."""
    process = subprocess.Popen([sys.executable, "-m", *words], cwd=ROOT, stderr=subprocess.PIPE)
    until = time.monotonic() + LIMIT_SECONDS
    while process.poll() is None and time.monotonic() < until:
        if folder_of(target).is_dir() and len(list(folder_of(target).glob("*.arrow"))) >= parts:
            break
        time.sleep(0.005)
    running = process.poll() is None
    process.kill()
    process.communicate()
    return running


@pytest.mark.parametrize("moments", MOMENTS)
def test_kills_change_no_byte(moments: list[int], tmp_path: Path) -> None:
    fasta = write_fasta(tmp_path / "in.fa", {f"s{i}": dna(400 + 37 * (i % 50), i) for i in range(400)})
    encoder, target, whole = write_encoder(tmp_path / "encoder"), tmp_path / "out.parquet", tmp_path / "whole.parquet"
    ended = command(*arguments(fasta, encoder, whole))
    assert ended.code == 0, ended.err
    words = arguments(fasta, encoder, target)
    killed = [kill_after(parts, target, words) for parts in moments]
    assert any(killed)
    ended = command(*words)
    assert ended.code == 0, ended.err
    assert "earlier run" in ended.err
    assert target.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["encoder", "in.fa", "out.parquet", "whole.parquet"]


def test_a_full_disk_ends_in_one_line_and_no_table(small_disk: Path, tmp_path: Path) -> None:
    fasta = write_fasta(tmp_path / "in.fa", {f"s{i}": dna(1_000, i) for i in range(20)})
    ended = command(*arguments(fasta, write_encoder(tmp_path / "encoder"), small_disk / "out.parquet"))
    assert ended.code == 4, ended.err
    lines = [line for line in ended.err.splitlines() if not line.startswith("embed: ")]
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {small_disk}")
    assert "disk full" in lines[0]
    assert not (small_disk / "out.parquet").exists()
