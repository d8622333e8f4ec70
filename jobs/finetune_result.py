"""What a finetuning came to: the head that validation chooses, everything it is compared with, and what may be said."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomics_fm.inference.card import read_card
from genomics_fm.inference.predicted import Predicted, read_predicted
from genomics_fm.tasks import audit, bootstrap, comparison, metrics
from genomics_fm.tasks.task import Task
from jobs import arms
from jobs.finetune_arms import Planned

PRETRAINED, SCRATCH = "pretrained", "scratch"
COUNTED = (
    "intervals are over the test rows' clusters or places, one rival at a time; p is Holm's over {rivals}; "
    "seeds are not counted in"
)
Arm = dict[str, Any]


def chosen(plan: Sequence[Planned], found: Sequence[Arm], start: str = PRETRAINED) -> int:
    """Place of the trial of this start, of the vocabulary with the best mean over seeds on validation, its best seed.

    Of equal ones the first by name, or the first seed. The head is the pretrained one.
    """
    of = {place: one.trial for place, one in enumerate(plan) if one.trial and one.trial.start == start}
    score = {place: _validation(found[place]) for place in of}
    names = sorted({trial.vocabulary for trial in of.values()})
    mean = {name: np.mean([score[place] for place, trial in of.items() if trial.vocabulary == name]) for name in names}
    best = max(names, key=lambda name: mean[name])
    return max((place for place, trial in of.items() if trial.vocabulary == best), key=lambda place: score[place])


def _validation(arm: Arm) -> float:
    return float(arm["validation"][arm["metric"]])


def rivals(plan: Sequence[Planned], found: Sequence[Arm], head: int) -> dict[str, int]:
    """Places of what the head is compared with, by name, each of its own best seed on validation.

    Baselines, the head's vocabulary from scratch, and the vocabulary that is chosen from scratch if it is another.
    """
    scratch = {plan[chosen(plan, found, SCRATCH)].name, plan[head].name.replace(PRETRAINED, SCRATCH, 1)}
    names = dict.fromkeys(one.name for one in plan if one.trial is None or one.name in scratch)
    of = {name: [place for place, one in enumerate(plan) if one.name == name] for name in names}
    return {name: max(places, key=lambda place: _validation(found[place])) for name, places in of.items()}


def compared(task: Task, root: Path, plan: Sequence[Planned], found: Sequence[Arm], head: int) -> list[Arm]:
    """The head against each rival on test rows: `difference` (head minus rival) and the rest of `_differences`.

    `score_clean` is the rival's, and `clean` the comparison, without the test rows that the audit grades A (SPEC R28),
    where there are any: that is what decides.
    """
    mine, rows = predictions(task, root / plan[head].folder), audit.clean_rows(task)
    places = rivals(plan, found, head)
    theirs = {name: predictions(task, root / plan[place].folder) for name, place in places.items()}
    whole = _differences(task, mine, theirs, np.arange(len(task.test)))
    clean = _differences(task, mine, theirs, rows) if len(rows) < len(task.test) else dict.fromkeys(theirs)
    return [
        {
            "name": name,
            "score": found[place]["test"][found[place]["metric"]],
            "score_clean": clean_score(task, theirs[name]),
            "validation": _validation(found[place]),
            "converged": found[place]["converged"],
            **whole[name],
            "clean": clean[name],
        }
        for name, place in places.items()
    ]


def _differences(
    task: Task, mine: Predicted, theirs: Mapping[str, Predicted], rows: NDArray[np.int64]
) -> dict[str, dict[str, Any]]:
    """Of some test rows, by rival: `rows` and a `comparison.Difference` as JSON, all None where they tell nothing."""
    test = task.test
    if not _tell(task, rows):
        nothing = dict.fromkeys(("difference", "interval", "p", "p_adjusted", "sign"))
        blocks = len(np.unique(test.block[rows]))
        return {name: {"rows": len(rows), "blocks": blocks, **nothing} for name in theirs}
    others = {name: one.predictions[rows] for name, one in theirs.items()}
    found = comparison.compare(task.problem, test.labels[rows], mine.predictions[rows], others, test.block[rows])
    return {name: {"rows": len(rows), **one.to_json()} for name, one in found.items()}


def _tell(task: Task, rows: NDArray[np.int64]) -> bool:
    """Whether models can be told apart on some test rows: there are any, and of more than one class."""
    of_classes = task.problem.kind == "classification"
    return len(rows) > 0 and (not of_classes or len(np.unique(task.test.labels[rows])) > 1)


def predictions(task: Task, folder: Path) -> Predicted:
    """An arm's of the test rows."""
    return read_predicted(folder / arms.TEST, task.problem)


def clean_score(task: Task, predicted: Predicted) -> float | None:
    """The metric without test rows that are in training, too; None where there are none, or others tell nothing."""
    rows = audit.clean_rows(task)
    if len(rows) == len(task.test) or not _tell(task, rows):
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
    """What the comparison on test rows allows to say, in plain words.

    Nothing of what has not converged, of fewer blocks than a bootstrap needs, or of rows that are in training.
    """
    if head["converged"] is not True:
        known = "has not converged" if head["converged"] is False else "may not have converged: nobody looked"
        return [f"no verdict: the head {known}; train longer (--passes, --trial.updates) before you compare it"]
    decisive = [one["clean"] or one for one in comparisons]
    if decisive and decisive[0]["difference"] is None:  # all answer the same rows
        left = "the test rows that are not in training are of one class"
        why = left if decisive[0]["rows"] else "every test row is in training, too"
        return [f"no verdict: {why}; divide the rows anew (--divide cluster)"]
    if decisive and (few := decisive[0])["blocks"] < bootstrap.FEWEST_BLOCKS:
        least = f"fewer than {bootstrap.FEWEST_BLOCKS}; give more rows, or divide them another way"
        return [f"no verdict: {few['rows']:,} test rows of {few['blocks']} independent clusters or places, {least}"]
    if not comparisons:
        return []
    rivals = "1 rival" if len(comparisons) == 1 else f"{len(comparisons)} rivals"
    return [*(_said(one, head["metric"]) for one in comparisons), COUNTED.format(rivals=rivals)]


def _said(one: Arm, metric: str) -> str:
    """Of one rival; p decides, which counts all of them."""
    decisive = one["clean"] or one
    difference, (low, high), p = decisive["difference"], decisive["interval"], decisive["p_adjusted"]
    where = f"the {decisive['rows']:,} test rows that are not in training" if one["clean"] else "test"
    measured = f"{metric} {difference:+.3f}, 95 % {low:+.3f} to {high:+.3f}, p {p:.2g}"
    if one["converged"] is False:
        ahead = f", and is ahead all the same ({metric} {-difference:+.3f}, p {p:.2g})" if decisive["sign"] < 0 else ""
        return f"no verdict against {one['name']}: it has not converged{ahead}"
    said = {1: "beats", -1: "LOSES to", 0: "cannot be told apart from"}[decisive["sign"]]
    return f"the encoder {said} {one['name']} on {where} ({measured})"


def decision(head: Path) -> dict[str, float] | None:
    """From which `probability` a head says the second of two classes, and the `mcc` on test of what it says so."""
    card = read_card(head / "config.json")
    if not card.problem.binary or not card.thresholds:
        return None
    return {"probability": card.thresholds[0], "mcc": card.metrics["test"]["mcc_at_threshold"]}


def calibration(head: Path) -> dict[str, Any] | None:
    """How well the head's answers are calibrated on test rows, as its card says; None where that was not possible."""
    found = read_card(head / "config.json").metrics.get("calibration")
    return dict(found) if found else None
