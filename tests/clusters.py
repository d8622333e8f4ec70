"""Ray clusters of several nodes on this machine, and what their workers may not read."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import Cluster

from tests.commands import ROOT

WATCHED, RECORDS, STEP_SECONDS = "GENOMICS_FM_TEST_WATCHED", "GENOMICS_FM_TEST_RECORDS", "GENOMICS_FM_TEST_STEP_SECONDS"
STORE_BYTES = 80 << 20
_HOOK = f"""
import os, sys, threading, time

def watch(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)):
        path = os.path.abspath(os.fsdecode(args[0]))
        if path.startswith(os.environ["{WATCHED}"] + os.sep):
            record("opened", path)
            raise PermissionError(path + ": of the driver's disk")

def record(kind, text):
    place = os.path.join(os.environ["{RECORDS}"], f"{{kind}}-{{os.getpid()}}")
    with open(place, "a") as file:
        file.write(text + chr(10))

def slow_down():
    while not hasattr(sys.modules.get("genomics_fm.training.loop"), "pretrain"):
        time.sleep(0.01)
    run = sys.modules["genomics_fm.training.loop"].Run
    advance = run.advance
    def slowly(self):
        time.sleep(float(os.environ["{STEP_SECONDS}"]))
        return advance(self)
    run.advance = slowly

if any(argument.endswith("default_worker.py") for argument in sys.orig_argv):
    record("watched", " ".join(sys.orig_argv))
    sys.addaudithook(watch)
    if "{STEP_SECONDS}" in os.environ:
        threading.Thread(target=slow_down, daemon=True).start()
"""


class Nodes:
    """A head without CPUs, where drivers and Ray's controllers run, and nodes with one CPU each.

    No worker may open anything below `driver`, a folder full of what one could take for its input.

    Attributes:
        driver: the folder drivers are started in.
        address: Ray's.
    """

    def __init__(self, place: Path, environment: dict[str, str]) -> None:
        """Start the head.

        Args:
            place: for the driver's folder and for records.
            environment: of all nodes and their workers.
        """
        self.driver, self._records = place / "driver", place / "records"
        for folder in (self.driver, self._records, place / "hook"):
            folder.mkdir()
        _bait(self.driver)
        (place / "hook" / "sitecustomize.py").write_text(_HOOK)
        paths = f"{place / 'hook'}:{ROOT}:{os.environ.get('PYTHONPATH', '')}"
        mine = {WATCHED: str(self.driver), RECORDS: str(self._records), "PYTHONPATH": paths}
        self._temporary = tempfile.mkdtemp(prefix="gfm-ray-", dir="/tmp")  # Ray's sockets want a short path
        Path(self._temporary, "ray").mkdir()
        self._outside = {name: os.environ.get(name) for name in (*environment, *mine, "RAY_TMPDIR")}
        os.environ.update({**environment, **mine, "RAY_TMPDIR": self._temporary})
        self._settings: dict[str, Any] = {"object_store_memory": STORE_BYTES}
        head = {"num_cpus": 0, "include_dashboard": False, "temp_dir": f"{self._temporary}/s", **self._settings}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address = str(self._cluster.address)

    def add(self) -> Any:
        """Start a node with one CPU, so that two workers need two nodes."""
        return self._cluster.add_node(num_cpus=1, **self._settings)

    def remove(self, node: Any) -> None:
        """End a node and everything that runs on it."""
        self._cluster.remove_node(node)

    def watched(self) -> int:
        """Processes of Ray's that were forbidden the driver's folder."""
        return len(list(self._records.glob("watched-*")))

    def opened(self) -> list[str]:
        """What they opened all the same, or tried to."""
        return [line for path in self._records.glob("opened-*") for line in path.read_text().splitlines()]

    def close(self) -> None:
        """End all nodes."""
        self._cluster.shutdown()
        for name, value in self._outside.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        shutil.rmtree(self._temporary, ignore_errors=True)


def _bait(folder: Path) -> None:
    """Files by every name a run of ours reads, none of them what it wants."""
    names = (
        "manifest.json", "vocabulary.json", "config.json", "mlflow.db", "metrics.jsonl", "corpus/manifest.json",
        "corpus/vocabulary.json", "runs/encoders/run/config.json", "runs/encoders/run/metrics.jsonl", ".env",
    )  # fmt: skip
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("not for workers")


@contextlib.contextmanager
def nodes(place: Path, count: int, environment: dict[str, str]) -> Iterator[tuple[Nodes, list[Any]]]:
    """A cluster with so many nodes beside its head; skipped where another Ray is told to be used."""
    if os.environ.get("RAY_ADDRESS"):
        pytest.skip("starts a Ray of its own, and RAY_ADDRESS names another")
    cluster = Nodes(place, environment)
    try:
        yield cluster, [cluster.add() for _ in range(count)]
    finally:
        cluster.close()
