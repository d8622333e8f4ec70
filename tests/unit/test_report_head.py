"""The page of a head: what it measures is what the metrics say, and every kind of problem has a page that is safe."""

import dataclasses
import re
from typing import Any, get_args

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

from genomics_fm.inference.card import HeadCard
from genomics_fm.report import head_measures
from genomics_fm.report.head_page import head_page
from genomics_fm.report.head_plots import MOST_DOTS, agreement
from genomics_fm.report.head_record import HeadRecord
from genomics_fm.tasks import metrics, results
from genomics_fm.tasks.bootstrap import FEWEST_BLOCKS
from genomics_fm.tasks.calibration import fit
from genomics_fm.tasks.calibration_report import assess
from genomics_fm.tasks.metrics import Predictions
from genomics_fm.tasks.problem import Kind, Problem
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.task import Task
from tests.corpora import dna
from tests.unit.test_report_page import HOSTILE, Page
from tests.unit.trial_tasks import task_of

BINARY = Problem("classification", ("no", "yes"))
MOST_BYTES = 2_000_000


def guesses(task: Task, seed: int, skill: float = 1.0) -> Predictions:
    """Predictions of test rows that know something of the labels."""
    random, problem, labels = np.random.default_rng(seed), task.problem, task.test.labels
    if problem.kind == "per-base":
        found = np.empty(len(labels), object)
        found[:] = [_shares(row, problem.outputs, skill, random) for row in labels]
        return found
    if problem.kind == "classification":
        return _shares(labels, problem.outputs, skill, random)
    known = np.nan_to_num(labels)
    if problem.kind == "regression":
        return (known + random.normal(size=known.shape) / skill).astype(np.float32)
    return (1 / (1 + np.exp(-skill * (known - 0.5) - random.normal(size=known.shape)))).astype(np.float32)


def _shares(labels: np.ndarray, classes: int, skill: float, random: np.random.Generator) -> np.ndarray:
    logits = skill * (labels[:, None] == np.arange(classes)) + random.normal(size=(len(labels), classes))
    return (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)


def summary(task: Task, name: str, predictions: Predictions, **more: object) -> dict[str, Any]:
    """An arm as `result.json` has it."""
    scored = results.score(
        task.problem, task.test, task.test, name=name, validation_predictions=predictions, test_predictions=predictions,
        labels_seen=60, seconds=1.0, chosen={},
    )  # fmt: skip
    return scored.summary() | {"seed": 0, "converged": True, "folder": f"arms/{name}"} | more


def record_of(task: Task) -> HeadRecord:
    """A finished finetuning of two seeds, a scratch trial and two baselines."""
    mine, cnn = guesses(task, 0), guesses(task, 1, 0.5)
    curve = [{"rows_seen": 10 * n, "validation": 0.1 * n, "loss": 1.0, "update": n} for n in (1, 2, 3)]
    trial: dict[str, Any] = {"vocabulary": "bpe", "curve": curve, "rows_seen": 30, "how": "full", "head": "arms/head"}
    head = summary(task, "pretrained bpe", mine, start="pretrained", **trial)
    arms = [
        summary(task, "majority", mine), summary(task, "CNN", cnn, converged=False), head,
        head | {"seed": 1}, summary(task, "scratch bpe", cnn, start="scratch", **trial),
    ]  # fmt: skip
    ends = {"low": 0.1, "high": 0.6, "validation": 0.4, "test": 0.5, "rows_seen": 30, "converged": True, "seconds": 1.0}
    comparison = {"score": 0.3, "validation": 0.2, "converged": True, "difference": 0.1, "interval": [-0.1, 0.2]}
    fitted = fit(task.problem, task.test.labels, mine, task.prevalence)
    result = {
        "config": {"task": "x", "tracking": "http://me:secret@host", "trial": {"cap": 5}},
        "problem": task.problem.to_json(), "rows": {split: len(rows) for split, rows in task.splits.items()},
        "about": {"split": {"how": "cluster", "said": []}, "source": "somewhere"},
        "audit": {"grade": "A", "verdict": "leaks", "counts": {"A": 1, "B": None, "C": 0},
                  "examples": [["I:1", "I:2"]]},
        "encoder": {"folder": "encoder", "sha256": "e" * 64, "why": "as asked for"}, "hashes": {"test": "t" * 64},
        "groups": [{"name": one["name"], "seeds": 2 if "pretrained" in one["name"] else 1, **ends}
                   for one in arms if one["seed"] == 0],
        "arms": arms, "head": head, "clean": None, "verdict": ["the encoder beats majority on test"],
        "comparisons": [{"name": name, "clean": None, "p_adjusted": 0.5, **comparison} for name in ("majority", "CNN")],
        "calibration": assess(fitted, task.test, mine), "registered": None,
    }  # fmt: skip
    card = HeadCard(task.name, task.problem, "bpe", {}, (50, 80), tuple(task.prevalence), calibration=fitted)
    return HeadRecord(result, task, card, mine, {"majority": mine, "CNN": cnn}, {"head": "arms/head"})


