"""From predictions to an arm's result."""

import json

import numpy as np
import pytest

from genomics_fm.tasks import bootstrap, results
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.results import of_two
from genomics_fm.tasks.rows import Rows

TWO = Problem("classification", ("no", "yes"))


def _rows(labels: list[object]) -> Rows:
    return Rows(["ACGT"] * len(labels), np.array(labels), [""] * len(labels), np.arange(len(labels)))


def test_score_and_summary() -> None:
    validation, test = _rows([0, 1, 1, 0]), _rows([0, 0, 1, 1, 1, 0])
    at_validation = of_two(np.array([0.1, 0.5, 0.9, 0.2]))
    at_test = of_two(np.array([0.49, 0.5, 0.7, 0.2, 0.9, 0.1]))
    arm = results.score(
        TWO, validation, test, name="x", validation_predictions=at_validation, test_predictions=at_test,
        fraction=0.1, capped=True, labels_seen=7, seconds=1.5, chosen={"C": 0.1},
    )  # fmt: skip
    assert arm.validation["mcc"] == 1
    assert arm.test["mcc"] == pytest.approx(1 / 3)
    assert arm.test["threshold"] == arm.validation["threshold"] == pytest.approx(0.35)
    assert arm.test["mcc_at_threshold"] < arm.test["mcc"]
    assert arm.interval == bootstrap.interval(TWO, "mcc", test.labels, at_test, test.block)
    assert arm.calibration_predictions is None
    summary = json.loads(json.dumps(arm.summary(), allow_nan=False))
    assert summary == {
        "name": "x",
        "fraction": 0.1,
        "capped": True,
        "labels_seen": 7,
        "metric": "mcc",
        "validation": arm.validation,
        "test": arm.test,
        "validation_mcc": arm.validation["mcc"],
        "test_mcc": arm.test["mcc"],
        "interval": list(arm.interval),
        "seconds": 1.5,
        "chosen": {"C": 0.1},
    }


def test_arms_are_compared_by_the_metric_of_the_problem() -> None:
    values = _rows([[1.0], [2.0], [4.0]])
    guess = np.array([[1.0], [2.5], [3.0]], np.float32)
    arm = results.score(
        Problem("regression", ("x",), metric="spearman"), values, values, name="x", validation_predictions=guess,
        test_predictions=guess, labels_seen=3, seconds=0.0, chosen={},
    )  # fmt: skip
    assert arm.summary()["test_spearman"] == 1
    assert arm.interval[1] == 1
    assert "validation_mcc" not in arm.summary()
