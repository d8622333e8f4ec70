"""Checkpoints: every worker writes its slices as safetensors, the manifest of hashes comes last (ARCHITECTURE 7).

A folder without a manifest is no checkpoint, and one whose files disagree with it is skipped by name. Slices
carry their place in the whole tensor, so any number of workers can load what any other number wrote. Files are
written by threads, from a copy: training goes on meanwhile.
"""

import re
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from genomics_fm.errors import CorruptArtefact, EnvironmentFault, GenomicsFmError, InputError
from genomics_fm.storage import Folder
from genomics_fm.training.shards import MANIFEST, Found, commit, hashes_of_shard, read_manifest, write_shard
from genomics_fm.training.slices import Rows, Snapshot, copy_overlap, held, named_tensors, share
from genomics_fm.training.together import Beside, first_error, told_by_first
from genomics_fm.training.workers import Workers

VISIBLE_SECONDS = 60.0
"""How long what one worker has written may take until another sees it."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 1.0
"""Seconds between looks for the other workers' files."""
_STEP = re.compile(r"step-(\d{8,})")


def _name(step: int) -> str:
    return f"step-{step:08d}"


@dataclass(frozen=True)
class KeepPolicy:
    """Which whole checkpoints stay.

    Attributes:
        last: the newest so many.
        every_steps: those of steps that are multiples of this, for good; 0: none.
    """

    last: int = 2
    every_steps: int = 0

    def for_good(self, step: int) -> bool:
        return self.every_steps > 0 and step % self.every_steps == 0


