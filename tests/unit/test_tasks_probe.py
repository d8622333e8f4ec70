"""A probe is a head: it predicts what was fitted."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from genomics_fm.model.heads import SequenceClassifier
from genomics_fm.model.weights import load_encoder
from genomics_fm.tasks import features, linear, metrics, newton, trial
from genomics_fm.tasks.problem import Kind
from genomics_fm.tasks.scoring import mean_of_strands, predict
from genomics_fm.tasks.task import Task
from genomics_fm.tasks.trial_config import TrialConfig
from genomics_fm.vocabulary.ensemble import Ensemble
from tests.unit.trial_tasks import encoder, task_of

torch.set_num_threads(1)
PROBE = TrialConfig(how="probe")
SEQUENCE_KINDS: list[Kind] = ["classification", "multilabel", "regression"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, vocabulary: Ensemble) -> Path:
    return encoder(tmp_path_factory.mktemp("encoder"), vocabulary)


@pytest.fixture(autouse=True)
def few_penalties(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "PENALTIES", (1.0, 0.1, 0.01))


@pytest.fixture
def forwards(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Documents of each batch that an encoder is shown."""
    seen: list[int] = []
    encode = features.encode_any_length

    def spy(module: torch.nn.Module, ids_N: torch.Tensor, lengths: list[int]) -> torch.Tensor:
        seen.append(len(lengths))
        return encode(module, ids_N, lengths)  # type: ignore[arg-type]

    monkeypatch.setattr(features, "encode_any_length", spy)
    return seen


@pytest.mark.parametrize("stranded", [False, True])
@pytest.mark.parametrize("kind", SEQUENCE_KINDS)
def test_the_head_predicts_what_was_fitted(folder: Path, vocabulary: Ensemble, kind: Kind, stranded: bool) -> None:
    task = task_of(kind, stranded)
    done = trial.run(PROBE, folder, vocabulary, task)
    assert isinstance(done.module, SequenceClassifier) and "pooler.weight" not in done.module.state_dict()
    head = mean_of_strands(predict(done.module, vocabulary, "bpe", task.test.sequences, task.problem))
    scale = np.ptp(head, axis=0) if kind == "regression" else 1
    np.testing.assert_allclose(done.result.test_predictions / scale, head / scale, atol=2e-5)
    assert done.result.test[task.problem.metric] > (0.8 if kind == "multilabel" else 0.4)
    _, tensors, _ = load_encoder(folder)
    for name, value in done.module.bert.state_dict().items():
        assert torch.equal(value, tensors[f"bert.{name}"])


def test_what_is_fitted_is_the_linear_model_of_both_strands(folder: Path, vocabulary: Ensemble) -> None:
    task = task_of("regression")
    done = trial.run(PROBE, folder, vocabulary, task)
    chosen = done.result.chosen["penalty"]
    tried = {point["penalty"]: point["validation"] for point in done.curve}
    assert list(tried) == list(linear.PENALTIES) and tried[chosen] == max(tried.values())
    assert done.result.validation["pearson"] == pytest.approx(tried[chosen], abs=1e-4)
    assert (done.converged, done.rows_seen, done.result.labels_seen) == (True, 60, 60)
    assert done.result.name == "pretrained bpe probe"
    half = trial.run(dataclasses.replace(PROBE, fraction=0.5), folder, vocabulary, task)
    assert half.result.labels_seen == 30


def test_of_equal_penalties_the_strongest_is_chosen(
    folder: Path, vocabulary: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "evaluate", lambda *_: {"mcc": 0.25})
    done = trial.run(PROBE, folder, vocabulary, task_of("classification"))
    assert done.result.chosen["penalty"] == max(linear.PENALTIES)


def test_a_probe_whose_fit_did_not_end_has_not_converged(
    folder: Path, vocabulary: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trial.run(PROBE, folder, vocabulary, task_of("classification")).converged is True
    monkeypatch.setattr(newton, "ITERATIONS", 1)
    assert trial.run(PROBE, folder, vocabulary, task_of("classification")).converged is False


def test_states_are_computed_once(
    folder: Path, vocabulary: Ensemble, tmp_path: Path, forwards: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of("classification", rows=24)

    def run(**changes: object) -> trial.Trial:
        forwards.clear()
        config = dataclasses.replace(PROBE, **changes)  # type: ignore[arg-type]
        return trial.run(config, folder, vocabulary, task, cache=tmp_path / "cache")

    first = run()
    assert sum(forwards) == 2 * (24 + 36 + 36 + 12)
    run(seed=1, class_weights=True, batch_tokens=500)
    assert forwards == [], "another seed and other weights take the same states"
    files = sorted((tmp_path / "cache").iterdir())
    assert {path.suffix for path in files} == {".json", ".safetensors"} and len(files) == 8
    for changes in ({"vocabulary": "kmer"}, {"pooling": "cls"}, {"start": "scratch"}):
        run(**changes)
        assert forwards, changes
    same = run()
    assert forwards == [] and np.array_equal(same.result.test_predictions, first.result.test_predictions)
    monkeypatch.setattr(features, "STATES_VERSION", 0)
    run()
    assert forwards, "of code that computes others"


@pytest.mark.parametrize("damage", ["tensor", "about", "missing"])
def test_damaged_states_are_computed_again(
    folder: Path, vocabulary: Ensemble, tmp_path: Path, forwards: list[int], damage: str
) -> None:
    task = task_of("classification")
    splits = {name: rows.take(np.arange(12)) for name, rows in task.splits.items()}
    task = Task("few", task.problem, splits)
    first = trial.run(PROBE, folder, vocabulary, task, cache=tmp_path)
    forwards.clear()
    for path in tmp_path.glob("*.json" if damage == "about" else "*.safetensors"):
        data = bytearray(path.read_bytes())
        data[-3] ^= 1
        path.unlink() if damage == "missing" else path.write_bytes(data)
    again = trial.run(PROBE, folder, vocabulary, task, cache=tmp_path)
    assert sum(forwards) == 2 * 4 * 12
    assert np.array_equal(first.result.test_predictions, again.result.test_predictions)
    forwards.clear()
    trial.run(PROBE, folder, vocabulary, task, cache=tmp_path)
    assert forwards == []
