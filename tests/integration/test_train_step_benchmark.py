"""The benchmark of training steps runs from end to end where there is no card, at tiny shapes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import train_step
from tests.corpora import fixed_vocabulary, small_corpus

ROOT = Path(__file__).parents[2]
WITHOUT_GPU = {"CUDA_VISIBLE_DEVICES": "", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}


def test_every_part_runs_and_leaves_its_figures(tmp_path: Path) -> None:
    small_corpus(tmp_path / "corpus")
    fixed_vocabulary().save(tmp_path / "vocabulary.json")
    output = tmp_path / "out"
    command = [sys.executable, "-m", "benchmarks.train_step", "--minutes", "3", "--output", str(output)]
    command += ["--corpus", str(tmp_path / "corpus"), "--vocabulary", str(tmp_path / "vocabulary.json")]
    path = {"PYTHONPATH": str(ROOT / "platform")}
    run = subprocess.run(command, cwd=ROOT, env=WITHOUT_GPU | path, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    table = (output / "train_step.md").read_text()
    assert table in run.stdout
    for size in ("base", "large"):
        found = json.loads((output / f"{size}.json").read_text())["rows"]
        measured = {(row["variant"], row["documents"]) for row in found if "share" in row}
        assert ("packed, compiled", "BPE, length law") in measured
        assert ("padded, dense bias, compiled", "BPE, 352 nt") in measured
        assert all(row["tokens_a_second"] > 0 for row in found if "share" in row)
        assert [row for row in found if "split" in row]
    assert json.loads((output / "parity.json").read_text())["failures"] == 0
    pretrained = json.loads((output / "pretrain.json").read_text())
    assert set(pretrained["last_loss"]) <= {"bpe", "kmer"}
    assert (output / "pretrained" / "loss.png").stat().st_size > 1000


def test_a_part_that_fails_is_named_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train_step, "SHARES", {"base": 1.0, "pretrain": 1.0})  # `base` asks for the card's rate
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert train_step.main(["--minutes", "1", "--output", str(tmp_path)]) == 1
    assert "FAILED: base, exit code 1" in capsys.readouterr().out
    assert json.loads((tmp_path / "pretrain.json").read_text())["left_out"] == "no --corpus and --vocabulary"
