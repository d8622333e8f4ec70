"""Baselines of the demo task, or any binary unstranded one, on the label subsets that the models of a sweep see.

Each one gives the probability of class 1 for validation and test; rules give 0 or 1. `baselines` has those of every
kind of task.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomics_fm.errors import InputError
from genomics_fm.tasks import cnn, kmers, metrics, results
from genomics_fm.tasks.coding import PROBLEM
from genomics_fm.tasks.fractions import nested_subset
from genomics_fm.tasks.results import ArmResult
from genomics_fm.tasks.rows import Rows

K = 6
C_GRID = (0.001, 0.003, 0.01, 0.03, 0.1, 1.0)  # inverse L2 penalty of the logistic regression
LBFGS_ITERATIONS = 200

Labels = NDArray[np.int64]
Counts = NDArray[np.float32]
Probability = NDArray[np.float32]


def majority(train_labels: Labels, rows: int) -> Probability:
    """The commoner class of the training rows for every row; class 1 when both are equally common."""
    return np.full(rows, train_labels.mean() >= 0.5, np.float32)


def gc_share(sequences: Sequence[str]) -> NDArray[np.float64]:
    """Share of G and C among the letters of each sequence."""
    return np.array([(s.count("G") + s.count("C")) / max(1, len(s)) for s in sequences])


def gc_threshold(train: Rows) -> tuple[float, bool]:
    """(threshold, class 1 lies at or above it): the cut of the GC share with the best MCC on `train`."""
    share = gc_share(train.sequences)
    cuts = [(metrics.best_threshold(train.labels, sign * share), sign) for sign in (1, -1)]
    scores = [metrics.mcc(train.labels, (sign * share >= cut).astype(np.int64)) for cut, sign in cuts]
    cut, sign = cuts[int(np.argmax(scores))]
    return sign * cut, sign > 0


def gc_predict(sequences: Sequence[str], threshold: float, above: bool) -> Probability:
    """1 where the GC share lies on class 1's side of the threshold."""
    share = gc_share(sequences)
    return (share >= threshold if above else share <= threshold).astype(np.float32)


def open_frame(sequences: Sequence[str]) -> Probability:
    """1 where at least one of the six reading frames has no stop codon from end to end.

    Codons cut by an end of the sequence, and codons with an unknown base, are no stops.
    """
    codes, row = kmers.encode(sequences)
    start = np.searchsorted(row, np.arange(len(sequences)))
    frame = (np.arange(len(codes)) - start[row]) % 3
    a, c, g, t = range(4)
    first, second, third = codes[:-2], codes[1:-1], codes[2:]
    stop_after_t = ((second == a) & ((third == a) | (third == g))) | ((second == g) & (third == a))
    stop_before_a = ((second == t) & ((first == t) | (first == c))) | ((second == c) & (first == t))
    still_open = np.ones((len(sequences), 6), np.bool_)
    for strand, stops in enumerate(((first == t) & stop_after_t, (third == a) & stop_before_a)):
        at = np.flatnonzero(stops)
        still_open[row[at], 3 * strand + frame[at]] = False
    return np.asarray(still_open.any(1), np.float32)


def kmer_features(sequences: Sequence[str]) -> Counts:
    """log(1 + count) of each of the 2,080 canonical 6-mers: the same for both strands."""
    counts = kmers.counts(sequences, K)
    np.log1p(counts, out=counts)
    return counts


def logistic(features: Counts, labels: Labels, c: float) -> Callable[[Counts], Probability]:
    """L2-penalised logistic regression; returns features -> probability of class 1."""
    from sklearn.linear_model import LogisticRegression  # here: every job that imports this would wait a second for it

    model = LogisticRegression(C=c, max_iter=LBFGS_ITERATIONS).fit(features, labels)
    return lambda rows: model.predict_proba(rows)[:, 1].astype(np.float32)


def _decided(probability: Probability) -> Labels:
    return metrics.decide(PROBLEM, results.of_two(probability))


def choose_c(features: Counts, labels: Labels, validation_features: Counts, validation_labels: Labels) -> float:
    """The C of `C_GRID` with the best validation MCC; the smallest of equal ones."""
    scores = [
        metrics.mcc(validation_labels, _decided(logistic(features, labels, c)(validation_features))) for c in C_GRID
    ]
    return C_GRID[int(np.argmax(scores))]


@dataclass(frozen=True)
class _Cell:
    """One point of the grid: a label fraction, of all rows or of the capped ones."""

    fraction: float
    capped: bool
    index: NDArray[np.int64]


