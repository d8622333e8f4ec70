"""Newton's method for many linear models of one matrix of features at once, all sums as products of matrices.

Each step is found by conjugate gradients. Where it pays they are preconditioned by a factor of the features'
covariance, of which every model's curvature is roughly a multiple. Shapes: N rows, D features, C outputs; weights are
(D + 1, C), the last row the biases, on which there is no penalty.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped]
from scipy.linalg import cho_factor, cho_solve  # type: ignore[import-untyped]

from genomics_fm.tasks.linear_losses import Array, Loss

Features = Any  # (N, D): numpy array or scipy CSR matrix

ITERATIONS = 50
TOLERANCE = 1e-6
"""Largest entry of the gradient of the mean loss where a fit ends."""
CONVERGED = 1e-5
"""With a larger entry where its iterations ended, a fit has not converged; rounding may stop one above `TOLERANCE`."""
_INNER, _INNER_REDUCTION = 400, 0.05  # conjugate gradients a step, at most, and how far they take its residual
_HALVINGS, _SUFFICIENT = 20, 1e-4  # of a step that does not lower the objective by this share of what it promises
_DOUBLE_ENTRIES = 2**24  # up to which features are kept in float64
_DENSE_SHARE = 0.15  # of entries that are not 0, above which a matrix is faster dense
_FACTOR_PAYS = 1000  # products of features and outputs that a factor of D³ saves
_CHUNK_ENTRIES = 2**22
_FLAT = 1e-5  # a feature that varies less, beside its mean, is constant but for rounding


class Design:
    """Features scaled to mean 0 and deviation 1. Sparse ones stay sparse: their mean is taken off the products.

    Attributes:
        mean_D, deviation_D: of the features as they came, float64.
        dtype: of the products.
    """

    def __init__(self, features: Features) -> None:
        """Scale (N, D) floats; dense ones are copied."""
        rows, columns = features.shape
        self.mean_D, self.deviation_D = _moments(features)
        self.dtype = np.dtype(np.float64 if rows * columns <= _DOUBLE_ENTRIES else np.float32)
        if sparse.issparse(features) and features.nnz <= _DENSE_SHARE * rows * columns:
            self.scaled: Any = (features @ sparse.diags(1 / self.deviation_D)).tocsr().astype(self.dtype)
            self.shift_D = (self.mean_D / self.deviation_D).astype(self.dtype)
            self.entries = self.scaled.nnz
        else:
            self.scaled = np.empty((rows, columns), self.dtype)
            for part, chunk in dense_chunks(features):
                self.scaled[part] = (chunk - self.mean_D) / self.deviation_D
            self.shift_D = np.zeros(columns, self.dtype)
            self.entries = rows * columns

    def times(self, weight: Array) -> Array:
        """(D + 1, C) to (N, C)."""
        return np.asarray(self.scaled @ weight[:-1]) + (weight[-1] - self.shift_D @ weight[:-1])

    def transposed(self, rows_NC: Array) -> Array:
        """(N, C) to (D + 1, C)."""
        total_C = rows_NC.sum(0)
        if sparse.issparse(self.scaled):
            found = np.asarray(self.scaled.T @ rows_NC) - np.outer(self.shift_D, total_C)
        else:
            found = (rows_NC.T @ self.scaled).T
        return np.vstack([found, total_C]).astype(self.dtype, copy=False)

    def covariance(self) -> Array:
        """(D, D)."""
        square = self.scaled.T @ self.scaled
        square = square.toarray() if sparse.issparse(square) else square
        return square / len(self) - np.outer(self.shift_D, self.shift_D)

    def __len__(self) -> int:
        return int(self.scaled.shape[0])


def _moments(features: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation of each feature; deviation 1 of one that does not vary."""
    rows, columns = features.shape
    if sparse.issparse(features):
        mean_D = np.asarray(features.mean(0, dtype=np.float64)).ravel()
        square_D = np.asarray(features.multiply(features).mean(0, dtype=np.float64)).ravel() - mean_D**2
    else:
        mean_D, square_D = np.asarray(features.mean(0, dtype=np.float64)), np.zeros(columns)
        for _, chunk in dense_chunks(features):
            square_D += ((chunk - mean_D) ** 2).sum(0) / rows
    deviation_D = np.sqrt(np.maximum(square_D, 0))
    return mean_D, np.where(deviation_D > _FLAT * np.abs(mean_D), deviation_D, 1.0)


