import dataclasses

import numpy as np
import pytest
import torch

from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import SequenceClassifier, new_classifier
from genomics_fm.tasks import scoring
from genomics_fm.tasks.documents import batches
from genomics_fm.tasks.problem import Kind, Problem
from genomics_fm.tasks.scoring import mean_of_strands, predict, strand_probabilities
from genomics_fm.vocabulary.ensemble import Ensemble
from tests.corpora import dna

torch.set_num_threads(1)
SEQUENCES = [dna(length, length) for length in (200, 10, 2, 333, 200, 64, 199, 1_500)] + ["ACGTN" * 40, "A" * 30]


@pytest.fixture(scope="module")
def classifier(vocabulary: Ensemble) -> SequenceClassifier:
    """Weights so large that probabilities differ."""
    config = EncoderConfig(vocabulary_size=vocabulary.size, layers=2, width=32, heads=2, ffn_width=48)
    model = new_classifier(config, outputs=2, seed=0)
    with torch.no_grad():
        for parameter in (model.pooler.weight, model.classifier.weight):
            parameter *= 40
    return model.eval()


@pytest.mark.parametrize("name", ["bpe", "kmer"])
def test_a_probability_does_not_depend_on_its_neighbours(
    classifier: SequenceClassifier, vocabulary: Ensemble, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = strand_probabilities(classifier, vocabulary, name, SEQUENCES, both_strands=True)
    alone = [strand_probabilities(classifier, vocabulary, name, [s], both_strands=True)[:, 0] for s in SEQUENCES]
    np.testing.assert_allclose(together, np.array(alone).T, atol=1e-5, rtol=0)
    backwards = strand_probabilities(classifier, vocabulary, name, SEQUENCES[::-1], both_strands=True)
    np.testing.assert_allclose(together, backwards[:, ::-1], atol=1e-5, rtol=0)
    monkeypatch.setattr(scoring, "BATCH_TOKENS", 300)
    small = strand_probabilities(classifier, vocabulary, name, SEQUENCES, both_strands=True)
    np.testing.assert_allclose(together, small, atol=1e-5, rtol=0)
    assert np.ptp(together) > 0.05  # so that a mix-up of rows would show


def test_strands_are_as_given_and_turned(classifier: SequenceClassifier, vocabulary: Ensemble) -> None:
    forward, turned = strand_probabilities(classifier, vocabulary, "bpe", SEQUENCES, both_strands=True)
    single = strand_probabilities(classifier, vocabulary, "bpe", SEQUENCES, both_strands=False)
    assert single.shape == (1, len(SEQUENCES)) and single.dtype == np.float64
    np.testing.assert_allclose(single[0], forward, atol=1e-6)
    other = strand_probabilities(
        classifier, vocabulary, "bpe", [*map(reverse_complement, SEQUENCES)], both_strands=True
    )
    np.testing.assert_allclose(other, [turned, forward], atol=1e-6)
    assert np.abs(forward - turned).max() > 0.01


def test_it_is_the_probability_of_class_1(classifier: SequenceClassifier, vocabulary: Ensemble) -> None:
    ids = torch.from_numpy(vocabulary.document("kmer", SEQUENCES[0])).long()
    with torch.inference_mode():
        logit_0, logit_1 = classifier(ids, [len(ids)])[0].tolist()
    found = strand_probabilities(classifier, vocabulary, "kmer", SEQUENCES[:1], both_strands=False)[0, 0]
    assert found == pytest.approx(1 / (1 + np.exp(logit_0 - logit_1)), abs=1e-6)


@pytest.mark.parametrize("kind", ["classification", "multilabel", "regression"])
def test_outputs_mean_what_the_problem_says(classifier: SequenceClassifier, vocabulary: Ensemble, kind: Kind) -> None:
    problem = Problem(kind, ("a", "b"), stranded=True)
    ids = torch.from_numpy(vocabulary.document("kmer", SEQUENCES[3])).long()
    with torch.inference_mode():
        logits = classifier(ids, [len(ids)])[0].double()
    meaning = {"classification": torch.softmax(logits, -1), "multilabel": torch.sigmoid(logits), "regression": logits}
    found = predict(classifier, vocabulary, "kmer", SEQUENCES, problem)
    assert found.shape == (1, len(SEQUENCES), 2)
    np.testing.assert_allclose(found[0, 3], meaning[kind].numpy(), atol=1e-5)
    mean = mean_of_strands(
        predict(classifier, vocabulary, "kmer", SEQUENCES, dataclasses.replace(problem, stranded=False))
    )
    turned = predict(classifier, vocabulary, "kmer", [*map(reverse_complement, SEQUENCES)], problem)
    np.testing.assert_allclose(mean, (found[0] + turned[0]) / 2, atol=1e-5)
    assert mean.dtype == np.float32


def test_bfloat16_is_near(classifier: SequenceClassifier, vocabulary: Ensemble) -> None:
    problem = Problem("regression", ("a", "b"))
    exact, near = (predict(classifier, vocabulary, "bpe", SEQUENCES, problem, bf16=bf16) for bf16 in (False, True))
    assert 0 < np.abs(exact - near).max() < 0.1 * np.ptp(exact)


def test_batches_hold_every_document_once_within_the_limit() -> None:
    lengths = [30, 250, 40, 1, 30, 100, 60, 3]
    found = list(batches(lengths, 100))
    assert sorted(i for batch in found for i in batch) == list(range(8))
    assert all(sum(lengths[i] for i in batch) <= 100 or len(batch) == 1 for batch in found)
    assert len(found) == 4


@pytest.mark.parametrize("both", [False, True])
def test_no_sequences_give_no_probabilities(classifier: SequenceClassifier, vocabulary: Ensemble, both: bool) -> None:
    assert strand_probabilities(classifier, vocabulary, "bpe", [], both_strands=both).shape == (1 + both, 0)
