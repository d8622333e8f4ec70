"""What heads are trained with, for sequences and for tokens alike: rows are documents (B) or content tokens (T).

Every loss is a mean over what is labelled. What is not labelled is `IGNORE_INDEX` among classes, NaN among labels
and targets; where nothing is, the loss is 0 and so is its gradient.
"""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from genomics_fm.errors import InputError, require
from genomics_fm.pretraining.masking import IGNORE_INDEX

Problem = Literal["classification", "multilabel", "regression"]


def head_loss(problem: Problem, logits_BC: Tensor, labels: Tensor, weight_C: Tensor | None = None) -> Tensor:
    """Loss of a head's logits, a scalar (SPEC E6).

    Args:
        problem: "classification": cross entropy, of one class of C; "multilabel": binary cross entropy of C labels
            that exclude nothing; "regression": squared error of C targets.
        logits_BC: float32.
        labels: (B,) int64 classes; else (B, C) floats, 0 or 1 for labels. (B,) will do where C is 1.
        weight_C: of each class, as `class_weights` gives it; of each label's positives, as `positive_weights`
            gives it; none for regression.

    Raises:
        InputError: an unknown problem, labels of another shape, or weights where there are none.
    """
    require(problem in get_args(Problem), "problem", problem, f"one of {', '.join(get_args(Problem))}")
    require(weight_C is None or problem != "regression", "weight_C", "given", "none for regression")
    if problem == "classification":
        _check_shape(labels, logits_BC.shape[:1])
        return _cross_entropy(logits_BC, labels, weight_C)
    labels_BC = labels[:, None] if labels.ndim == 1 and logits_BC.shape[1] == 1 else labels
    _check_shape(labels_BC, logits_BC.shape)
    known_BC = ~torch.isnan(labels_BC)
    labels_BC = torch.where(known_BC, labels_BC, 0).to(logits_BC.dtype)
    if problem == "multilabel":
        loss_BC = F.binary_cross_entropy_with_logits(logits_BC, labels_BC, pos_weight=weight_C, reduction="none")
    else:
        loss_BC = F.mse_loss(logits_BC, labels_BC, reduction="none")
    return (loss_BC * known_BC).sum() / known_BC.sum().clamp(min=1)


def _check_shape(labels: Tensor, wanted: torch.Size) -> None:
    if labels.shape != wanted:
        raise InputError(f"labels of shape {tuple(labels.shape)}: give {tuple(wanted)}, as the logits have it")


def _cross_entropy(logits_BC: Tensor, labels_B: Tensor, weight_C: Tensor | None) -> Tensor:
    """Mean cross entropy weighted by class; torch's own is NaN where nothing is labelled."""
    total = F.cross_entropy(logits_BC, labels_B, weight_C, ignore_index=IGNORE_INDEX, reduction="sum")
    known_B = labels_B[labels_B != IGNORE_INDEX]
    weight = len(known_B) if weight_C is None else float(weight_C[known_B].sum())
    return total / (weight or 1)


def class_weights(labels_B: Tensor, classes: int) -> Tensor:
    """Weights that give every class the same say, (C,) float32 of mean 1 over the labelled rows; 0 for one not met."""
    count_C = torch.bincount(labels_B[labels_B != IGNORE_INDEX], minlength=classes).double()
    present_C = count_C > 0
    weight_C = count_C.sum() / (count_C.clamp(min=1) * present_C.sum().clamp(min=1))
    return torch.where(present_C, weight_C, 0.0).float()


def positive_weights(labels_BC: Tensor) -> Tensor:
    """Negatives for each positive of a label, (C,) float32: `pos_weight`; 1 where either is absent."""
    positive_C, negative_C = ((labels_BC == value).sum(0).double() for value in (1, 0))
    usable_C = (positive_C > 0) & (negative_C > 0)
    return torch.where(usable_C, negative_C / positive_C.clamp(min=1), 1.0).float()
