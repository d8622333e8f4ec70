"""What one worker finds out and all must know, and work that goes on beside the training."""

import threading
from collections.abc import Callable
from typing import Any

from genomics_fm.errors import GenomicsFmError, from_exit_code
from genomics_fm.training.workers import Workers


def told_by_first(workers: Workers, look: Callable[[], Any]) -> Any:
    """What rank 0 finds (JSON can carry it); all workers call it together, and all raise what it raises."""
    found, error = None, None
    if workers.rank == 0:
        try:
            found = look()
        except GenomicsFmError as raised:
            error = raised
    if told := first_error(workers, error):
        raise told
    return workers.gather(found)[0]


def first_error(workers: Workers, error: Exception | None) -> GenomicsFmError | None:
    """The error of the lowest rank that has one, the same for all; all workers call it together."""
    told = None
    if error is not None:
        told = [getattr(error, "exit_code", GenomicsFmError.exit_code), str(error) or repr(error)]
    return next((from_exit_code(*found) for found in workers.gather(told) if found), None)


class Beside(threading.Thread):
    """Work in a thread that a process which must end does not wait for; what it raised is kept in `error`."""

    def __init__(self, work: Callable[[], None], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001  (whoever waits for the work raises it)
            self.error = error
