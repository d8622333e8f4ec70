"""Pretraining on several nodes: nothing of the driver's disk, and nodes that come and go."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.model.weights import encoder_about
from genomics_fm.storage import Folder
from genomics_fm.training.config import TrainingConfig
from genomics_fm.training.loop import Run
from genomics_fm.training.metrics import LogReader, read_events, read_metrics, steps_of
from genomics_fm.vocabulary.ensemble import FILE_NAME, Ensemble
from jobs import config as job_config
from jobs.pretrain import PRESETS
from tests.clusters import STEP_SECONDS, Nodes, nodes
from tests.commands import ROOT
from tests.corpora import corpus_of, dna, fixed_vocabulary
from tests.trackers import free_port, mlflow_server

STEPS, INTERVAL, COMPARED = 12, 5, 20
RESTART_SECONDS = 30
LIMIT_SECONDS = 150
SETTINGS = (
    "--preset", "smoke", f"--training.checkpoint-steps={INTERVAL}", "--training.encoder.layers=1",
    "--training.encoder.width=32", "--training.encoder.heads=2", "--training.encoder.ffn-width=48",
    "--training.stream.max-segment-bp", "bpe=240", "kmer=127", "--training.stream.row-tokens=256",
)  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    corpus = corpus_of(tmp_path_factory.mktemp("made-up") / "corpus", {"one": dna(60_000, 1)})
    fixed_vocabulary().save(corpus.folder / FILE_NAME)
    return corpus


class Driver:
    """`python -m jobs.pretrain` in the folder no worker may read."""

    def __init__(self, cluster: Nodes, log: Path, storage: str, *arguments: str) -> None:
        paths = f"{ROOT}:{os.environ['PYTHONPATH']}"
        environment = {"RAY_ADDRESS": cluster.address, "GENOMICS_FM_STORAGE": storage, "PYTHONPATH": paths}
        self.log = log
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jobs.pretrain", "--name", "run", *arguments],
                cwd=cluster.driver,
                env={**os.environ, **environment},
                stdout=output,
                stderr=output,
            )

    def wait_for(self, what: Callable[[], bool], seconds: float = LIMIT_SECONDS) -> float:
        """Seconds until something holds of the run, which must not end before."""
        began = time.monotonic()
        while not what():
            assert self.process.poll() is None and time.monotonic() - began < seconds, self.log.read_text()[-3_000:]
            time.sleep(0.1)
        return time.monotonic() - began

    def end(self) -> None:
        """If it still runs: SIGTERM, and not for long."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(LIMIT_SECONDS)
        finally:
            self.process.kill()


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Nodes, list[Any]]]:
    place = tmp_path_factory.mktemp("cluster")
    environment = {"GENOMICS_FM_CACHE": str(place / "cache"), STEP_SECONDS: "0.2"}
    with nodes(place, 2, environment) as found:
        yield found


def upload(folder: Path, place: Folder) -> None:
    for path in folder.iterdir():
        place.write(path.name, path.read_bytes())


def test_workers_need_a_store_and_nothing_of_the_drivers_disk(
    two_nodes: tuple[Nodes, list[Any]], corpus: Corpus, object_store: str, tmp_path: Path
) -> None:
    cluster, _ = two_nodes
    store = Folder(object_store)
    upload(corpus.folder, store / "corpus")
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    places = ("--corpus", (store / "corpus").uri, "--tracking", uri)
    with mlflow_server(tmp_path, port):
        driver = Driver(
            cluster, tmp_path / "log", (store / "runs").uri, *places, *SETTINGS, f"--training.steps={STEPS}"
        )
        assert driver.process.wait(LIMIT_SECONDS) == 0, driver.log.read_text()[-3_000:]
        client = mlflow.MlflowClient(uri)
        experiment = client.get_experiment_by_name("pretraining")
        assert experiment is not None
        [run] = client.search_runs([experiment.experiment_id])
        history = client.get_metric_history(run.info.run_id, "loss_bpe")
    folder = store / "runs" / "encoders" / "run"
    lines = read_metrics(folder)
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert sorted((found.step, found.value) for found in history) == [(n["step"], n["loss"]["bpe"]) for n in lines]
    config, sha256, about = encoder_about(folder)
    assert (run.info.status, run.data.tags["weights_sha256"]) == ("FINISHED", sha256)
    assert about["corpus_sha256"] == corpus.sha256
    assert Ensemble.load((folder / FILE_NAME).uri).size == config.vocabulary_size
    [start] = [event for event in read_events(folder) if event["event"] == "start"]
    assert len(set(start["nodes"])) == 2  # one worker on each node
    assert cluster.opened() == []
    assert cluster.watched() >= 3  # the workers, and what Ray runs beside them
    assert (folder / "ray").names() == []


