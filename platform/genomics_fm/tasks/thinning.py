"""A divided task made smaller: sequences cut to their middle, fewer rows to score on."""

import dataclasses
from typing import Any

import numpy as np

from genomics_fm.errors import InputError, require
from genomics_fm.tasks import fractions
from genomics_fm.tasks.parts import LOCUS
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.task import Task

THINNED = "thinned"
"""Of `about`: what was done."""
SCORED = ("validation", "calibration", "test")


def cropped(task: Task, length: int) -> Task:
    """Every longer sequence is cut to its middle `length` nt; loci on a genome follow.

    Raises:
        InputError: a class of every base is asked for, or the length is below 1.
    """
    require(length >= 1, "crop", length, "at least 1 nt")
    if task.problem.kind == "per-base":
        raise InputError("--crop: a class of every base belongs to the whole sequence; leave it out")
    splits = {split: _cropped(rows, length) for split, rows in task.splits.items()}
    return _made(task, splits, {"crop_bp": length})


def _cropped(rows: Rows, length: int) -> Rows:
    starts = [max(0, (len(sequence) - length) // 2) for sequence in rows.sequences]
    sequences = [sequence[start : start + length] for sequence, start in zip(rows.sequences, starts, strict=True)]
    places = zip(rows.locus, starts, sequences, rows.sequences, strict=True)
    locus = [_moved(name, start, len(kept), len(whole)) for name, start, kept, whole in places]
    return dataclasses.replace(rows, sequences=sequences, locus=locus)


def _moved(locus: str, start: int, length: int, whole: int) -> str:
    """A locus of the piece that is kept, where the whole row has one; on the reverse strand it is read from the end."""
    found = LOCUS.fullmatch(locus)
    if not found or length == whole or int(found[3]) - int(found[2]) != whole:
        return locus
    strand = found[4]
    first = int(found[2]) + (whole - start - length if strand.startswith("-") else start)
    return f"{found[1]}:{first}-{first + length}:{strand}"


def fewer_scored(task: Task, most: int, seed: int) -> Task:
    """At most so many rows each of validation, calibration and test, stratified; all of training.

    Raises:
        InputError: a class would be left without a row.
    """
    splits = dict(task.splits)
    for split in SCORED:
        rows = splits.get(split)
        if rows is None or len(rows) <= most:
            continue
        kept = np.sort(fractions.subset_of(task.problem, rows, 1.0, seed, most))
        if not len(kept):
            raise InputError(f"--scored-rows {most}: leaves a class of {split} without any row; allow more")
        splits[split] = rows.take(kept)
    return _made(task, splits, {"scored_rows": most, "seed": seed})


def _made(task: Task, splits: dict[str, Rows], how: dict[str, Any]) -> Task:
    """The task with other rows, and without its audit, which was of the rows that it had."""
    about = {name: value for name, value in task.about.items() if name != "audit"}
    return dataclasses.replace(task, splits=splits, about=about | {THINNED: about.get(THINNED, {}) | how})
