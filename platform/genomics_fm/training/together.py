"""What one worker finds out and all must know, and work that goes on beside the training."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import torch.distributed as dist

from genomics_fm.errors import GenomicsFmError, from_exit_code
from genomics_fm.training.workers import Workers

T = TypeVar("T")


def told_by_first(workers: Workers, look: Callable[[], T]) -> T:
    """What rank 0 finds when it looks; all workers call it together, and what rank 0 raises all raise."""
    told: list[Any] = [None, None]
    if workers.rank == 0:
        try:
            told[0] = look()
        except GenomicsFmError as error:
            told[1] = (error.exit_code, str(error))
    if workers.world > 1:
        dist.broadcast_object_list(told, src=0)
    if told[1] is not None:
        raise from_exit_code(*told[1])
    return told[0]


def first_error(workers: Workers, error: Exception | None) -> GenomicsFmError | None:
    """The error of the lowest rank that has one, the same for all; all workers call it together."""
    told = None
    if error is not None:
        told = (getattr(error, "exit_code", GenomicsFmError.exit_code), str(error) or repr(error))
    every: list[tuple[int, str] | None] = [told]
    if workers.world > 1:
        every = [None] * workers.world
        dist.all_gather_object(every, told)
    return next((from_exit_code(*found) for found in every if found), None)


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
