import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genomics_fm.errors import InputError
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import new_language_model
from genomics_fm.model.weights import load_encoder, save_encoder
from genomics_fm.tasks import learning, trial
from genomics_fm.tasks.fractions import nested_subset
from genomics_fm.tasks.objective import Objective, objective_of
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.scoring import mean_of_strands, predict
from genomics_fm.tasks.task import Task
from genomics_fm.tasks.trial_config import TrialConfig
from genomics_fm.training.optimizer import OptimizerConfig
from genomics_fm.vocabulary.ensemble import Ensemble
from tests.corpora import dna

torch.set_num_threads(1)
CONFIG = TrialConfig(
    updates=4, batch_rows=8, optimizer=OptimizerConfig(learning_rate=5e-3, betas=(0.9, 0.999), warmup_steps=2)
)


def made_up(count: int, seed: int) -> Rows:
    """Rows of class 1 are rich in A and T."""
    labels = np.arange(count) % 2
    sequences = [dna(80, 1_000 * seed + i, "AATTCG" if label else "ACGGCT") for i, label in enumerate(labels)]
    return Rows(sequences, labels, [f"I:{i}-{i + 80}:+" for i in range(count)], np.arange(count) // 4)


TRAIN, VALIDATION, TEST = made_up(40, 0), made_up(24, 1), made_up(24, 2)
PROBLEM = Problem("classification", ("poor", "rich"))
TASK = Task("made up", PROBLEM, {"train": TRAIN, "validation": VALIDATION, "test": TEST})


def encoder(folder: Path, vocabulary: Ensemble, seed: int = 0) -> Path:
    config = EncoderConfig(vocabulary_size=vocabulary.size, layers=1, width=32, heads=2, ffn_width=48)
    save_encoder(folder, new_language_model(config, seed), {"vocabulary_sha256": vocabulary.sha256})
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, vocabulary: Ensemble) -> Path:
    return encoder(tmp_path_factory.mktemp("encoder"), vocabulary)


def run(folder: Path, ensemble: Ensemble, /, **changes: object) -> trial.Trial:
    config = dataclasses.replace(CONFIG, **changes)  # type: ignore[arg-type]
    return trial.run(config, folder, ensemble, TASK)


def probabilities(done: trial.Trial) -> bytes:
    return done.result.validation_predictions.tobytes() + done.result.test_predictions.tobytes()


def test_the_same_config_gives_the_same_probabilities(folder: Path, vocabulary: Ensemble) -> None:
    first = probabilities(run(folder, vocabulary))
    torch.manual_seed(99)
    np.random.default_rng(99)
    assert probabilities(run(folder, vocabulary)) == first
    for changes in ({"seed": 1}, {"vocabulary": "kmer"}, {"fraction": 0.5}, {"updates": 5}, {"start": "scratch"}):
        assert probabilities(run(folder, vocabulary, **changes)) != first, changes


@pytest.mark.parametrize("how", ["full", "lora", "probe"])
def test_what_is_trained_in_bf16_is_scored_as_it_will_be_served(how: str, folder: Path, vocabulary: Ensemble) -> None:
    done = run(folder, vocabulary, how=how, precision="bf16")
    served, half = (
        mean_of_strands(predict(done.module, vocabulary, "bpe", TEST.sequences, PROBLEM, bf16=bf16))
        for bf16 in (False, True)
    )
    assert np.array_equal(done.result.test_predictions, served) and not np.array_equal(served, half)
    assert probabilities(done) != probabilities(run(folder, vocabulary, how=how)), "it was trained in bf16"


def test_scratch_takes_the_encoders_size_and_nothing_else(tmp_path: Path, folder: Path, vocabulary: Ensemble) -> None:
    other = encoder(tmp_path / "other", vocabulary, seed=1)
    scratch = [probabilities(run(place, vocabulary, start="scratch")) for place in (folder, other)]
    assert scratch[0] == scratch[1]
    pretrained = [probabilities(run(place, vocabulary)) for place in (folder, other)]
    assert pretrained[0] != pretrained[1]


