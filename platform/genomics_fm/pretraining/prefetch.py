"""Global batches made by a thread while the model computes; the kernels that make rows leave Python's lock."""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, NamedTuple, TypeVar

from genomics_fm.pretraining.batches import Batches
from genomics_fm.pretraining.lane import Row

Made = TypeVar("Made")


class Ahead(NamedTuple, Generic[Made]):
    """What a step needs, and what it leaves behind.

    Attributes:
        made: of the worker's rows.
        states: of the streams after the step, where they were asked for.
        dropped_segments: left out for too many N so far, in the streams this worker reads.
        stall: seconds the consumer waited.
    """

    made: Made
    states: dict[str, Any] | None
    dropped_segments: int
    stall: float


class Prefetched(Generic[Made]):
    """The global batches of successive steps, at most `depth` of them made before they are taken.

    From now on the batches belong to the thread: nobody else may use them.
    """

    def __init__(
        self,
        batches: Batches,
        make: Callable[[list[Row]], Made],
        steps: range,
        keeps_states: Callable[[int], bool],
        depth: int,
    ) -> None:
        """Start on the first steps.

        Args:
            batches: at the state before `steps[0]`.
            make: what becomes of a step's rows; runs in the thread.
            steps: one after the other, each is taken once.
            keeps_states: whether the states before a step will be asked for.
            depth: at least 1.
        """
        self._batches, self._make, self._steps, self._keeps_states = batches, make, iter(steps), keeps_states
        self._executor = ThreadPoolExecutor(1, "rows")
        self._ahead: deque[Future[tuple[Made, dict[str, Any] | None, int]]] = deque()
        for _ in range(depth):
            self._start_next()

    def _start_next(self) -> None:
        for step in self._steps:
            self._ahead.append(self._executor.submit(self._work, step))
            return

    def _work(self, step: int) -> tuple[Made, dict[str, Any] | None, int]:
        made = self._make(self._batches.rows(step))
        states = self._batches.states(step + 1) if self._keeps_states(step + 1) else None
        return made, states, self._batches.dropped_segments

    def take(self) -> Ahead[Made]:
        """What the next step needs; whatever the thread raised while it made it is raised here."""
        started = time.perf_counter()
        done = self._ahead.popleft().result()
        stall = time.perf_counter() - started
        self._start_next()
        return Ahead(*done, stall)

    def close(self) -> None:
        """End the thread; what it has begun it ends first."""
        self._executor.shutdown(cancel_futures=True)
