"""Pretraining in an S3-like store: corpus, vocabulary, checkpoints, metrics and encoder, with nothing on a disk."""

import dataclasses
from pathlib import Path

import pytest
import torch

from genomics_fm.artefacts import sha256_file
from genomics_fm.corpus.manifest import Corpus
from genomics_fm.model.weights import WEIGHTS
from genomics_fm.storage import Folder
from genomics_fm.training.loop import Run, pretrain
from genomics_fm.training.metrics import read_metrics
from genomics_fm.vocabulary.ensemble import Ensemble
from tests.corpora import corpus_of, dna, fixed_vocabulary
from tests.runs import RUN, advance

torch.set_num_threads(1)
CONFIG = dataclasses.replace(RUN, keep_checkpoints=1)


def _upload(folder: Path, place: Folder) -> None:
    for path in folder.iterdir():
        place.write(path.name, path.read_bytes())


def test_a_run_in_a_store_resumes_there_and_ends_with_the_weights_of_one_on_a_disk(
    object_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENOMICS_FM_CACHE", str(tmp_path / "cache"))
    corpus = corpus_of(tmp_path / "corpus", {"c": dna(20_000, 1)})
    vocabulary = tmp_path / "vocabulary.json"
    fixed_vocabulary().save(vocabulary)
    pretrain(CONFIG, corpus.folder, vocabulary, tmp_path / "disk", lambda line: None)
    store = Folder(object_store)
    _upload(corpus.folder, store / "corpus")
    (store / "vocabularies").write("v.json", vocabulary.read_bytes())
    address, mark, options = (store / "vocabularies").uri.partition("?")
    there = [(store / "corpus").uri, f"{address}/v.json{mark}{options}", (store / "run").uri]
    stopped = Run(CONFIG, Corpus(there[0]), Ensemble.load(there[1]), there[2])
    advance(stopped, 5)
    steps: list[int] = []
    pretrain(CONFIG, there[0], there[1], there[2], lambda line: steps.append(line["step"]))
    assert steps == list(range(5, CONFIG.steps + 1))
    run = store / "run"
    assert run.sha256(WEIGHTS) == sha256_file(tmp_path / "disk" / WEIGHTS)
    for name in ("config.json", "vocabulary.json", "sources.json"):
        assert run.read(name) == (tmp_path / "disk" / name).read_bytes()
    assert (run / "checkpoints").folders() == ["step-00000006"]
    losses = [[line["loss"] for line in read_metrics(folder)] for folder in (run, Folder(tmp_path / "disk"))]
    assert losses[0] == losses[1] and len(losses[0]) == CONFIG.steps
