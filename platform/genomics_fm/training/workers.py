"""The group of workers a training runs on; a single process without a group is a group of one.

torch's modules for what is sharded take a second to import. Only `parallel.shard` does that: who has not got them has
nothing that is sharded.
"""

import os
import socket
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
import torch.distributed as dist
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor

CONTROL_GROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""What a container may use, by versions 2 and 1 of the kernel's control groups; `max` where it has no limit."""


@dataclass(frozen=True)
class Workers:
    """Rank, number and device of this worker."""

    rank: int
    world: int
    device: torch.device

    @classmethod
    def current(cls) -> "Workers":
        """The process group that stands, else one worker alone.

        A group's backend says where its tensors live: workers that asked for no GPU meet over gloo even on a node
        that has some. Alone, a GPU is used unless CUDA_VISIBLE_DEVICES hides it.
        """
        if not dist.is_initialized():
            hidden = os.environ.get("CUDA_VISIBLE_DEVICES") == ""
            return cls(0, 1, torch.device("cuda" if torch.cuda.is_available() and not hidden else "cpu"))
        cuda = "nccl" in dist.get_backend()
        device = torch.device("cuda", torch.cuda.current_device()) if cuda else torch.device("cpu")
        return cls(dist.get_rank(), dist.get_world_size(), device)

    def sum(self, values: Tensor) -> Tensor:
        """Sum over the workers, in place."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def memory_bytes(self) -> int:
        """Of the worker that has least, the same on all, who call it together: of its GPU, or its share of its machine.

        All of what there is, not what is free now: the answer is the same when a run goes on.
        """
        if self.device.type == "cuda":
            return min(self.gather(torch.cuda.get_device_properties(self.device).total_memory))
        machines = self.gather((socket.gethostname(), machine_bytes()))
        workers = Counter(name for name, _ in machines)
        return min(size // workers[name] for name, size in machines)

    def barrier(self) -> None:
        if self.world > 1:
            dist.barrier()

    def gather(self, value: Any) -> list[Any]:
        """What every worker gives, in order of rank; all call it together."""
        every = [value] * self.world
        if self.world > 1:
            dist.all_gather_object(every, value)
        return every


def is_sharded(tensor: Tensor) -> "TypeGuard[DTensor]":
    """Whether this worker has rows of the tensor alone."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def shards(module: nn.Module) -> "TypeGuard[FSDPModule]":
    """Whether the parameters of a module are gathered when it is called."""
    found = sys.modules.get("torch.distributed.fsdp")
    return found is not None and isinstance(module, found.FSDPModule)


def whole(tensor: Tensor) -> Tensor:
    """The full tensor behind a possibly sharded one; all workers must call it together."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor


def whole_state(model: nn.Module, workers: Workers) -> dict[str, Tensor] | None:
    """A model's parameters by name, tied ones once, in host memory of rank 0; None for the others.

    All must call it together; the others hold one whole tensor at a time.
    """
    state = {}
    for name, parameter in model.named_parameters():
        full = whole(parameter.detach())
        if workers.rank == 0:
            state[name] = full.cpu()
    return state if workers.rank == 0 else None


def machine_bytes() -> int:
    """Memory that the processes of this machine, or of this container, may use together."""
    found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [path.read_text().strip() for path in CONTROL_GROUP_LIMITS if path.is_file()]
    return min([found, *(int(limit) for limit in limits if limit.isdigit())])
