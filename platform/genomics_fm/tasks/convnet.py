"""A convolutional network for sequences of any length and every kind of problem.

Its four convolutions are as deep and reach as far as DeepSTARR's (de Almeida et al. 2022,
doi:10.1038/s41588-022-01048-5), the first half as wide; in place of dense layers that fix the length stand the maximum
and the mean over positions.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

WIDTHS = (128, 64, 64, 128)
KERNELS = (7, 3, 5, 3)
HIDDEN = 256


class ConvNet(nn.Module):
    """Four times convolution, normalisation, rectifier and pooling; then one hidden layer.

    What is computed of a sequence does not depend on the others of its batch, but for normalisation while training.
    """

    def __init__(self, outputs: int, per_base: bool = False, dropout: float = 0.2) -> None:
        """A network of about 0.14 million parameters.

        Args:
            outputs: classes, labels or targets.
            per_base: logits of every base: convolutions reach as far without pooling, by dilation.
            dropout: before and after the hidden layer.
        """
        super().__init__()
        self.per_base = per_base
        inputs = (4, *WIDTHS[:-1])
        self.convolutions = nn.ModuleList(
            _convolution(narrow, wide, kernel, 2**layer if per_base else 1)
            for layer, (narrow, wide, kernel) in enumerate(zip(inputs, WIDTHS, KERNELS, strict=True))
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in WIDTHS)
        self.head = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(WIDTHS[-1] * (1 if per_base else 2), HIDDEN),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(HIDDEN, outputs),
        )

    def forward(self, bases_B4L: Tensor, lengths_B: Tensor) -> Tensor:
        """Logits (B, C), or (B, L, C) of bases.

        Args:
            bases_B4L: one-hot A C G T; zeros where unknown and after a sequence's end.
            lengths_B: int64, at least 1; bases of each.
        """
        hidden_BDL = bases_B4L
        ragged = bool((lengths_B < bases_B4L.shape[2]).any())
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            hidden_BDL = norm(convolution(hidden_BDL))
            if ragged:
                hidden_BDL = hidden_BDL * (torch.arange(hidden_BDL.shape[2]) < lengths_B[:, None, None])
            if not self.per_base:
                hidden_BDL, lengths_B = _halved(hidden_BDL), (lengths_B + 1) // 2
            hidden_BDL = torch.relu(hidden_BDL)
        if self.per_base:
            return self.head(hidden_BDL.transpose(1, 2))
        mean_BD = hidden_BDL.sum(2) / lengths_B[:, None]
        return self.head(torch.cat([hidden_BDL.amax(2), mean_BD], 1))


def _convolution(narrow: int, wide: int, kernel: int, dilation: int) -> nn.Conv1d:
    return nn.Conv1d(narrow, wide, kernel, padding=kernel // 2 * dilation, dilation=dilation, bias=False)


def _halved(hidden_BDL: Tensor) -> Tensor:
    """The larger of two neighbours, and of the last and 0 where it has none: a rectifier follows. Slices are several
    times as fast as `max_pool1d` on a CPU."""
    if hidden_BDL.shape[2] % 2:
        hidden_BDL = nn.functional.pad(hidden_BDL, (0, 1))
    return torch.maximum(hidden_BDL[..., ::2], hidden_BDL[..., 1::2])


def lengths_of(sequences: Sequence[str]) -> Tensor:
    """Bases of each sequence, (B,) int64."""
    return torch.from_numpy(np.fromiter(map(len, sequences), np.int64, len(sequences)))
