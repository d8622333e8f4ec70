"""The files of one checkpoint: a safetensors file and a JSON index a worker, and the manifest of their hashes."""

import json
from dataclasses import dataclass
from typing import Any

import safetensors
from safetensors.torch import load
from torch import Tensor

from genomics_fm.artefacts import sha256_bytes
from genomics_fm.errors import CorruptArtefact, EnvironmentFault, GenomicsFmError
from genomics_fm.storage import Folder

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
_TENSORS, _INDEX = "safetensors", "json"
_CURE = "missing or changed since it was written; an older checkpoint is used"


def _name(rank: int, world: int, kind: str) -> str:
    return f"rank-{rank:05d}-of-{world:05d}.{kind}"


def write_shard(
    place: Folder, rank: int, world: int, tensors: bytes | memoryview, index: dict[str, Any], attempt: str
) -> None:
    """Write a worker's two files, the index with the hash of the other last.

    Args:
        place: the checkpoint.
        rank: of the worker.
        world: number of workers.
        tensors: content of the safetensors file.
        index: `slices` and `streams`.
        attempt: tells this try at the checkpoint from earlier ones that did not come to an end.
    """
    place.write(_name(rank, world, _TENSORS), tensors)
    index = {**index, "attempt": attempt, "tensors_sha256": sha256_bytes(tensors)}
    place.write_json(_name(rank, world, _INDEX), index)


def hashes_of_shard(place: Folder, rank: int, world: int, attempt: str) -> dict[str, str] | None:
    """Hashes of a worker's files by name; None while this attempt's are not to be seen."""
    try:
        data = place.read(_name(rank, world, _INDEX))
        index = json.loads(data)
    except (FileNotFoundError, ValueError):  # nothing yet, or what damage left of an earlier attempt
        return None
    if not isinstance(index, dict) or index.get("attempt") != attempt:
        return None
    return {_name(rank, world, _TENSORS): index["tensors_sha256"], _name(rank, world, _INDEX): sha256_bytes(data)}


@dataclass(frozen=True)
class Found:
    """A checkpoint with a sound manifest.

    Attributes:
        place: its folder.
        manifest: `step`, `updates`, `world`, `about` and the hashes of `files`.
    """

    place: Folder
    manifest: dict[str, Any]

    @property
    def step(self) -> int:
        return int(self.manifest["step"])

    @property
    def updates(self) -> int:
        """Updates the optimizer has made; fewer than steps where some were skipped."""
        return int(self.manifest.get("updates", self.step))  # version 0.1.0 skipped none and wrote none

    @property
    def about(self) -> dict[str, Any]:
        return dict(self.manifest["about"])

    @property
    def world(self) -> int:
        return int(self.manifest["world"])

    def unsound(self, worker: int, workers: int) -> GenomicsFmError | None:
        """What is wrong with this worker's share of the files; None where they agree with the manifest."""
        for name in sorted(self.manifest["files"])[worker::workers]:
            try:
                if self.place.sha256(name) != self.manifest["files"][name]:
                    return CorruptArtefact(f"{self.place.shown(name)}: {_CURE}")
            except FileNotFoundError:
                return CorruptArtefact(f"{self.place.shown(name)}: {_CURE}")
            except EnvironmentFault as error:
                return error
        return None

    def _read(self, name: str) -> bytes:
        try:
            data = self.place.read(name)
        except FileNotFoundError as error:
            raise CorruptArtefact(f"{self.place.shown(name)}: {_CURE}") from error
        if sha256_bytes(data) != self.manifest["files"].get(name):
            raise CorruptArtefact(f"{self.place.shown(name)}: {_CURE}")
        return data

    def index(self, rank: int) -> dict[str, Any]:
        """What the worker `rank` wrote beside its tensors: `slices` and `streams`."""
        name = _name(rank, self.world, _INDEX)
        try:
            index: dict[str, Any] = json.loads(self._read(name))
        except ValueError as error:
            raise CorruptArtefact(f"{self.place.shown(name)}: not JSON ({error}); remove this checkpoint") from error
        return index

    def tensors(self, rank: int) -> dict[str, Tensor]:
        """The slices of the worker `rank`, by name."""
        name = _name(rank, self.world, _TENSORS)
        try:
            return load(self._read(name))
        except (safetensors.SafetensorError, ValueError) as error:
            shown = self.place.shown(name)
            raise CorruptArtefact(f"{shown}: not readable as safetensors ({error}); remove this checkpoint") from error


def read_manifest(place: Folder) -> dict[str, Any]:
    """What `commit` wrote.

    Raises:
        InputError: there is none.
        CorruptArtefact: it is damaged, or of a newer format.
    """
    return place.read_sealed_json(MANIFEST, FORMAT_VERSION, "the save did not finish")


def commit(place: Folder, step: int, updates: int, about: dict[str, Any], world: int, files: dict[str, str]) -> None:
    """Write the manifest, which makes a checkpoint of the files."""
    place.write_sealed_json(
        MANIFEST,
        {
            "format_version": FORMAT_VERSION,
            "step": step,
            "updates": updates,
            "world": world,
            "about": about,
            "files": files,
        },
    )