def dense_chunks(features: Features) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Rows a few at a time: (slice, float64)."""
    size = max(1, _CHUNK_ENTRIES // max(1, features.shape[1]))
    for start in range(0, features.shape[0], size):
        part = slice(start, start + size)
        chunk = features[part]
        yield part, np.asarray(chunk.toarray() if sparse.issparse(chunk) else chunk, np.float64)


Precondition = Callable[[Array], Array]


def preconditioner(covariance_DD: Array | None, curvature: float, penalty: float) -> Precondition:
    """What undoes a curvature of about so many covariances, and the penalty; nothing where there is no covariance."""
    if covariance_DD is None:
        return lambda rows: rows
    curvature = max(curvature, float(np.finfo(covariance_DD.dtype).eps))  # of models that are certain of every row
    matrix = covariance_DD * curvature
    least = np.sqrt(np.finfo(matrix.dtype).eps) * curvature  # so that rounding leaves it positive
    matrix[np.diag_indices_from(matrix)] += max(penalty, least)
    factor = cho_factor(matrix, overwrite_a=True, check_finite=False)

    def undo(rows: Array) -> Array:
        top = cho_solve(factor, rows[:-1], check_finite=False)
        return np.vstack([top, rows[-1:] / curvature])

    return undo


def worth_a_factor(design: Design, outputs: int) -> bool:
    """Whether products are so dear that it pays to need fewer of them."""
    return design.scaled.shape[1] ** 3 <= _FACTOR_PAYS * design.entries * outputs


def minimise(
    design: Design, loss: Loss, weight: Array, penalty: float, undo: Precondition
) -> tuple[Array, NDArray[np.float64]]:
    """Minimise loss + penalty / 2 · |weights|² from where `weight` is.

    Args:
        design: the features.
        loss: of the outputs.
        weight: (D + 1, C).
        penalty: above 0.
        undo: a `preconditioner`.

    Returns:
        Weights, and the largest entry of each output's gradient there.
    """
    weight, outputs_NC = weight.copy(), design.times(weight)
    for iteration in range(ITERATIONS + 1):
        residual_NC, curvature_NC = loss.slope(outputs_NC)
        gradient = design.transposed(residual_NC) + penalty * _sloped(weight)
        steepest_C = np.abs(gradient).max(0).astype(np.float64)
        going = np.flatnonzero((steepest_C.max() if loss.coupled else steepest_C) > TOLERANCE)
        if loss.coupled:
            going = np.arange(len(steepest_C)) if len(going) else going
        if not len(going) or iteration == ITERATIONS:
            break
        part, bent_NC = (loss, curvature_NC) if loss.coupled else (loss.take(going), curvature_NC[:, going])
        step = _step(design, part, bent_NC, gradient[:, going], penalty, undo)
        change_NC = design.times(step)
        length = _length(part, outputs_NC[:, going], change_NC, weight[:, going], step, gradient[:, going], penalty)
        if not length.any():
            break  # as low as rounding lets it be
        weight[:, going] += length * step
        outputs_NC[:, going] += length * change_NC
    return weight, steepest_C


def _sloped(weight: Array) -> Array:
    """Weights that the penalty is on; 0 for biases."""
    found = weight.copy()
    found[-1] = 0
    return found


def _step(
    design: Design, loss: Loss, curvature_NC: Array, gradient: Array, penalty: float, undo: Precondition
) -> Array:
    """Newton's step, roughly: preconditioned conjugate gradients, each model with lengths of its own."""

    def dot(one: Array, other: Array) -> NDArray[np.float64]:
        each_C = np.einsum("dc,dc->c", one, other).astype(np.float64)
        return each_C.sum(keepdims=True) if loss.coupled else each_C

    def share(one: NDArray[np.float64], other: NDArray[np.float64]) -> Array:
        return np.divide(one, other, out=np.zeros_like(one), where=other > 0).astype(design.dtype)

    step, left = np.zeros_like(gradient), -gradient
    turned = undo(left)
    towards, size = turned, dot(left, turned)
    goal = size * _INNER_REDUCTION**2
    for _ in range(_INNER):
        bent = design.transposed(loss.bend(curvature_NC, design.times(towards))) + penalty * _sloped(towards)
        far = share(size, dot(towards, bent))
        step, left = step + far * towards, left - far * bent
        turned = undo(left)
        before, size = size, dot(left, turned)
        if (size <= goal).all():
            break
        towards = turned + share(size, before) * towards
    return step


def _length(
    loss: Loss, outputs_NC: Array, change_NC: Array, weight: Array, step: Array, gradient: Array, penalty: float
) -> Array:
    """How much of a step to make, of each model: 1, or the first half of halves that lowers the objective."""

    def objective(length: Array) -> NDArray[np.float64]:
        squares_C = (_sloped(weight + length * step) ** 2).sum(0, dtype=np.float64)
        return loss.value(outputs_NC + length * change_NC) + penalty / 2 * _models(loss, squares_C)

    length = np.ones(1 if loss.coupled else step.shape[1], step.dtype)
    promised = _models(loss, (gradient * step).sum(0, dtype=np.float64))
    now = objective(np.zeros_like(length))
    slack = np.finfo(step.dtype).eps * np.abs(now)
    for _ in range(_HALVINGS):
        low = objective(length) <= now + _SUFFICIENT * length * promised + slack
        if low.all():
            return length
        length = np.where(low, length, length / 2)
    return np.where(low, length, 0).astype(step.dtype)


def _models(loss: Loss, each_C: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each output, or the sum where they are one model."""
    return each_C.sum(keepdims=True) if loss.coupled else each_C
