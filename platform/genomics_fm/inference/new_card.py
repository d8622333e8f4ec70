"""The card of a head that a trial made."""

import dataclasses
from typing import Any

import numpy as np

from genomics_fm.inference.card import HeadCard
from genomics_fm.inference.sequences import gc_share
from genomics_fm.model.heads import SequenceClassifier, TokenClassifier
from genomics_fm.tasks import metrics
from genomics_fm.tasks.calibration import FEWEST_ROWS, Calibration, fit
from genomics_fm.tasks.calibration_report import assess
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
    problem, validation = task.problem, task.validation
    fitted = _calibration(task, result, weights)
    measured = {"validation": result.validation, "test": result.test, "interval": list(result.interval)}
    if fitted is not None:
        measured["calibration"] = assess(fitted, task.test, result.test_predictions)
    chosen = metrics.thresholds(problem, validation.labels, result.validation_predictions)
    return HeadCard(
        task=task.name,
        problem=problem,
        vocabulary=vocabulary,
        encoder=dataclasses.asdict(module.bert.config),
        length_bp=task.length_bp,
        prevalence=tuple(task.prevalence),
        pooling=pooling,
        dense=dense,
        gc=gc_range(task.train),
        weights=None if weights is None else tuple(map(float, weights)),
        thresholds=None if chosen is None else tuple(map(float, chosen)),
        audit={name: value for name, value in task.about.get("audit", {}).items() if name in _AUDITED},
        calibration=fitted,
        metrics=measured,
        data={name: value for name, value in task.about.items() if name != "audit"},
        hashes={**hashes, **task.hashes},
        training=training,
    )


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
