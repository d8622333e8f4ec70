"""One update: the loss of R16 over a global batch that no worker sees whole."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from genomics_fm.model.heads import MaskedLanguageModel
from genomics_fm.pretraining.batches import MicroBatch
from genomics_fm.training.guard import NotFinite, places_of, watched_gradients
from genomics_fm.training.parallel import bare
from genomics_fm.training.workers import Workers, shards, whole

Trained = MaskedLanguageModel | DistributedDataParallel


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


def cross_entropies(
    model: Trained, batch: MicroBatch, vocabularies: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Cross entropy of the predicted tokens.

    Returns:
        Its sum for each vocabulary, (V,) float32, 0 where nothing is predicted; and which tokens' is not finite,
        (M,) bool.
    """
    ids_N, select_M, labels_M, vocabulary_M = (
        _moved(values, device) for values in (batch.ids_N, batch.select_M, batch.labels_M, batch.vocabulary_M)
    )
    logits_MV = model(ids_N, batch.lengths, select_M).float()
    if len(labels_M) == 0:
        nothing_V = logits_MV.sum() * torch.zeros(vocabularies, device=device)  # keeps the graph for the collectives
        return nothing_V, torch.zeros(0, dtype=torch.bool, device=device)
    loss_M = F.cross_entropy(logits_MV, labels_M, reduction="none")
    # Not index_add: in deterministic mode CUDA sorts for it, and then adds what falls to one vocabulary one by one.
    of_VM = vocabulary_M == torch.arange(vocabularies, device=device)[:, None]
    return (of_VM * loss_M).sum(1), ~torch.isfinite(loss_M.detach())


def _accumulating(model: Trained, last: bool) -> contextlib.AbstractContextManager[None]:
    """A block whose gradients stay with this worker until the last micro-batch's are added."""
    if shards(model):
        model.set_requires_gradient_sync(last)
    if isinstance(model, DistributedDataParallel) and not last:
        return model.no_sync()
    return contextlib.nullcontext()


def _backward(
    model: Trained,
    micro_batches: list[MicroBatch],
    weight_V: Tensor,
    workers: Workers,
    autocast: bool,
) -> tuple[Tensor, list[Tensor]]:
    """Gradients of the loss, left in the parameters.

    Returns:
        This worker's summed cross entropies, (V,) float64, and for each micro-batch which are not finite, (M,) bool.
    """
    sums_V = torch.zeros(len(weight_V), dtype=torch.float64, device=workers.device)
    bad_losses = []
    for number, batch in enumerate(micro_batches):
        with _accumulating(model, number == len(micro_batches) - 1):
            with torch.autocast(workers.device.type, torch.bfloat16, enabled=autocast):
                entropy_V, bad_M = cross_entropies(model, batch, len(weight_V), workers.device)
            (workers.world * (entropy_V * weight_V).sum()).backward()
        sums_V += entropy_V.detach()
        bad_losses.append(bad_M)
    return sums_V, bad_losses


def train_step(
    model: Trained,
    optimizer: torch.optim.Optimizer,
    micro_batches: list[MicroBatch],
    names: tuple[str, ...],
    weights: list[float],
    clip_norm: float,
    workers: Workers,
    autocast: bool,
    accepts: Callable[[StepResult], bool] = lambda result: True,
) -> StepResult:
    """One update from this worker's micro-batches; every worker must bring equally many.

    The loss is Σ_v w_v · (Σ CE_v / n_v) with n_v counted over all workers and micro-batches, so it depends on
    neither (R16). DDP and FSDP average gradients over workers, hence the factor `world`.

    Args:
        model: sharded, replicated or alone.
        optimizer: over the model's parameters; its rate is already set.
        micro_batches: this worker's rows.
        names: vocabularies of the ensemble, in order.
        weights: w_v, in the same order.
        clip_norm: largest gradient norm.
        workers: who else takes part.
        autocast: compute in bfloat16.
        accepts: whether to make the update; it is asked before, with the same result on every worker.

    Raises:
        NotFinite: loss or gradient is not finite on one of the workers; none has updated anything.
    """
    *counts, tokens = _counts(micro_batches, names, workers)
    counts_V = torch.stack(counts)
    weight_V = torch.tensor(weights, device=workers.device) / counts_V.clamp(min=1).float()
    optimizer.zero_grad()
    with watched_gradients(bare(model).bert.embeddings) as bad_gradients:
        sums_V, bad_losses = _backward(model, micro_batches, weight_V, workers, autocast)
    norm = whole(nn.utils.clip_grad_norm_(model.parameters(), clip_norm))
    # The flags travel with the sums: every worker finds the same, at no further cost.
    bad_losses_here = ~torch.isfinite(sums_V).all()
    bad = torch.stack([bad_losses_here, ~torch.isfinite(norm)]).double()
    *sums, bad_loss, bad_norm = workers.sum(torch.cat([sums_V, bad]))
    if bad_loss or bad_norm:
        raise NotFinite("loss" if bad_loss else "gradient", places_of(micro_batches, bad_losses, bad_gradients))
    present = {name: i for i, name in enumerate(names) if counts_V[i] > 0}
    result = StepResult(
        loss={name: (sums[i] / counts_V[i]).item() for name, i in present.items()},
        predicted={name: int(counts_V[i]) for i, name in enumerate(names)},
        tokens=int(tokens),
        gradient_norm=norm.item(),
    )
    if accepts(result):
        optimizer.step()
    return result
