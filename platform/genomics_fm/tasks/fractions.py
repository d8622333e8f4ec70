"""Nested subsets of labelled rows (SPEC R22): one order a seed, every fraction a prefix of it."""

import numpy as np
from numpy.typing import NDArray

from genomics_fm.errors import require
from genomics_fm.tasks.clusters import cluster
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.rows import Labels, Rows

ORDER_VERSION = 2
"""Raised by hand where code draws other rows for a fraction; 1 knew no clusters."""
QUANTILES = 10
"""Strata of a regression."""


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


def nested_subset(rows: Rows, fraction: float, seed: int, cap: int | None = None) -> NDArray[np.int64]:
    """The first round(fraction * N) rows of the nested order of classes; halves round up.

    Where the fraction leaves rows out, clusters of like sequences stay together, so that few labels are not fewer
    still for being the same sequence twice; the last cluster taken may be cut.

    Args:
        rows: all training rows, whose labels are class ids.
        fraction: in (0, 1].
        seed: of the order; the same subset for every model within a seed.
        cap: N is at most this many rows, the first of the order of rows.

    Returns:
        Indices in order; none when a class would have no row (such a cell is omitted).

    Raises:
        InputError: the fraction is not in (0, 1].
    """
    subset = _first(rows, rows.labels, fraction, seed, cap)
    complete = len(np.unique(rows.labels[subset])) == len(np.unique(rows.labels))
    return subset if complete else subset[:0]


def _first(rows: Rows, stratum_N: NDArray[np.int64], fraction: float, seed: int, cap: int | None) -> NDArray[np.int64]:
    require(0 < fraction <= 1, "fraction", fraction, "a share above 0, at most 1")
    order = nested_order(stratum_N, seed)[:cap]
    if fraction == 1:
        return order
    together = _together(order, cluster([rows.sequences[row] for row in order]))
    return together[: int(fraction * len(order) + 0.5)]


def _together(order: NDArray[np.int64], unit_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of a unit one after the other, where the one of the lowest index stood, whatever its size; `unit_N` is of
    the rows as they stand in the order."""
    by_index = np.lexsort((order, unit_N))
    first_U = by_index[np.unique(unit_N[by_index], return_index=True)[1]]
    return order[np.lexsort((order, first_U[unit_N]))]


def strata(problem: Problem, labels: Labels) -> NDArray[np.int64]:
    """What each row is stratified by, (N,).

    A class stands for itself. Of labels, and of the classes of bases, a row counts under its rarest (−1: it has
    none), which is where iterative stratification begins. Of targets, the first measured one decides, by deciles
    (−1: none was measured).
    """
    if problem.kind == "classification":
        return labels
    if problem.kind == "regression":
        return _deciles(labels)
    if problem.kind == "per-base":
        held_NC = np.array([[bool((row == number).any()) for number in range(problem.outputs)] for row in labels])
    else:
        held_NC = labels == 1
    rank_C = np.empty(problem.outputs, np.int64)
    order = np.argsort(held_NC.sum(0), kind="stable")
    rank_C[order] = np.arange(problem.outputs)
    rarest_N = np.where(held_NC, rank_C, problem.outputs).min(axis=1)
    return np.where(rarest_N < problem.outputs, order[np.minimum(rarest_N, problem.outputs - 1)], -1)


def _deciles(labels_NC: Labels) -> NDArray[np.int64]:
    """Which tenth of its target a row's value falls into; −1 where no target of the row was measured."""
    measured_NC = ~np.isnan(labels_NC)
    target_N = np.where(measured_NC.any(1), measured_NC.argmax(1), -1)
    found_N = np.full(len(labels_NC), -1)
    for target in range(labels_NC.shape[1]):
        rows = np.flatnonzero(target_N == target)
        rank = np.empty(len(rows), np.int64)
        rank[np.argsort(labels_NC[rows, target], kind="stable")] = np.arange(len(rows))
        found_N[rows] = rank * QUANTILES // max(len(rows), 1)
    return found_N


def subset_of(problem: Problem, rows: Rows, fraction: float, seed: int, cap: int | None = None) -> NDArray[np.int64]:
    """`nested_subset` of rows of any problem; only where rows are classes must each class keep a row."""
    if problem.kind == "classification":
        return nested_subset(rows, fraction, seed, cap)
    return _first(rows, strata(problem, rows.labels), fraction, seed, cap)


def evaluated(problem: Problem, labels: Labels, rows: int) -> NDArray[np.int64]:
    """The first `rows` indices of the nested order of seed 0, in order, to score a model on while it learns.

    A stratum that they would lack has its first row in place of their last: what is rare is not left unseen.
    """
    stratum = strata(problem, labels)
    order = nested_order(stratum, 0)
    first = np.unique(stratum[order], return_index=True)[1]
    ranked = np.concatenate([first, np.setdiff1d(np.arange(len(order)), first)])
    return order[np.sort(ranked[:rows])]
