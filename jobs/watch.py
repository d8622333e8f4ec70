"""What a pretraining run says of itself, to whoever reaches its storage: state, events, a stall."""

import time
from collections import deque
from typing import Any

from genomics_fm.errors import InputError
from genomics_fm.model.weights import CONFIG
from genomics_fm.storage import Folder
from genomics_fm.training.happened import described
from genomics_fm.training.metrics import PREEMPTED, START, STOPPED, LogReader
from jobs.progress import rate, say

RECENT_STEPS = 20
LOOK_SECONDS = 5.0
STALL_STEPS, STALL_SECONDS = 20, 60.0
"""A run stalls when nothing came for as many of its steps, and for as long."""


class View:
    """A run as its log tells it so far.

    Attributes:
        begun: whether the log holds anything.
        starts: of the run so far.
    """

    def __init__(self, folder: Folder) -> None:
        self._reader = LogReader(folder)
        self._recent: deque[dict[str, Any]] = deque(maxlen=RECENT_STEPS)
        self._steps = 0
        self._written = 0.0
        self._ended = ""
        self.begun = False
        self.starts = 0

    def news(self) -> list[str]:
        """Read what is new; what happened since the last look, a line each."""
        happened = []
        for line in self._reader.new():
            self._written, self.begun = line["unixtime"], True
            if "event" in line:
                happened.append(described(line))
                if line["event"] == START:
                    self._steps, self._ended = line["steps"], ""
                    self.starts += 1
                    self._recent.clear()
                elif line["event"] in (STOPPED, PREEMPTED):
                    self._ended = line["event"]
                continue
            spikes = [f"step {line['step']}: a spike: {'; '.join(line['spikes'])}"] if "spikes" in line else []
            happened += [line["left_out"]] if "left_out" in line else spikes
            self._recent.append(line)
        return happened

    def state(self, now: float) -> str | None:
        """One line: step, losses, rate, time left, and whether and why it stands still; None before the first step.

        Args:
            now: seconds since 1970.
        """
        if not self._recent:
            return None
        last, seconds = self._recent[-1], sum(line["seconds"] for line in self._recent)
        a_step = seconds / len(self._recent)
        losses = " ".join(f"{name} {loss:.3f}" for name, loss in last["loss"].items())
        speed = rate(sum(line["tokens"] for line in self._recent), seconds, "tokens")
        left = duration((self._steps - last["step"]) * a_step)
        text = f"step {last['step']}/{self._steps}  loss {losses or '-'}  {speed}  {left} left"
        quiet = now - self._written
        if self._ended == STOPPED:
            return f"{text}  stopped: the same command goes on"
        if self._ended == PREEMPTED:
            return f"{text}  preempted: no workers for {duration(quiet)}"
        if last["step"] < self._steps and quiet > max(STALL_SECONDS, STALL_STEPS * a_step):
            text += f"  STALLED: nothing for {duration(quiet)}, a step takes {a_step:.2g} s"
        return text


def duration(seconds: float) -> str:
    """`42 s`, `5 min`, `3 h 20 min`."""
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def watch(folder: Folder, look_seconds: float = LOOK_SECONDS) -> None:
    """Show a run until it has ended, or Ctrl-C; it may run anywhere, and watching does not disturb it.

    Raises:
        InputError: there is no such run.
    """
    view = View(folder)
    shown: str | None = None
    while True:
        finished = folder.exists(CONFIG)  # asked first, so that the last steps are shown
        for event in view.news():
            say(f"[{clock()}] {event}")
        text = view.state(time.time())
        if not view.begun:
            raise InputError(f"{folder}: no run has begun there; see --watch NAME and GENOMICS_FM_STORAGE")
        if text is not None and text != shown:
            say(f"[{clock()}] {text}")
        if finished:
            say(f"[{clock()}] finished: the encoder is in {folder}")
            return
        shown = text
        time.sleep(look_seconds)


def clock() -> str:
    """`14:02:33`, this machine's time."""
    return time.strftime("%H:%M:%S")
