"""A group of workers that are threads of one process: collectives without processes, in milliseconds."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from genomics_fm.training.workers import Workers

CPU = torch.device("cpu")


@dataclass
class Table:
    """Where threads put what the others are to see."""

    world: int
    given: dict[int, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.barrier = threading.Barrier(self.world, timeout=60)

    def gather(self, rank: int, value: Any) -> list[Any]:
        self.given[rank] = value
        self.barrier.wait()
        every = [self.given[rank] for rank in range(self.world)]
        self.barrier.wait()
        return every


@dataclass(frozen=True)
class Threads(Workers):
    """A worker that is a thread of this process."""

    table: Table

    def sum(self, values: Tensor) -> Tensor:
        return values.copy_(torch.stack(self.gather(values.clone())).sum(0))

    def gather(self, value: Any) -> list[Any]:
        return self.table.gather(self.rank, value)


def together(world: int, work: Any) -> list[Any]:
    """What each of so many workers returns."""
    table = Table(world)

    def one(rank: int) -> Any:
        try:
            return work(Threads(rank, world, CPU, table))
        except BaseException:
            table.barrier.abort()
            raise

    with ThreadPoolExecutor(world) as pool:
        running = [pool.submit(one, rank) for rank in range(world)]
        for error in filter(None, (each.exception() for each in running)):
            if not isinstance(error, threading.BrokenBarrierError):
                raise error
        return [each.result() for each in running]
