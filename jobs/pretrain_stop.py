"""How a pretraining is asked to stop, and how it tells why it did; imports Ray only inside workers.

A file of the run's storage carries the request: every worker reaches it, and so does whoever wants the run to end. It
is there as long as the run is, and holds what this start of the run is called, so that nothing that was asked of an
earlier one counts. What Ray knows of machines that are about to be taken away needs no file.
"""

import contextlib
import os
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from genomics_fm.errors import GenomicsFmError, InputError
from genomics_fm.storage import Folder
from genomics_fm.training.metrics import PREEMPTED, STOPPED, MetricsLog
from jobs import launch
from jobs.progress import say

MARK = "stop.json"
"""Of a run's folder."""
FORMAT_VERSION = 1
LOOK_SECONDS = 1.0
"""Between looks at the mark and at Ray's notices: a notice comes half a minute or more before the machine goes."""
WAIT_VARIABLE = "RAY_JOB_STOP_WAIT_TIME_S"
"""After so many seconds `ray job stop` kills; jobs inherit it from the node they run on."""
GRACE_SECONDS = 25.0
"""For a whole checkpoint after SIGTERM, where nothing says how long there is; Kubernetes kills after 30."""
LEAVE_SECONDS = 5.0
"""Of the time there is, what it takes to leave MLflow and Ray."""
AT_ONCE = {signal.SIGTERM: launch.terminate, signal.SIGINT: signal.default_int_handler}
"""What ends a driver without waiting for a checkpoint."""


def grace_seconds(given: float | None) -> float:
    """How long a driver that got SIGTERM waits for the checkpoint.

    Args:
        given: by the user; None: what `ray job stop` leaves of its time, else `GRACE_SECONDS`.

    Raises:
        InputError: Ray's variable is no number.
    """
    if given is not None:
        return given
    text = os.environ.get(WAIT_VARIABLE)
    if not text:
        return GRACE_SECONDS
    try:
        return max(0.0, float(text) - LEAVE_SECONDS)
    except ValueError as error:
        raise InputError(f"{WAIT_VARIABLE} {text}: not a number of seconds; correct or unset it") from error


def ask(folder: Folder) -> None:
    """Ask the run in a folder to stop, from any machine that reaches its storage.

    Raises:
        InputError: no run goes on there.
        EnvironmentFault: the storage refuses or does not answer.
    """
    mark = folder.read_json(MARK, FORMAT_VERSION, "no run goes on there; see --stop NAME and GENOMICS_FM_STORAGE")
    folder.write_json(MARK, mark | {"asked": True})


def _asked(folder: Folder, start: str) -> bool:
    """Whether this start of the run is to stop; a storage that does not answer is asked again later."""
    try:
        mark = folder.read_json(MARK, FORMAT_VERSION, "")
    except (GenomicsFmError, OSError):
        return False
    return bool(mark["start"] == start and mark["asked"])


class Stopping:
    """The driver's side of a start that can be asked to stop.

    Attributes:
        start: what this start of the run is called; the workers need it.
        told: number of the signal that has come; 0 so far.
    """

    def __init__(self, folder: Folder, grace: float, begun: Callable[[], bool]) -> None:
        """Put the mark that nobody has asked yet in place of what an earlier start left.

        Args:
            folder, grace, begun: as of `stoppable`.

        Raises:
            EnvironmentFault: the storage refuses or does not answer.
        """
        self.start, self.told = uuid.uuid4().hex, 0
        self._folder, self._grace, self._begun = folder, grace, begun
        self._woken, self._over = threading.Event(), threading.Event()
        self._mark(asked=False)

    def _mark(self, asked: bool) -> None:
        self._folder.write_json(MARK, {"format_version": FORMAT_VERSION, "start": self.start, "asked": asked})

    def tell(self, signum: int, _frame: Any) -> None:
        """The signals' handler: the first one asks, the next ends at once."""
        signal.signal(signum, AT_ONCE[signal.Signals(signum)])
        self.told = signum
        self._woken.set()

    def wait(self) -> None:
        """The thread: once told, ask the workers, and end this process when they cannot be or the time is over."""
        self._woken.wait()
        if self._over.is_set() or (reason := self._reason_to_end()) is None or self._over.is_set():
            return
        say(f"[pretrain] {reason}: ending; the same command goes on from the newest checkpoint")
        os.kill(os.getpid(), self.told)

    def _reason_to_end(self) -> str | None:
        """Ask the workers and wait; why this process must not wait for longer, None where they have ended."""
        name = signal.Signals(self.told).name
        if not self._begun():
            return f"{name} before any worker has begun"
        say(f"[pretrain] {name}: waiting up to {self._grace:.0f} s for a whole checkpoint; another one ends at once")
        try:
            self._mark(asked=True)
        except GenomicsFmError as error:
            return f"the workers cannot be told ({error})"
        return None if self._over.wait(self._grace) else "no checkpoint within that time"

    def close(self) -> None:
        """Take the mark away, unless a later start has put its own there; the thread ends."""
        self._over.set()
        self._woken.set()
        with contextlib.suppress(GenomicsFmError):  # what ended the block matters more; the next start overwrites it
            if self._folder.read_json(MARK, FORMAT_VERSION, "")["start"] == self.start:
                self._folder.delete(MARK)


@contextlib.contextmanager
def stoppable(folder: Folder, grace: float, begun: Callable[[], bool] = lambda: True) -> Iterator[Stopping]:
    """Let the run in a folder be asked to stop while the block runs: by SIGTERM or Ctrl-C, or by `ask`.

    Args:
        folder: of the run.
        grace: seconds after the signal until this process ends in any case.
        begun: whether workers of this start have; before, there is no checkpoint to wait for. A thread asks it.
    """
    stopping = Stopping(folder, grace, begun)
    here = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, stopping.tell) for number in AT_ONCE} if here else {}
    threading.Thread(target=stopping.wait, name="stop", daemon=True).start()
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) == stopping.tell:
                signal.signal(number, handler)
        stopping.close()


class Told:
    """What a worker has been told; looked at between steps, found out by threads.

    Rank 0 decides for all. The other ranks look for Ray's notices as well, because Ray hands these out to all together.

    Attributes:
        why: what rank 0 was told; None so far.
        step: of the run, as the caller keeps it.
    """

    def __init__(self, folder: str, start: str, rank: int) -> None:
        """Begin to look.

        Args:
            folder: of the run.
            start: what its driver calls this start.
            rank: of this worker.
        """
        self.why: str | None = None
        self.step = 0
        self._folder, self._rank, self._over = Folder(folder), rank, threading.Event()
        if rank == 0:
            self._look(lambda: _asked(self._folder, start), STOPPED)
        self._look(_preempted, PREEMPTED)

    def _look(self, look: Callable[[], bool], why: str) -> None:
        def often() -> None:
            while not self._over.wait(LOOK_SECONDS):
                if look():
                    self.why = self.why or why
                    return

        threading.Thread(target=often, name=f"{why}?", daemon=True).start()

    def asked(self) -> bool:
        """Whether to stop after this step."""
        return self._rank == 0 and self.why is not None

    def ended(self) -> str | None:
        """Log and return why training has ended before its time; None where this worker was not told."""
        if self._rank != 0 or self.why is None:
            return None
        log = MetricsLog(self._folder)
        log.event(self.why, step=self.step)
        log.close()
        return self.why

    def close(self) -> None:
        """Look no longer."""
        self._over.set()


def _preempted() -> bool:
    """Whether Ray has been told that a machine of this run will be taken away; all ranks call it together."""
    import ray.train

    return ray.train.get_preemption_info() is not None
