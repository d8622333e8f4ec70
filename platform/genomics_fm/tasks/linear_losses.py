"""What linear models are fitted to: convex losses of their outputs, and the first two derivatives.

Shapes: N rows, C outputs.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp, softmax  # type: ignore[import-untyped]

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Loss:
    """A sum over rows of weight times loss.

    Attributes:
        labels_NC: 0 and 1, or values; any number where the weight is 0.
        weight_NC: or (N, 1).
    """

    labels_NC: Array
    weight_NC: Array
    coupled = False  # whether outputs are one model, and not one each

    def take(self, columns: NDArray[np.int64]) -> "Loss":
        """Of some of the outputs."""
        return type(self)(self.labels_NC[:, columns], self.weight_NC[:, columns])

    def value(self, outputs_NC: Array) -> NDArray[np.float64]:
        """(C,), or (1,) where coupled."""
        raise NotImplementedError

    def slope(self, outputs_NC: Array) -> tuple[Array, Array]:
        """Gradient by outputs, (N, C), and what `bend` makes of the second derivative."""
        raise NotImplementedError

    def bend(self, curvature_NC: Array, change_NC: Array) -> Array:
        """The second derivative times a change of the outputs."""
        return curvature_NC * change_NC

    def mean_curvature(self, curvature_NC: Array) -> float:
        """What multiple of the features' covariance the curvature is, about."""
        return float(curvature_NC.sum(0, dtype=np.float64).mean())


class Squares(Loss):
    """Half the squared error of each output."""

    def value(self, outputs_NC: Array) -> NDArray[np.float64]:
        return (self.weight_NC * (outputs_NC - self.labels_NC) ** 2).sum(0, dtype=np.float64) / 2

    def slope(self, outputs_NC: Array) -> tuple[Array, Array]:
        return self.weight_NC * (outputs_NC - self.labels_NC), self.weight_NC


class Logistic(Loss):
    """Each output is a label's log-odds."""

    def value(self, outputs_NC: Array) -> NDArray[np.float64]:
        each = np.logaddexp(0, outputs_NC) - self.labels_NC * outputs_NC
        return (self.weight_NC * each).sum(0, dtype=np.float64)

    def slope(self, outputs_NC: Array) -> tuple[Array, Array]:
        share_NC = expit(outputs_NC)
        return self.weight_NC * (share_NC - self.labels_NC), self.weight_NC * share_NC * (1 - share_NC)


class Multinomial(Loss):
    """Outputs are the classes' logits; labels have a single 1 a row, weights are (N, 1)."""

    coupled = True

    def value(self, outputs_NC: Array) -> NDArray[np.float64]:
        each = logsumexp(outputs_NC, axis=1) - (self.labels_NC * outputs_NC).sum(1)
        return (self.weight_NC[:, 0] * each).sum(keepdims=True, dtype=np.float64)

    def slope(self, outputs_NC: Array) -> tuple[Array, Array]:
        share_NC = softmax(outputs_NC, axis=1)
        return self.weight_NC * (share_NC - self.labels_NC), share_NC

    def bend(self, curvature_NC: Array, change_NC: Array) -> Array:
        moved_NC = curvature_NC * change_NC
        return self.weight_NC * (moved_NC - curvature_NC * moved_NC.sum(1, keepdims=True))

    def mean_curvature(self, curvature_NC: Array) -> float:
        return float((self.weight_NC * curvature_NC * (1 - curvature_NC)).sum(0, dtype=np.float64).mean())
