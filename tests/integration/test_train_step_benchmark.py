"""The benchmark of training steps runs from end to end where there is no card, at tiny shapes."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.attention import flex_attention as torch_flex

from benchmarks import train_step
from benchmarks.train_step_work import LAW_BPE, Padded, PaddedFlex, micro_batch_of, model_flops
from genomics_fm.model import encoder
from genomics_fm.model.encoder import ENCODERS, EncoderConfig
from genomics_fm.model.heads import new_language_model
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


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("layout", [Padded, PaddedFlex])
@pytest.mark.parametrize("position", ["alibi", "ape"])
def test_the_padded_models_compute_the_same(layout: type, position: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_flex, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)
    model = new_language_model(EncoderConfig(64, 2, 32, 2, 48, position=position), 0).eval()  # type: ignore[arg-type]
    lengths = [75, 512, 1, 300]
    ids_N = torch.randint(5, 64, (sum(lengths),), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = model(ids_N, lengths)
        monkeypatch.setattr(encoder, "layout_of", lambda *given: layout(*given[:4]))
        torch.testing.assert_close(model(ids_N, lengths), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("size", "tokens_a_second"), [("base", 1_065e3), ("large", 307e3)])
def test_the_count_of_operations(size: str, tokens_a_second: float) -> None:
    """At 790 TFLOP/s, documents of 512 tokens with 15 % predicted (the figures of SPEC's goals)."""
    documents = 40
    batch = micro_batch_of([512] * documents, LAW_BPE, 7_266, 0)
    exact = replace(batch, select_M=batch.ids_N[: int(0.15 * 512 * documents)])
    flops_a_token = model_flops(ENCODERS[size], exact) / (512 * documents)
    assert 790e12 / flops_a_token == pytest.approx(tokens_a_second, rel=1e-3)
