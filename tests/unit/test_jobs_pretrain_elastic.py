"""What happens in Ray Train's controller when workers go: what is counted, and what is asked of the others."""

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from genomics_fm.errors import EnvironmentFault, InputError
from jobs import launch, pretrain_elastic, pretrain_handover
from jobs.pretrain import PretrainConfig
from jobs.pretrain_elastic import Elastic

NODES = {"a", "b"}


def group(nodes: set[str]) -> Any:
    """Stands in for Ray's worker group, with a worker on each node."""
    workers = [SimpleNamespace(metadata=SimpleNamespace(node_id=node)) for node in sorted(nodes)]
    return SimpleNamespace(get_workers=lambda: workers)


def fails(elastic: Elastic, left: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A group on both nodes is started, and fails, with some nodes left."""
    elastic.after_worker_group_training_start(group(NODES))
    error = RuntimeError("first line\nActorDiedError: x. Some causes are …")
    elastic.after_worker_group_poll_status(SimpleNamespace(errors={1: error}))
    elastic.after_worker_group_shutdown(None)
    monkeypatch.setattr(launch, "nodes", lambda: [{"id": node} for node in left])
    elastic.before_worker_group_start(None)


def test_a_worker_that_went_with_its_node_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    elastic = Elastic(resize_seconds=60, max_failures=1)
    elastic.before_worker_group_start(None)
    for _ in range(5):
        fails(elastic, {"a"}, monkeypatch)
    fails(elastic, NODES, monkeypatch)
    fails(elastic, {"a"}, monkeypatch)
    message = r"^failures of workers: 2, --max-failures 1; the last: ActorDiedError: x; run the same"
    with pytest.raises(EnvironmentFault, match=message):
        fails(elastic, NODES, monkeypatch)


def test_the_cluster_is_looked_at_in_time_for_a_resize(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []
    monkeypatch.setattr(pretrain_elastic, "look_at_cluster", lambda: looks.append(time.monotonic()))
    elastic = Elastic(resize_seconds=0.2, max_failures=0)
    until = time.monotonic() + 0.55
    while time.monotonic() < until:
        elastic.after_worker_group_poll_status(SimpleNamespace(errors={}))
        time.sleep(0.005)
    assert 2 <= len(looks) <= 6


def test_a_worker_stops_beside_its_training_when_another_group_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrain_handover, "_asked", threading.Event())
    monkeypatch.setattr(pretrain_handover, "_ended", threading.Event())
    monkeypatch.setattr(ray, "get", lambda waited: waited)

    def train() -> None:
        while not pretrain_handover.asked():
            time.sleep(0.005)
        pretrain_handover.ended()

    training = threading.Thread(target=train)
    training.start()
    calls: list[bool] = []
    elastic = Elastic(resize_seconds=60, max_failures=0)
    elastic.before_controller_execute_resize_decision(None)  # nothing runs yet
    assert not pretrain_handover.asked()
    running = SimpleNamespace(execute_async=lambda call, seconds: calls.append(call(seconds)))
    elastic.after_worker_group_training_start(running)
    elastic.before_controller_execute_resize_decision(None)
    training.join(5)
    assert calls == [True]


def test_what_is_left_of_a_failed_group_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    monkeypatch.setattr(ray, "get", lambda waited: waited)
    running = group(NODES)
    running.execute_async = lambda call, seconds: asked.append(seconds)
    elastic = Elastic(resize_seconds=60, max_failures=1)
    elastic.after_worker_group_training_start(running)
    elastic.after_worker_group_poll_status(SimpleNamespace(errors={1: RuntimeError("its storage is away")}))
    elastic.before_controller_execute_resize_decision(None)
    assert not asked


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"workers_min": 3}, "workers_min 3: give 0 .never fewer than --workers., or 1 to 2"),
        ({"workers_min": -1}, "workers_min -1"),
        ({"resize_seconds": 0.0}, "resize_seconds 0.0: give a number above 0"),
    ],
)
def test_wrong_numbers_of_workers_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PretrainConfig(**fields)


def test_addresses_stay_and_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert launch.absolute("s3://bucket/x?region=y") == "s3://bucket/x?region=y"
    assert launch.absolute("corpus") == launch.absolute(Path("corpus")) == str(tmp_path / "corpus")
    assert launch.absolute(f"file://{tmp_path}/c") == str(tmp_path / "c")
