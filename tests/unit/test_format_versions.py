"""A folder of every artefact as version 0.1.0 wrote it, format 1, keeps loading (R8)."""

import json
from pathlib import Path

import pytest
import torch

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.inference.head import load_head
from genomics_fm.model.heads import new_language_model
from genomics_fm.model.weights import load_encoder
from genomics_fm.storage import Folder
from genomics_fm.tasks import rows
from genomics_fm.training.checkpoint import Checkpoints, KeepPolicy
from genomics_fm.training.optimizer import OptimizerConfig, adamw
from genomics_fm.training.workers import Workers
from genomics_fm.vocabulary.ensemble import Ensemble

GOLDEN = Path(__file__).parents[1] / "golden" / "format_1"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())


def test_corpus() -> None:
    corpus = Corpus(GOLDEN / "corpus", verify=True)
    assert corpus.sha256 == EXPECTED["corpus_sha256"]
    assert corpus.window(0).sequence.startswith(EXPECTED["first_window"])


def test_vocabulary_and_encoder() -> None:
    vocabulary = Ensemble.load(GOLDEN / "vocabulary.json")
    assert vocabulary.sha256 == EXPECTED["vocabulary_sha256"]
    config, tensors, about = load_encoder(GOLDEN / "encoder")
    assert len(tensors["bert.embeddings.word_embeddings.weight"]) == config.vocabulary_size == vocabulary.size
    assert about["vocabulary_sha256"] == vocabulary.sha256


def test_checkpoint() -> None:
    skipped: list[str] = []
    folder = Folder(GOLDEN / "encoder" / "checkpoints")
    checkpoints = Checkpoints(folder, Workers.current(), KeepPolicy())
    found = checkpoints.newest(skipped.append)
    assert found is not None and skipped == []
    assert found.step == 2
    config, _, _ = load_encoder(GOLDEN / "encoder")
    model = new_language_model(config, 0)
    states = checkpoints.load(found, model, adamw(model, OptimizerConfig()))
    assert states and all(torch.isfinite(tensor).all() for tensor in model.parameters())


def test_rows_and_head() -> None:
    labelled = rows.read(GOLDEN / "rows.parquet")
    assert labelled.sha256 == EXPECTED["rows_sha256"]
    predictions = load_head(GOLDEN / "head").predict(labelled.sequences)
    assert [p.probability for p in predictions] == pytest.approx(EXPECTED["probabilities"], abs=1e-5)
