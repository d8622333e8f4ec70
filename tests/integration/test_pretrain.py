"""`jobs.pretrain` on Ray Train with two workers: what a run leaves behind, and how it refuses."""

import json
import re
import sqlite3
from pathlib import Path

import pytest

from genomics_fm.artefacts import sha256_file
from genomics_fm.model.weights import load_encoder
from genomics_fm.storage import Folder
from genomics_fm.training.metrics import read_events, read_metrics
from genomics_fm.vocabulary.ensemble import Ensemble
from tests.commands import Ended, command
from tests.pretrainings import SETTINGS, STEPS, VALIDATION_STEPS, Pretraining

SCORED = [*range(VALIDATION_STEPS, STEPS, VALIDATION_STEPS), STEPS]


def pretrain(corpus: Path, storage: Path, name: str, *more: str) -> Ended:
    arguments = ("--corpus", str(corpus), "--name", name, *SETTINGS, *more)
    return command("jobs.pretrain", *arguments, GENOMICS_FM_STORAGE=str(storage))


def test_two_workers_train_every_step_and_save_an_encoder(undisturbed: Pretraining) -> None:
    lines = read_metrics(Folder(undisturbed.folder))
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert all(set(line["loss"]) == {"bpe", "kmer"} for line in lines)
    config, _, about = load_encoder(undisturbed.folder)
    vocabulary = Ensemble.load(undisturbed.folder / "vocabulary.json")
    assert config.vocabulary_size == vocabulary.size
    assert (about["steps"], about["vocabulary_sha256"]) == (STEPS, vocabulary.sha256)
    [start, *scorings] = read_events(Folder(undisturbed.folder))
    assert (start["event"], start["step"], len(start["nodes"])) == ("start", 0, 2)
    assert [(event["event"], event["step"]) for event in scorings] == [("validation", step) for step in SCORED]
    for figures in scorings[-1]["vocabularies"].values():
        assert list(figures["by_source"]) == ["Nova"]
        assert set(figures["all"]["markov"]) == {"order 5", "order 11", "order 5, both sides"}


def test_a_run_has_a_page_and_its_scores_in_mlflow(undisturbed: Pretraining) -> None:
    page = (undisturbed.folder / "report.html").read_text()
    assert "Finished." in page and f"After step {STEPS}" in page and ">Nova<" in page
    assert sha256_file(undisturbed.folder / "model.safetensors") in page
    kept = json.loads((undisturbed.folder / "tracking.json").read_text())
    with sqlite3.connect(undisturbed.tracking.removeprefix("sqlite:///")) as database:
        asked = "select step from metrics where run_uuid = ? and key = ? order by step"
        steps = database.execute(asked, (kept["run_id"], "validation_accuracy_kmer.Nova")).fetchall()
    assert steps == [(step,) for step in SCORED]


def test_errors_are_one_line_with_their_exit_code(pretraining_corpus: Path, tmp_path: Path) -> None:
    no_corpus = pretrain(tmp_path, tmp_path, "x")
    assert (no_corpus.code, no_corpus.err.count("\n")) == (2, 1)
    assert "python -m jobs.build_corpus" in no_corpus.err
    typo = pretrain(pretraining_corpus, tmp_path, "x", "--training.stpes=3")
    assert typo.code == 2
    assert "did you mean --training.steps?" in typo.err


@pytest.mark.full
def test_a_run_that_is_not_finite_ends_at_once_and_names_the_rows(pretraining_corpus: Path, tmp_path: Path) -> None:
    ended = pretrain(pretraining_corpus, tmp_path, "run", "--training.optimizer.learning-rate=1e30")
    assert ended.code == 2, ended.err
    (line,) = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    assert re.match(r"error: step \d+: (loss|gradient) of worker [01], block \S+ row \d+, (bpe|kmer) \d", line), line
    assert line.endswith("lower the learning rate and use another --name, or --on-nonfinite skip")
    starts = read_events(Folder(tmp_path / "encoders" / "run"))
    assert [event["event"] for event in starts] == ["start"]  # it was not started again
