"""SIGTERM, and kill -9 of driver, raylet and workers of a pretraining: the losses and weights of one left alone."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from genomics_fm.storage import Folder
from genomics_fm.training.metrics import read_events
from tests.pretrainings import Outcome, Pretraining

WORKER_SECONDS, COMMAND_SECONDS, STOP_SECONDS = 30.0, 60.0, 15.0
"""Until it trains again after a worker's death, and from the same command on; until SIGTERM has ended it."""
RAYLET_SECONDS = 60.0
"""Ray itself ends the driver when its raylet has not answered for some time."""
FAST_HEALTH_CHECKS = {"RAY_health_check_period_ms": "1000", "RAY_health_check_failure_threshold": "5"}


def kill_worker(run: Pretraining, draw: random.Random) -> None:
    killed = time.time()
    draw.choice(run.workers()).kill()
    assert run.trains_again(killed) <= WORKER_SECONDS


def start_again(run: Pretraining) -> None:
    run.start(**FAST_HEALTH_CHECKS)
    assert run.trains_again(run.started_at) <= COMMAND_SECONDS


def kill_driver(run: Pretraining, _draw: random.Random) -> None:
    assert run.end(signal.SIGKILL) == -signal.SIGKILL
    start_again(run)


def kill_raylet(run: Pretraining, _draw: random.Random) -> None:
    run.raylet().kill()
    assert run.end(None, RAYLET_SECONDS) != 0
    start_again(run)


def stop(run: Pretraining, _draw: random.Random) -> None:
    asked = time.monotonic()
    assert run.end(signal.SIGTERM) == 143, run.log.read_text()
    assert time.monotonic() - asked < STOP_SECONDS
    stopped = read_events(Folder(run.folder))[-1]
    start_again(run)
    assert (stopped["event"], stopped["step"]) == ("stopped", run.starts()[-1])  # not one step is lost


FAULTS: dict[str, Callable[[Pretraining, random.Random], None]] = {
    "worker": kill_worker, "driver": kill_driver, "raylet": kill_raylet, "stop": stop,
}  # fmt: skip
ONE_RUN = ("stop", "driver", "raylet", "worker", "worker", "worker")


def disturb(run: Pretraining, faults: tuple[str, ...], seed: int) -> None:
    """Let one thing after the other happen to a run, each some steps after it trains again, then let it end."""
    draw = random.Random(seed)
    with run:
        run.start(**FAST_HEALTH_CHECKS)
        step = 0
        for fault in faults:
            run.wait_for_step(step + draw.randint(1, 20))
            FAULTS[fault](run, draw)
            step = run.starts()[-1]
            print(fault, "- on from step", step)
        assert run.end(None) == 0, run.log.read_text()
        happened = Counter(faults)
        assert len(run.starts()) == len(faults) + 1
        events = Counter(event["event"] for event in read_events(Folder(run.folder)))
        assert events == Counter(start=len(faults) + 1, stopped=happened["stop"])


def test_all_of_it_happens_to_one_run(pretraining: Pretraining, undisturbed: Pretraining) -> None:
    disturb(pretraining, ONE_RUN, 1)
    assert pretraining.outcome() == undisturbed.outcome()
    assert "Traceback" not in pretraining.log.read_text()


@pytest.fixture(scope="session")
def long_undisturbed(pretraining_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    with long_run(pretraining_corpus, tmp_path_factory.mktemp("long")) as run:
        run.start()
        assert run.end(None) == 0, run.log.read_text()
        return run.outcome()


def long_run(corpus: Path, place: Path) -> Pretraining:
    """Workers outlive their driver by a second or two, and their raylet by some more, and go on meanwhile."""
    return Pretraining(corpus, place / "runs", 3_000, "--max-failures=20")


@pytest.mark.full
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("faults", [("worker",) * 20, ("driver", "raylet") * 5, ("stop",) * 10], ids=lambda all: all[0])
def test_often(faults: tuple[str, ...], pretraining_corpus: Path, long_undisturbed: Outcome, tmp_path: Path) -> None:
    run = long_run(pretraining_corpus, tmp_path)
    disturb(run, faults, 2)
    assert run.outcome() == long_undisturbed
