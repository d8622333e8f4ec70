"""Pretraining on several nodes: nothing of the driver's disk, and nodes that come and go."""

import os
import shutil
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
from genomics_fm.errors import EnvironmentFault
from genomics_fm.model.weights import encoder_about
from genomics_fm.storage import Folder
from genomics_fm.training.config import TrainingConfig
from genomics_fm.training.loop import Run
from genomics_fm.training.metrics import LogReader, read_events, read_metrics, steps_of
from genomics_fm.vocabulary.ensemble import FILE_NAME, Ensemble
from jobs import config as job_config
from jobs.pretrain import PRESETS
from tests.clusters import RECORDS, STEP_SECONDS, Nodes, nodes
from tests.commands import ROOT
from tests.corpora import corpus_of, dna, fixed_vocabulary
from tests.processes import descendants
from tests.trackers import free_port, mlflow_server

STEPS, INTERVAL, COMPARED = 12, 5, 10
LIMIT_SECONDS = 300
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


def test_an_open_below_the_drivers_folder_would_be_seen(two_nodes: tuple[Nodes, list[Any]], tmp_path: Path) -> None:
    cluster, _ = two_nodes
    script = tmp_path / "default_worker.py"  # what Ray's worker processes are started as
    script.write_text(f"open({str(cluster.driver / 'config.json')!r})")
    ended = subprocess.run(
        [sys.executable, str(script)], env={**os.environ, RECORDS: str(tmp_path)}, capture_output=True, text=True
    )
    assert ended.returncode == 1 and "config.json: of the driver's disk" in ended.stderr
    assert len(list(tmp_path.glob("opened-*"))) == 1


def test_workers_need_a_store_and_nothing_of_the_drivers_disk(
    two_nodes: tuple[Nodes, list[Any]], corpus: Corpus, object_store: str, empty_tracking: Path, tmp_path: Path
) -> None:
    cluster, _ = two_nodes
    shutil.copy(empty_tracking, tmp_path / "mlflow.db")
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


def left_alone(rank: int, world: int, config: TrainingConfig, corpus: str, place: str, until: int) -> None:
    """One process of an undisturbed run of `world`; what its steps came to is left in `place`."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{place}/meet", rank=rank, world_size=world)
    run = Run(config, Corpus(Path(corpus)), Ensemble.load(Path(corpus) / FILE_NAME), Path(place))
    while run.step < until:
        run.advance()
    if run.log is not None:
        run.log.close()
    dist.destroy_process_group()


def compared(lines: list[dict[str, Any]], starts: list[int]) -> list[dict[str, Any]]:
    """The lines of the steps after each start that are compared."""
    return [line for start in starts for line in lines if start < line["step"] <= start + COMPARED]


@pytest.mark.parametrize("workers", [2, pytest.param(4, marks=pytest.mark.full)])
def test_half_of_the_nodes_go_and_others_come(
    two_nodes: tuple[Nodes, list[Any]], corpus: Corpus, tmp_path: Path, workers: int
) -> None:
    cluster, alive = two_nodes
    alive += [cluster.add() for _ in range(workers - len(alive))]
    settings = (*SETTINGS, "--training.steps=10000", "--training.batch-rows=4")
    elastic = (f"--workers-min={workers // 2}", f"--workers={workers}", "--resize-seconds=2", "--max-failures=0")
    folder = Folder(tmp_path / "runs" / "encoders" / "run")
    driver = Driver(
        cluster, tmp_path / "log", str(tmp_path / "runs"), "--corpus", str(corpus.folder), *settings, *elastic
    )

    def starts() -> list[dict[str, Any]]:
        return [event for event in read_events(folder) if event["event"] == "start"]

    def trains_on(size: int, after: int, more: int) -> Callable[[], bool]:
        """Whether `size` workers, who began after the first so many starts, have made some steps."""

        def look() -> bool:
            begun, lines = starts()[after:], read_metrics(folder)
            return (
                len(begun[-1]["nodes"] if begun else []) == size
                and bool(lines)
                and lines[-1]["step"] >= begun[-1]["step"] + more
            )

        return look

    half = workers // 2
    try:
        driver.wait_for(trains_on(workers, 0, INTERVAL + 3))
        for _ in range(half):
            cluster.remove(alive.pop())
        shrinking = driver.wait_for(trains_on(half, 1, 1))
        driver.wait_for(trains_on(half, 1, COMPARED))
        before = len(starts())
        alive += [cluster.add() for _ in range(half)]
        growing = driver.wait_for(trains_on(workers, before, 1))
        driver.wait_for(trains_on(workers, before, COMPARED))
        next(one for one in descendants(os.getpid()) if "RayTrainWorker" in one.title).kill()
        assert driver.process.wait(LIMIT_SECONDS) == EnvironmentFault.exit_code
        assert "failures of workers: 1, --max-failures 0" in driver.log.read_text()  # lost nodes were none
    finally:
        driver.end()
    print(f"trains again after {shrinking:.1f} s with {half} nodes less, {growing:.1f} s with {half} more")
    begun, log = starts(), LogReader(folder).new()
    sizes = [len(set(start["nodes"])) for start in begun]
    assert sizes == [len(start["nodes"]) for start in begun]
    assert sizes[0] == sizes[-1] == workers and half in sizes  # nodes that go one after another are met in between
    lines, made = steps_of(log), [line for line in log if "event" not in line]
    assert [line["step"] for line in lines] == list(range(1, lines[-1]["step"] + 1))
    repeated = len(made) - len(lines)
    assert repeated <= INTERVAL * half, f"{repeated} steps repeated by {sizes} workers"
    last = begun[-1]["step"] + COMPARED
    config = job_config.parse(PRESETS, list(settings), "pretrain", "")[0].training
    place = tmp_path / "undisturbed"
    place.mkdir()
    arguments = (workers, config, str(corpus.folder), str(place), last)
    torch.multiprocessing.start_processes(left_alone, arguments, nprocs=workers, start_method="forkserver")
    resumed = [start["step"] for start in begun]
    mine, expected = compared(lines, resumed), compared(read_metrics(Folder(place)), resumed)
    for name in ("step", "tokens", "predicted"):
        assert [line[name] for line in mine] == [line[name] for line in expected]
    for name in ("bpe", "kmer"):
        losses = [line["loss"][name] for line in expected]
        assert [line["loss"][name] for line in mine] == pytest.approx(losses, rel=1e-5)
