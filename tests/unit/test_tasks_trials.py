"""Lists of trials from a file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from genomics_fm.errors import InputError
from genomics_fm.model.weights import read_tensors
from genomics_fm.tasks import identities, linear, trial, trials
from genomics_fm.tasks import task as tasks
from genomics_fm.tasks.trial_config import TrialConfig
from genomics_fm.vocabulary.ensemble import Ensemble
from tests.unit.trial_tasks import encoder, task_of

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, vocabulary: Ensemble) -> Path:
    folder = tmp_path_factory.mktemp("trials")
    encoder(folder / "encoder", vocabulary)
    for kind in ("classification", "regression", "per-base"):
        tasks.save(folder / kind, task_of(kind, rows=24))
    return folder


def write(place: Path, value: Any) -> Path:
    path = place / "trials.json"
    path.write_text(json.dumps(value))
    return path


def one(task: str, output: str, **fields: Any) -> dict[str, Any]:
    return {"encoder": "encoder", "task": task, "output": output, "updates": 2, "batch_rows": 8} | fields


def test_trials_run_once_and_say_what_they_did(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(place, {"cache": "features", "seed": 3, "trials": [
        one("classification", "a", how="probe"),
        one("per-base", "b", evaluations=2, optimizer={"learning_rate": 1, "betas": [0.5, 0.9]}),
        one("regression", "c", save_weights=True),
    ]})  # fmt: skip
    assert trials.run_file(path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:5] for line in lines] == ["[1/3]", "[2/3]", "[3/3]"]
    assert "classification task: pretrained bpe probe, seed 3: mcc validation" in lines[0]
    assert "16 rows seen of 24" in lines[2] and "not converged" not in lines[2]
    results = {name: json.loads((place / name / "result.json").read_text()) for name in "abc"}
    assert results["b"]["config"]["optimizer"]["betas"] == [0.5, 0.9] and len(results["b"]["curve"]) == 2
    assert results["a"]["hashes"]["task"] == tasks.load(place / "classification").sha256
    assert len(list((place / "features").iterdir())) == 8
    weights = read_tensors(place / "c" / "model.safetensors")
    assert "classifier.weight" in weights and not (place / "a" / "model.safetensors").exists()
    before = {name: (place / name / "result.json").stat().st_mtime_ns for name in "abc"}
    assert trials.run_file(path) == 0
    assert all(line.endswith("was there") for line in capsys.readouterr().out.splitlines())
    assert {name: (place / name / "result.json").stat().st_mtime_ns for name in "abc"} == before


def test_predictions_are_those_of_the_trial(place: Path, vocabulary: Ensemble) -> None:
    path = write(place, one("per-base", "d"))
    (planned,), _ = trials.read(path)
    result, was_there = trials.run_one(planned)
    assert not was_there
    task = tasks.load(place / "per-base")
    done = trial.run(TrialConfig(updates=2, batch_rows=8), place / "encoder", vocabulary, task)
    table = pq.read_table(place / "d" / "predictions.parquet").to_pylist()
    assert [row["split"] for row in table] == ["validation"] * 36 + ["calibration"] * 12 + ["test"] * 36
    assert [row["locus"] for row in table[48:]] == task.test.locus
    for row, expected, label in zip(table[48:], done.result.test_predictions, task.test.labels, strict=True):
        assert np.array_equal(np.float32(row["prediction"]).reshape(-1, 2), expected)
        assert row["label"] == label.tolist()
    assert result["test"]["mcc"] == done.result.test["mcc"]


@pytest.mark.parametrize("damage", ["predictions.parquet", "result.json", "another seed"])
def test_what_is_damaged_or_other_runs_again(place: Path, damage: str) -> None:
    fields = {"seed": 5}
    (planned,), _ = trials.read(write(place, one("classification", f"e {damage}", **fields)))
    first, _ = trials.run_one(planned)
    if damage == "another seed":
        (planned,), _ = trials.read(write(place, one("classification", f"e {damage}", seed=6)))
    else:
        file = planned.output / damage
        file.write_bytes(file.read_bytes()[:-9])
    again, was_there = trials.run_one(planned)
    assert not was_there
    assert (again["test"] == first["test"]) == (damage != "another seed")
    (planned,), _ = trials.read(
        write(place, one("classification", f"e {damage}", threads=1, seed=again["config"]["seed"]))
    )
    assert trials.run_one(planned)[1]


def test_what_a_change_of_code_makes_of_numbers_runs_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (planned,), _ = trials.read(write(place, one("classification", "numbers", how="probe")))
    trials.run_one(planned)
    assert trials.run_one(planned)[1]
    monkeypatch.setattr(linear, "PENALTIES", (1.0, 0.1))
    assert not trials.run_one(planned)[1]
    monkeypatch.setattr(identities, "NUMBERS_VERSION", 0)
    assert not trials.run_one(planned)[1]


def test_one_that_fails_does_not_end_the_others(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(place, {"trials": [one("absent", "f"), one("classification", "g")]})
    with pytest.raises(SystemExit) as ended:
        trials.main([str(path)])
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert "[1/2] failed:" in printed.err and "absent" in printed.err and "[2/2]" in printed.out
    assert (place / "g" / "result.json").is_file() and not (place / "f").exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"trials": 3}, "trials: not a list of objects"),
        ({"trials": [{"task": "a"}]}, "trial 1: no encoder; give a folder"),
        (one("a", "b", updats=3), r"trial 1: unknown field 'updats'; give one of vocabulary, "),
        (one("a", "b", updates="3"), "trial 1: updates '3': give a value of type int"),
        (one("a", "b", updates=True), "trial 1: updates True: give a value of type int"),
        (one("a", "b", updates=0), "trial 1: updates 0: give at least 1"),
        (one("a", "b", how="half"), "trial 1: how half: give full or lora or probe"),
        (one("a", "b", optimizer={"rate": 1}), "trial 1: optimizer: unknown field 'rate'"),
        (one("a", "b", optimizer=3), "trial 1: optimizer: not an object"),
        (one("a", "b", save_weights=1), "trial 1: save_weights 1; give true or false"),
        ({"trials": [one("a", "b"), one("c", "b")]}, "output .*b: of several trials"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        trials.read(write(tmp_path, value))


def test_the_command_line_wants_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (([], "give one file"), ([str(tmp_path / "no.json")], "no such file")):
        with pytest.raises(SystemExit) as ended:
            trials.main(arguments)
        assert ended.value.code == 2 and message in capsys.readouterr().err
