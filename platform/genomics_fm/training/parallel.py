"""The model where the workers compute: alone, a copy on every worker (DDP), or a shard on every worker (FSDP2)."""

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from genomics_fm.model.encoder import Draw, EncoderConfig, initialise
from genomics_fm.model.heads import MaskedLanguageModel, new_language_model
from genomics_fm.training.slices import held
from genomics_fm.training.workers import Workers


def shard(model: MaskedLanguageModel, workers: Workers) -> MaskedLanguageModel:
    """FSDP2 over all workers: each layer and the rest are gathered when needed; gradients are averaged."""
    if workers.world == 1:
        return model.to(workers.device)
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    mesh = init_device_mesh(workers.device.type, (workers.world,))
    policy = MixedPrecisionPolicy()
    if workers.device.type == "cuda":
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    for layer in model.bert.encoder.layer:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    return model


def _keep_rows(parameter: Tensor, draw: Draw) -> None:
    """Draw a whole tensor and keep those rows of it that this worker holds."""
    rows = held(parameter)
    rows.values.copy_(draw(torch.empty(parameter.shape, device="cpu"))[rows.first_row : rows.end])


def model_on(workers: Workers, encoder: EncoderConfig, seed: int, sharded: bool) -> MaskedLanguageModel:
    """A new model where the workers compute, of the same weights for any number of them; its layers compiled on CUDA.

    Sharded, no worker ever holds the whole of it: it is laid out without memory, and its tensors are drawn one by one.
    """
    if sharded:
        with torch.device("meta"):
            model = MaskedLanguageModel(encoder)
        shard(model, workers).to_empty(device=workers.device)
        initialise(model, torch.Generator().manual_seed(seed), _keep_rows)
    else:
        model = new_language_model(encoder, seed).to(workers.device)
    if workers.device.type == "cuda":
        model.bert.compile()
    return model


def replicated(model: MaskedLanguageModel) -> DistributedDataParallel:
    """The model with its gradients averaged over the workers, each of which holds it whole.

    Searching for unused parameters, of which there are none, keeps DDP from laying the gradients out anew after the
    first step: sums would round in another order, and a run that resumes would differ from one left alone. torch says
    once that it found none.
    """
    return DistributedDataParallel(model, gradient_as_bucket_view=True, find_unused_parameters=True)


def bare(model: MaskedLanguageModel | DistributedDataParallel) -> MaskedLanguageModel:
    """The model itself."""
    return model.module if isinstance(model, DistributedDataParallel) else model


def casts(workers: Workers, sharded: bool) -> bool:
    """Whether autocast has to bring the bfloat16 that CUDA computes in; FSDP casts what it gathers by itself."""
    return workers.device.type == "cuda" and not sharded
