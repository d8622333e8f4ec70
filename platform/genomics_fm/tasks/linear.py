"""Linear models of features, fitted exactly: logistic regression of classes or labels, ridge regression of targets.

One objective for all of them, mean loss + penalty / 2 · |W|², so that a penalty means the same for any number of rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genomics_fm.errors import EnvironmentFault
from genomics_fm.tasks.objective import Objective

PENALTIES = (10.0, 1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-5)
"""Of standardised features, from the strongest: each fit begins where the last one ended."""
ITERATIONS = 300
TOLERANCE = 1e-6
"""Largest entry of the gradient of the mean loss where a fit ends."""
CONVERGED = 1e-5
"""With a larger entry where its iterations ended, a fit has not converged; a search may stop just above `TOLERANCE`."""


@dataclass(frozen=True)
class Linear:
    """outputs = features · weight.T + bias: (C, D) and (C,), float64, for features as they come.

    `converged`: the gradient where the fit ended is within `CONVERGED`, or it needed no search.
    """

    weight_CD: NDArray[np.float64]
    bias_C: NDArray[np.float64]
    converged: bool

    def __call__(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """(..., D) to (..., C)."""
        return features.astype(np.float64) @ self.weight_CD.T + self.bias_C


def path(
    objective: Objective, features_ND: Tensor, labels: Tensor, penalties: Sequence[float]
) -> Iterator[tuple[float, Linear]]:
    """The models of each penalty.

    Args:
        objective: what is fitted; targets in `labels` are standardised, as it has them.
        features_ND: floats; they are standardised here, and what is fitted is given back for them as they come.
        labels: (N,) int64 classes or (N, C) floats, NaN where nothing was measured.
        penalties: on the squares of the weights, not of the biases.

    Raises:
        EnvironmentFault: a fit gave numbers that are not finite.
    """
    features_ND = features_ND.double()
    mean_D = features_ND.mean(0)
    deviation_D = (features_ND - mean_D).square().mean(0).sqrt()
    deviation_D = torch.where(deviation_D > 0, deviation_D, torch.ones_like(deviation_D))
    scaled_ND = (features_ND - mean_D) / deviation_D
    fits = _ridge if objective.problem.kind == "regression" else _logistic
    for penalty, weight_CD, bias_C, converged in fits(objective, scaled_ND, labels, penalties):
        weight_CD = weight_CD / deviation_D
        bias_C = bias_C - weight_CD @ mean_D
        if not (torch.isfinite(weight_CD).all() and torch.isfinite(bias_C).all()):
            raise EnvironmentFault("a linear probe is not finite: the encoder's states are not; use another encoder")
        yield penalty, Linear(weight_CD.cpu().numpy(), bias_C.cpu().numpy(), converged)


def _logistic(
    objective: Objective, scaled_ND: Tensor, labels: Tensor, penalties: Sequence[float]
) -> Iterator[tuple[float, Tensor, Tensor, bool]]:
    """Multinomial or one-vs-rest logistic regression by L-BFGS, all outputs at once."""
    outputs, width = objective.problem.outputs, scaled_ND.shape[1]
    weight_CD = scaled_ND.new_zeros(outputs, width).requires_grad_()
    bias_C = scaled_ND.new_zeros(outputs).requires_grad_()
    labels = labels if objective.problem.classes else labels.double()
    for penalty in penalties:
        solver = torch.optim.LBFGS(
            [weight_CD, bias_C], max_iter=ITERATIONS, tolerance_grad=TOLERANCE, tolerance_change=0.0,
            history_size=20, line_search_fn="strong_wolfe",
        )  # fmt: skip

        def closure(solver: torch.optim.Optimizer = solver, penalty: float = penalty) -> Tensor:
            solver.zero_grad()
            # The loss of several labels is a mean over them; a label's own fit does not depend on how many there are.
            scale = 1 if objective.problem.classes else outputs
            loss = objective.loss(scaled_ND @ weight_CD.T + bias_C, labels) * scale
            loss = loss + penalty / 2 * weight_CD.square().sum()
            loss.backward()
            return loss

        solver.step(closure)
        closure()  # for the gradient where the search ended
        steepest = max(float(each.grad.abs().max()) for each in (weight_CD, bias_C) if each.grad is not None)
        yield penalty, weight_CD.detach().clone(), bias_C.detach().clone(), steepest <= CONVERGED


def _ridge(
    objective: Objective, scaled_ND: Tensor, labels: Tensor, penalties: Sequence[float]
) -> Iterator[tuple[float, Tensor, Tensor, bool]]:
    """Ridge regression of each target on the rows where it was measured, from one decomposition for all penalties.

    The loss is half the mean square, as it is of a normal likelihood.
    """
    solved = [_target(scaled_ND, labels[:, number].double()) for number in range(objective.problem.outputs)]
    for penalty in penalties:
        weight_CD = torch.stack([vectors @ (moment / (values + penalty)) for vectors, values, moment, *_ in solved])
        centre_CD, mean_C = (torch.stack([one[place] for one in solved]) for place in (3, 4))
        yield penalty, weight_CD, mean_C - (weight_CD * centre_CD).sum(1), True


def _target(scaled_ND: Tensor, target_N: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Eigenvectors and eigenvalues of the features' covariance, their covariance with a target, and both means."""
    known_N = ~torch.isnan(target_N)
    rows = known_N.sum().clamp(min=1)
    centre_D = torch.where(known_N[:, None], scaled_ND, 0.0).sum(0) / rows
    mean = torch.where(known_N, target_N, 0.0).sum() / rows
    moved_ND = torch.where(known_N[:, None], scaled_ND - centre_D, 0.0)
    values_D, vectors_DD = torch.linalg.eigh(moved_ND.T @ moved_ND / rows)
    moment_D = vectors_DD.T @ (moved_ND.T @ torch.where(known_N, target_N - mean, 0.0) / rows)
    return vectors_DD, values_D.clamp(min=0), moment_D, centre_D, mean
