"""What a head says about many sequences, in batches of like length; the same for training and serving."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genomics_fm.tasks.documents import Document, batches, outputs, strands
from genomics_fm.tasks.problem import Problem
from genomics_fm.vocabulary.ensemble import Ensemble

BATCH_TOKENS = 8_192
"""Tokens scored at once: bounds memory at any mixture of lengths."""
BINARY = ("0", "1")

Strands = NDArray[np.float64] | NDArray[np.object_]
"""(S, N, C) float64: each sequence as given and, with S = 2, reverse-complemented. Of a per-base problem (S, N) of
(L, C) arrays, bases in the order of the sequence as given."""
Predictions = NDArray[np.float32] | NDArray[np.object_]
"""(N, C) float32, or (N,) of (L, C) arrays: probabilities of classes or labels, or values."""


def predict(
    module: nn.Module,
    vocabulary: Ensemble,
    name: str,
    sequences: Sequence[str],
    problem: Problem,
    batch_tokens: int | None = None,
    bf16: bool = False,
) -> Strands:
    """Probabilities or values of each strand that is read: both, unless the problem is stranded (R20).

    Args:
        module: a classifier with the problem's outputs, in evaluation mode, on its device.
        vocabulary: the ensemble.
        name: which of its vocabularies reads.
        sequences: upper case, A C G T N.
        problem: what the outputs mean.
        batch_tokens: tokens computed at once, or one document; None: `BATCH_TOKENS`.
        bf16: compute in bfloat16.

    Returns:
        As `Strands` says. One sequence's values do not depend on the others beyond rounding.
    """
    per_base = problem.kind == "per-base"
    read = strands(vocabulary, name, sequences, not problem.stranded, per_base)
    given = [document for strand in read for document in strand]
    found = np.empty(len(given), object) if per_base else np.empty((len(given), problem.outputs))
    device = next(module.parameters()).device
    for rows in batches([len(document.ids_T) for document in given], batch_tokens or BATCH_TOKENS):
        part = [given[row] for row in rows]
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            values = meaning(outputs(module, part, device).double(), problem).cpu().numpy()
        _put(found, rows, values, part)
    found = found.reshape(len(read), len(sequences), *found.shape[1:])
    if per_base and len(read) == 2:
        found[1] = turned(found[1])
    return found


def meaning(outputs: Tensor, problem: Problem) -> Tensor:
    """Probabilities of classes or labels, or values, from what a head's last layer gives."""
    if problem.kind == "regression":
        return outputs
    return torch.softmax(outputs, dim=-1) if problem.classes else torch.sigmoid(outputs)


def _put(found: Strands, rows: list[int], values: NDArray[np.float64], given: list[Document]) -> None:
    """Values of a batch to their places; those of bases are one document's after the other's."""
    if found.dtype != object:
        found[rows] = values
        return
    ends = np.cumsum([document.bases for document in given])
    for row, part in zip(rows, np.split(values, ends[:-1]), strict=True):
        found[row] = part


def turned(rows: NDArray[np.object_]) -> NDArray[np.object_]:
    """Rows of bases, (N,) of arrays, each back to front."""
    found = np.empty(len(rows), object)
    found[:] = [row[::-1] for row in rows]
    return found


def mean_of_strands(found: Strands) -> Predictions:
    """A head's predictions: the mean over the strands that were read."""
    if found.dtype != object:
        return found.mean(axis=0).astype(np.float32)
    mean = np.empty(found.shape[1], object)
    mean[:] = [np.mean(list(strands), axis=0).astype(np.float32) for strands in found.T]
    return mean


def strand_probabilities(
    module: nn.Module, vocabulary: Ensemble, name: str, sequences: Sequence[str], both_strands: bool
) -> NDArray[np.float64]:
    """Probability of class 1 of a classifier with two outputs, for each strand of each sequence: (1 or 2, N).

    Takes what `predict` takes; with `both_strands` the reverse complement is scored too.
    """
    problem = Problem("classification", BINARY, stranded=not both_strands)
    return np.asarray(predict(module, vocabulary, name, sequences, problem)[:, :, 1], np.float64)
