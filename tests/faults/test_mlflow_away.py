"""A real MLflow server that is away at the start, in the middle and at the end of a run."""

import shutil
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest

from genomics_fm.storage import Folder
from genomics_fm.training.metrics import MetricsLog
from jobs import mirror
from jobs.mirror import mirrored
from tests.trackers import START_SECONDS, free_port, mlflow_server


def line(step: int) -> dict[str, Any]:
    fast = {"tokens": 900, "slots": 1_000, "seconds": 0.5, "stall": 0.1, "learning_rate": 0.1, "gradient_norm": 2.0}
    return {"step": step, "loss": {"bpe": 1 / step}, **fast, "unixtime": time.time()}


def add(log: MetricsLog, steps: range) -> float:
    """Log steps; seconds of the slowest call."""
    slowest = 0.0
    for step in steps:
        began = time.monotonic()
        log.add(line(step))
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.005)
    return slowest


def test_no_call_waits_and_no_metric_is_lost(
    tmp_path: Path, empty_tracking: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(empty_tracking, tmp_path / "mlflow.db")
    monkeypatch.setattr(mirror, "CLOSE_SECONDS", 1.0)
    monkeypatch.setattr(mirror, "RETRY_SECONDS", 0.5)
    port, folder = free_port(), Folder(tmp_path / "run")
    uri = f"http://127.0.0.1:{port}"

    def sent() -> int:
        return (
            int(folder.read_json(mirror.SENT, mirror.FORMAT_VERSION, "")["step"]) if folder.exists(mirror.SENT) else 0
        )

    with mirrored(folder, uri, "pretraining", "run", {"steps": 300}, {}):
        log = MetricsLog(folder)
        log.start(0, 300, ["n"], [])
        slowest = add(log, range(1, 101))
        with mlflow_server(tmp_path, port):
            end = time.monotonic() + START_SECONDS
            while sent() < 100 and time.monotonic() < end:
                time.sleep(0.1)
            assert sent() == 100
            slowest = max(slowest, add(log, range(101, 151)))
        slowest = max(slowest, add(log, range(151, 301)))
        log.close()
    assert slowest < 1
    with mlflow_server(tmp_path, port):
        monkeypatch.setattr(mirror, "CLOSE_SECONDS", 60.0)
        with mirrored(folder, uri, "pretraining", "run", {"steps": 300}, {}):
            pass
        client = mlflow.MlflowClient(uri)
        experiment = client.get_experiment_by_name("pretraining")
        assert experiment is not None
        [run] = client.search_runs([experiment.experiment_id])
        assert run.info.status == "FINISHED" and run.data.params == {"steps": "300"}
        history = client.get_metric_history(run.info.run_id, "loss_bpe")
    assert sorted((found.step, found.value) for found in history) == [(step, 1 / step) for step in range(1, 301)]
