"""`jobs.finetune` and `jobs.sweep` on made-up rows: every arm and baseline, kills, nested subsets, MLflow runs."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genomics_fm.errors import InputError
from genomics_fm.inference.head import load_head
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import new_language_model
from genomics_fm.model.weights import save_encoder
from genomics_fm.tasks import baselines
from genomics_fm.tasks.fractions import nested_subset
from genomics_fm.tasks.metrics import mcc
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.task import Task, load, save
from genomics_fm.tasks.trial_config import TrialConfig
from genomics_fm.vocabulary.bpe import BpeVocabulary
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.kmer import KmerVocabulary
from jobs import arms, finetune, finetune_arms, sweep, tracking
from jobs.config import parse
from jobs.sweep import SweepConfig
from tests.commands import ROOT
from tests.processes import descendants, forget_ray

TRIAL = TrialConfig(updates=6, batch_rows=8, cap=40)
ARMS = 11
"""Of two seeds and one vocabulary: trials, and baselines that learn from rows that a seed draws; the majority once."""


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


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 sequences and their classes, as a bench scientist has them."""
    rows = made_up(160, 3)
    lines = [f"{sequence},{('at', 'gc')[label]}" for sequence, label in zip(rows.sequences, rows.labels, strict=True)]
    path = tmp_path_factory.mktemp("table") / "gc content.csv"
    path.write_text("\n".join(["sequence,label", *lines]) + "\n")
    return path


FLAGS = ("--preset", "smoke", "--name", "gc", "--vocabulary", "kmer", "--seeds", "2")


def there(storage: Path) -> dict[Path, int]:
    """The arms that are finished, and when they were."""
    return {path: path.stat().st_mtime_ns for path in storage.glob(f"finetuning/gc/arms-*/*/{arms.ARM_FILE}")}


def killed_after_two_arms(arguments: list[str], storage: Path) -> dict[Path, int]:
    """Run the command, and kill it and all it has started; the arms it had finished."""
    words = [sys.executable, "-m", "jobs.finetune", *arguments]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(words, cwd=ROOT, start_new_session=True, **quiet) as first:
        while len(there(storage)) < 2 and first.poll() is None:
            time.sleep(0.1)
        family = descendants(first.pid)
        os.killpg(first.pid, signal.SIGKILL)
    for one in family:
        one.kill()
    forget_ray(family)
    assert first.returncode == -signal.SIGKILL and 2 <= len(there(storage)) < ARMS
    return there(storage)


def test_a_killed_finetuning_goes_on_to_a_registered_head_and_the_same_command_only_reads(
    encoder: Path,
    table: Path,
    storage: Path,
    empty_tracking: Path,
    local_ray: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = [*FLAGS, "--data", str(table), "--checkpoint", str(encoder)]
    other = shutil.copy(empty_tracking, storage / "of the killed one.db")
    kept = killed_after_two_arms([*flags, "--tracking", f"sqlite:///{other}"], storage)
    config = parse(finetune.PRESETS, flags, "finetune")[0]
    result = finetune.run(config)
    assert f"{len(kept)} of {ARMS} arms were there already" in capsys.readouterr().err
    assert len(there(storage)) == ARMS and kept.items() <= there(storage).items()
    names = [*baselines.NAMES["classification"], "pretrained kmer", "scratch kmer"]
    assert [group["name"] for group in result["groups"]] == names
    assert [group["seeds"] for group in result["groups"]] == [1, 2, 2, 2, 2, 2]
    assert result["audit"]["grade"] != "A" and result["rows"]["train"] > result["rows"]["test"] > 0
    head = load_head(result["head"]["head"])
    assert "Head: gc" in (Path(result["folder"]) / "report.html").read_text()
    trials = [arm for arm in result["arms"] if arm.get("start") == "pretrained"]
    assert result["head"]["validation_mcc"] == max(arm["validation_mcc"] for arm in trials)
    line = finetune.last_line(result)
    assert set(line["baselines"]) == set(head.card.metrics["baselines"]) == {*names} - {"pretrained kmer"}
    assert line["test"] == result["head"]["test"]["mcc"] and line["interval"][0] <= line["test"]
    made = load(Path(result["task_folder"]))
    said = [made.problem.names.index(str(p.label)) for p in head.predict(made.test.sequences)]
    assert (
        mcc(made.test.labels, np.array(said)) == result["decision"]["mcc"] == result["head"]["test"]["mcc_at_threshold"]
    )
    assert result["registered"]["uri"] == "models:/gc/1" and result["registered"]["promoted"]
    client = tracking.client(tracking.resolve_uri(None))

    def recorded() -> list[Any]:
        return client.search_runs([client.get_experiment_by_name("finetuning").experiment_id])

    runs = recorded()
    assert {run.info.run_name for run in runs} == {f"{name} 1" for name in names} and len(runs) == ARMS
    assert all(run.data.metrics["test_mcc"] <= 1 for run in runs)

    def never(*given: object) -> None:
        raise AssertionError("run again")

    monkeypatch.setattr(finetune_arms, "_run", never)
    second = finetune.run(config)
    assert {**second, "seconds": 0, "registered": 0} == {**result, "seconds": 0, "registered": 0}
    assert second["registered"]["uri"] == "models:/gc/1" and len(recorded()) == len(runs)
    monkeypatch.setattr(finetune, "run", lambda _: second)
    finetune._run_and_print(config)
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == finetune.last_line(second)


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
    rows = load(task).train
    few, many = (nested_subset(rows, f, 0, TRIAL.cap) for f in (0.5, 1.0))
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
