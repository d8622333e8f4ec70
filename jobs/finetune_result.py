"""What a finetuning came to: the head that validation chooses, everything it is compared with, and what may be said."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genomics_fm.inference.card import read_card
from genomics_fm.inference.predicted import Predicted, read_predicted
from genomics_fm.tasks import audit, bootstrap, metrics
from genomics_fm.tasks.task import Task
from jobs import arms
from jobs.finetune_arms import Planned

PRETRAINED, SCRATCH = "pretrained", "scratch"
Arm = dict[str, Any]


def chosen(plan: Sequence[Planned], found: Sequence[Arm]) -> int:
    """Place of the head: of the vocabulary with the best mean over seeds on validation, its best seed.

    Of equal ones the first by name, or the first seed; trials from scratch are no candidates.
    """
    of = {place: one.trial for place, one in enumerate(plan) if one.trial and one.trial.start == PRETRAINED}
    score = {place: float(found[place]["validation"][found[place]["metric"]]) for place in of}
    names = sorted({trial.vocabulary for trial in of.values()})
    mean = {name: np.mean([score[place] for place, trial in of.items() if trial.vocabulary == name]) for name in names}
    best = max(names, key=lambda name: mean[name])
    return max((place for place, trial in of.items() if trial.vocabulary == best), key=lambda place: score[place])


def rivals(plan: Sequence[Planned], head: int) -> dict[str, int]:
    """Places of what the head is compared with, by name: baselines, and the same trial from scratch."""
    mine = plan[head].trial
    found = {one.name: place for place, one in enumerate(plan) if one.trial is None}
    for place, one in enumerate(plan):
        alike = one.trial and mine and (one.trial.vocabulary, one.seed) == (mine.vocabulary, plan[head].seed)
        if alike and one.trial and one.trial.start == SCRATCH:
            found[one.name] = place
    return found


def compared(task: Task, root: Path, plan: Sequence[Planned], found: Sequence[Arm], head: int) -> list[Arm]:
    """The head against each rival on test rows: `difference` (head minus rival) and its paired `interval`.

    `score_clean` is the rival's without the test rows that the audit grades A (SPEC R28), where there are any.
    """
    mine = predictions(task, root / plan[head].folder)
    listed = []
    for name, place in rivals(plan, head).items():
        theirs = predictions(task, root / plan[place].folder)
        difference, low, high = bootstrap.difference(
            task.problem, task.problem.metric, task.test.labels, mine.predictions, theirs.predictions, task.test.block
        )
        arm = found[place]
        listed.append(
            {
                "name": name,
                "score": arm["test"][arm["metric"]],
                "score_clean": clean_score(task, theirs),
                "validation": arm["validation"][arm["metric"]],
                "difference": difference,
                "interval": [low, high],
                "converged": arm["converged"],
            }
        )
    return listed


def predictions(task: Task, folder: Path) -> Predicted:
    """An arm's of the test rows."""
    return read_predicted(folder / arms.TEST, task.problem)


def clean_score(task: Task, predicted: Predicted) -> float | None:
    """The metric without test rows that are in training, too; None where there are none such, or no others."""
    rows = audit.clean_rows(task)
    if not 0 < len(rows) < len(task.test):
        return None
    found = metrics.evaluate(task.problem, task.test.labels[rows], predicted.predictions[rows])
    return found[task.problem.metric]


def groups(plan: Sequence[Planned], found: Sequence[Arm]) -> list[Arm]:
    """A row a baseline and a kind of trial: means over seeds of `validation` and `test`, and how far seeds lie apart.

    `low` and `high` are the 95 % interval of one seed, or the least and the most of several.
    """
    listed = []
    for name in dict.fromkeys(one.name for one in plan):
        of = [arm for one, arm in zip(plan, found, strict=True) if one.name == name]
        metric = of[0]["metric"]
        tests = [arm["test"][metric] for arm in of]
        low, high = of[0]["interval"] if len(of) == 1 else (min(tests), max(tests))
        listed.append(
            {
                "name": name,
                "seeds": len(of),
                "validation": float(np.mean([arm["validation"][metric] for arm in of])),
                "test": float(np.mean(tests)),
                "low": low,
                "high": high,
                "rows_seen": of[0].get("rows_seen", of[0]["chosen"].get("rows_seen")),
                "converged": None if any(arm["converged"] is None for arm in of) else all(a["converged"] for a in of),
                "seconds": float(np.mean([arm["seconds"] for arm in of])),
            }
        )
    return listed


def verdict(head: Arm, comparisons: Sequence[Arm]) -> list[str]:
    """What the comparison on test rows allows to say, in plain words; nothing of what has not converged."""
    if head["converged"] is not True:
        known = "has not converged" if head["converged"] is False else "may not have converged: nobody looked"
        return [f"no verdict: the head {known}; train longer (--passes, --trial.updates) before you compare it"]
    metric, lines = head["metric"], []
    for one in comparisons:
        low, high = one["interval"]
        against = f"{one['name']} on test ({metric} {one['difference']:+.3f}, 95 % {low:+.3f} to {high:+.3f})"
        if one["converged"] is False:
            ahead = f", and is ahead all the same ({metric} {-one['difference']:+.3f})" if high < 0 else ""
            lines.append(f"no verdict against {one['name']}: it has not converged{ahead}")
        elif high < 0:
            lines.append(f"the encoder LOSES to {against}")
        elif low > 0:
            lines.append(f"the encoder beats {against}")
        else:
            lines.append(f"the encoder cannot be told apart from {against}")
    return lines


def calibration(head: Path) -> dict[str, Any] | None:
    """How well the head's answers are calibrated on test rows, as its card says; None where that was not possible."""
    found = read_card(head / "config.json").metrics.get("calibration")
    return dict(found) if found else None
