"""A task's question and folder: what is asked comes back, damage does not, folders of format 1 stay readable."""

import json
from pathlib import Path

import numpy as np
import pytest

from genomics_fm.artefacts import write_sealed_json
from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.tasks import rows, task
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.task import Task

BINARY = Problem("classification", ("no", "yes"))


def made_up(count: int, labels: np.ndarray | None = None) -> Rows:
    classes = np.arange(count) % 2 if labels is None else labels
    sequences = ["ACGT" * (2 + i % 3) for i in range(count)]
    return Rows(sequences, classes, [f"I:{i}-{i + 8}:+" for i in range(count)], np.arange(count))


def small(problem: Problem = BINARY, **more: Rows) -> Task:
    return Task("small", problem, {"train": made_up(6), "validation": made_up(4), "test": made_up(5)} | more)


def test_a_problem_comes_back_from_json_and_knows_its_metric() -> None:
    for problem in (BINARY, Problem("multilabel", ("CTCF",), stranded=True), Problem("regression", ("a", "b"))):
        assert Problem.from_json(json.loads(json.dumps(problem.to_json()))) == problem
    assert (BINARY.metric, BINARY.outputs, BINARY.binary) == ("mcc", 2, True)
    assert Problem("regression", ("rl",)).metric == "pearson"
    assert Problem("classification", ("a", "b"), metric="auroc").metric == "auroc"
    assert not Problem("multilabel", ("a", "b")).binary


@pytest.mark.parametrize(
    ("kind", "names", "said"),
    [("ranking", ("a", "b"), "one of"), ("classification", ("a",), "at least 2"), ("regression", (), "at least 1"),
     ("multilabel", ("a", "a"), "each name once")],
)  # fmt: skip
def test_impossible_problems_are_refused(kind: str, names: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Problem(kind, names)  # type: ignore[arg-type]


def test_a_folder_comes_back_with_and_without_calibration(tmp_path: Path) -> None:
    for name, made in {"without": small(), "with": small(calibration=made_up(3))}.items():
        task.save(tmp_path / name, made)
        back = task.load(tmp_path / name)
        assert (back.name, back.problem, back.hashes, back.sha256) == ("small", BINARY, made.hashes, made.sha256)
        assert (back.calibration is None) == (name == "without")
    assert small().length_bp == (8, 16)


def test_a_split_without_rows_is_refused() -> None:
    with pytest.raises(InputError, match="no rows in test"):
        small(test=made_up(0))


def test_prevalence_by_class_label_target_and_base() -> None:
    assert small(train=made_up(3, np.array([1, 1, 0]))).prevalence == pytest.approx([1 / 3, 2 / 3])
    numbers = np.array([[1, 0], [np.nan, 1], [0, 1]], np.float32)
    assert small(Problem("multilabel", ("a", "b")), train=made_up(3, numbers)).prevalence == pytest.approx([0.5, 2 / 3])
    bases = rows.of_bases([np.array([0, 0, -100]), np.array([1])])
    assert small(Problem("per-base", ("out", "in")), train=made_up(2, bases)).prevalence == pytest.approx(
        [2 / 3, 1 / 3]
    )
    numbers[:, 1] = np.nan  # nobody measured it in training
    assert small(Problem("multilabel", ("a", "b")), train=made_up(3, numbers)).prevalence == [0.5, 0]


def test_swapped_splits_and_damage_are_found(tmp_path: Path) -> None:
    task.save(tmp_path, small())
    (tmp_path / "test.parquet").write_bytes((tmp_path / "validation.parquet").read_bytes())
    with pytest.raises(CorruptArtefact, match=r"test\.parquet: not the rows task.json names"):
        task.load(tmp_path)
    text = (tmp_path / task.TASK_FILE).read_text()
    (tmp_path / task.TASK_FILE).write_text(text.replace('"yes"', '"oui"'))
    with pytest.raises(CorruptArtefact, match=r"task\.json"):
        task.load(tmp_path)


def test_a_folder_of_format_1_is_read(tmp_path: Path) -> None:
    made = small()
    for split, kept in made.splits.items():
        rows.write(tmp_path / f"{split}.parquet", kept)
    about = {"format_version": 1, "task": "small", "labels": ["no", "yes"], "stranded": False, "input_length_bp": 16}
    write_sealed_json(tmp_path / task.TASK_FILE, about | {"counts": {"x": 1}, "max_rows": None, "hashes": made.hashes})
    back = task.load(tmp_path)
    assert (back.problem, back.hashes, back.about) == (BINARY, made.hashes, {"counts": {"x": 1}})
