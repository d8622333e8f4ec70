"""What of a model and its optimizer a worker writes: rows of tensors, and their copy in host memory."""

import json
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from genomics_fm.training.workers import Workers, is_sharded

MOMENTS = ("exp_avg", "exp_avg_sq")
_DTYPES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
_HEADER_ALIGNMENT = 8
"""Bytes; safetensors wants what follows its header to lie on a multiple of it."""


class Rows(NamedTuple):
    """Rows of a tensor, and the number of the first in the whole of it."""

    values: Tensor
    first_row: int

    @property
    def end(self) -> int:
        return self.first_row + len(self.values)


def named_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Parameters and AdamW's moments, by name; its state is created if no step has been made."""
    tensors = {}
    module = model.module if isinstance(model, DistributedDataParallel) else model
    for name, parameter in module.named_parameters():
        state = optimizer.state[parameter]
        state.setdefault("step", torch.tensor(0.0))
        for moment in MOMENTS:
            if moment not in state:
                state[moment] = torch.zeros_like(parameter)
            tensors[f"optimizer.{moment}.{name}"] = state[moment]
        tensors[f"model.{name}"] = parameter
    return tensors


def held(tensor: Tensor) -> Rows:
    """The rows of a tensor that this worker has in memory: all, unless they are sharded."""
    if not is_sharded(tensor):
        return Rows(tensor.detach(), 0)
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    _, offset = compute_local_shape_and_global_offset(tensor.shape, tensor.device_mesh, tensor.placements)
    return Rows(tensor.to_local().detach(), offset[0] if offset else 0)


def share(tensor: Tensor, workers: Workers) -> Rows:
    """The rows of a tensor that this worker writes: its shard, or as large a part of what every worker has."""
    if is_sharded(tensor):
        return held(tensor)
    first, end = (len(tensor) * rank // workers.world for rank in (workers.rank, workers.rank + 1))
    return Rows(tensor.detach()[first:end], first)


def copy_overlap(target: Rows, source: Rows) -> int:
    """Copy those rows of `source` that `target` has too; how many there were."""
    start, end = max(source.first_row, target.first_row), min(source.end, target.end)
    if start >= end:
        return 0
    found = source.values[start - source.first_row : end - source.first_row]
    target.values[start - target.first_row : end - target.first_row].copy_(found)
    return end - start


class Snapshot:
    """A copy of tensors in host memory, which is the safetensors file it becomes.

    So a checkpoint needs the size of what it holds once. The memory is kept and filled again.
    """

    def __init__(self) -> None:
        self._memory = torch.empty(0, dtype=torch.uint8)

    def take(self, tensors: dict[str, Tensor]) -> memoryview:
        """Copy tensors; equal ones give equal bytes. What an earlier call gave is overwritten."""
        # Wide types first, so that every tensor lies on a multiple of its type's width.
        names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
        header: dict[str, dict[str, Any]] = {}
        size = 0
        for name in names:
            end = size + tensors[name].nbytes
            kind, shape = _DTYPES[tensors[name].dtype], list(tensors[name].shape)
            header[name] = {"dtype": kind, "shape": shape, "data_offsets": [size, end]}
            size = end
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % _HEADER_ALIGNMENT)
        text = len(text).to_bytes(8, "little") + text
        if len(self._memory) != len(text) + size:
            self._memory = torch.empty(len(text) + size, dtype=torch.uint8)
        self._memory[: len(text)] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
        for name, described in header.items():
            start, end = (len(text) + offset for offset in described["data_offsets"])
            tensor = tensors[name]
            self._memory[start:end].view(tensor.dtype).view(tensor.shape).copy_(tensor)
        return self._memory.numpy().data
