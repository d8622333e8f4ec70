"""Trials on several workers, here threads that meet: what one worker would compute, several do, to rounding."""

import dataclasses
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import nn

from genomics_fm.tasks import trial
from genomics_fm.tasks.parallel import alone, predict_together, shares, sum_gradients
from genomics_fm.tasks.problem import Kind
from genomics_fm.tasks.trial import Trial
from genomics_fm.tasks.trial_config import TrialConfig
from genomics_fm.training.optimizer import OptimizerConfig
from genomics_fm.training.workers import Workers
from genomics_fm.vocabulary.ensemble import Ensemble
from tests.meeting import CPU, together
from tests.unit.trial_tasks import encoder, task_of

torch.set_num_threads(1)
CONFIG = TrialConfig(
    updates=6, batch_rows=11, batch_tokens=150, evaluations=3, class_weights=True, pos_weight=3.0,
    optimizer=OptimizerConfig(learning_rate=5e-3, betas=(0.9, 0.999), weight_decay=0.1, warmup_steps=2),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, vocabulary: Ensemble) -> Path:
    return encoder(tmp_path_factory.mktemp("encoder"), vocabulary)


def same(one: Trial, other: Trial) -> None:
    """The same curve, weights and predictions but for rounding."""
    assert len(one.curve) == len(other.curve) and one.rows_seen == other.rows_seen
    for point, twin in zip(one.curve, other.curve, strict=True):
        assert point == pytest.approx(twin, rel=1e-5)
    for name, value in one.module.state_dict().items():
        torch.testing.assert_close(value, other.module.state_dict()[name], rtol=1e-4, atol=1e-5)
    for value, twin in zip(one.result.test_predictions, other.result.test_predictions, strict=True):
        np.testing.assert_allclose(value, twin, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_three_workers_are_as_one(folder: Path, vocabulary: Ensemble, kind: Kind) -> None:
    task = task_of(kind)
    whole = trial.run(CONFIG, folder, vocabulary, task)
    parts = together(3, lambda workers: trial.run(CONFIG, folder, vocabulary, task, workers=workers))
    assert abs(whole.curve[0]["loss"] - whole.curve[-1]["loss"]) > 1e-3  # it moves
    for part in parts:
        same(part, whole)
    first = parts[0].module.state_dict()
    for part in parts[1:]:
        assert all(torch.equal(value, first[name]) for name, value in part.module.state_dict().items())


def test_workers_without_rows_only_listen(folder: Path, vocabulary: Ensemble) -> None:
    task, few = task_of("classification"), dataclasses.replace(CONFIG, batch_rows=2, updates=4, evaluations=2)
    whole = trial.run(few, folder, vocabulary, task)
    for part in together(3, lambda workers: trial.run(few, folder, vocabulary, task, workers=workers)):
        same(part, whole)


def test_all_stop_when_the_first_does(folder: Path, vocabulary: Ensemble, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others see another metric, as machines that round another way would."""
    scores = {0: [0.1, 0.4, 0.3, 0.2, 0.9], 1: [0.1, 0.2, 0.3, 0.4, 0.5]}
    asked: dict[int, int] = {}
    own = trial.agreed

    def rounded(workers: Workers, value: float) -> float:
        asked[workers.rank] = asked.get(workers.rank, -1) + 1
        return own(workers, scores[workers.rank][asked[workers.rank]])

    monkeypatch.setattr(trial, "agreed", rounded)
    patient = dataclasses.replace(CONFIG, updates=5, evaluations=5, patience=2)
    task = task_of("classification")
    first, second = together(2, lambda workers: trial.run(patient, folder, vocabulary, task, workers=workers))
    assert [point["validation"] for point in first.curve] == [0.1, 0.4, 0.3, 0.2]
    assert first.curve == second.curve


def test_a_share_is_about_as_long_as_the_others() -> None:
    lengths = [int(length) for length in np.random.default_rng(0).integers(20, 900, size=64)]
    found = shares(lengths, 4)
    assert sorted(index for share in found for index in share) == [*range(64)]
    totals = [sum(lengths[index] for index in share) for share in found]
    assert max(totals) - min(totals) < 100
    assert shares(lengths, 1) == [[*range(64)]] and shares([], 2) == [[], []] and shares([5], 2) == [[0], []]


def test_what_nobody_has_a_gradient_of_keeps_none() -> None:
    def work(workers: Workers) -> tuple[float, list[Any]]:
        layer = nn.ModuleList([nn.Linear(2, 1), nn.Linear(2, 1), nn.Linear(2, 1)])
        layer[2].requires_grad_(False)
        if workers.rank == 1:
            layer[0](torch.ones(3, 2)).sum().backward()
        loss = sum_gradients(layer, 0.5, workers)
        return loss, [None if one.grad is None else one.grad.tolist() for one in layer.parameters()]

    for found in together(2, work):
        assert found == (1.0, [[[3.0, 3.0]], [3.0], None, None, None, None])
    assert sum_gradients(nn.Linear(1, 1), 0.25, alone(CPU)) == 0.25


def test_predictions_come_in_the_order_of_the_sequences() -> None:
    sequences = ["A" * length for length in (5, 3, 9, 1)]

    def lengths_of(given: list[str]) -> Any:
        return np.array([[[len(one)] for one in given]], np.float64).reshape(1, len(given), 1)

    for world in (2, 6):
        for found in together(world, lambda workers: predict_together(workers, sequences, lengths_of)):
            assert found[0, :, 0].tolist() == [5, 3, 9, 1]