def many(task: Task, copies: int) -> Task:
    """More test rows."""
    test = task.test.take(np.tile(np.arange(len(task.test)), copies))
    test = dataclasses.replace(test, block=np.arange(len(test)) // 2)
    return dataclasses.replace(task, splits={**task.splits, "test": test})


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_of_problem_has_a_small_page(kind: Kind) -> None:
    page = Page(source := head_page(record_of(many(task_of(kind), 4))))
    assert len(source) < MOST_BYTES
    assert not {name for name, _ in page.tags} & {"script", "link", "img", "iframe"}
    wanted = {
        "classification": ("How it ranks", "What is taken for what", "Sets that were meant", "Surest of a wrong class"),
        "multilabel": ("Every label", "Precision and recall", "Said, not true", "True, not said"),
        "regression": ("Predicted and measured", "Intervals that were meant", "Farthest off"),
        "per-base": ("How it ranks", "Labelled bases", "Most bases wrong"),
    }[kind]
    for words in (*wanted, "The encoder beats majority", "Learning curves", "By GC", "By length", "grade A", "Seed by"):
        assert words in page.text, words
    assert "secret" not in source and "nan" not in page.text.lower().split()
    assert "Not converged" not in page.text, "of the trials all have"


def test_a_target_without_a_test_row_has_a_line_and_no_plot() -> None:
    task = task_of("regression")
    labels = task.test.labels.copy()
    labels[:, 0] = np.nan
    task = dataclasses.replace(task, splits={**task.splits, "test": dataclasses.replace(task.test, labels=labels)})
    text = Page(head_page(record_of(many(task, 4)))).text
    for words in (f"Measured in no test row: {task.problem.names[0]}.", "no value is given an interval"):
        assert words in text


def test_a_cap_on_training_rows_is_told() -> None:
    record = record_of(task_of("classification"))
    for there, words in ((60, "60 rows for training"), (17_100, "60 of 17,100 rows for training")):
        record.result["rows"]["train"] = there
        assert words in " ".join(Page(head_page(record)).text.split())


def test_what_comes_from_the_data_is_escaped() -> None:
    task = task_of("classification")
    rows = {split: dataclasses.replace(of, locus=[f"{HOSTILE}{i}" for i in range(len(of))])
            for split, of in task.splits.items()}  # fmt: skip
    problem = Problem("classification", (HOSTILE, "b", "c"))
    record = record_of(dataclasses.replace(task, problem=problem, splits=rows, name=HOSTILE))
    page = Page(source := head_page(record))
    assert "<script" not in source and HOSTILE in page.text
    assert not {name for name, _ in page.tags} & {"script", "img"}


def test_rank_curves_hold_the_areas_of_the_metrics() -> None:
    random = np.random.default_rng(0)
    positive, score = random.random(5_000) < 0.1, random.normal(size=5_000).round(2)  # with ties
    score[positive] += 0.8
    found = head_measures.ranked("x", positive, score)
    assert found is not None and len(found.roc) <= head_measures.CURVE_POINTS
    assert found.auroc == pytest.approx(roc_auc_score(positive, score), abs=1e-12)
    assert found.auprc == pytest.approx(average_precision_score(positive, score), abs=1e-12)
    assert found.roc[0] == (0, 0) and found.roc[-1] == (1, 1) and found.precision[-1][0] == 1
    xs, ys = np.array(found.roc).T
    assert np.trapezoid(ys, xs) == pytest.approx(found.auroc, abs=2e-3), "what is drawn has the area, too"
    assert head_measures.ranked("x", np.ones(3, np.bool_), score[:3]) is None


def test_confusion_is_of_what_the_head_says() -> None:
    labels = np.array([0, 0, 1, 1, 1])
    answers = results.of_two(np.array([0.1, 0.45, 0.4, 0.6, 0.9]))
    at_half = head_measures.confusion(BINARY, labels, answers, None)
    assert at_half.tolist() == confusion_matrix(labels, metrics.decide(BINARY, answers)).tolist() == [[2, 0], [1, 2]]
    assert head_measures.confusion(BINARY, labels, answers, np.array([0.42])).tolist() == [[1, 1], [1, 2]]


def test_the_surest_wrong_answers_come_first() -> None:
    labels = np.array([0, 0, 1, 1, 0])
    answers = results.of_two(np.array([0.7, 0.9, 0.2, 0.8, 0.1]))
    false_positives, false_negatives = head_measures.mistakes(BINARY, labels, answers, None, 20).values()
    assert [(one.row, one.true, one.said) for one in false_positives] == [(1, "no", "yes"), (0, "no", "yes")]
    assert [one.row for one in false_negatives] == [2] and false_negatives[0].by == pytest.approx(0.8)
    assert len(head_measures.mistakes(BINARY, labels, answers, None, 2)["False positives: yes said, no true"]) == 1


def test_a_target_that_nobody_measured_is_no_mistake() -> None:
    problem = Problem("regression", ("a", "b"))
    labels = np.array([[0, np.nan], [1, 5.0], [2, 5.0]], np.float32)
    answers = np.array([[0, 99], [1, 5], [7, 9]], np.float32)
    [found] = head_measures.mistakes(problem, labels, answers, None, 5).values()
    assert [(one.row, one.true) for one in found] == [(2, "a 2")], "b does not vary, and row 0 has none"
    labelled = np.array([[1, np.nan], [0, 0]], np.float32)
    wrong = head_measures.mistakes(Problem("multilabel", ("a", "b")), labelled, np.full((2, 2), 0.9), None, 4)
    assert [(one.row, one.said) for one in wrong["Said, not true"]] == [(1, "a"), (1, "b")]


def rows_of(gc: np.ndarray, labels: np.ndarray, blocks: int) -> Rows:
    sequences = [dna(100, i, "GC" * int(10 * share) + "AT" * int(10 - 10 * share)) for i, share in enumerate(gc)]
    return Rows(sequences, labels, [str(i) for i in range(len(gc))], np.arange(len(gc)) % blocks)


def test_strata_find_where_a_head_knows_nothing() -> None:
    gc = np.repeat([0.2, 0.8], 100)
    labels = np.arange(200) % 2
    answers = results.of_two(np.where(gc < 0.5, labels, 0.9))  # right of AT-rich rows, and else always yes
    found = head_measures.strata(BINARY, rows_of(gc, labels, 200), answers)
    assert [*found] == ["GC"], "all are equally long"
    assert sum(one.rows for one in found["GC"]) == 200
    assert [one.score for one in found["GC"]] == pytest.approx([1, 1, 0, 0])
    assert all(one.interval is not None for one in found["GC"])


def test_strata_of_few_blocks_have_no_interval_and_of_one_class_no_score() -> None:
    gc = np.repeat([0.2, 0.8], 100)
    labels = (gc > 0.5).astype(np.int64)
    found = head_measures.strata(BINARY, rows_of(gc, labels, FEWEST_BLOCKS - 1), results.of_two(gc))["GC"]
    assert all((one.score, one.interval) == (None, None) for one in found)
    mixed = head_measures.strata(BINARY, rows_of(gc, np.arange(200) % 2, FEWEST_BLOCKS - 1), results.of_two(gc))["GC"]
    assert all(one.score is not None and one.interval is None for one in mixed)


def test_many_rows_are_drawn_as_cells() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=50_000)
    few, crowd = (str(agreement(truth[:n], truth[:n] + 1, "x")) for n in (MOST_DOTS, len(truth)))
    assert few.count("<circle") == MOST_DOTS and "<rect" not in few
    assert "<circle" not in crowd and len(crowd) < 200_000
    opaque = [float(share) for share in re.findall(r'fill-opacity="([\d.]+)"', crowd)]
    assert max(opaque) == 1 and min(opaque) > 0
