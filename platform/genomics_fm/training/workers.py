"""The group of workers a training runs on; a single process without a group is a group of one."""

import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import MaskedLanguageModel, new_language_model


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

    def barrier(self) -> None:
        if self.world > 1:
            dist.barrier()

    def gather(self, value: Any) -> list[Any]:
        """What every worker gives, in order of rank; all call it together."""
        every = [value] * self.world
        if self.world > 1:
            dist.all_gather_object(every, value)
        return every


def shard(model: MaskedLanguageModel, workers: Workers) -> MaskedLanguageModel:
    """FSDP2 over all workers: each layer and the rest are gathered when needed; gradients are averaged."""
    if workers.world == 1:
        return model.to(workers.device)
    mesh = init_device_mesh(workers.device.type, (workers.world,))
    policy = MixedPrecisionPolicy()
    if workers.device.type == "cuda":
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    for layer in model.bert.encoder.layer:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    return model


def model_on(workers: Workers, encoder: EncoderConfig, seed: int) -> MaskedLanguageModel:
    """A new model where the workers compute; its layers compiled on CUDA."""
    model = new_language_model(encoder, seed)
    if workers.device.type == "cuda":
        model.bert.compile()
    return shard(model, workers)


def casts(workers: Workers) -> bool:
    """Whether autocast has to bring the bfloat16 that CUDA computes in; FSDP casts what it gathers by itself."""
    return workers.device.type == "cuda" and workers.world == 1


def whole(tensor: Tensor) -> Tensor:
    """The full tensor behind a possibly sharded one; all workers must call it together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def whole_state(model: nn.Module) -> dict[str, Any]:
    """A model's full state by name; all workers must call it together."""
    return {name: whole(value) for name, value in model.state_dict().items()}
