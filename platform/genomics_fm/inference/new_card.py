"""The card of a head that a trial made."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomics_fm.inference.card import HeadCard
from genomics_fm.inference.sequences import gc_share
from genomics_fm.model.heads import SequenceClassifier, TokenClassifier
from genomics_fm.tasks import bootstrap, metrics
from genomics_fm.tasks.calibration import FEWEST_OF_A_CLASS, FEWEST_ROWS, Calibration, fit
from genomics_fm.tasks.calibration_report import assess
from genomics_fm.tasks.metrics import Labels, Predictions
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.results import ArmResult
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.task import Task

GC_PERCENTILES = (0.1, 99.9)
BASES = "mean"
"""What the card of a per-base head, which pools nothing, says of pooling."""
_AUDITED = ("grade", "verdict", "counts", "rows")


def new_card(
    task: Task,
    vocabulary: str,
    module: SequenceClassifier | TokenClassifier,
    result: ArmResult,
    *,
    weights: list[float] | None,
    hashes: dict[str, str],
    training: dict[str, Any],
) -> HeadCard:
    """The card of a trained module.

    Args:
        task: what it was trained on.
        vocabulary: which it reads.
        module: the classifier.
        result: its scores.
        weights: of classes, or positives of labels, in the loss; None: 1 each.
        hashes: of corpus, encoder and vocabulary; those of the task's rows are added.
        training: how it was trained; plain values.
    """
    pooling, dense = (module.pooling, module.dense) if isinstance(module, SequenceClassifier) else (BASES, False)
    fitted = _calibration(task, result, weights)
    card = HeadCard(
        task=task.name,
        problem=task.problem,
        vocabulary=vocabulary,
        encoder=dataclasses.asdict(module.bert.config),
        length_bp=task.length_bp,
        prevalence=tuple(task.prevalence),
        pooling=pooling,
        dense=dense,
        gc=gc_range(task.train),
        weights=None if weights is None else tuple(map(float, weights)),
        audit={name: value for name, value in task.about.get("audit", {}).items() if name in _AUDITED},
        calibration=fitted,
        data={name: value for name, value in task.about.items() if name != "audit"},
        hashes={**hashes, **task.hashes},
        training=training,
    )
    return _measured(card, task, result)


def _measured(card: HeadCard, task: Task, result: ArmResult) -> HeadCard:
    """The card with its thresholds and what its answers are worth."""
    problem, validation, test = task.problem, task.validation, task.test
    on_validation, on_test = card.answers(result.validation_predictions), card.answers(result.test_predictions)
    chosen, interval = thresholds(problem, validation.labels, on_validation), result.interval
    if card.calibrated:
        interval = bootstrap.interval(problem, problem.metric, test.labels, on_test, test.block)
    found: dict[str, Any] = {
        "validation": metrics.evaluate(problem, validation.labels, on_validation, chosen),
        "test": metrics.evaluate(problem, test.labels, on_test, chosen),
        "interval": list(interval),
    }
    if card.calibration is not None:
        found["calibration"] = assess(card.calibration, test, result.test_predictions)
    limits = None if chosen is None else tuple(map(float, chosen))
    return dataclasses.replace(card, thresholds=limits, metrics=found)


def thresholds(problem: Problem, labels: Labels, answers: Predictions) -> NDArray[np.float64] | None:
    """`metrics.thresholds` of a head's answers on validation rows, where they can be told from chance.

    One half stays where either side has fewer than `FEWEST_OF_A_CLASS` rows, and where no threshold does any good.
    """
    chosen = metrics.thresholds(problem, labels, answers)
    if chosen is None:
        return None
    flat, _ = metrics.rows_of(problem, labels, answers)
    of_each = flat.reshape(len(flat), -1)
    few = np.minimum((of_each == 1).sum(0), (of_each == 0).sum(0)) < FEWEST_OF_A_CLASS
    useless = (chosen <= 0) | (chosen >= 1)
    return np.where(few | useless, metrics.DECISION, chosen)


def _calibration(task: Task, result: ArmResult, weights: list[float] | None) -> Calibration | None:
    """Fitted on the calibration split; None where there is none, or one too small to fit anything (R31)."""
    rows = task.calibration
    if rows is None or len(rows) < FEWEST_ROWS or result.calibration_predictions is None:
        return None
    return fit(task.problem, rows.labels, result.calibration_predictions, task.prevalence, weights)


def gc_range(rows: Rows) -> tuple[float, float] | None:
    """Shares of G and C that 99.8 % of the sequences lie between; None where no letter is known."""
    shares = [share for share in map(gc_share, rows.sequences) if share is not None]
    if not shares:
        return None
    low, high = np.percentile(shares, GC_PERCENTILES)
    return float(low), float(high)
