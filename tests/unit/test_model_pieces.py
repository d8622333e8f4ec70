"""Documents longer than a table of learned positions (R18)."""

import dataclasses

import pytest
import torch

from genomics_fm.errors import InputError
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import new_classifier, new_token_classifier
from genomics_fm.model.pieces import cut, encode_any_length

torch.set_num_threads(1)
LEARNED = EncoderConfig(vocabulary_size=64, layers=1, width=16, heads=2, ffn_width=24, position="ape", max_positions=10)
LENGTHS = [10, 31, 3, 11, 17, 1]
"""In the table, in pieces (28, 8 and 14 content tokens, 7 to a piece), and almost empty."""


def ids_of(lengths: list[int]) -> torch.Tensor:
    return torch.randint(5, 64, (sum(lengths),), generator=torch.Generator().manual_seed(1))


def test_pieces_are_as_few_as_will_do_of_equal_size_and_lose_nothing() -> None:
    pieces = cut(LENGTHS, 10)
    assert pieces.lengths == [10, *[10] * 4, 3, 7, 7, 10, 10, 1]
    assert pieces.source_P[pieces.back_N].tolist() == list(range(sum(LENGTHS)))
    documents = torch.arange(sum(LENGTHS)).split(LENGTHS)
    found = torch.from_numpy(pieces.source_P).split(pieces.lengths)
    for piece, document in zip(found[1:5], [documents[1]] * 4, strict=True):
        assert piece[:2].tolist() == document[:2].tolist() and piece[-1] == document[-1]
    assert torch.cat([piece[2:-1] for piece in found[1:5]]).tolist() == documents[1][2:-1].tolist()


def test_a_document_that_fits_is_encoded_whole_beside_one_that_does_not() -> None:
    encoder = new_classifier(LEARNED, 2, 0).bert
    ids = ids_of(LENGTHS)
    with torch.inference_mode():
        together = encode_any_length(encoder, ids, LENGTHS).split(LENGTHS)
        for document, hidden in zip(ids.split(LENGTHS), together, strict=True):
            if len(document) <= 10:
                torch.testing.assert_close(hidden, encoder(document, [len(document)]), atol=1e-6, rtol=0)
        with pytest.raises(InputError, match="document of 31 tokens: over 10 learned positions"):
            encoder(ids, LENGTHS)


def test_the_mean_over_pieces_is_weighted_by_their_tokens() -> None:
    model = new_classifier(LEARNED, 3, 0, dense=False).eval()
    document = ids_of([16])  # 13 content tokens: 6 and 7
    parts = [torch.cat([document[:2], document[a:b], document[-1:]]) for a, b in ((2, 8), (8, 15))]
    with torch.inference_mode():
        means = [model.bert(part, [len(part)])[2:-1].mean(0) for part in parts]
        expected = model.classifier((6 * means[0] + 7 * means[1]) / 13)
        torch.testing.assert_close(model(document, [16])[0], expected, atol=1e-6, rtol=0)


def test_token_heads_answer_for_every_token_and_everything_learns() -> None:
    model = new_token_classifier(LEARNED, 2, 0)
    logits = model(ids_of([31]), [31])
    assert logits.shape == (28, 2)
    logits.square().sum().backward()
    table = model.bert.embeddings.position_embeddings.weight.grad
    assert table is not None and bool((table.abs().sum(1) > 0).all())


def test_alibi_cuts_nothing_and_a_table_too_small_is_refused() -> None:
    encoder = new_classifier(dataclasses.replace(LEARNED, position="alibi"), 2, 0).bert
    ids = ids_of([31])
    with torch.inference_mode():
        assert torch.equal(encode_any_length(encoder, ids, [31]), encoder(ids, [31]))
    with pytest.raises(InputError, match="max_positions 3: give more than the 3 tokens"):
        cut([31], 3)
