"""Watching a run: what its log says becomes lines for people."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from genomics_fm.errors import InputError
from genomics_fm.storage import Folder
from genomics_fm.training.metrics import PREEMPTED, STOPPED, MetricsLog
from jobs import watch
from jobs.watch import View, duration


def line(step: int, **more: Any) -> dict[str, Any]:
    made = {"step": step, "loss": {"bpe": 2.5, "kmer": 1.25}, "tokens": 1_000, "seconds": 0.5, "stall": 0.0}
    return {**made, "gradient_norm": 1.0, "unixtime": 1_000.0 + step, **more}


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (119, "119 s"), (121, "2 min"), (7_199, "2 h 0 min"), (12_000, "3 h 20 min")]
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_view_has_state_events_and_stall(tmp_path: Path) -> None:
    view, log = View(Folder(tmp_path)), MetricsLog(Folder(tmp_path), 0.0)
    assert (view.news(), view.state(0), view.begun) == ([], None, False)
    log.start(0, 100, ["a", "a"], [])
    assert (view.news(), view.state(0), view.begun) == (["started at step 0, 2 workers on a"], None, True)
    log.add(line(1))
    log.add(line(2, spikes=["gradient 9, usual 1"]))
    log.add(line(3, loss={}, gradient_norm=None, left_out="step 3: loss: not finite, left out"))
    log.add(line(4))
    log.flush()
    assert view.news() == ["step 2: a spike: gradient 9, usual 1", "step 3: loss: not finite, left out"]
    assert view.state(1_030) == "step 4/100  loss bpe 2.500 kmer 1.250  2.0 k tokens/s  48 s left"
    assert "STALLED: nothing for 96 s, a step takes 0.5 s" in (view.state(1_100) or "")
    assert (view.news(), view.state(1_030)) == ([], "step 4/100  loss bpe 2.500 kmer 1.250  2.0 k tokens/s  48 s left")
    log.add(line(100))
    log.close()
    view.news()
    assert "STALLED" not in (view.state(9_000) or "")


@pytest.mark.parametrize(
    ("event", "said"),
    [(STOPPED, "stopped: the same command goes on"), (PREEMPTED, "preempted: no workers for 2 h 47 min")],
)
def test_a_run_that_was_ended_is_not_stalled(event: str, said: str, tmp_path: Path) -> None:
    view, log = View(Folder(tmp_path)), MetricsLog(Folder(tmp_path), 0.0)
    log.start(0, 100, ["a"], [])
    log.add(line(4))
    log.event(event, step=4)
    log.flush()
    assert view.news()[1:] == [f"{event}: step 4"]
    state = view.state(time.time() + 10_000) or ""
    assert state.endswith(said) and "STALLED" not in state
    log.start(4, 100, ["a"], [])
    log.add(line(5))
    log.close()
    view.news()
    assert "STALLED" in (view.state(9_000) or "") and view.starts == 2


def test_watching_follows_a_run_to_its_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="no run has begun there"):
        watch.watch(Folder(tmp_path), 0.01)
    log = MetricsLog(Folder(tmp_path), 0.0)
    log.start(0, 2, ["a"], [])
    watching = threading.Thread(target=watch.watch, args=(Folder(tmp_path), 0.01), daemon=True)
    watching.start()
    for step in (1, 2):
        log.add(line(step, unixtime=time.time()))
        log.flush()
        time.sleep(0.05)
    log.close()
    (tmp_path / "config.json").write_text("{}")
    watching.join(10)
    assert not watching.is_alive()
    said = capsys.readouterr().err
    assert said.index("started at step 0") < said.index("step 2/2") < said.index("finished: the encoder is in")
    assert said.count("started") == 1
