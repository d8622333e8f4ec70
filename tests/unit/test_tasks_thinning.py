"""A divided task made smaller."""

import dataclasses

import numpy as np
import pytest

from genomics_fm.errors import InputError
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.task import Task
from genomics_fm.tasks.thinning import THINNED, cropped, fewer_scored

LETTERS = "ACGT"


def _rows(number: int, length: int, first: int = 0) -> Rows:
    random = np.random.default_rng(first)
    sequences = ["".join(random.choice(list(LETTERS), length)) for _ in range(number)]
    labels = np.arange(number) % 2
    return Rows(sequences, labels, [f"t:{first + row}" for row in range(number)], np.arange(number))


def _task(number: int = 40, length: int = 30) -> Task:
    splits = {split: _rows(number, length, 1000 * place) for place, split in enumerate(("train", "validation", "test"))}
    return Task("t", Problem("classification", ("no", "yes")), splits, {"audit": {"grade": "A"}, "source": "made up"})


def test_the_middle_is_kept_and_shorter_rows_stay_as_they_are() -> None:
    task = _task(length=31)
    found = cropped(task, 10)
    assert found.test.sequences[3] == task.test.sequences[3][10:20]
    assert cropped(task, 31).test.sequences == task.test.sequences
    assert found.about == {"source": "made up", THINNED: {"crop_bp": 10}}


@pytest.mark.parametrize("strand", ["+", "-", ".", "-#7"])
def test_the_locus_of_a_cut_row_is_that_of_its_letters(strand: str) -> None:
    genome = "".join(np.random.default_rng(0).choice(list(LETTERS), 200))
    sequence = genome[100:131]
    if strand.startswith("-"):
        sequence = reverse_complement(sequence)
    rows = Rows([sequence], np.array([0]), [f"c:100-131:{strand}"], np.array([0]))
    task = _task()
    found = cropped(dataclasses.replace(task, splits={**task.splits, "test": rows}), 10).test
    contig, span, kept = found.locus[0].split(":")
    start, end = map(int, span.split("-"))
    letters = reverse_complement(genome[start:end]) if strand.startswith("-") else genome[start:end]
    assert (contig, kept, letters) == ("c", strand, found.sequences[0])


@pytest.mark.parametrize(("how", "left"), [("cluster", 39), ("official", 40)])
def test_middles_that_are_in_training_are_left_out_of_what_we_divided(how: str, left: int) -> None:
    task = _task(length=200)
    middle = task.train.sequences[7][50:150]
    alike = dataclasses.replace(task.test, sequences=["C" * 50 + middle + "G" * 50, *task.test.sequences[1:]])
    about = {"split": {"how": how, "rows": {}, "blocks": {}}}
    found = cropped(dataclasses.replace(task, splits={**task.splits, "test": alike}, about=about), 100)
    assert len(found.test) == left and found.about["split"]["rows"]["test"] == left
    assert found.about[THINNED].get("dropped_like_training", 0) == 40 - left


def test_fewer_rows_are_scored_and_all_are_learnt_from() -> None:
    task = _task()
    found = fewer_scored(task, 10, seed=1)
    assert len(found.train) == 40
    assert [len(found.validation), len(found.test)] == [10, 10]
    assert sorted(found.test.labels.tolist()) == [0] * 5 + [1] * 5
    assert found.test.locus == sorted(found.test.locus, key=task.test.locus.index)
    assert found.test.locus != fewer_scored(task, 10, seed=2).test.locus
    assert "audit" not in found.about
    assert fewer_scored(task, 40, seed=1).hashes == task.hashes


def test_what_cannot_be_done_is_refused() -> None:
    with pytest.raises(InputError, match="crop 0"):
        cropped(_task(), 0)
    with pytest.raises(InputError, match="--scored-rows 1: leaves a class of validation"):
        fewer_scored(_task(), 1, seed=0)
