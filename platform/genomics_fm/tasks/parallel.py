"""A trial on several workers: each reads its share of every update and of what is scored, all hold the same weights.

Workers are told what to do by the same config, rows and seeds, so that they agree without talking; only gradients,
predictions and the value of an evaluation go round. What one worker would compute, several do, to rounding.
"""

import heapq
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from genomics_fm.tasks.scoring import Strands
from genomics_fm.training.workers import Workers


def alone(device: torch.device) -> Workers:
    """One worker, whatever group stands."""
    return Workers(0, 1, device)


def shares(lengths: Sequence[int], world: int) -> list[list[int]]:
    """Indices of what each worker computes, ascending: about as many tokens or letters each; some may have none."""
    found: list[list[int]] = [[] for _ in range(world)]
    least = [(0, worker) for worker in range(world)]  # a heap
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        total, worker = least[0]
        heapq.heapreplace(least, (total + lengths[index], worker))
        found[worker].append(index)
    return [sorted(share) for share in found]


def sum_gradients(module: nn.Module, loss: float, workers: Workers) -> float:
    """Give every worker the sum of their gradients, in place; returns the sum of their losses.

    A sum, because each has divided by what the whole update holds (labels may be missing, bases are many), and not by
    DistributedDataParallel, whose mean over workers this is not and which waits for ever for a worker without rows.
    A parameter that no worker has a gradient of has none after it, so that its weights do not decay.
    """
    if workers.world == 1:
        return loss
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    there = [float(parameter.grad is not None) for parameter in trained]
    gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in trained]
    told = torch.tensor([*there, loss], device=workers.device)
    together = workers.sum(torch.cat([*(gradient.reshape(-1) for gradient in gradients), told]))
    *there, loss = together[-len(told) :].tolist()
    parts = together[: -len(told)].split([parameter.numel() for parameter in trained])
    for parameter, some, part in zip(trained, there, parts, strict=True):
        parameter.grad = part.view_as(parameter) if some else None
    return loss


def predict_together(workers: Workers, sequences: Sequence[str], predict: Callable[[list[str]], Strands]) -> Strands:
    """What `predict` says of sequences, each of which one worker reads; every worker has all of it."""
    if workers.world == 1:
        return predict(list(sequences))
    divided = shares([len(sequence) for sequence in sequences], workers.world)
    parts = workers.gather(predict([sequences[index] for index in divided[workers.rank]]))
    strands, _, *outputs = parts[0].shape
    found = np.empty((strands, len(sequences), *outputs), parts[0].dtype)
    for share, part in zip(divided, parts, strict=True):
        found[:, share] = part
    return found


def agreed(workers: Workers, value: float) -> float:
    """The first worker's value: others' machines may round another way, and all must stop together."""
    return float(workers.gather(value)[0])
