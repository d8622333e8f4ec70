"""The log of a run: never waits, loses nothing, and reads the same on a disk and in an object store."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from genomics_fm.errors import CorruptArtefact, EnvironmentFault
from genomics_fm.storage import Folder
from genomics_fm.training import metrics
from genomics_fm.training.happened import described
from genomics_fm.training.metrics import LogReader, MetricsLog, read_events, read_metrics, steps_of


class Store(Folder):
    """A folder that takes itself for an object store: whole files are put, nothing is appended."""

    def __init__(self, place: Path, files: dict[str, bytes] | None = None, name: str = "") -> None:
        self.local = None
        self.uri = f"s3://made-up/{name}"
        self.files: dict[str, bytes] = {} if files is None else files
        self.puts: list[str] = []
        self.away = threading.Event()
        self.name, self.place = name, place

    def __truediv__(self, name: str) -> "Store":
        under = Store(self.place, self.files, f"{self.name}{name}/")
        under.away, under.puts = self.away, self.puts
        return under

    def names(self) -> list[str]:
        return sorted(name.removeprefix(self.name) for name in self.files if name.startswith(self.name))

    def read(self, name: str) -> bytes:
        return self.files[self.name + name]

    def write(self, name: str, data: bytes | memoryview) -> None:
        if self.away.is_set():
            raise EnvironmentFault(f"{self.uri}{name}: the store is away")
        self.puts.append(name)
        self.files[self.name + name] = bytes(data)


@pytest.fixture(params=["disk", "object store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    return Folder(tmp_path / "run") if request.param == "disk" else Store(tmp_path)


def line(step: int) -> dict[str, Any]:
    return {"step": step, "loss": {"bpe": 1 / step}}


def log_of(folder: Folder, start: int, steps: range, every_seconds: float | None = 0.0) -> None:
    log = MetricsLog(folder, every_seconds)
    log.start(start, 9, ["a", "b"], [])
    for step in steps:
        log.add(line(step))
    log.close()


def test_lines_come_back_in_order_and_a_start_takes_back_later_ones(folder: Folder) -> None:
    assert (read_metrics(folder), read_events(folder)) == ([], [])
    log_of(folder, 0, range(1, 6))
    log_of(folder, 3, range(4, 5))
    assert read_metrics(folder) == [line(step) for step in range(1, 5)]
    assert [event["step"] for event in read_events(folder)] == [0, 3]
    log_of(folder, 0, range(1, 1))
    assert read_metrics(folder) == []


def test_a_reader_gets_every_line_once(folder: Folder) -> None:
    reader, found = LogReader(folder), []
    log = MetricsLog(folder, 0.0)
    for step in range(1, 301):
        log.add(line(step))
        if step % 7 == 0:
            found += reader.new()
    log.close()
    assert found + reader.new() == [line(step) for step in range(1, 301)]
    assert reader.new() == []


def test_a_line_cut_short_by_a_kill_is_no_line(tmp_path: Path) -> None:
    folder, path = Folder(tmp_path), tmp_path / metrics.METRICS
    log_of(folder, 0, range(1, 3))
    reader = LogReader(folder)
    assert len(reader.new()) == 3
    with path.open("ab") as file:
        file.write(b'{"step": 3, "lo')
    assert reader.new() == []
    log_of(folder, 2, range(3, 5))
    assert steps_of(reader.new()) == [line(3), line(4)]
    assert read_metrics(folder) == [line(step) for step in range(1, 5)]
    assert [found.name for found in tmp_path.iterdir()] == [metrics.METRICS]


def test_a_process_that_dies_late_writes_to_no_file_of_the_next(folder: Folder) -> None:
    late = MetricsLog(folder, 0.0)
    late.start(0, 9, ["a"], [])
    late.add(line(1))
    late.flush()
    log_of(folder, 1, range(2, 4))
    late.add(line(2))
    late.add(line(3))
    late.add(line(4))
    late.close()
    log_of(folder, 3, range(4, 6))
    assert read_metrics(folder) == [line(step) for step in range(1, 6)]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    (tmp_path / metrics.METRICS).write_text('{"step": 1}\ncos\nsystem\n')
    with pytest.raises(CorruptArtefact, match=r"metrics\.jsonl: a line is not JSON: b'cos'"):
        read_metrics(Folder(tmp_path))


def test_pieces_in_an_object_store_are_few_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "PIECE_BYTES", 1_000)
    store = Store(tmp_path)
    log_of(store, 0, range(1, 2), 60.0)
    assert len(store.puts) == 2  # the start, the end
    log = MetricsLog(store, 0.0)
    reader, found = LogReader(store), []
    for step in range(2, 202):
        log.add(line(step))
        log.flush()
        found += reader.new()
    log.close()
    sizes = [len(data) for data in store.files.values()]
    assert max(sizes) < 1_000 + len(json.dumps(line(3))) + 2
    assert len(sizes) < 20
    assert [one["step"] for one in steps_of(found)] == list(range(1, 202))


def test_adding_never_waits_for_the_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, let_go = Store(tmp_path), threading.Event()
    put = store.write

    def slow(self: Store, name: str, data: bytes) -> None:
        let_go.wait(20)
        put(f"{metrics.PIECES}/{name}", data)

    monkeypatch.setattr(Store, "write", slow)
    monkeypatch.setattr(metrics, "MOST_WAITING", 5_000)
    log = MetricsLog(store, 0.0)
    began = time.monotonic()
    for step in range(1, 4_001):
        log.add(line(step))
    assert time.monotonic() - began < 1
    with pytest.raises(EnvironmentFault, match="takes no lines"):
        for step in range(4_001, 20_000):
            log.add(line(step))
    let_go.set()
    log.close()
    assert [one["step"] for one in read_metrics(store)][:4_000] == list(range(1, 4_001))


def test_what_fails_in_the_thread_is_raised_by_the_next_call(tmp_path: Path) -> None:
    store = Store(tmp_path)
    log = MetricsLog(store, 0.0)
    log.add(line(1))
    log.flush()
    store.away.set()
    log.add(line(2))
    with pytest.raises(EnvironmentFault, match="the store is away"):
        log.flush()
    with pytest.raises(EnvironmentFault, match="the store is away"):
        log.add(line(3))
    with pytest.raises(EnvironmentFault, match="the store is away"):
        log.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "metrics" and thread is log._thread]


def test_events_read_as_sentences() -> None:
    start = {"event": "start", "step": 20, "nodes": ["n2", "n1", "n1"], "skipped": ["x: not whole"], "unixtime": 1.0}
    assert described(start) == "x: not whole; resumed at step 20, 3 workers on n1, n2"
    assert described({**start, "step": 0, "skipped": [], "nodes": ["n"]}) == "started at step 0, 1 worker on n"
    assert described({"event": "spike", "step": 7, "loss": 9.5, "unixtime": 1.0}) == "spike: step 7, loss 9.5"


def test_scores_on_held_out_sequence_are_one_line() -> None:
    models = {"order 5": {"base_accuracy": 0.3604}, "order 11": {"base_accuracy": None}, "order 5, both sides": {}}
    bpe = {"all": {"loss": 6.75312, "base_accuracy": 0.241, "markov": models}}
    kmer = {"all": {"loss": None, "base_accuracy": None, "markov": {}}}
    event = {"event": "validation", "step": 400, "vocabularies": {"bpe": bpe, "kmer": kmer}, "unixtime": 0.0}
    assert described(event) == (
        "held-out after step 400: bpe loss 6.753, 24.1% of bases, Markov 36.0% (order 5), - (order 11); "
        "kmer loss -, - of bases"
    )
