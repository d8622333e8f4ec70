"""Training of heads of every kind."""

import dataclasses
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from genomics_fm.errors import EnvironmentFault, InputError
from genomics_fm.tasks import learning, linear, trial
from genomics_fm.tasks.documents import documents
from genomics_fm.tasks.learning import Course, Point
from genomics_fm.tasks.objective import objective_of
from genomics_fm.tasks.parallel import alone
from genomics_fm.tasks.problem import Kind, Problem
from genomics_fm.tasks.scoring import mean_of_strands, predict
from genomics_fm.tasks.trial_config import TrialConfig
from genomics_fm.training.optimizer import OptimizerConfig
from genomics_fm.vocabulary.ensemble import Ensemble
from tests.unit.trial_tasks import encoder, task_of

torch.set_num_threads(1)
CONFIG = TrialConfig(
    updates=4, batch_rows=12, optimizer=OptimizerConfig(learning_rate=5e-3, betas=(0.9, 0.999), warmup_steps=2)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, vocabulary: Ensemble) -> Path:
    return encoder(tmp_path_factory.mktemp("encoder"), vocabulary)


@pytest.fixture(autouse=True)
def one_penalty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "PENALTIES", (0.1,))


def run(folder: Path, vocabulary: Ensemble, kind: Kind, stranded: bool = False, /, **changes: object) -> trial.Trial:
    config = dataclasses.replace(CONFIG, **changes)  # type: ignore[arg-type]
    return trial.run(config, folder, vocabulary, task_of(kind, stranded))


def weights(done: trial.Trial) -> dict[str, torch.Tensor]:
    return dict(done.module.state_dict())


@pytest.mark.parametrize(
    ("kind", "metric", "least"),
    [
        ("classification", "mcc", 0.5),
        ("multilabel", "auroc", 0.9),
        ("regression", "pearson", 0.7),
        ("per-base", "mcc", 0.6),
    ],
)
def test_every_kind_learns_and_is_predicted(
    folder: Path, vocabulary: Ensemble, kind: Kind, metric: str, least: float
) -> None:
    name = "kmer" if kind == "per-base" else "bpe"
    done = run(folder, vocabulary, kind, vocabulary=name, updates=30, batch_rows=30)
    task, result = task_of(kind), done.result
    assert result.metric == metric and result.test[metric] > least
    assert result.calibration_predictions is not None and len(result.calibration_predictions) == 12
    found = predict(done.module, vocabulary, name, task.test.sequences, task.problem)
    assert found.shape[:2] == (2, 36)
    again = mean_of_strands(found)
    for one, other, sequence in zip(result.test_predictions, again, task.test.sequences, strict=True):
        assert one.shape == ((len(sequence), 2) if kind == "per-base" else (task.problem.outputs,))
        assert one.dtype == np.float32 and np.array_equal(one, other)
    if kind == "regression":  # on the targets' own scale, which the head holds
        assert abs(result.test_predictions[:, 0].mean() - task.test.labels[:, 0].mean()) < 5
        assert result.test["r2"] > 0.3


@pytest.mark.parametrize("kind", get_args(Kind))
def test_parts_of_an_update_are_the_whole(folder: Path, vocabulary: Ensemble, kind: Kind) -> None:
    changes = {"class_weights": True, "pos_weight": 3.0}
    whole, divided = (weights(run(folder, vocabulary, kind, batch_tokens=tokens, **changes)) for tokens in (16_384, 90))
    for name, value in whole.items():
        torch.testing.assert_close(value, divided[name], atol=2e-4, rtol=1e-3)
    other = weights(run(folder, vocabulary, kind, seed=1))
    assert (whole["classifier.weight"] - other["classifier.weight"]).abs().max() > 1e-2


@pytest.mark.parametrize("kind", get_args(Kind))
def test_stranded_sequences_are_never_turned(
    folder: Path, vocabulary: Ensemble, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(sequence: str) -> str:
        raise AssertionError(sequence)

    monkeypatch.setattr("genomics_fm.tasks.documents.reverse_complement", refused)
    for how in ("full",) if kind == "per-base" else ("full", "probe"):
        run(folder, vocabulary, kind, True, how=how, updates=1)
    with pytest.raises(AssertionError):
        run(folder, vocabulary, kind, False, updates=1)


def test_a_turned_row_of_bases_has_its_labels_turned(folder: Path, vocabulary: Ensemble) -> None:
    """The mean of both strands would not hold what only the left half of a sequence says."""
    task = task_of("per-base")
    for rows in task.splits.values():
        for label in rows.labels:
            label[:] = np.arange(len(label)) < 20
    done = trial.run(dataclasses.replace(CONFIG, vocabulary="kmer"), folder, vocabulary, task)
    strands = predict(done.module, vocabulary, "kmer", task.test.sequences[:1], task.problem)
    turned = predict(done.module, vocabulary, "kmer", [_reversed(task.test.sequences[0])], task.problem)
    np.testing.assert_allclose(strands[1, 0], turned[0, 0][::-1], atol=1e-6)
    objective = objective_of(CONFIG, task.problem, task.train.labels)
    feed = learning._Feed(CONFIG, vocabulary, objective, task.train, alone(torch.device("cpu")))
    labels = feed._labels(np.array([0, 1]), np.array([False, True])).numpy()
    first, second = task.train.labels[:2]
    assert np.array_equal(labels, np.concatenate([first, second[::-1]]))


def _reversed(sequence: str) -> str:
    return sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))


