"""Checkpoints: every worker writes its slices as safetensors, the manifest of hashes comes last (ARCHITECTURE 7).

A folder without a manifest is no checkpoint, and one whose files disagree with it is skipped by name. Slices
carry their place in the whole tensor, so any number of workers can load what any other number wrote.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

from genomics_fm.artefacts import read_sealed_json, sha256_file, write_json, write_sealed_json
from genomics_fm.errors import CorruptArtefact, GenomicsFmError
from genomics_fm.model.weights import write_tensors
from genomics_fm.training.workers import Workers

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
MOMENTS = ("exp_avg", "exp_avg_sq")


def _slice_of(tensor: Tensor) -> tuple[Tensor, int]:
    """This worker's rows of a tensor, and the first one's number in the whole."""
    if not isinstance(tensor, DTensor):
        return tensor, 0
    _, offset = compute_local_shape_and_global_offset(tensor.shape, tensor.device_mesh, tensor.placements)
    return tensor.to_local(), (offset[0] if offset else 0)


def _named_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Parameters and AdamW's moments, by name; its state is created if no step has been made."""
    tensors = {}
    for name, parameter in model.named_parameters():
        state = optimizer.state[parameter]
        state.setdefault("step", torch.tensor(0.0))
        for moment in MOMENTS:
            if moment not in state:
                state[moment] = torch.zeros_like(parameter)
            tensors[f"optimizer.{moment}.{name}"] = state[moment]
        tensors[f"model.{name}"] = parameter
    return tensors


def save(
    folder: Path,
    step: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    workers: Workers,
    streams: dict[str, Any],
    about: dict[str, Any],
) -> Path:
    """Write checkpoint `step`; all workers call it together.

    Args:
        folder: of all checkpoints of a run.
        step: updates made so far.
        model: its parameters are written.
        optimizer: AdamW; its moments are written.
        workers: who writes.
        streams: states of the streams this worker answers for.
        about: what the checkpoint belongs to; the same on all workers, compared on loading.
    """
    place = folder / f"step-{step:08d}"
    stem = f"rank-{workers.rank:05d}-of-{workers.world:05d}"
    slices, index = {}, {}
    for name, tensor in _named_tensors(model, optimizer).items():
        local, first_row = _slice_of(tensor)
        if local.numel():
            slices[name] = local
            index[name] = {"shape": list(tensor.shape), "first_row": first_row}
    write_tensors(place / f"{stem}.safetensors", slices)
    write_json(place / f"{stem}.json", {"slices": index, "streams": streams})
    workers.barrier()
    if workers.rank == 0:
        files = [
            f"rank-{r:05d}-of-{workers.world:05d}.{kind}"
            for r in range(workers.world)
            for kind in ("safetensors", "json")
        ]
        write_sealed_json(
            place / MANIFEST,
            {
                "format_version": FORMAT_VERSION,
                "step": step,
                "world": workers.world,
                "about": about,
                "files": {name: sha256_file(place / name) for name in files},
            },
        )
    workers.barrier()
    return place


def prune(folder: Path, keep: int) -> None:
    """Remove all but the newest `keep` whole checkpoints, and what an interrupted save left before them."""
    whole = sorted(path.parent for path in folder.glob(f"step-*/{MANIFEST}"))
    for place in sorted(folder.glob("step-*")):
        if whole[-keep:] and place < whole[-keep:][0]:
            shutil.rmtree(place)


def verify(place: Path) -> dict[str, Any]:
    """Check every file of a checkpoint against its manifest, and return the manifest.

    Raises:
        CorruptArtefact: a file is missing or changed, or a newer format.
        InputError: no manifest.
    """
    manifest = read_sealed_json(place / MANIFEST, FORMAT_VERSION, "the save did not finish")
    for name, expected in manifest["files"].items():
        path = place / name
        if not path.is_file() or sha256_file(path) != expected:
            raise CorruptArtefact(f"{path}: missing or changed since it was written; an older checkpoint is used")
    return manifest


def newest(folder: Path, say: Callable[[str], None]) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint that verifies, with its manifest; each newer one that does not is named to `say`."""
    for place in sorted(folder.glob("step-*"), reverse=True):
        try:
            return place, verify(place)
        except GenomicsFmError as error:
            say(f"skipping checkpoint {place.name}: {error}")
    return None


def load(place: Path, manifest: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Put parameters and moments back, whatever number of workers wrote them; returns all streams' states."""
    step = torch.tensor(float(manifest["step"]))
    targets = _named_tensors(model, optimizer)
    for parameter in model.parameters():
        counted_on = parameter.device if optimizer.defaults["fused"] else step.device
        optimizer.state[parameter]["step"] = step.to(counted_on, copy=True)
    streams: dict[str, Any] = {}
    with torch.no_grad():
        for rank in range(manifest["world"]):
            stem = place / f"rank-{rank:05d}-of-{manifest['world']:05d}"
            described = json.loads(stem.with_suffix(".json").read_text())
            streams |= described["streams"]
            for name, rows in load_file(stem.with_suffix(".safetensors")).items():
                _copy_overlap(targets[name], rows, described["slices"][name]["first_row"])
    return streams


def _copy_overlap(target: Tensor, rows: Tensor, first_row: int) -> None:
    """Copy those of `rows` (numbered from `first_row` in the whole tensor) that this worker holds."""
    local, local_first = _slice_of(target)
    start, end = max(first_row, local_first), min(first_row + len(rows), local_first + len(local))
    if start < end:
        local[start - local_first : end - local_first].copy_(rows[start - first_row : end - first_row])
