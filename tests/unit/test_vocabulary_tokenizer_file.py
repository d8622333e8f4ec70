"""`tokenizer.json`: read by the `tokenizers` library alone, it gives our ids."""

import pytest
from tokenizers import Tokenizer

from genomics_fm.errors import InputError
from genomics_fm.vocabulary.ensemble import Ensemble
from tests.vocabularies import DIRTY, every_kind, sequences

ENSEMBLE = every_kind()


@pytest.mark.parametrize("name", ["bpe", "single", "block"])
def test_the_file_gives_the_documents_ids_and_the_sequence_back(name: str) -> None:
    tokenizer = Tokenizer.from_str(ENSEMBLE.tokenizer_json(name))
    for sequence in [*sequences(120, DIRTY), "acgtNNacg", "AC-GT acgt\nryk", "ACGTéACGTA"]:
        encoded = tokenizer.encode(sequence)
        assert encoded.ids == ENSEMBLE.document(name, sequence).tolist(), sequence
        assert tokenizer.decode(encoded.ids) == ENSEMBLE.decode(name, ENSEMBLE.encode(name, sequence))
    assert tokenizer.token_to_id(Ensemble.prompt(name)) == ENSEMBLE.prompt_id(name)


def test_the_file_is_the_same_every_time() -> None:
    assert every_kind().tokenizer_json("bpe") == ENSEMBLE.tokenizer_json("bpe")


@pytest.mark.parametrize("name", ["kmer", "codon1"])
def test_kinds_that_no_such_file_can_express_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"tokenizer\.json cannot express it; use one of BPE"):
        ENSEMBLE.tokenizer_json(name)
