"""Trials of several workers: what is refused, when they start, what is told of them; no Ray."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from genomics_fm.errors import EnvironmentFault, InputError
from genomics_fm.tasks import identities
from genomics_fm.tasks.trial_config import TrialConfig
from jobs import finetune_arms, finetune_ray, launch, train_group
from jobs.finetune_arms import Planned
from jobs.finetune_config import FinetuneConfig
from jobs.finetune_progress import LOST, PROGRESS, Told, forget, told
from tests.unit.trial_tasks import task_of


def asked(**given: Any) -> FinetuneConfig:
    return FinetuneConfig(task="x", **given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"workers": 0}, "--workers.*at least 1"),
        ({"workers": 33}, "--workers.*at most --trial.batch-rows"),
        ({"workers": 2, "how": "probe"}, "--workers 2: a probe has one"),
    ],
)
def test_workers_that_cannot_be_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        asked(**given)
    assert asked(workers=2, how="lora").workers == 2


def test_trials_of_several_workers_start_one_at_a_time() -> None:
    trial, baseline = Planned("scratch bpe", "t", TrialConfig()), Planned("majority", "t")
    waiting, several = [trial, baseline], asked(workers=2)
    assert finetune_arms._next(waiting, [], several) is trial
    assert finetune_arms._next(waiting, [trial], several) is baseline
    assert finetune_arms._next([trial], [trial], several) is None
    assert finetune_arms._next([trial], [trial], asked()) is trial
    assert finetune_arms._next([], [], several) is None


@pytest.mark.parametrize(
    ("resources", "gpu", "missing"),
    [
        ([{"CPU": 2}, {"CPU": 3}], False, None),
        ([{"CPU": 4}], False, "5 CPUs are needed for --workers 4, there are 4"),
        ([{"CPU": 1, "GPU": 4}], True, None),
        ([{"CPU": 64, "GPU": 2}, {"CPU": 1}], True, "4 GPUs are needed for --workers 4, there are 2"),
    ],
)
def test_too_small_a_ray_is_refused_or_waited_for(
    resources: list[dict[str, float]],
    gpu: bool,
    missing: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(launch, "nodes", lambda: [{"id": "a", "resources": one} for one in resources])
    if missing is None:
        finetune_ray.check_room(4, gpu, 1, local=True)
        return
    with pytest.raises(EnvironmentFault, match=f"{missing}; give fewer --workers"):
        finetune_ray.check_room(4, gpu, 1, local=True)
    finetune_ray.check_room(4, gpu, 1, local=False)
    assert capsys.readouterr().err.startswith(f"[finetune] waiting for nodes: {missing}; add nodes")


def test_a_trial_that_begins_again_says_so(tmp_path: Path) -> None:
    folder, trial = tmp_path / "arm", TrialConfig(updates=9)
    trials = [("it", folder), ("other", tmp_path / "other")]
    assert told(trials) is None
    first = Told(folder, trial)
    assert told(trials) == "[finetune] it: begins"
    first.written = -9.0
    first(3, 0.5)
    assert told(trials).startswith("[finetune] it: update 3 of at most 9, loss 0.500")  # type: ignore[union-attr]
    again = Told(folder, trial)
    assert told(trials) == f"[finetune] it: {LOST}begins"
    again(4, 0.5)  # too soon to be written
    assert json.loads((folder / PROGRESS).read_text())["text"] == f"{LOST}begins"
    again.end()
    assert told(trials) is None
    Told(folder, trial)
    forget(folder)
    assert Told(folder, trial).again == ""


def test_what_ends_a_group_is_one_line_and_ours_stays_ours() -> None:
    ours = InputError("labels.csv:3: wrong")
    wrapped = RuntimeError("trainer")
    wrapped.__cause__ = ours
    assert train_group.in_one_line(wrapped, "it") is ours
    other = train_group.in_one_line(ValueError("first\nlast"), "it, on 2 workers")
    assert isinstance(other, EnvironmentFault)
    assert str(other) == "it, on 2 workers failed: last; run the same command again"


def test_a_worker_that_died_is_the_reason_whatever_the_others_say() -> None:
    from ray.exceptions import RayActorError
    from ray.train import WorkerGroupError
    from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

    gone, others = WorkerHealthCheckFailedError("dead", RayActorError()), RuntimeError("connection closed")
    for failures, reason in (({0: others, 1: gone}, "a worker was lost, out of memory perhaps"), ({0: others}, "end")):
        told = str(train_group.in_one_line(WorkerGroupError("worker\nend", failures), "it"))
        assert told == f"it failed: {reason}; run the same command again"


def test_workers_and_packed_parts_change_the_identity_of_adapters_alone() -> None:
    task, encoder = task_of("classification"), ("weights", "vocabulary")
    for trial, same in ((TrialConfig(), True), (TrialConfig(how="lora"), False)):
        found = {identities.of_trial(trial, encoder, task, workers) for workers in (1, 2, 3)}
        assert (len(found) == 1) is same
        parts = [dataclasses.replace(trial, batch_tokens=tokens) for tokens in (128, 16_384)]
        assert (len({identities.of_trial(part, encoder, task) for part in parts}) == 1) is same