class Checkpoints:
    """The checkpoints of a run, as the workers that train it see them.

    All workers make one together, and together call every method but `prune`.
    """

    def __init__(self, folder: Folder, workers: Workers, keep: KeepPolicy) -> None:
        """Open the folder of a run's checkpoints, which need not exist."""
        self.folder, self.workers, self.keep = folder, workers, keep
        self._attempt = told_by_first(workers, lambda: uuid.uuid4().hex)
        self._snapshot = Snapshot()
        self._part: Beside | None = None
        self._manifest: Beside | None = None
        self._given_up = threading.Event()
        self._step: int | None = None
        self._unsound: set[int] = set()
        self.unixtime = time.time()
        """When this process wrote the newest whole checkpoint, rank 0 that is; before that: when it began."""

    def _place(self, step: int) -> Folder:
        return self.folder / _name(step)

    def steps(self) -> list[int]:
        """Steps of which the folder holds anything, whole checkpoints or not, in order."""
        return sorted(int(found[1]) for name in self.folder.folders() if (found := _STEP.fullmatch(name)))

    def save(
        self,
        step: int,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        streams: dict[str, Any],
        about: dict[str, Any],
    ) -> None:
        """Copy all there is to write, and write it while the caller goes on; first waits for the checkpoint before.

        Does nothing if `step` is what was saved or loaded last.

        Args:
            step: steps made so far.
            model: its parameters are written.
            optimizer: AdamW; its moments are written.
            streams: states of the streams this worker answers for.
            about: what the checkpoint belongs to; the same on all workers.

        Raises:
            GenomicsFmError: what a worker raised while it wrote the checkpoint before, the same on all workers.
        """
        self.wait()
        if step == self._step:
            return
        rank, world = self.workers.rank, self.workers.world
        slices, tensors = {}, {}
        for name, tensor in named_tensors(model, optimizer).items():
            rows = share(tensor, self.workers)
            if rows.values.numel():
                tensors[name] = rows.values
                slices[name] = {"shape": list(tensor.shape), "first_row": rows.first_row, "rows": len(rows.values)}
        updates = max(int(state["step"]) for state in optimizer.state.values())
        data, index = self._snapshot.take(tensors), {"slices": slices, "streams": streams}
        place, self._step, self._given_up = self._place(step), step, threading.Event()
        self._part = Beside(partial(write_shard, place, rank, world, data, index, self._attempt), "checkpoint part")
        if rank == 0:
            finish = partial(self._finish, place, step, updates, about, self._given_up)
            self._manifest = Beside(finish, "checkpoint manifest")

    def _finish(self, place: Folder, step: int, updates: int, about: dict[str, Any], given_up: threading.Event) -> None:
        """Write the manifest once every worker's files are there, then make room."""
        files: dict[str, str] = {}
        missing, pause = list(range(self.workers.world)), _FIRST_PAUSE
        while True:
            for rank in list(missing):
                if hashes := hashes_of_shard(place, rank, self.workers.world, self._attempt):
                    files |= hashes
                    missing.remove(rank)
            if not missing:
                break
            if given_up.wait(pause):
                raise EnvironmentFault(
                    f"{place}: the files of worker {missing[0]} are not to be seen; give all nodes a storage they share"
                )
            pause = min(2 * pause, _LONGEST_PAUSE)
        commit(place, step, updates, about, self.workers.world, files)
        self._unsound.discard(step)
        self.unixtime = time.time()
        self.prune(step)

    def wait(self) -> None:
        """Return when the checkpoint that is being written is whole.

        Raises:
            GenomicsFmError: what a worker raised while it wrote; the same on all workers.
        """
        part, manifest, self._part, self._manifest = self._part, self._manifest, None, None
        if part is None:
            return
        part.join()
        error = first_error(self.workers, part.error)
        if manifest is not None:
            manifest.join(VISIBLE_SECONDS if error is None else 0)
            self._given_up.set()
            manifest.join()
        error = error or first_error(self.workers, manifest.error if manifest else None)
        if error is not None:
            self._step = None
            raise error from part.error

    def newest(self, say: Callable[[str], None]) -> Found | None:
        """The newest checkpoint that verifies; each newer one that does not is named to `say`.

        Every worker hashes a part of the files, and all get the same answer.

        Raises:
            EnvironmentFault: the storage does not answer.
        """
        for step in reversed(told_by_first(self.workers, self.steps)):
            place = self._place(step)
            error: GenomicsFmError | None
            try:
                found = Found(place, told_by_first(self.workers, partial(read_manifest, place)))
                error = first_error(self.workers, found.unsound(self.workers.rank, self.workers.world))
            except (CorruptArtefact, InputError) as of_manifest:
                error = of_manifest
            if isinstance(error, EnvironmentFault):
                raise error
            if error is None:
                return found
            self._unsound.add(step)
            say(f"skipping checkpoint {_name(step)}: {error}")
        return None

    def load(self, found: Found, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Put parameters and moments back, whatever number of workers wrote them; returns all streams' states.

        A file is hashed again as it is read, and one that holds none of this worker's rows is not read.

        Raises:
            CorruptArtefact: a file changed since `newest` looked, or the tensors are not the model's.
        """
        targets = {name: held(tensor) for name, tensor in named_tensors(model, optimizer).items()}
        missing = {name: len(rows.values) for name, rows in targets.items()}
        streams: dict[str, Any] = {}
        with torch.no_grad():
            for rank in range(found.world):
                index = found.index(rank)
                streams |= index["streams"]
                if any(_may_hold(targets.get(name), described) for name, described in index["slices"].items()):
                    _copy(found.tensors(rank), index["slices"], targets, missing, found.place)
        if lacking := [name for name, rows in missing.items() if rows > 0]:
            raise CorruptArtefact(f"{found.place}: rows missing of {lacking[0]}; remove this checkpoint")
        _set_updates(optimizer, found.updates)
        self._step = found.step
        return streams

    def prune(self, newest: int) -> None:
        """Remove what the policy does not keep, and what interrupted saves left before it.

        Args:
            newest: step of the newest whole checkpoint; what is newer is another's and stays.
        """
        older = [step for step in self.steps() if step <= newest]
        whole = [step for step in older if step not in self._unsound and self._place(step).exists(MANIFEST)]
        oldest = min(whole[-self.keep.last :], default=0)
        for step in older:
            if step < oldest and not (step in whole and self.keep.for_good(step)):
                _remove(self._place(step))


def _remove(place: Folder) -> None:
    """Remove a checkpoint, its manifest first, so that what is left of it is none."""
    names = place.names()
    for name in sorted(names, key=lambda name: name != MANIFEST):
        place.delete(name)
    place.remove()


def _may_hold(target: Rows | None, described: dict[str, Any]) -> bool:
    """Whether a slice has rows of a target; a name the model lacks, and no number of rows (0.1.0), count as such."""
    if target is None or "rows" not in described:
        return True
    first, end = described["first_row"], described["first_row"] + described["rows"]
    return max(first, target.first_row) < min(end, target.end)


def _copy(
    tensors: dict[str, Tensor],
    slices: dict[str, Any],
    targets: dict[str, Rows],
    missing: dict[str, int],
    place: Folder,
) -> None:
    """Copy a worker's slices into the targets and count down the rows that are missing of each."""
    for name, values in tensors.items():
        target = targets.get(name)
        if target is None or values.shape[1:] != target.values.shape[1:]:
            raise CorruptArtefact(f"{place}: {name} is not the model's; use the config it was written with")
        missing[name] -= copy_overlap(target, Rows(values, slices[name]["first_row"]))


def _set_updates(optimizer: torch.optim.Optimizer, updates: int) -> None:
    """Tell AdamW how many updates it has made; fused, it counts where the parameters are."""
    count = torch.tensor(float(updates))
    for parameter, state in optimizer.state.items():
        state["step"] = count.to(parameter.device if optimizer.defaults["fused"] else count.device, copy=True)
