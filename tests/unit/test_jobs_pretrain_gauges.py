"""What a pretraining tells Prometheus, by run."""

from typing import Any

import pytest

from genomics_fm.training.metrics import VALIDATION
from jobs import pretrain_gauges

LINE: dict[str, Any] = {
    "step": 7, "loss": {"bpe": 6.5}, "gradient_norm": 2.0, "tokens": 4_000, "slots": 4_096, "stall": 3.0,
    "seconds": 2.0, "checkpoint_unixtime": 1e9,
}  # fmt: skip


class Recorded:
    """A gauge that remembers."""

    every: dict[tuple[str, ...], float]

    def __init__(self, name: str, _description: str, tag_keys: tuple[str, ...]) -> None:
        self.name, self.keys, self.default = name, tag_keys, dict[str, str]()

    def set_default_tags(self, tags: dict[str, str]) -> None:
        self.default = tags

    def set(self, value: float, tags: dict[str, str] | None = None) -> None:
        given = {**self.default, **(tags or {})}
        assert set(given) == set(self.keys), self.name
        self.every[self.name.removeprefix("genomics_fm_"), *(given[key] for key in self.keys)] = value


@pytest.fixture
def gauges(monkeypatch: pytest.MonkeyPatch) -> pretrain_gauges.Gauges:
    Recorded.every = {}
    monkeypatch.setattr(pretrain_gauges, "Gauge", Recorded)
    return pretrain_gauges.Gauges("mine", 20)


def test_every_number_of_a_step_names_its_run(gauges: pretrain_gauges.Gauges) -> None:
    gauges.set(LINE)
    assert Recorded.every == {
        ("pretraining_loss", "mine", "bpe"): 6.5,
        ("pretraining_step", "mine"): 7,
        ("pretraining_step_seconds", "mine"): 2.0,
        ("pretraining_tokens_per_second", "mine"): 2_000,
        ("pretraining_useful_slot_fraction", "mine"): 4_000 / 4_096,
        ("pretraining_data_wait_fraction", "mine"): 1.0,
        ("pretraining_gradient_norm", "mine"): 2.0,
        ("checkpoint_unixtime", "mine"): 1e9,
        ("checkpoint_steps", "mine"): 20,
    }


def test_a_step_without_finite_numbers_has_no_loss_and_no_norm(gauges: pretrain_gauges.Gauges) -> None:
    gauges.set(LINE | {"loss": {}, "gradient_norm": None})
    assert {"pretraining_loss", "pretraining_gradient_norm"}.isdisjoint(name for name, *_ in Recorded.every)
    assert ("pretraining_step", "mine") in Recorded.every


def test_scores_are_by_vocabulary_source_and_order(gauges: pretrain_gauges.Gauges) -> None:
    figures = {"loss": 5.0, "base_accuracy": 0.3, "markov": {"order 5": {"base_accuracy": 0.25}}}
    scored = {"vocabularies": {"kmer": {"all": figures, "by_source": {"Nova": figures}}}}
    gauges.set(LINE | {VALIDATION: scored})
    assert Recorded.every["validation_accuracy", "mine", "kmer", "Nova"] == 0.3
    assert Recorded.every["validation_loss", "mine", "kmer", "all"] == 5.0
    assert Recorded.every["validation_markov_accuracy", "mine", "kmer", "all", "order 5"] == 0.25
    assert not [key for key in Recorded.every if key[0] == "validation_bits"]