@dataclass(frozen=True)
class _Split:
    """Rows with their 6-mer features."""

    rows: Rows
    features: Counts

    @classmethod
    def of(cls, rows: Rows) -> "_Split":
        return cls(rows, kmer_features(rows.sequences))


_Predict = Callable[[_Split], Probability]


def run_all(
    train: Rows,
    validation: Rows,
    test: Rows,
    fractions: Sequence[float],
    cap: int | None,
    seed: int,
    cnn_learning_rate: float = cnn.LEARNING_RATE,
    cnn_updates: int = cnn.UPDATES,
) -> list[ArmResult]:
    """Every baseline at every label fraction, uncapped and (where `cap` binds) capped.

    The penalty of the logistic regression is chosen once, with all labels, and kept at every fraction
    (SPEC R23). Fractions that would leave a class without a row are omitted.

    Args:
        train: all training rows; subsets are those of `fractions.nested_subset`.
        validation: for choices only.
        test: scored once an arm.
        fractions: of the (capped) training rows.
        cap: most training rows of a capped arm, the first of the nested order; None for none.
        seed: of the subsets and of the CNN.
        cnn_learning_rate: tuned elsewhere on validation.
        cnn_updates: of the CNN, at every fraction.

    Raises:
        InputError: the labels are not 0 and 1.
    """
    if set(np.unique(train.labels)) != {0, 1}:
        raise InputError(f"labels {np.unique(train.labels).tolist()}: the baselines want the classes 0 and 1")
    arms = _Arms(train, validation, test, seed)
    found = []
    for capped in (False, True) if cap is not None and cap < len(train) else (False,):
        for fraction in fractions:
            index = nested_subset(train, fraction, seed, cap if capped else None)
            if len(index):
                cell = _Cell(fraction, capped, index)
                found += [arms.majority(cell), arms.gc(cell), arms.logistic(cell), arms.open_frame(cell)]
                found.append(arms.cnn(cell, cnn_learning_rate, cnn_updates))
    return found


class _Arms:
    """Scores each baseline on one cell; holds what all cells share, whose time no arm's seconds include."""

    def __init__(self, train: Rows, validation: Rows, test: Rows, seed: int):
        self.train, self.validation, self.test = map(_Split.of, (train, validation, test))
        self.seed = seed
        self.c = choose_c(self.train.features, train.labels, self.validation.features, validation.labels)

    def majority(self, cell: _Cell) -> ArmResult:
        began, labels = time.perf_counter(), self.train.rows.labels[cell.index]
        return self._score("majority", cell, began, lambda split: majority(labels, len(split.rows)))

    def gc(self, cell: _Cell) -> ArmResult:
        began = time.perf_counter()
        cut, above = gc_threshold(self.train.rows.take(cell.index))
        return self._score(
            "GC threshold",
            cell,
            began,
            lambda split: gc_predict(split.rows.sequences, cut, above),
            threshold=cut,
        )

    def open_frame(self, cell: _Cell) -> ArmResult:
        began = time.perf_counter()
        return self._score("six-frame open", cell, began, lambda split: open_frame(split.rows.sequences), labels_seen=0)

    def logistic(self, cell: _Cell) -> ArmResult:
        began = time.perf_counter()
        fitted = logistic(self.train.features[cell.index], self.train.rows.labels[cell.index], self.c)
        return self._score("6-mer logistic regression", cell, began, lambda split: fitted(split.features), C=self.c)

    def cnn(self, cell: _Cell, learning_rate: float, updates: int) -> ArmResult:
        began = time.perf_counter()
        subset = self.train.rows.take(cell.index)
        fitted = cnn.train(subset, self.validation.rows, learning_rate, updates, self.seed)
        return self._score(
            "CNN", cell, began, lambda split: fitted(split.rows.sequences), learning_rate=learning_rate, updates=updates
        )

    def _score(
        self,
        name: str,
        cell: _Cell,
        began: float,
        predict: _Predict,
        labels_seen: int | None = None,
        **chosen: Any,
    ) -> ArmResult:
        return results.score(
            PROBLEM,
            self.validation.rows,
            self.test.rows,
            name=name,
            fraction=cell.fraction,
            capped=cell.capped,
            labels_seen=len(cell.index) if labels_seen is None else labels_seen,
            validation_predictions=results.of_two(predict(self.validation)),
            test_predictions=results.of_two(predict(self.test)),
            seconds=time.perf_counter() - began,
            chosen=chosen,
        )
