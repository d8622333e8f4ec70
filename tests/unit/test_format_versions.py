"""Folders of every artefact as earlier versions wrote them keep loading, and say what they said (R8)."""

import json
from pathlib import Path

import numpy as np
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
from tests.corpora import dna

GOLDEN = Path(__file__).parents[1] / "golden" / "format_1"
HEADS = GOLDEN.parent / "format_2"
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
    assert [p.probability for p in load_head(GOLDEN / "head").predict(labelled.sequences, prior=0.5)] == pytest.approx(
        EXPECTED["probabilities"], abs=1e-5
    )


@pytest.mark.parametrize("name", ["classes", "labels", "numbers", "bases"])
def test_heads_of_format_2(name: str) -> None:
    head = load_head(HEADS / name)
    expected = json.loads((HEADS / "expected.json").read_text())[name]
    found = head.predict([dna(length, length) for length in (30, 61, 200)])
    for prediction, values in zip(found, expected, strict=True):
        np.testing.assert_allclose(prediction.values, values, atol=1e-5)
    assert all(np.ptp(values) > 1e-3 for values in expected)


@pytest.mark.parametrize("name", ["two", "labels"])
def test_heads_of_format_3_say_labels_from_their_thresholds_on(name: str) -> None:
    folder = GOLDEN.parent / "format_3"
    expected = json.loads((folder / "expected.json").read_text())[name]
    found = load_head(folder / name).predict([dna(length, length) for length in (30, 40, 61, 80, 120, 200)])
    for prediction, said in zip(found, expected, strict=True):
        np.testing.assert_allclose(prediction.values, said["values"], atol=1e-5)
        assert ([prediction.label] if prediction.label else [*(prediction.labels or ())]) == said["labels"]
    half = [[int(value >= 0.5) for value in said["values"]] for said in expected]
    assert len(set(map(str, half))) < len({str(said["labels"]) for said in expected})
