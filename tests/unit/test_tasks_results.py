"""From probabilities to an arm's result."""

import json

import numpy as np
import pytest

from genomics_fm.tasks import metrics, results
from genomics_fm.tasks.rows import Rows


def _rows(labels: list[int]) -> Rows:
    return Rows(["ACGT"] * len(labels), np.array(labels), [""] * len(labels), np.arange(len(labels)))


def test_score_and_summary() -> None:
    validation, test = _rows([0, 1, 1, 0]), _rows([0, 0, 1, 1, 1, 0])
    at_validation = np.array([0.1, 0.5, 0.9, 0.2], np.float32)
    at_test = np.array([0.49, 0.5, 0.7, 0.2, 0.9, 0.1], np.float32)
    arm = results.score("x", 0.1, True, 7, validation, test, at_validation, at_test, 1.5, {"C": 0.1})
    assert arm.validation_mcc == 1
    assert arm.test_mcc == pytest.approx(1 / 3)
    guess = np.array([0, 1, 1, 0, 1, 0])
    assert arm.test_interval == metrics.block_bootstrap(test.labels, guess, test.block)
    summary = json.loads(json.dumps(arm.summary()))
    assert summary["interval"] == list(arm.test_interval)
    assert {key: summary[key] for key in ("name", "fraction", "capped", "labels_seen", "seconds", "chosen")} == {
        "name": "x",
        "fraction": 0.1,
        "capped": True,
        "labels_seen": 7,
        "seconds": 1.5,
        "chosen": {"C": 0.1},
    }
