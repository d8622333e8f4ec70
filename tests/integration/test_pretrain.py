"""`jobs.pretrain`: Ray Train with two workers; killed at any moment, it ends with the same weights."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genomics_fm.artefacts import sha256_file
from genomics_fm.corpus.sources import Source
from genomics_fm.corpus.windows import Recipe
from genomics_fm.model.weights import load_encoder
from genomics_fm.storage import Folder
from genomics_fm.training.metrics import read_events, read_metrics
from genomics_fm.vocabulary.bpe import BpeVocabulary
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.kmer import KmerVocabulary
from tests.commands import ROOT, Ended, command, write_genome
from tests.corpora import build, dna, write_fasta
from tests.processes import descendants, forget_ray, survivors

STEPS = 60  # workers outlive their killed driver by a second or two: this is well beyond that
DEATH_SECONDS = 20
SETTINGS = (
    "--preset", "smoke", f"--training.steps={STEPS}", "--training.checkpoint-steps=3", "--training.encoder.layers=1",
    "--training.stream.max-segment-bp", "bpe=600", "kmer=300",
    "--training.encoder.width=32", "--training.encoder.heads=2", "--training.encoder.ffn-width=48",
)  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    source = Source(str(write_genome(folder / "genome.fa")), "made up")
    recipe = Recipe(window_bp=8_192)
    build(folder, [source], recipe)
    bpe = BpeVocabulary.train([(folder / "genome.fa").read_text().split("\n")[1][:20_000]], 200)
    Ensemble({"bpe": bpe, "kmer": KmerVocabulary(4)}).save(folder / "vocabulary.json")
    return folder


def pretrain(corpus: Path, storage: Path, name: str, *more: str) -> Ended:
    arguments = ("--corpus", str(corpus), "--name", name, *SETTINGS, *more)
    return command("jobs.pretrain", *arguments, GENOMICS_FM_STORAGE=str(storage))


@pytest.fixture(scope="module")
def undisturbed(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was scored on held-out sequence, which those that must equal it are not."""
    storage = tmp_path_factory.mktemp("undisturbed")
    held_out = f"Nova={write_fasta(storage / 'new.fa', {'x': dna(9_000, 99)})}"
    scored = ("--validation", held_out, "--validation-segments=9", "--validation-steps=40")
    ended = pretrain(corpus, storage, "run", *scored)
    assert ended.code == 0, ended.err
    assert (
        "[validation] 9 stretches of 1 source; looked for" in ended.err and "held-out after step 40: bpe" in ended.err
    )
    return storage / "encoders" / "run"


def test_two_workers_train_every_step_and_save_an_encoder(undisturbed: Path) -> None:
    lines = read_metrics(Folder(undisturbed))
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert all(set(line["loss"]) == {"bpe", "kmer"} for line in lines)
    config, _, about = load_encoder(undisturbed)
    vocabulary = Ensemble.load(undisturbed / "vocabulary.json")
    assert config.vocabulary_size == vocabulary.size
    assert (about["steps"], about["vocabulary_sha256"]) == (STEPS, vocabulary.sha256)
    [start, *scorings] = read_events(Folder(undisturbed))
    assert (start["event"], start["step"], len(start["nodes"])) == ("start", 0, 2)
    assert [(event["event"], event["step"]) for event in scorings] == [("validation", 40), ("validation", STEPS)]
    for figures in scorings[-1]["vocabularies"].values():
        assert list(figures["by_source"]) == ["Nova"]
        assert set(figures["all"]["markov"]) == {"order 5", "order 11", "order 5, both sides"}


def test_a_run_has_a_page_and_its_scores_in_mlflow(undisturbed: Path) -> None:
    page = (undisturbed / "report.html").read_text()
    assert "Finished." in page and f"After step {STEPS}" in page and ">Nova<" in page
    assert sha256_file(undisturbed / "model.safetensors") in page
    runs = undisturbed.parents[1] / "mlflow.db"
    kept = json.loads((undisturbed / "tracking.json").read_text())
    with sqlite3.connect(runs) as database:
        asked = "select step from metrics where run_uuid = ? and key = ? order by step"
        steps = database.execute(asked, (kept["run_id"], "validation_accuracy_kmer.Nova")).fetchall()
    assert steps == [(40,), (STEPS,)]


def test_killed_with_its_process_group_it_resumes_and_ends_with_the_same_weights(
    corpus: Path, undisturbed: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "encoders" / "run"
    arguments = ("--corpus", str(corpus), "--name", "run", *SETTINGS)
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs.pretrain", *arguments],
        cwd=ROOT,
        env={**os.environ, "GENOMICS_FM_STORAGE": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until = time.monotonic() + 120
    whole = "checkpoints/step-*/manifest.json"
    while (len(read_metrics(Folder(folder))) < 5 or not list(folder.glob(whole))) and time.monotonic() < until:
        time.sleep(0.02)
    family = descendants(process.pid)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert survivors([one for one in family if "Agent" not in one.title], DEATH_SECONDS) == []
    forget_ray(family)
    assert not (folder / "config.json").exists(), "it ended before it was killed"
    ended = pretrain(corpus, tmp_path, "run")
    assert ended.code == 0, ended.err
    assert read_events(Folder(folder))[-1]["step"] >= 3
    assert "resumed at step" in ended.err
    assert sha256_file(folder / "model.safetensors") == sha256_file(undisturbed / "model.safetensors")
    assert [json.dumps(line["loss"]) for line in read_metrics(Folder(folder))] == [
        json.dumps(line["loss"]) for line in read_metrics(Folder(undisturbed))
    ]


def test_errors_are_one_line_with_their_exit_code(corpus: Path, tmp_path: Path) -> None:
    no_corpus = pretrain(tmp_path, tmp_path, "x")
    assert (no_corpus.code, no_corpus.err.count("\n")) == (2, 1)
    assert "python -m jobs.build_corpus" in no_corpus.err
    typo = pretrain(corpus, tmp_path, "x", "--training.stpes=3")
    assert typo.code == 2
    assert "did you mean --training.steps?" in typo.err


def test_a_run_that_is_not_finite_ends_at_once_and_names_the_rows(corpus: Path, tmp_path: Path) -> None:
    ended = pretrain(corpus, tmp_path, "run", "--training.optimizer.learning-rate=1e30")
    assert ended.code == 2, ended.err
    (line,) = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    assert re.match(r"error: step \d+: (loss|gradient) of worker [01], block \S+ row \d+, (bpe|kmer) \d", line), line
    assert line.endswith("lower the learning rate and use another --name, or --on-nonfinite skip")
    starts = read_events(Folder(tmp_path / "encoders" / "run"))
    assert [event["event"] for event in starts] == ["start"]  # it was not started again
