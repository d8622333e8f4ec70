"""A value out of range is refused when a config is made, in one line that names field, value and cure."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from genomics_fm.errors import InputError
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.pretraining.masking import MaskingConfig
from genomics_fm.pretraining.stream import StreamConfig
from genomics_fm.tasks.trial_config import TrialConfig
from genomics_fm.training.config import TrainingConfig
from genomics_fm.training.optimizer import OptimizerConfig
from jobs.config import parse

REFUSED: list[tuple[Any, str, Any]] = [
    (TrainingConfig, "steps", 0),
    (TrainingConfig, "batch_rows", 0),
    (TrainingConfig, "rows_per_microbatch", 0),
    (TrainingConfig, "checkpoint_steps", 0),
    (TrainingConfig, "keep_checkpoints", 0),
    (TrainingConfig, "threads", 0),
    (TrainingConfig, "vocabulary_weights", {"bpe": -1.0}),
    (StreamConfig, "streams", 0),
    (StreamConfig, "row_tokens", 7),
    (StreamConfig, "pending", 0),
    (MaskingConfig, "mask_rate", 0.0),
    (MaskingConfig, "mask_rate", 1.0),
    (MaskingConfig, "mask_rate", float("nan")),
    (MaskingConfig, "kmer_span", 0),
    (MaskingConfig, "kmer_rate", 0.0),
    (MaskingConfig, "kmer_rate", 1.0),
    (MaskingConfig, "kmer_rate", float("nan")),
    (MaskingConfig, "kmer_rate_of", "spans"),
    (MaskingConfig, "fate_by", "segment"),
    (OptimizerConfig, "learning_rate", 0.0),
    (OptimizerConfig, "learning_rate", float("inf")),
    (OptimizerConfig, "learning_rate", float("nan")),
    (OptimizerConfig, "warmup_steps", -1),
    (OptimizerConfig, "clip_norm", 0.0),
    (OptimizerConfig, "eps", 0.0),
    (OptimizerConfig, "weight_decay", -0.1),
    (OptimizerConfig, "betas", (0.9, 1.0)),
    (TrialConfig, "fraction", 0.0),
    (TrialConfig, "fraction", 1.5),
    (TrialConfig, "updates", 0),
    (TrialConfig, "batch_rows", 0),
    (TrialConfig, "cap", 1),
    (TrialConfig, "threads", 0),
    (TrialConfig, "seed", -1),
    (EncoderConfig, "layers", 0),
    (EncoderConfig, "width", 0),
    (EncoderConfig, "heads", 0),
    (EncoderConfig, "ffn_width", 0),
]


@pytest.mark.parametrize(("config", "name", "value"), REFUSED)
def test_a_value_out_of_range_is_refused(config: Any, name: str, value: Any) -> None:
    shown = value["bpe"] if isinstance(value, dict) else value
    with pytest.raises(InputError) as caught:
        config(**{name: value})
    message = str(caught.value)
    assert message.startswith(name)
    assert f"{shown}: give " in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("config", "edges"),
    [
        (TrainingConfig, {"steps": 1, "batch_rows": 1, "rows_per_microbatch": 1, "checkpoint_steps": 1}),
        (StreamConfig, {"streams": 1, "row_tokens": 8, "pending": 1}),
        (OptimizerConfig, {"warmup_steps": 0, "weight_decay": 0.0}),
        (TrialConfig, {"fraction": 1.0, "updates": 1, "batch_rows": 1, "cap": 2}),
        (EncoderConfig, {"layers": 1, "width": 1, "heads": 1, "ffn_width": 1}),
    ],
)
def test_the_edges_are_allowed(config: Any, edges: dict[str, Any]) -> None:
    made = config(**edges)
    assert {name: getattr(made, name) for name in edges} == edges


@dataclass(frozen=True)
class Job:
    training: TrainingConfig = field(default_factory=TrainingConfig)


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        ("--training.steps", "0", "steps 0: give at least 1"),
        ("--training.stream.masking.mask-rate", "2", "mask_rate 2.0: give a share between 0 and 1"),
        ("--training.optimizer.learning-rate", "nan", "learning_rate nan: give a number above 0"),
    ],
)
def test_a_flag_out_of_range_is_the_same_one_line(flag: str, value: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse({"default": Job()}, [flag, value], "job")
    assert str(caught.value) == words