def test_both_starts_have_the_same_fresh_head(folder: Path, vocabulary: Ensemble) -> None:
    pretrained = trial.new_head(CONFIG, folder, vocabulary, PROBLEM)
    scratch = trial.new_head(dataclasses.replace(CONFIG, start="scratch"), folder, vocabulary, PROBLEM)
    for name in ("pooler.weight", "classifier.weight"):
        assert torch.equal(pretrained.get_parameter(name), scratch.get_parameter(name))
    _, tensors, _ = load_encoder(folder)
    for name, value in pretrained.bert.state_dict().items():
        assert torch.equal(value, tensors[f"bert.{name}"])
    embeddings = "bert.embeddings.word_embeddings.weight"
    assert not torch.equal(scratch.get_parameter(embeddings), tensors[embeddings])


def test_it_learns_and_probabilities_are_of_class_1(folder: Path, vocabulary: Ensemble) -> None:
    done = run(folder, vocabulary, updates=40)
    assert done.result.test["mcc"] > 0.7 and done.result.validation["mcc"] > 0.7
    test = done.result.test_predictions[:, 1]
    assert test[TEST.labels == 1].mean() > test[TEST.labels == 0].mean() + 0.3
    assert not done.module.training


def test_what_an_arm_says_about_itself(folder: Path, vocabulary: Ensemble) -> None:
    result = run(folder, vocabulary, fraction=0.5, start="scratch", vocabulary="kmer").result
    assert (result.name, result.fraction, result.capped, result.labels_seen) == ("scratch kmer", 0.5, True, 20)
    assert run(folder, vocabulary, updates=2).result.labels_seen == 16  # fewer than there are
    assert result.validation_predictions.dtype == np.float32 and result.test_predictions.shape == (24, 2)
    assert result.chosen == {"learning_rate": 5e-3, "updates": 4, "seed": 0}


def test_probabilities_are_the_mean_of_both_strands(folder: Path, vocabulary: Ensemble) -> None:
    turned = dataclasses.replace(TEST, sequences=[*map(reverse_complement, TEST.sequences)])
    other_task = dataclasses.replace(TASK, splits={**TASK.splits, "test": turned})
    one = trial.run(CONFIG, folder, vocabulary, TASK).result.test_predictions
    other = trial.run(CONFIG, folder, vocabulary, other_task).result.test_predictions
    np.testing.assert_allclose(one, other, atol=1e-6)