def test_the_best_evaluation_is_kept_and_patience_ends_training(
    folder: Path, vocabulary: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of("classification")
    config = dataclasses.replace(CONFIG, updates=12, evaluations=6)
    values = iter([0.1, 0.5, 0.5, 0.3, 0.2, 0.1])
    seen: list[torch.Tensor] = []
    module = trial.new_head(config, folder, vocabulary, task.problem)
    objective = objective_of(config, task.problem, task.train.labels)

    def validate() -> float:
        assert not module.training
        seen.append(module.classifier.weight.detach().clone())
        return next(values)

    course = learning.train(config, module, vocabulary, objective, task.train, validate)
    assert [point.update for point in course.points] == [2, 4, 6, 8, 10, 12]
    assert [point.rows_seen for point in course.points] == [24, 48, 72, 96, 120, 144]
    assert torch.equal(module.classifier.weight, seen[1]) and not torch.equal(seen[1], seen[2])
    assert not module.training and course.converged
    values = iter([0.1, 0.5, 0.4, 0.5, 0.9, 0.9])
    impatient = dataclasses.replace(config, patience=2)
    course = learning.train(impatient, module, vocabulary, objective, task.train, validate)
    assert (course.updates, course.rows_seen, len(course.points)) == (8, 96, 4) and course.out_of_patience


def test_validation_is_scored_as_the_result_is(folder: Path, vocabulary: Ensemble) -> None:
    done = run(folder, vocabulary, "regression", updates=6, evaluations=3)
    assert len(done.curve) == 3 and done.rows_seen == 72
    best = max(point["validation"] for point in done.curve)
    assert done.result.validation["pearson"] == pytest.approx(best, abs=1e-5)
    assert run(folder, vocabulary, "regression", updates=6).curve == []


def course(values: list[float], rows_seen: int = 100, impatient: bool = False) -> Course:
    points = [Point(i, i, 0.0, value) for i, value in enumerate(values)]
    return Course(100, rows_seen, 10, points, out_of_patience=impatient)


def test_what_counts_as_converged() -> None:
    flat, late = [0.1, 0.5, 0.6, 0.6, 0.604, 0.6], [0.1, 0.5, 0.6, 0.6, 0.61, 0.6]
    assert course(flat).converged is True and course(late).converged is False
    assert course(late, impatient=True).converged is True
    assert course(flat, rows_seen=99).converged is False and course(late, 99, impatient=True).converged is False
    assert course(flat[:3]).converged is None and course([]).converged is None


def test_learned_positions_take_any_length(tmp_path: Path, vocabulary: Ensemble) -> None:
    place = encoder(tmp_path, vocabulary, position="ape", max_positions=16)
    task = task_of("classification")
    assert max(len(d.ids_T) for d in documents(vocabulary, "kmer", task.train.sequences)) > 60
    for how in ("full", "probe"):
        config = dataclasses.replace(CONFIG, vocabulary="kmer", how=how, updates=1)
        result = trial.run(config, place, vocabulary, task).result
        assert np.isfinite(result.test_predictions).all()


def test_what_is_refused(folder: Path, vocabulary: Ensemble, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="how probe: a class of every base"):
        run(folder, vocabulary, "per-base", how="probe")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EnvironmentFault, match="device cuda: there is none; give cpu or auto"):
        run(folder, vocabulary, "classification", device="cuda")


def test_weights_of_classes_and_positives() -> None:
    rare = np.array([0] * 6 + [1] * 2)
    balanced = objective_of(TrialConfig(class_weights=True), Problem("classification", ("a", "b")), rare)
    assert balanced.weight_C is not None and balanced.weight_C.tolist() == pytest.approx([8 / 12, 2.0])
    labels, problem = np.array([[1.0], [0], [0], [np.nan]], np.float32), Problem("multilabel", ("a",))
    for given, expected in ((1.0, None), (8.0, [8.0]), (0.0, [2.0])):
        found = objective_of(TrialConfig(pos_weight=given), problem, labels).weight_C
        assert (found if found is None else found.tolist()) == expected
