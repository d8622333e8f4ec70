"""kill -9 at any time: the same command again ends with the corpus of an uninterrupted build, and nothing is left over.

Real kills of a real build on Ray at random times, and made-up ones between any two steps of the writers.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genomics_fm.corpus.build import PARTS
from genomics_fm.corpus.manifest import MANIFEST, PROVENANCE, Corpus
from genomics_fm.corpus.plan import Plan
from genomics_fm.corpus.sources import Source
from genomics_fm.corpus.windows import Recipe
from genomics_fm.storage import Folder
from jobs import launch
from jobs.build_corpus import run_sources, source_of
from tests import corpora
from tests.commands import ROOT, write_genome
from tests.processes import Process, descendants, forget_ray, survivors

RECIPE = Recipe(window_bp=2_048, rows_per_block=4)
GENOMES, CONTIGS, CONTIG_BP = 5, 36, 30_000
START_SECONDS = 90
"""A build on a busy machine has written its first block by then."""
END_SECONDS = 20
CHAINS = [0, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(1, 7))]
"""Three kills each."""


@dataclass
class Builds:
    """Builds by the same command, one killed after the other."""

    arguments: list[str]
    storage: Path
    folder: Path
    started: list[Process] = field(default_factory=list)

    def start(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, launch.STORAGE_VARIABLE: str(self.storage)}
        command = [sys.executable, "-m", *self.arguments]
        with (self.storage.parent / "log").open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)

    def after_blocks(self, count: int) -> subprocess.Popen[bytes]:
        """A build that has written so many blocks itself."""
        since, process = time.time_ns(), self.start()
        until = time.monotonic() + START_SECONDS
        while self._written(since) < count and process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        return process

    def _written(self, since_ns: int) -> int:
        count = 0
        for path in self.folder.glob("block-*"):
            with contextlib.suppress(FileNotFoundError):
                count += path.stat().st_mtime_ns > since_ns
        return count

    def family(self, process: subprocess.Popen[bytes]) -> list[Process]:
        assert process.poll() is None, (self.storage.parent / "log").read_text()
        found = descendants(process.pid)
        self.started += found
        return found


@pytest.fixture
def builds(tmp_path: Path) -> Iterator[Builds]:
    genomes = [str(write_genome(tmp_path / f"genome{seed}.fa", CONTIGS, CONTIG_BP, seed)) for seed in range(GENOMES)]
    recipe = ["--recipe.window-bp", str(RECIPE.window_bp), "--recipe.rows-per-block", str(RECIPE.rows_per_block)]
    arguments = ["jobs.build_corpus", "--genomes", *genomes, "--name", "corpus", *recipe]
    made = Builds(arguments, tmp_path / "runs", tmp_path / "runs" / "corpora" / "corpus")
    yield made
    for one in made.started:
        one.kill()
    forget_ray(made.started)


def kill_group(builds: Builds, process: subprocess.Popen[bytes]) -> None:
    builds.family(process)
    os.killpg(process.pid, signal.SIGKILL)


def kill_driver(builds: Builds, process: subprocess.Popen[bytes]) -> None:
    builds.family(process)
    process.kill()


def kill_worker(builds: Builds, process: subprocess.Popen[bytes]) -> None:
    """One that builds a unit in this moment."""
    busy: list[Process] = []
    while not busy:
        busy = [one for one in builds.family(process) if one.title.startswith("ray::") and "_build_share" in one.title]
    busy[0].kill()


@pytest.mark.parametrize("seed", CHAINS)
def test_kills_of_group_driver_and_worker(seed: int, builds: Builds, tmp_path: Path) -> None:
    """The second build begins while what is left of the first may still be dying; the third survives its worker."""
    draw = np.random.default_rng(seed)
    kills: list[Callable[[Builds, subprocess.Popen[bytes]], None]] = [kill_group, kill_driver]
    for kill in draw.permutation(np.array(kills)):
        process = builds.after_blocks(int(draw.integers(1, 70)))
        time.sleep(draw.random() * 0.05)
        kill(builds, process)
        assert process.wait() == -signal.SIGKILL
        assert not (builds.folder / MANIFEST).exists(), "it had ended before it was killed"
    process = builds.after_blocks(int(draw.integers(1, 40)))
    kill_worker(builds, process)
    assert process.wait() == 0, (tmp_path / "log").read_text()
    # Ray's own agents wait a minute for the head that has gone; they write nothing.
    assert survivors([one for one in builds.started if "Agent" not in one.title], END_SECONDS) == []
    corpora.build(tmp_path / "straight", [source_of(name, ()) for name in builds.arguments[2 : 2 + GENOMES]], RECIPE)
    assert corpora.contents(builds.folder) == corpora.contents(tmp_path / "straight")


class Killed(BaseException):
    """What a process does not survive: no `except` or `finally` of it does anything any more."""


class Steps:
    """The steps by which a builder changes a disk or store. The build dies at one, or none; then nothing works."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fatal: int) -> None:
        self.count, self.fatal = 0, fatal
        for name in ("mkdir", "open", "replace", "unlink", "rmdir"):
            monkeypatch.setattr(Path, name, self.step(getattr(Path, name)))
        monkeypatch.setattr(Folder, "_remote", self.step(Folder._remote))
        monkeypatch.setattr(os, "fsync", self.step(os.fsync, half_written))

    def step(self, do: Callable[..., Any], dying: Callable[..., Any] | None = None) -> Callable[..., Any]:
        def doing(*arguments: Any, **named: Any) -> Any:
            self.count += 1
            if self.count == self.fatal and dying:
                dying(*arguments)
            if 0 < self.fatal <= self.count:
                raise Killed
            return do(*arguments, **named)

        return doing


