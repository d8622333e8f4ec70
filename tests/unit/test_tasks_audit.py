"""Grades of test rows against a slow version that compares all pairs, and what the verdict says."""

import functools
import random
from typing import Any

import numpy as np
import pytest

from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.tasks import audit, containment
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.task import Task

PROBLEM = Problem("classification", ("0", "1"))


def _drawn(length: int, draw: random.Random) -> str:
    return "".join(draw.choices("ACGT", k=length))


@functools.cache
def _words(sequence: str, k: int) -> set[str]:
    words = (sequence[i : i + k] for i in range(len(sequence) - k + 1))
    return {min(word, reverse_complement(word)) for word in words if "N" not in word}


def _is_in(sequence: str, other: str, k: int) -> bool:
    if sequence in (other, reverse_complement(other)):
        return True
    mine = _words(sequence, k)
    return bool(mine) and 2 * len(mine & _words(other, k)) >= len(mine)


def _related(seed: int) -> tuple[list[str], list[str]]:
    """Pieces of one genome with a repeat, some mutated, some turned, of lengths from below k on."""
    draw = random.Random(seed)
    genome, repeat = _drawn(2500, draw), _drawn(35, draw)

    def piece() -> str:
        start, length = draw.randrange(2300), draw.choice([5, 12, 30, 60, 99, 100, 150])
        found = genome[start : start + length]
        found = "".join(draw.choice("ACGT") if draw.random() < 0.02 else letter for letter in found)
        found = repeat + found[35:] if draw.random() < 0.3 and len(found) > 35 else found
        found = found[:-4] + "N" + found[-3:] if draw.random() < 0.1 else found
        return reverse_complement(found) if draw.random() < 0.5 else found

    return [piece() for _ in range(60)], [piece() for _ in range(80)]


def _task(train: list[str], test: list[str], how: str = "cluster") -> Task:
    def rows(sequences: list[str], name: str) -> Rows:
        locus = [f"{name}:{row}" for row in range(len(sequences))]
        return Rows(sequences, np.arange(len(sequences)) % 2, locus, np.arange(len(sequences)))

    splits = {"train": rows(train, "train"), "validation": rows(test, "validation"), "test": rows(test, "test")}
    return Task("t", PROBLEM, splits, {"split": {"how": how}})


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("at_once", [1 << 22, 700])
def test_rows_in_training_are_those_of_comparing_all(seed: int, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containment, "_KMERS_AT_ONCE", at_once)
    monkeypatch.setattr(containment, "_LETTERS_AT_ONCE", at_once)
    held, train = _related(seed)
    expected = [any(_is_in(one, other, 15 if len(one) < 100 else 21) for other in train) for one in held]
    near = audit.leaks(held, train)
    assert 5 < sum(expected) < 55
    assert (near >= 0).tolist() == expected
    for one, other in zip(held, near.tolist(), strict=True):
        assert other < 0 or _is_in(one, train[other], 15 if len(one) < 100 else 21)


def test_half_of_the_words_is_enough_and_less_is_not() -> None:
    draw = random.Random(1)
    train = ["C" * 20 + _drawn(180, draw)]
    shared = train[0][20:120] + ("A" if train[0][120] != "A" else "T")  # 80 of its 21-mers, and one that is not
    assert audit.leaks([shared + _drawn(79, draw)], train).tolist() == [0]
    assert audit.leaks([shared + _drawn(80, draw)], train).tolist() == [-1]
    assert audit.leaks([_drawn(100, draw), "ACG", ""], ["CGT", *train]).tolist() == [-1, 0, -1]


def test_no_two_training_rows_together_make_a_leak() -> None:
    draw = random.Random(2)
    train = [_drawn(90, draw) for _ in range(3)]
    joined = train[0][:60] + train[1][:60] + train[2][:60]
    assert audit.leaks([joined], train).tolist() == [-1]


@pytest.mark.parametrize("at_once", [1 << 22, 300])
def test_shares_of_words_anywhere_are_those_of_sets(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containment, "_KMERS_AT_ONCE", at_once)
    held, windows = _related(9)
    known = set().union(*(_words(window, 31) for window in windows))
    shares = containment.in_many(held, lambda: (window.encode() for window in windows), 31)
    for one, share in zip(held, shares.tolist(), strict=True):
        mine = _words(one, 31)
        assert share == pytest.approx(len(mine & known) / len(mine)) if mine else np.isnan(share)
    assert 0 < np.nanmean(shares) < 1


class _Corpus:
    """Windows as a corpus gives them."""

    sha256 = "c" * 64

    def __init__(self, windows: list[str]) -> None:
        self.windows = windows

    def __len__(self) -> int:
        return len(self.windows)

    def letters(self, row: int) -> Any:
        return np.frombuffer(self.windows[row].encode(), np.uint8)


def test_grades_counts_and_verdict() -> None:
    draw = random.Random(3)
    base, seen, new = (_drawn(120, draw) for _ in range(3))
    train = [base[20:] + _drawn(10, draw), _drawn(130, draw), _drawn(150, draw)]
    task = _task(train, [base, reverse_complement(train[2]), seen, new])
    corpus: Any = _Corpus([_drawn(300, draw), _drawn(40, draw) + reverse_complement(seen)[:110], base])
    found = audit.audit(task, corpus)
    assert found.near.tolist() == [0, 2, -1, -1]
    assert found.seen is not None and found.seen.tolist() == [True, False, True, False]
    assert found.counts == {"A": 2, "B": 2, "C": 0} and found.grade == "A"
    assert found.clean.tolist() == [2, 3]
    assert found.verdict == (
        "invalid, re-split: 2 of 4 test rows are in the training rows; "
        "transductive: 2 were seen, unlabelled, in pretraining"
    )
    assert found.examples == (("test:0", "train:0"), ("test:1", "train:2"))
    official = audit.audit(_task(train, [base, new], "official"))
    assert official.verdict.startswith("official split leaks: 1 of 2 test rows") and official.counts["B"] is None
    assert "pretraining data not looked at" in official.verdict


def test_a_relative_of_a_relative_is_grade_c() -> None:
    draw = random.Random(4)
    long = _drawn(400, draw)
    test = long + _drawn(400, draw)  # less than half of it is in any other; the whole of a shorter one is in it
    found = audit.audit(_task([long[:150] + _drawn(10, draw), _drawn(160, draw)], [test, _drawn(160, draw)]))
    assert found.near.tolist() == [-1, -1] and found.homolog.tolist() == [True, False]
    assert found.counts == {"A": 0, "B": None, "C": 1} and found.grade == "C"
    assert found.verdict.endswith("1 have a more distant relative in training")


def test_a_stored_audit_says_which_rows_are_clean() -> None:
    draw = random.Random(5)
    train = [_drawn(120, draw) for _ in range(5)]
    task = _task(train, [_drawn(120, draw), train[3], _drawn(120, draw)])
    assert audit.clean_rows(task).tolist() == [0, 1, 2]
    stored = audit.audited(task)
    assert stored.about["audit"]["rows_in_train"] == [1] and audit.clean_rows(stored).tolist() == [0, 2]
    assert stored.about["audit"]["grade"] == "A" and stored.sha256 == task.sha256


def test_nothing_in_common_is_clean() -> None:
    draw = random.Random(6)
    found = audit.audit(_task([_drawn(90, draw)], [_drawn(90, draw)]))
    assert found.grade == "none" and found.clean.tolist() == [0]
    assert found.verdict == "none of 1 test rows is in the training rows; pretraining data not looked at"
