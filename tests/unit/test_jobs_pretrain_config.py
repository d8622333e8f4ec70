"""Settings of `jobs.pretrain` that others follow from."""

import dataclasses

import pytest

from genomics_fm.errors import InputError
from genomics_fm.pretraining.masking import MASKING, MaskingConfig
from genomics_fm.pretraining.stream import StreamConfig
from genomics_fm.training.loop import TrainingConfig
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