def half_written(file: int) -> None:
    os.ftruncate(file, os.fstat(file).st_size // 2)


def build_killed_at(step: int, sources: list[Source], folder: Folder) -> int:
    """Run the job until its step of that number; the steps it did."""
    with pytest.MonkeyPatch.context() as patch:
        corpora.without_ray(patch)
        steps = Steps(patch, step)
        with contextlib.suppress(Killed):
            run_sources(sources, Plan(recipe=corpora.RECIPE), folder)
        return steps.count


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    files = [corpora.write_fasta(tmp_path / f"{name}.fa", {"c": corpora.dna(9_000, ord(name))}) for name in "ab"]
    return [source_of(str(file), ()) for file in files]


def test_killed_before_any_step_the_same_command_ends_with_the_same_corpus(
    sources: list[Source], tmp_path: Path
) -> None:
    corpora.build(tmp_path / "straight", sources)
    steps = build_killed_at(0, sources, Folder(tmp_path / "never killed"))
    assert steps > 50
    left = set()
    for step in range(1, steps + 1):
        folder = tmp_path / f"killed at {step}"
        folder.mkdir()
        (folder / "block-00007-00000-00000.arrow").write_bytes(b"left by a build of more sources")
        build_killed_at(step, sources, Folder(folder))
        whole = (folder / MANIFEST).exists()
        left.add((whole, (folder / PARTS).exists(), any(folder.glob(".*"))))
        if whole:
            Corpus(folder, verify=True)
        build_killed_at(0, sources, Folder(folder))
        assert corpora.contents(folder) == corpora.contents(tmp_path / "straight"), f"killed at step {step}"
    assert left >= {(False, True, True), (False, True, False), (True, True, False)}


@pytest.mark.parametrize("count", [3, pytest.param(40, marks=pytest.mark.full)])
def test_killed_while_it_writes_to_an_object_store(
    count: int, sources: list[Source], object_store: str, tmp_path: Path
) -> None:
    straight = corpora.build(tmp_path / "straight", sources)
    root = Folder(object_store)
    steps = build_killed_at(0, sources, root / "never-killed")
    for step in (1 + np.random.default_rng(0).permutation(steps)[:count]).tolist():
        folder = root / f"killed-at-{step}"
        build_killed_at(step, sources, folder)
        build_killed_at(0, sources, folder)
        assert folder.names() == sorted([*corpora.contents(tmp_path / "straight"), PROVENANCE])
        assert (folder / PARTS).names() == []
        assert Corpus(folder, verify=True, cache=tmp_path / f"cache{step}").manifest == straight.manifest
