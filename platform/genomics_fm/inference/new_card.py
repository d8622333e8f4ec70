"""The card of a head that a trial made."""

import dataclasses
from typing import Any

import numpy as np

from genomics_fm.inference.card import HeadCard
from genomics_fm.inference.sequences import gc_share
from genomics_fm.model.heads import SequenceClassifier, TokenClassifier
from genomics_fm.tasks import metrics
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
        metrics={"validation": result.validation, "test": result.test, "interval": list(result.interval)},
        data={name: value for name, value in task.about.items() if name != "audit"},
        hashes={**hashes, **task.hashes},
        training=training,
    )


def gc_range(rows: Rows) -> tuple[float, float] | None:
    """Shares of G and C that 99.8 % of the sequences lie between; None where no letter is known."""
    shares = [share for share in map(gc_share, rows.sequences) if share is not None]
    if not shares:
        return None
    low, high = np.percentile(shares, GC_PERCENTILES)
    return float(low), float(high)
