"""A task on disk: the question, the rows of each split, and where all of it comes from.

task.json             problem, provenance, hashes of the splits; written last
SPLIT.parquet         rows of each split, as `rows.write` writes them; none where a split has no rows
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from genomics_fm.artefacts import read_sealed_json, sha256_json, write_sealed_json
from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.tasks import rows
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.rows import Rows

FORMAT_VERSION = 2
"""1 knew two classes, and no calibration split."""
TASK_FILE = "task.json"
SPLITS = ("train", "validation", "calibration", "test")
_HOW = "build it with `python -m jobs.build_task`"


@dataclass(frozen=True)
class Task:
    """A task: what is asked, and labelled rows to learn it from and to be measured on.

    Attributes:
        name: heads of one task compete for one alias.
        problem: what is asked.
        splits: rows by split. "train", "validation" and "test" hold some; "calibration", neither validation nor test
            (R31), may be missing.
        about: what the card of a head repeats: `source`, `licence`, `citation`, `family` (of SPEC 1.H), `split` (how
            rows were divided), `audit` (the verdict on leaks), `counts`; whatever is known.
    """

    name: str
    problem: Problem
    splits: Mapping[str, Rows]
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for split in ("train", "validation", "test"):
            if not len(self.splits.get(split, ())):
                raise InputError(f"task {self.name}: no rows in {split}; give more, or split them another way")

    @property
    def train(self) -> Rows:
        return self.splits["train"]

    @property
    def validation(self) -> Rows:
        return self.splits["validation"]

    @property
    def calibration(self) -> Rows | None:
        found = self.splits.get("calibration")
        return found if found is not None and len(found) else None

    @property
    def test(self) -> Rows:
        return self.splits["test"]

    @cached_property
    def hashes(self) -> dict[str, str]:
        """sha256 of each split's rows, in the order of `SPLITS`."""
        return {split: self.splits[split].sha256 for split in SPLITS if split in self.splits}

    @cached_property
    def sha256(self) -> str:
        """Of the question and all rows: what decides a result."""
        return sha256_json([self.problem.to_json(), self.hashes])

    @cached_property
    def length_bp(self) -> tuple[int, int]:
        """Lengths of the training sequences, shortest and longest."""
        lengths = [len(sequence) for sequence in self.train.sequences]
        return min(lengths), max(lengths)

    @cached_property
    def prevalence(self) -> list[float]:
        """Of each class or label among the training rows; means of targets. 0 of what none of them was measured for."""
        labels = self.train.labels
        if self.problem.kind == "per-base":
            labels = np.concatenate(list(labels))
            labels = labels[labels >= 0]
        if self.problem.classes:
            return [float(np.mean(labels == number)) for number in range(self.problem.outputs)]
        measured = (~np.isnan(labels)).sum(axis=0)
        return [float(value) for value in np.nansum(labels, axis=0, dtype=np.float64) / np.maximum(measured, 1)]


def save(folder: Path, task: Task) -> None:
    """Write a task's folder; the description last, so that a folder that has it is whole."""
    for split in task.hashes:
        rows.write(folder / f"{split}.parquet", task.splits[split])
    about = {
        "format_version": FORMAT_VERSION,
        "task": task.name,
        "problem": task.problem.to_json(),
        "hashes": task.hashes,
        "about": task.about,
    }
    write_sealed_json(folder / TASK_FILE, about)


def load(folder: Path) -> Task:
    """Read a task's folder.

    Raises:
        InputError: no task there.
        CorruptArtefact: a split disagrees with its hash, or the description is damaged or of a newer format.
    """
    value = read_sealed_json(folder / TASK_FILE, FORMAT_VERSION, _HOW)
    try:
        if value["format_version"] == 1:
            value |= {"problem": _first_problem(value), "about": {"counts": value["counts"]}}
        problem = Problem.from_json(value["problem"])
        name, hashes, about = value["task"], dict(value["hashes"]), value["about"]
    except (KeyError, TypeError, ValueError, InputError) as error:
        raise CorruptArtefact(f"{folder / TASK_FILE}: not a task ({error}); build it again") from error
    found = Task(name, problem, {split: rows.read(folder / f"{split}.parquet") for split in hashes}, about)
    for split, expected in hashes.items():
        if found.hashes.get(split) != expected:
            raise CorruptArtefact(f"{folder / split}.parquet: not the rows task.json names; build the task again")
    return found


def _first_problem(value: dict[str, Any]) -> dict[str, Any]:
    """The problem of a folder of format 1."""
    return Problem("classification", tuple(value["labels"]), bool(value["stranded"])).to_json()
