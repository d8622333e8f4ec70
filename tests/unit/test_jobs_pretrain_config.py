"""Settings of `jobs.pretrain` that others follow from."""

import dataclasses
from pathlib import Path

import pytest

from genomics_fm.errors import InputError
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.pretraining.masking import MASKING, MaskingConfig
from genomics_fm.pretraining.stream import StreamConfig
from genomics_fm.training.config import TrainingConfig
from genomics_fm.training.estimate import parameters_of
from genomics_fm.vocabulary.ensemble import Ensemble
from jobs import launch, pretrain
from jobs.config import parse
from jobs.pretrain import PRESETS, PretrainConfig, _with_masking


@pytest.mark.parametrize("name", MASKING)
def test_a_masking_preset_is_what_its_fields_would_be(name: str) -> None:
    config, _ = parse(PRESETS, ["--preset", "smoke", "--masking", name], "pretrain")
    got = _with_masking(config).training
    assert got.stream.masking == MASKING[name]
    smoke = PRESETS["smoke"].training
    assert dataclasses.replace(got, stream=dataclasses.replace(got.stream, masking=MaskingConfig())) == smoke


def test_without_a_preset_the_fields_hold() -> None:
    mine = TrainingConfig(stream=StreamConfig(masking=MaskingConfig(mask_rate=0.3)))
    assert _with_masking(PretrainConfig(training=mine)).training == mine


def test_preset_and_fields_are_not_mixed() -> None:
    mine = TrainingConfig(stream=StreamConfig(masking=MaskingConfig(mask_rate=0.3)))
    with pytest.raises(InputError, match="--masking paper: with "):
        _with_masking(PretrainConfig(masking="paper", training=mine))


def test_an_unknown_preset_names_those_there_are() -> None:
    with pytest.raises(InputError, match="default, paper, authors"):
        PretrainConfig(masking="half")


@pytest.mark.parametrize(
    ("name", "parameters"), [("tiny", "1,38"), ("small", "24,4"), ("base", "119,5"), ("large", "411,")]
)
def test_a_dry_run_says_what_a_preset_needs_and_starts_nothing(
    name: str, parameters: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pretrain, "run", None)
    launch.main(
        PRESETS, pretrain._run_and_print, "pretrain", arguments=["--preset", name, "--dry-run", "--workers", "4"]
    )
    said = capsys.readouterr().out
    assert f"parameters        {parameters}" in said
    assert (
        f"steps             {PRESETS[name].training.steps:,}," in said and "on 4 workers of 989 TFLOP/s at 40%" in said
    )


def test_a_dry_run_takes_the_vocabulary_there_is(vocabulary: Ensemble, tmp_path: Path) -> None:
    vocabulary.save(tmp_path / "vocabulary.json")
    config = dataclasses.replace(PRESETS["tiny"], corpus=str(tmp_path))
    size = EncoderConfig(vocabulary_size=vocabulary.size)
    assert f"parameters        {parameters_of(size):,}" in pretrain.needs(config)
    with pytest.raises(InputError, match=r"absent\.json"):
        pretrain.needs(dataclasses.replace(config, vocabulary="absent.json"))


@pytest.mark.parametrize("name", ["peak_tflops", "peak_share"])
def test_a_peak_is_above_zero(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} 0: give a number above 0"):
        PretrainConfig(**{name: 0})


def test_steps_that_are_not_finite_stop_or_are_left_out() -> None:
    assert parse(PRESETS, ["--on-nonfinite", "skip"], "pretrain")[0].on_nonfinite == "skip"
    with pytest.raises(InputError, match="on-nonfinite"):
        parse(PRESETS, ["--on-nonfinite", "ignore"], "pretrain")