def group_of_two(rank: int, config: TrainingConfig, corpus: str, place: str, until: int) -> None:
    """One process of an undisturbed run of two; what its steps came to is left in `place`."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{place}/meet", rank=rank, world_size=2)
    run = Run(config, Corpus(Path(corpus)), Ensemble.load(Path(corpus) / FILE_NAME), Path(place))
    while run.step < until:
        run.advance()
    if run.log is not None:
        run.log.close()
    dist.destroy_process_group()


def compared(lines: list[dict[str, Any]], starts: list[int]) -> list[dict[str, Any]]:
    """The lines of the steps after each start that are compared."""
    return [line for start in starts for line in lines if start < line["step"] <= start + COMPARED]


def test_a_node_goes_and_another_comes(two_nodes: tuple[Nodes, list[Any]], corpus: Corpus, tmp_path: Path) -> None:
    cluster, alive = two_nodes
    settings = (*SETTINGS, "--training.steps=10000", "--training.batch-rows=4")
    elastic = ("--workers-min=1", "--workers=2", "--resize-seconds=2", "--max-failures=0")
    folder = Folder(tmp_path / "runs" / "encoders" / "run")
    driver = Driver(
        cluster, tmp_path / "log", str(tmp_path / "runs"), "--corpus", str(corpus.folder), *settings, *elastic
    )

    def starts() -> list[dict[str, Any]]:
        return [event for event in read_events(folder) if event["event"] == "start"]

    def trains_on(number: int, more: int) -> Callable[[], bool]:
        """Whether the n-th start has made some steps."""

        def look() -> bool:
            begun, lines = starts(), read_metrics(folder)
            return len(begun) == number and bool(lines) and lines[-1]["step"] >= begun[-1]["step"] + more

        return look

    try:
        driver.wait_for(trains_on(1, INTERVAL + 3))
        cluster.remove(alive.pop())
        shrinking = driver.wait_for(trains_on(2, 1))
        driver.wait_for(trains_on(2, COMPARED))
        alive.append(cluster.add())
        growing = driver.wait_for(trains_on(3, 1))
        driver.wait_for(trains_on(3, COMPARED))
    finally:
        driver.end()
    print(f"trains again after {shrinking:.1f} s with a node less, {growing:.1f} s with one more")
    begun, log = starts(), LogReader(folder).new()
    assert [len(start["nodes"]) for start in begun] == [2, 1, 2]
    assert [len(set(start["nodes"])) for start in begun] == [2, 1, 2]
    assert shrinking < RESTART_SECONDS and growing < RESTART_SECONDS
    lines, made = steps_of(log), [line for line in log if "event" not in line]
    assert [line["step"] for line in lines] == list(range(1, lines[-1]["step"] + 1))
    repeated = len(made) - len(lines)
    assert repeated <= INTERVAL, f"{repeated} steps repeated"
    last = begun[-1]["step"] + COMPARED
    config = job_config.parse(PRESETS, list(settings), "pretrain", "")[0].training
    multiprocessing.set_forkserver_preload(["genomics_fm.training.loop"])
    place = tmp_path / "undisturbed"
    place.mkdir()
    arguments = (config, str(corpus.folder), str(place), last)
    torch.multiprocessing.start_processes(group_of_two, arguments, nprocs=2, start_method="forkserver")
    resumed = [start["step"] for start in begun]
    mine, expected = compared(lines, resumed), compared(read_metrics(Folder(place)), resumed)
    for name in ("step", "tokens", "predicted"):
        assert [line[name] for line in mine] == [line[name] for line in expected]
    for name in ("bpe", "kmer"):
        losses = [line["loss"][name] for line in expected]
        assert [line["loss"][name] for line in mine] == pytest.approx(losses, rel=1e-5)
