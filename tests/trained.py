"""A tiny model whose updates need no data, and processes that save it until they are killed."""

import os
import signal
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from genomics_fm.errors import EnvironmentFault
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import new_language_model
from genomics_fm.storage import Folder
from genomics_fm.training.checkpoint import Checkpoints, KeepPolicy
from genomics_fm.training.optimizer import OptimizerConfig, adamw
from genomics_fm.training.parallel import shard
from genomics_fm.training.shards import Found
from genomics_fm.training.workers import Workers

ALONE = Workers(0, 1, torch.device("cpu"))
TINY = EncoderConfig(vocabulary_size=40, layers=1, width=16, heads=2, ffn_width=24)
ABOUT = {"corpus_sha256": "c"}
STREAM_STATES = {"0": {"rows_made": 3}, "1": {"rows_made": 2}}


def checkpoints_of(folder: Path | Folder, keep: int = 9, every_steps: int = 0, workers: Workers = ALONE) -> Checkpoints:
    return Checkpoints(Folder(folder), workers, KeepPolicy(keep, every_steps))


def newest(folder: Path | Folder, said: list[str]) -> Found | None:
    return checkpoints_of(folder).newest(said.append)


class Trained:
    """A tiny model, and updates that need no data."""

    def __init__(self, seed: int = 0, workers: Workers = ALONE) -> None:
        self.model = shard(new_language_model(TINY, seed), workers)
        self.optimizer = adamw(self.model, OptimizerConfig(learning_rate=1e-2))

    def step(self, number: int) -> float:
        ids_N = (torch.arange(20) * (number + 3)) % 40
        loss = self.model(ids_N, [12, 8]).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def save(self, folder: Path | Folder, step: int, keep: int = 9) -> Path:
        checkpoints = checkpoints_of(folder, keep)
        checkpoints.save(step, self.model, self.optimizer, STREAM_STATES, ABOUT)
        checkpoints.wait()
        return Path(str(folder)) / f"step-{step:08d}"

    def load(self, found: Found) -> dict[str, Any]:
        return checkpoints_of(found.place).load(found, self.model, self.optimizer)

    def everything(self) -> list[Tensor]:
        states = [self.optimizer.state[p] for p in self.model.parameters()]
        return [p.detach() for p in self.model.parameters()] + [s[k] for s in states for k in sorted(s)]


class Expected:
    """What an uninterrupted training holds after each step."""

    def __init__(self) -> None:
        self._trained = Trained()
        self._after: list[list[Tensor]] = []

    def after(self, step: int) -> list[Tensor]:
        """Parameters, moments and count after a step, the first of which is 1."""
        while len(self._after) < step:
            self._trained.step(len(self._after))
            self._after.append([tensor.clone() for tensor in self._trained.everything()])
        return self._after[step - 1]

    def check(self, found: Found) -> None:
        """A checkpoint holds what belongs to its step, to the bit, and nothing of another."""
        again = Trained(seed=1)
        assert again.load(found) == STREAM_STATES
        expected = self.after(found.step)
        assert all(torch.equal(a, b) for a, b in zip(again.everything(), expected, strict=True)), found.place


def _die_at(event: int) -> None:
    """Kill this process at the n-th time a file is about to be written, flushed, has been written, or is deleted."""
    left = event

    def happens() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    write, delete, fsync = Folder.write, Folder.delete, os.fsync

    def killed_write(self: Folder, name: str, data: bytes | memoryview) -> None:
        happens()
        write(self, name, data)
        happens()

    def killed_delete(self: Folder, name: str) -> None:
        happens()
        delete(self, name)

    def killed_fsync(file: int) -> None:
        happens()
        fsync(file)

    Folder.write, Folder.delete, os.fsync = killed_write, killed_delete, killed_fsync  # type: ignore[method-assign, assignment]


def train_until_killed(rank: int, world: int, folder: str, meet: str, steps: int, dies: tuple[int, int]) -> None:
    """Resume, train and save after every step, as one process of `world`.

    Args:
        rank: of this process.
        world: processes.
        folder: of the checkpoints.
        meet: a file that is not there yet, by which they find each other.
        steps: to make at most.
        dies: rank of the one that is killed (-1: none), and at which event.
    """
    torch.set_num_threads(1)
    if world > 1:
        dist.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=world)
    workers = Workers(rank, world, torch.device("cpu"))
    trained, checkpoints = Trained(seed=2, workers=workers), checkpoints_of(Folder(folder), 2, workers=workers)
    found = checkpoints.newest(print)
    if found is None:
        trained = Trained(seed=0, workers=workers)
    else:
        checkpoints.load(found, trained.model, trained.optimizer)
    first = found.step if found else 0
    if rank == dies[0]:
        _die_at(dies[1])
    for step in range(first, first + steps):
        trained.step(step)
        states = {name: state for name, state in STREAM_STATES.items() if int(name) % world == rank}
        checkpoints.save(step + 1, trained.model, trained.optimizer, states, ABOUT)
    checkpoints.wait()


def save_where_one_is_refused(rank: int, world: int, folder: str, meet: str, refused: int) -> None:
    """Save as one process of `world`; the store refuses one of them. What each is told is left beside the folder."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=world)
    workers = Workers(rank, world, torch.device("cpu"))
    trained, checkpoints = Trained(workers=workers), checkpoints_of(Folder(folder), workers=workers)
    write = Folder.write

    def refuse(self: Folder, name: str, data: bytes | memoryview) -> None:
        raise EnvironmentFault(f"{self.shown(name)}: the store refused worker {rank}")

    if rank == refused:
        Folder.write = refuse  # type: ignore[method-assign]
    checkpoints.save(1, trained.model, trained.optimizer, STREAM_STATES, ABOUT)
    try:
        checkpoints.wait()
    except EnvironmentFault as fault:
        Path(f"{folder}-told-{rank}").write_text(str(fault))
    Folder.write = write  # type: ignore[method-assign]
    checkpoints.save(1, trained.model, trained.optimizer, STREAM_STATES, ABOUT)
    checkpoints.wait()