class Recorder(nn.Module):
    """A classifier that keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.seen: list[list[tuple[int, ...]]] = []

    def forward(self, ids_N: Tensor, lengths: list[int]) -> Tensor:
        self.seen.append([tuple(part.tolist()) for part in ids_N.split(lengths)])
        return self.weight.expand(len(lengths), 2)


def shown(vocabulary: Ensemble, rows: Rows, **changes: object) -> tuple[list[list[int]], list[bool]]:
    """Row numbers of every update, and whether each was turned."""
    names = {}
    for i, sequence in enumerate(rows.sequences):
        names[tuple(vocabulary.document("bpe", sequence).tolist())] = (i, False)
        names[tuple(vocabulary.document("bpe", reverse_complement(sequence)).tolist())] = (i, True)
    recorder = Recorder()
    config = dataclasses.replace(CONFIG, **changes)  # type: ignore[arg-type]
    learning.train(config, recorder, vocabulary, objective_of(config, PROBLEM, rows.labels), rows)
    updates = [[names[document][0] for document in update] for update in recorder.seen]
    return updates, [names[document][1] for update in recorder.seen for document in update]


def test_every_row_is_seen_once_an_epoch(vocabulary: Ensemble) -> None:
    updates, turned = shown(vocabulary, TRAIN, updates=15, batch_rows=8)
    assert [len(update) for update in updates] == [8] * 15
    rows = [row for update in updates for row in update]
    epochs = [rows[i : i + 40] for i in (0, 40, 80)]
    assert all(sorted(epoch) == list(range(40)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert 0.3 < np.mean(turned) < 0.7  # 120 fair coins
    assert len({tuple(turned[i : i + 40]) for i in (0, 40, 80)}) == 3


def test_epochs_run_through_updates_that_they_do_not_fill(vocabulary: Ensemble) -> None:
    updates, _ = shown(vocabulary, TRAIN, updates=15, batch_rows=16)  # 240 = 6 epochs
    assert set(Counter(row for update in updates for row in update).values()) == {6}


def test_fewer_rows_than_a_batch_are_all_in_every_update(vocabulary: Ensemble) -> None:
    updates, _ = shown(vocabulary, TRAIN.take(np.arange(6)), updates=3, batch_rows=16)
    assert [sorted(update) for update in updates] == [list(range(6))] * 3


def test_only_the_nested_subset_of_the_capped_rows_is_used(
    folder: Path, vocabulary: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: dict[float, Rows] = {}

    def spy(
        config: TrialConfig, module: nn.Module, vocabulary: Ensemble, objective: Objective, rows: Rows, *_: object
    ) -> learning.Course:
        used[config.fraction] = rows
        return learning.Course(len(rows))

    monkeypatch.setattr(trial, "train", spy)
    for fraction in (0.25, 0.5, 1.0):
        run(folder, vocabulary, fraction=fraction, cap=32, seed=3)
        assert used[fraction].sha256 == TRAIN.take(nested_subset(TRAIN, fraction, 3, 32)).sha256
    assert [len(used[f]) for f in (0.25, 0.5, 1.0)] == [8, 16, 32]
    assert set(used[0.25].locus) < set(used[0.5].locus) < set(used[1.0].locus) < set(TRAIN.locus)


def test_the_rate_of_progress_is_told(folder: Path, vocabulary: Ensemble) -> None:
    told: list[tuple[int, float]] = []
    trial.run(CONFIG, folder, vocabulary, TASK, lambda done, loss: told.append((done, loss)))
    assert [done for done, _ in told] == [1, 2, 3, 4]
    assert told[0][1] == pytest.approx(np.log(2), abs=0.1)


def test_a_fraction_that_leaves_a_class_empty_is_refused(folder: Path, vocabulary: Ensemble) -> None:
    with pytest.raises(InputError, match=r"fraction 0.02: leaves a class without any row"):
        run(folder, vocabulary, fraction=0.02)


def test_an_encoder_of_another_vocabulary_is_refused(tmp_path: Path, vocabulary: Ensemble) -> None:
    """Of the same size, so that its weights would load and mean nothing."""
    swapped = Ensemble({"kmer": vocabulary.members["kmer"], "bpe": vocabulary.members["bpe"]})
    assert swapped.size == vocabulary.size
    other = encoder(tmp_path / "other", swapped)
    with pytest.raises(InputError, match="other: pretrained with another vocabulary"):
        run(other, vocabulary)


def test_a_very_rare_class_is_among_the_rows_of_evaluations(folder: Path, vocabulary: Ensemble) -> None:
    rows = made_up(120, 3)
    labels = np.zeros(120, np.int64)
    labels[[5, 61, 119]] = 1
    rare = dataclasses.replace(rows, labels=labels)
    task = dataclasses.replace(TASK, splits={**TASK.splits, "validation": rare})
    config = dataclasses.replace(CONFIG, updates=40, evaluations=4, evaluation_rows=10)
    seen: list[np.ndarray] = []

    def spy(problem: Problem, labels: np.ndarray, *_: object) -> dict[str, float]:
        seen.append(labels)
        return {problem.metric: 0.0}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial.metrics, "evaluate", spy)
        patch.setattr(trial.results, "score", lambda *_, **__: None)
        trial.run(config, folder, vocabulary, task)
    assert [(len(labels), labels.sum()) for labels in seen] == [(10, 1)] * 4
