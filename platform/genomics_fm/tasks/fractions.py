"""Nested subsets of labelled rows (SPEC R22): one order a seed, every fraction a prefix of it."""

import numpy as np
from numpy.typing import NDArray

from genomics_fm.errors import require


def nested_order(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """All row indices: a permutation a class, merged by (rank + 1/2) / n_class, so each prefix is stratified.

    Ties between classes go to the smaller label.
    """
    random = np.random.default_rng(seed)
    rows, keys = [], []
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        rows.append(members)
        keys.append((np.arange(len(members)) + 0.5) / len(members))
    return np.concatenate(rows)[np.argsort(np.concatenate(keys), kind="stable")]


def nested_subset(labels: NDArray[np.int64], fraction: float, seed: int, cap: int | None = None) -> NDArray[np.int64]:
    """The first round(fraction * N) indices of the nested order; halves round up.

    Args:
        labels: of all training rows.
        fraction: in (0, 1].
        seed: of the order; the same subset for every model within a seed.
        cap: N is at most this many rows, the first of the same order.

    Returns:
        Indices in order; none when a class would have no row (such a cell is omitted).

    Raises:
        InputError: the fraction is not in (0, 1].
    """
    require(0 < fraction <= 1, "fraction", fraction, "a share above 0, at most 1")
    total = len(labels) if cap is None else min(cap, len(labels))
    subset = nested_order(labels, seed)[: int(fraction * total + 0.5)]
    complete = len(np.unique(labels[subset])) == len(np.unique(labels))
    return subset if complete else subset[:0]
