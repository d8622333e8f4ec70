"""A divided task made smaller: sequences cut to their middle, fewer rows to score on."""

import dataclasses
from typing import Any

import numpy as np

from genomics_fm.errors import InputError, require
from genomics_fm.tasks import audit, fractions
from genomics_fm.tasks.parts import LOCUS
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.splits import CALIBRATION_ROWS
from genomics_fm.tasks.task import Task

THINNED = "thinned"
"""Of `about`: what was done."""
SCORED = ("validation", "calibration", "test")


def cropped(task: Task, length: int) -> Task:
    """Every longer sequence is cut to its middle `length` nt; loci on a genome follow.

    Middles may be alike where whole sequences are not: of splits that are not the publisher's, rows whose middle is in
    training are left out and counted, and so is a calibration split that becomes too small.

    Raises:
        InputError: a class of every base is asked for, or the length is below 1, or a split is left without rows.
    """
    require(length >= 1, "crop", length, "at least 1 nt")
    if task.problem.kind == "per-base":
        raise InputError("--crop: a class of every base belongs to the whole sequence; leave it out")
    splits = {split: _cropped(rows, length) for split, rows in task.splits.items()}
    dropped = 0
    for split in [split for split in _divided_by_us(task) if split in splits]:
        kept = np.flatnonzero(audit.leaks(splits[split].sequences, splits["train"].sequences) < 0)
        dropped += len(splits[split]) - len(kept)
        splits[split] = splits[split].take(kept)
        if split == "calibration" and len(kept) < CALIBRATION_ROWS:
            del splits[split]
        elif not len(kept):
            raise InputError(f"--crop {length}: all middles of {split} are in training; crop less, or not")
    return _made(task, splits, {"crop_bp": length} | ({"dropped_like_training": dropped} if dropped else {}))


def _divided_by_us(task: Task) -> list[str]:
    """Splits whose rows we chose, and of which none may be in training."""
    how = task.about.get("split", {})
    return how.get(audit.CARVED, []) if how.get("how", audit.OFFICIAL) == audit.OFFICIAL else list(SCORED)


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
    if "split" in about:
        rows = {split: len(of) for split, of in splits.items()}
        blocks = {split: len(np.unique(of.block)) for split, of in splits.items()}
        about["split"] = about["split"] | {"rows": rows, "blocks": blocks}
    return dataclasses.replace(task, splits=splits, about=about | {THINNED: about.get(THINNED, {}) | how})
