"""What the page of a head is made of, and how its models are called and coloured."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomics_fm.inference.card import HeadCard
from genomics_fm.report.pretraining_plots import roles_of
from genomics_fm.tasks.metrics import Predictions
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.task import Task

METRICS = {
    "mcc": "MCC", "accuracy": "accuracy", "f1_macro": "macro F1", "auroc": "AUROC", "auprc": "AUPRC",
    "pearson": "Pearson r", "pearson_squared": "Pearson r²", "r2": "R²", "spearman": "Spearman ρ",
}  # fmt: skip
SHOWN_NAMES = 12
"""Classes, labels or targets that are listed."""
SCRATCH = "scratch"
_ROLES = {"k-mer": "logistic", "CNN": "cnn", "GC": "gc", "majority": "majority", "mean": "majority"}
"""Colour of a baseline, by the first word of its name."""
_OTHER = "six_frame"


@dataclass(frozen=True)
class HeadRecord:
    """A finished finetuning.

    Attributes:
        result: what its `result.json` holds.
        task: the rows.
        card: of the head.
        predictions: of the head for the test rows, as its scores are of: before calibration.
        rivals: the same of what it is compared with, by name.
        files: where the page's reader finds more, by what it is.
    """

    result: dict[str, Any]
    task: Task
    card: HeadCard
    predictions: Predictions
    rivals: Mapping[str, Predictions] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def problem(self) -> Problem:
        return self.task.problem

    @property
    def test(self) -> Rows:
        return self.task.test

    @property
    def head(self) -> dict[str, Any]:
        """The head's arm."""
        return dict(self.result["head"])

    @property
    def metric(self) -> str:
        """What heads of this problem are compared by, as people write it."""
        return METRICS.get(self.problem.metric, self.problem.metric)

    @cached_property
    def answers(self) -> Predictions:
        """What the head answers for the test rows: calibrated where it can be."""
        return self.card.answers(self.predictions)

    @property
    def thresholds(self) -> NDArray[np.float64] | None:
        """From which answer on the second class, or a label, is said; None: as `metrics.decide` has it."""
        return None if self.card.thresholds is None else np.array(self.card.thresholds)

    @cached_property
    def looks(self) -> dict[str, tuple[str, bool]]:
        """Of every arm's name the role of its colour, and whether it is drawn hollow."""
        trials = {one["name"]: one for one in self.result["arms"] if "vocabulary" in one}
        roles = roles_of(list(dict.fromkeys(one["vocabulary"] for one in trials.values())))
        found = {name: (roles[one["vocabulary"]], one["start"] == SCRATCH) for name, one in trials.items()}
        rest = dict.fromkeys(one["name"] for one in self.result["arms"] if one["name"] not in found)
        return found | {name: (_ROLES.get(name.split()[0], _OTHER), False) for name in rest}


def listed(names: Iterable[str], most: int) -> str:
    """Names in a row, and how many more there are."""
    known = list(names)
    more = f", … ({len(known):,} in all)" if len(known) > most else ""
    return ", ".join(known[:most]) + more
