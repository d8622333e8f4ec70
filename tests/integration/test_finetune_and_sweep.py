"""`jobs.finetune` and `jobs.sweep` on a made-up task: nested subsets, equal updates, every baseline, MLflow runs."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from genomics_fm.errors import InputError
from genomics_fm.inference.head import load_head
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import new_language_model
from genomics_fm.model.weights import save_encoder
from genomics_fm.tasks.fractions import nested_subset
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.task import Task, load, save
from genomics_fm.tasks.trial_config import TrialConfig
from genomics_fm.vocabulary.bpe import BpeVocabulary
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.kmer import KmerVocabulary
from jobs import finetune, sweep, tracking
from jobs.finetune import FinetuneConfig
from jobs.sweep import SweepConfig

TRIAL = TrialConfig(updates=6, batch_rows=8, cap=40)


def made_up(count: int, seed: int) -> Rows:
    """Class 1 is rich in G and C, so that something can be learnt in a few updates."""
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    weights = {0: [0.35, 0.15, 0.15, 0.35], 1: [0.15, 0.35, 0.35, 0.15]}
    sequences = ["".join(draw.choice(list("ACGT"), size=60, p=weights[int(label)])) for label in labels]
    return Rows(sequences, labels, [f"I:{100 * i}-{100 * i + 60}:+" for i in range(count)], np.arange(count) // 5)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("task")
    sizes = {"train": 80, "validation": 40, "test": 60}
    splits = {split: made_up(count, seed) for seed, (split, count) in enumerate(sizes.items())}
    save(folder, Task("gc", Problem("classification", ("at", "gc")), splits))
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    bpe = BpeVocabulary.train(made_up(50, 9).sequences, 60)
    vocabulary = Ensemble({"bpe": bpe, "kmer": KmerVocabulary(3)})
    vocabulary.save(folder / "vocabulary.json")
    shape = EncoderConfig(vocabulary_size=vocabulary.size, layers=1, width=16, heads=2, ffn_width=24)
    save_encoder(folder, new_language_model(shape, 0), {"corpus_sha256": "c" * 64})
    return folder


def test_one_head_is_finetuned_saved_and_recorded(encoder: Path, task: Path, storage: Path) -> None:
    arm = finetune.run(FinetuneConfig(encoder=str(encoder), task=str(task), trial=TRIAL))
    head = load_head(arm["head"])
    validation = load(task).validation
    probabilities = [p.probability for p in head.predict(validation.sequences)]
    again = np.mean((np.array(probabilities) >= 0.5) == validation.labels)
    assert again >= 0.5
    assert arm["labels_seen"] == 40
    assert head.card.hashes["validation"] == validation.sha256
    client = tracking.client(tracking.resolve_uri(None))
    experiment = client.get_experiment_by_name("finetuning")
    run = client.search_runs([experiment.experiment_id])[0]
    assert run.data.metrics["validation_mcc"] == pytest.approx(arm["validation_mcc"])
    assert run.data.tags["sha256.vocabulary"] == head.vocabulary.sha256
    assert run.data.tags["sha256.corpus"] == "c" * 64
    assert run.data.params["trial.updates"] == "6"


def test_the_sweep_covers_the_grid_with_equal_updates_and_nested_labels(
    encoder: Path, task: Path, storage: Path, local_ray: None
) -> None:
    config = SweepConfig(
        encoder=str(encoder), task=str(task), fractions=(0.5, 1.0), search_trials=2, search_updates=2, search_rows=20,
        cnn_updates=8, trial=TRIAL,
    )  # fmt: skip
    result = sweep.run(config)
    grid = {(arm["vocabulary"], arm["start"], arm["fraction"]) for arm in result["arms"]}
    assert len(grid) == len(result["arms"]) == 8
    assert {arm["updates"] for arm in result["arms"]} == {6}
    assert {(arm["fraction"], arm["labels_seen"]) for arm in result["arms"]} == {(0.5, 20), (1.0, 40)}
    assert len({arm["learning_rate"] for arm in result["arms"]}) == 1
    names = {"majority", "GC threshold", "6-mer logistic regression", "six-frame open", "CNN"}
    assert {b["name"] for b in result["baselines"]} == names
    assert {b["capped"] for b in result["baselines"]} == {True, False}
    assert len(result["search"]["encoder"]) == len(result["search"]["cnn"]) == 2
    assert result["best"]["validation_mcc"] == max(arm["validation_mcc"] for arm in result["arms"])
    card = load_head(result["best"]["head"]).card
    assert set(card.metrics["baselines"]) == names | {f"{name}, same cap" for name in names}
    labels = load(task).train.labels
    few, many = (nested_subset(labels, f, 0, TRIAL.cap) for f in (0.5, 1.0))
    assert set(few) < set(many)
    client = tracking.client(tracking.resolve_uri(None))
    runs = client.search_runs([client.get_experiment_by_name("sweep").experiment_id])
    assert len(runs) == 8 + len(result["baselines"])
    again = sweep.run(config)
    assert [arm["test_mcc"] for arm in again["arms"]] == [arm["test_mcc"] for arm in result["arms"]]


def test_an_empty_grid_and_missing_inputs_are_refused(encoder: Path, task: Path) -> None:
    with pytest.raises(InputError, match="--encoder and --task"):
        sweep.run(SweepConfig())
    with pytest.raises(InputError, match="empty"):
        sweep.run(dataclasses.replace(SweepConfig(encoder=str(encoder), task=str(task)), fractions=()))
