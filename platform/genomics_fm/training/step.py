"""One update: the loss of R16 over a global batch that no worker sees whole."""

import contextlib
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from genomics_fm.errors import InputError
from genomics_fm.model.heads import MaskedLanguageModel
from genomics_fm.pretraining.batches import MicroBatch
from genomics_fm.training.workers import Workers, whole


@dataclass(frozen=True)
class StepResult:
    """What one update did, over all workers.

    Attributes:
        loss: mean cross entropy of a predicted token in nats, by vocabulary; absent where none was predicted.
        predicted: predicted tokens, by vocabulary; 0 where the term of the loss is 0 for want of any (R16).
        tokens: tokens in the global batch, special tokens included.
        gradient_norm: before clipping.
    """

    loss: dict[str, float]
    predicted: dict[str, int]
    tokens: int
    gradient_norm: float


def _counts(micro_batches: list[MicroBatch], names: tuple[str, ...], workers: Workers) -> Tensor:
    """Predicted tokens of each vocabulary over the global batch, then all its tokens: (V + 1,) float64."""
    counts = torch.zeros(len(names) + 1, dtype=torch.float64, device=workers.device)
    for batch in micro_batches:
        counts[:-1] += torch.bincount(batch.vocabulary_M, minlength=len(names)).to(counts)
        counts[-1] += len(batch.ids_N) if len(batch.labels_M) else 0
    return workers.sum(counts)


def _moved(values: Tensor, device: torch.device) -> Tensor:
    """Values on a device; to CUDA by a copy that does not wait for what is computed there."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


def cross_entropy_sums(
    model: MaskedLanguageModel, batch: MicroBatch, vocabularies: int, device: torch.device
) -> Tensor:
    """Summed cross entropy of each vocabulary's predicted tokens, (V,) float32; 0 where there are none."""
    ids_N, select_M, labels_M, vocabulary_M = (
        _moved(values, device) for values in (batch.ids_N, batch.select_M, batch.labels_M, batch.vocabulary_M)
    )
    logits_MV = model(ids_N, batch.lengths, select_M).float()
    if len(labels_M) == 0:
        return logits_MV.sum() * torch.zeros(vocabularies, device=device)  # keeps the graph for the collectives
    loss_M = F.cross_entropy(logits_MV, labels_M, reduction="none")
    # Not index_add: in deterministic mode CUDA sorts for it, and then adds what falls to one vocabulary one by one.
    of_VM = vocabulary_M == torch.arange(vocabularies, device=device)[:, None]
    return (of_VM * loss_M).sum(1)


def train_step(
    model: MaskedLanguageModel,
    optimizer: torch.optim.Optimizer,
    micro_batches: list[MicroBatch],
    names: tuple[str, ...],
    weights: list[float],
    clip_norm: float,
    workers: Workers,
    autocast: bool,
) -> StepResult:
    """One update from this worker's micro-batches; every worker must bring equally many.

    The loss is Σ_v w_v · (Σ CE_v / n_v) with n_v counted over all workers and micro-batches, so it depends on
    neither (R16). FSDP averages gradients over workers, hence the factor `world`.

    Args:
        model: sharded or not.
        optimizer: over the model's parameters; its rate is already set.
        micro_batches: this worker's rows.
        names: vocabularies of the ensemble, in order.
        weights: w_v, in the same order.
        clip_norm: largest gradient norm.
        workers: who else takes part.
        autocast: compute in bfloat16.

    Raises:
        InputError: loss or gradient is not finite; nothing has been updated.
    """
    *counts, tokens = _counts(micro_batches, names, workers)
    counts_V = torch.stack(counts)
    weight_V = torch.tensor(weights, device=workers.device) / counts_V.clamp(min=1).float()
    optimizer.zero_grad()
    sums_V = torch.zeros(len(names), dtype=torch.float64, device=workers.device)
    for number, batch in enumerate(micro_batches):
        if isinstance(model, FSDPModule):
            model.set_requires_gradient_sync(number == len(micro_batches) - 1)
        context = torch.autocast(workers.device.type, torch.bfloat16) if autocast else contextlib.nullcontext()
        with context:
            entropy_V = cross_entropy_sums(model, batch, len(names), workers.device)
        (workers.world * (entropy_V * weight_V).sum()).backward()
        sums_V += entropy_V.detach()
    norm = whole(nn.utils.clip_grad_norm_(model.parameters(), clip_norm))
    sums_V = workers.sum(sums_V)
    if not (torch.isfinite(norm) and torch.isfinite(sums_V).all()):
        found = f"loss {sums_V.tolist()}, gradient norm {norm.item()}"
        raise InputError(f"{found}: not finite; lower the learning rate and use another --name")
    optimizer.step()
    present = {name: i for i, name in enumerate(names) if counts_V[i] > 0}
    return StepResult(
        loss={name: (sums_V[i] / counts_V[i]).item() for name, i in present.items()},
        predicted={name: int(counts_V[i]) for i, name in enumerate(names)},
        tokens=int(tokens),
        gradient_norm=norm.item(),
    )
