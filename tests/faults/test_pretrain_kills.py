"""kill -9 of workers and drivers of a pretraining: the same losses and weights as one left alone."""

import random
import signal
import time

import pytest

from tests.pretrainings import CHECKPOINT_STEPS, STEPS, Outcome, Pretraining

AGAIN_SECONDS, BACK_SECONDS = 30.0, 60.0
"""After a worker's death the run itself trains again; after a driver's the same command does."""


def moments(seed: int, count: int) -> list[int]:
    """Steps to kill at, one in each of `count` equal parts of a run, between its first checkpoint and its end."""
    draw, part = random.Random(seed), (STEPS - 2 * CHECKPOINT_STEPS) / count
    return [round(CHECKPOINT_STEPS + part * (number + draw.random())) for number in range(count)]


def kill_workers(run: Pretraining, kills: int) -> list[float]:
    """Kill a worker `kills` times in one start; seconds until it trained again, each time."""
    draw, seconds = random.Random(kills), []
    run.start()
    for step in moments(1, kills):
        run.wait_for_step(step)
        killed = time.time()
        draw.choice(run.workers()).kill()
        seconds.append(run.trains_again(killed))
    assert run.end(None) == 0, run.log.read_text()
    return seconds


def check_worker_kills(run: Pretraining, kills: int, undisturbed: Outcome) -> None:
    with run:
        seconds = kill_workers(run, kills)
        print("trained again after", [round(each, 1) for each in seconds])
        assert len(run.starts()) == kills + 1
        assert max(seconds) <= AGAIN_SECONDS, seconds
        assert run.outcome() == undisturbed


def test_three_workers_killed(pretraining: Pretraining, undisturbed: Outcome) -> None:
    check_worker_kills(pretraining, 3, undisturbed)


def test_a_driver_killed(pretraining: Pretraining, undisturbed: Outcome) -> None:
    with pretraining as run:
        run.start()
        # Early, because workers outlive their driver by a second or two and go on meanwhile.
        run.wait_for_step(CHECKPOINT_STEPS + random.Random(2).randrange(CHECKPOINT_STEPS))
        assert run.end(signal.SIGKILL) == -signal.SIGKILL
        run.start()
        assert run.trains_again(run.started_at) <= BACK_SECONDS
        assert run.end(None) == 0, run.log.read_text()
        first, again = run.starts()
        assert first == 0 and again >= CHECKPOINT_STEPS and again % CHECKPOINT_STEPS == 0
        assert run.outcome() == undisturbed


@pytest.mark.full
@pytest.mark.parametrize("kills", [9, 11])
def test_twenty_workers_killed(kills: int, pretraining: Pretraining, undisturbed: Outcome) -> None:
    check_worker_kills(pretraining, kills, undisturbed)
