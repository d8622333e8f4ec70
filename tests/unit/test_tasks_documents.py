"""Rows as packed documents, and outputs of bases from those of tokens."""

import numpy as np
import pytest
import torch

from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import new_token_classifier
from genomics_fm.tasks.documents import documents, outputs, parts, picked_rows, strands
from genomics_fm.vocabulary.ensemble import Ensemble
from tests.corpora import dna

torch.set_num_threads(1)
SEQUENCES = [dna(60, 1), "ACGTN" * 5, "AC", "", dna(33, 2)]


@pytest.mark.parametrize("name", ["bpe", "kmer"])
def test_documents_are_those_of_the_vocabulary_on_each_strand(vocabulary: Ensemble, name: str) -> None:
    forward, turned = strands(vocabulary, name, SEQUENCES, both=True, per_base=True)
    for found, read in ((forward, SEQUENCES), (turned, [*map(reverse_complement, SEQUENCES)])):
        for document, sequence in zip(found, read, strict=True):
            assert document.ids_T.tolist() == vocabulary.document(name, sequence).tolist()
            assert document.bases == len(sequence)
            expected = vocabulary.intervals(name, vocabulary.encode(name, sequence))
            assert np.array_equal(document.interval_T2, expected)
    assert strands(vocabulary, name, SEQUENCES, both=False)[0][0].interval_T2 is None
    assert len(strands(vocabulary, name, SEQUENCES, both=False)) == 1
    assert documents(vocabulary, name, []) == []


@pytest.mark.parametrize("name", ["bpe", "kmer"])
def test_a_base_is_the_mean_of_the_tokens_that_cover_it_in_every_document(vocabulary: Ensemble, name: str) -> None:
    config = EncoderConfig(vocabulary_size=vocabulary.size, layers=1, width=16, heads=2, ffn_width=24)
    model = new_token_classifier(config, 3, 0).eval()
    given = documents(vocabulary, name, SEQUENCES, per_base=True)
    with torch.inference_mode():
        found = outputs(model, given, torch.device("cpu"))
        place = 0
        for document in given:
            ids = torch.from_numpy(document.ids_T).long()
            logits = model(ids, [len(ids)])
            for base in range(document.bases):
                assert document.interval_T2 is not None
                covering = [i for i, (a, b) in enumerate(document.interval_T2) if a <= base < b]
                expected = logits[covering].mean(0) if covering else torch.zeros(3)
                torch.testing.assert_close(found[place], expected, atol=1e-5, rtol=0)
                place += 1
    assert len(found) == place == sum(map(len, SEQUENCES))


def test_an_update_that_fits_is_one_part_in_order(vocabulary: Ensemble) -> None:
    given = documents(vocabulary, "kmer", SEQUENCES)
    lengths = [len(document.ids_T) for document in given]
    assert parts(given, sum(lengths)) == [[0, 1, 2, 3, 4]]
    divided = parts(given, sum(lengths) - 1)
    assert len(divided) == 2 and sorted(i for part in divided for i in part) == [0, 1, 2, 3, 4]
    assert [len(part) for part in parts(given, 1)] == [1] * 5


def test_every_row_once_an_epoch() -> None:
    rows = np.concatenate([picked_rows(5, update, 12, 8) for update in range(3)])
    assert sorted(rows[:12]) == sorted(rows[12:]) == list(range(12))
    assert not np.array_equal(rows[:12], rows[12:])
