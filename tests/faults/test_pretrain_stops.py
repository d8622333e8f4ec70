"""SIGTERM in the middle of a pretraining: exit 143 with a checkpoint of the last step, nothing repeated."""

import random
import signal
import time

from genomics_fm.storage import Folder
from genomics_fm.training.metrics import read_events
from tests.pretrainings import Outcome, Pretraining

STOP_SECONDS = 15.0


def stop_often(run: Pretraining, stops: int) -> None:
    """Stop the run at seeded steps, then let it end."""
    draw, step = random.Random(stops), 0
    for _ in range(stops):
        run.start()
        run.wait_for_step(step + draw.randint(5, 20))
        asked = time.monotonic()
        assert run.end(signal.SIGTERM) == 143, run.log.read_text()
        assert time.monotonic() - asked < STOP_SECONDS
        step = read_events(Folder(run.folder))[-1]["step"]
    run.start()
    assert run.end(None) == 0, run.log.read_text()


def check_stops(run: Pretraining, stops: int, undisturbed: Outcome) -> None:
    with run:
        stop_often(run, stops)
        events = [(event["event"], event["step"]) for event in read_events(Folder(run.folder))]
        assert [kind for kind, _ in events] == ["start", *["stopped", "start"] * stops]
        assert [step for kind, step in events if kind == "stopped"] == run.starts()[1:]  # not one step is lost
        assert "Traceback" not in run.log.read_text()
        assert run.outcome() == undisturbed


def test_sigterm_twice(pretraining: Pretraining, undisturbed: Outcome) -> None:
    check_stops(pretraining, 2, undisturbed)
