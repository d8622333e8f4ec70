"""The copy of a run's log in MLflow: whole in the end, however often and however the server is away."""

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from genomics_fm.errors import EnvironmentFault, InputError
from genomics_fm.storage import Folder
from genomics_fm.training.metrics import MetricsLog
from jobs import mirror, tracking
from jobs.mirror import Mirror, mirrored


class Server:
    """What MLflow's client does, and a switch."""

    def __init__(self) -> None:
        self.away, self.hangs = False, threading.Event()
        self.hangs.set()
        self.metrics: list[Any] = []
        self.tags: dict[str, str] = {}
        self.params: list[Any] = []
        self.status = ""
        self.runs = 0

    def check(self) -> None:
        self.hangs.wait(20)
        if self.away:
            raise ConnectionError("connection refused")

    def create_run(self, _experiment: str, run_name: str, tags: dict[str, str]) -> Any:
        self.check()
        self.runs += 1
        self.tags |= {"name": run_name, **tags}
        self.status = "RUNNING"
        return SimpleNamespace(info=SimpleNamespace(run_id="r"))

    def update_run(self, _run: str, status: str) -> None:
        self.check()
        self.status = status

    def set_terminated(self, _run: str, status: str) -> None:
        self.update_run(_run, status)

    def log_batch(self, _run: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        self.check()
        assert len(metrics) <= 1_000
        self.metrics += metrics
        self.params += params
        self.tags |= {tag.key: tag.value for tag in tags}

    def log_dict(self, *_arguments: Any) -> None:
        self.check()

    def steps(self, name: str) -> list[int]:
        return [metric.step for metric in self.metrics if metric.key == name]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()

    def start(_uri: str, _experiment: str) -> Any:
        made.check()
        return SimpleNamespace(client=made, experiment_id="1")

    monkeypatch.setattr(tracking, "start", start)
    for name in ("SEND_SECONDS", "RETRY_SECONDS"):
        monkeypatch.setattr(mirror, name, 0.01)
    monkeypatch.setattr(mirror, "CLOSE_SECONDS", 1.0)
    monkeypatch.setattr(mirror, "BROKEN_SECONDS", 0.2)
    return made


def line(step: int) -> dict[str, Any]:
    fast = {"tokens": 900, "slots": 1_000, "seconds": 0.5, "stall": 0.1, "learning_rate": 0.1, "gradient_norm": 2.0}
    return {"step": step, "loss": {"a,b": 1.5}, **fast, "unixtime": 1_000.0 + step}


def copying(folder: Path) -> Any:
    return mirrored(Folder(folder), "http://made-up", "pretraining", "run", {"steps": 9}, {"corpus": "c"})


def until(done: Any) -> None:
    end = time.monotonic() + 10
    while not done() and time.monotonic() < end:
        time.sleep(0.005)
    assert done()


def test_steps_and_events_arrive_while_the_run_goes_on(server: Server, tmp_path: Path) -> None:
    with copying(tmp_path) as tags:
        log = MetricsLog(Folder(tmp_path), 0.0)
        log.start(0, 9, ["n"], [])
        log.add(line(1))
        until(lambda: server.steps("loss_a_b") == [1])
        assert server.status == "RUNNING"
        log.add({**line(2), "loss": {}, "gradient_norm": None})
        log.close()
        tags["weights_sha256"] = "w"
    assert (server.steps("gradient_norm"), server.steps("learning_rate")) == ([1], [1, 2])
    values = {metric.key: metric.value for metric in server.metrics if metric.step == 1}
    assert (values["useful_slot_fraction"], values["data_wait_fraction"]) == (0.9, 0.2)
    assert (server.status, server.runs) == ("FINISHED", 1)
    assert server.tags["weights_sha256"] == "w" and server.tags["sha256.corpus"] == "c"
    assert server.tags["event.0001"] == "started at step 0, 1 worker on n"
    assert [param.key for param in server.params] == ["steps"]


def test_scores_on_held_out_sequence_arrive_once_by_source(server: Server, tmp_path: Path) -> None:
    group = {"loss": 2.0, "base_accuracy": 0.5, "bits_per_nucleotide": None, "markov": {}}
    sources = {f"species {number}": group for number in range(400)}
    for vocabularies in (("bpe",), ("bpe", "kmer")):
        with copying(tmp_path):
            log = MetricsLog(Folder(tmp_path), 0.0)
            log.start(0, 9, ["n"], [])
            for step in range(1, 5):
                log.add(line(step))
                if step % 2 == 0:
                    figures = {name: {"all": group, "by_source": sources} for name in vocabularies}
                    log.event("validation", step=step, set="s", vocabularies=figures)
            log.close()
        until(lambda: server.status == "FINISHED")
    assert server.steps("validation_loss_bpe") == server.steps("validation_accuracy_bpe.species 3") == [2, 4]
    assert not [metric.key for metric in server.metrics if "bits" in metric.key or "kmer" in metric.key]
    assert server.steps("learning_rate") == [1, 2, 3, 4]
    assert sorted(key for key in server.tags if key.startswith("event.")) == ["event.0001", "event.0002"]


def test_a_resumed_run_goes_on_in_the_same_mlflow_run_and_is_marked(server: Server, tmp_path: Path) -> None:
    for start, steps in ((0, range(1, 6)), (3, range(4, 8)), (6, range(7, 10))):
        with pytest.raises(ZeroDivisionError), copying(tmp_path):
            log = MetricsLog(Folder(tmp_path), 0.0)
            log.start(start, 9, ["n"], [])
            for step in steps:
                log.add(line(step))
            log.close()
            _ = 1 / 0
        until(lambda: server.status == "FAILED")
    assert server.steps("learning_rate") == list(range(1, 10))
    assert [(m.step, m.value) for m in server.metrics if m.key == "starts"] == [(0, 1), (3, 2), (6, 3)]
    assert server.tags["event.0003"].startswith("resumed at step 6")
    with copying(tmp_path):
        pass
    assert (server.status, server.runs, len(server.params)) == ("FINISHED", 1, 1)
    assert server.steps("learning_rate") == list(range(1, 10))


def test_a_run_that_somebody_stopped_is_killed_and_not_failed(server: Server, tmp_path: Path) -> None:
    with pytest.raises(SystemExit), copying(tmp_path):
        until(lambda: server.params)  # it has loaded MLflow
        raise SystemExit(143)
    until(lambda: server.status == "KILLED")


@pytest.mark.parametrize("seed", range(5))
def test_a_server_that_comes_and_goes_has_everything_once(
    server: Server, tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    server.away = True
    slowest = 0.0
    with copying(tmp_path):
        log = MetricsLog(Folder(tmp_path), 0.0)
        log.start(0, 999, ["n"], [])
        for step in range(1, 301):
            server.away = step < 40 or (step * 7 + seed) % 50 < 20 or step > 270
            began = time.monotonic()
            log.add(line(step))
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.0005)
        log.close()
    assert slowest < 1
    time.sleep(0.05)  # what the first one was at has ended
    said = capsys.readouterr().err
    assert said.count("training goes on") == 1 and "the same command sends the rest" in said
    server.away = False
    with copying(tmp_path):
        pass
    assert server.steps("learning_rate") == list(range(1, 301))
    assert server.status == "FINISHED"


def test_a_server_that_does_not_answer_holds_nothing_but_the_end_and_that_not_for_long(
    server: Server, tmp_path: Path
) -> None:
    server.hangs.clear()
    began = time.monotonic()
    made = Mirror(Folder(tmp_path), "http://made-up", "pretraining", "run", {}, {})
    assert time.monotonic() - began < 0.5
    made.close("FINISHED", {})
    assert 0.9 < time.monotonic() - began < 3
    server.hangs.set()


def test_a_storage_that_is_away_is_tried_again(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fails = [True, True, False]
    read = mirror.LogReader.new

    def new(self: mirror.LogReader) -> list[dict[str, Any]]:
        if fails and fails.pop():
            raise EnvironmentFault("the store refused")
        return read(self)

    monkeypatch.setattr(mirror.LogReader, "new", new)
    log = MetricsLog(Folder(tmp_path), 0.0)
    log.add(line(1))
    log.close()
    with copying(tmp_path):
        until(lambda: server.steps("learning_rate") == [1])


def test_an_address_that_is_none_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tracking nonsense: not understood"):
        Mirror(Folder(tmp_path), "nonsense", "pretraining", "run", {}, {})
