"""Non-overlapping k-mers and codons, against slicing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_fm.errors import InputError
from genomics_fm.vocabulary.blocks import BlockVocabulary, CodonVocabulary
from genomics_fm.vocabulary.kmer import MAXIMUM_K

Blocks = BlockVocabulary | CodonVocabulary
KINDS = [BlockVocabulary(2), BlockVocabulary(5), *(CodonVocabulary(frame) for frame in range(3))]


def slowly(member: Blocks, sequence: str) -> list[str]:
    """Tokens as strings, N for the unknown one."""
    read = "".join(letter if letter in "ACGT" else "N" for letter in sequence.upper())
    words = [read[place : place + member.k] for place in range(member.frame, len(read), member.k)]
    cut = [[word] if len(word) == member.k and "N" not in word else list(word) for word in words]
    return [*read[: member.frame], *(token for word in cut for token in word)]


def as_text(member: Blocks, ids: np.ndarray) -> list[str]:
    return [member.pieces[token] if token >= 0 else "N" for token in ids.tolist()]


@given(member=st.sampled_from(KINDS), sequences=st.lists(st.text("ACGTACGTNacgtné", max_size=24), max_size=6))
@settings(max_examples=120, deadline=None)
def test_tokens_are_slices_of_each_sequence(member: Blocks, sequences: list[str]) -> None:
    letters = np.frombuffer("".join(sequences).encode("ascii", "replace"), np.uint8)
    ids, ends = member.encode_many(letters, np.cumsum([0, *map(len, sequences)]))
    assert (ids.dtype, ends.dtype, ends[0], ends[-1]) == (np.int32, np.int64, 0, len(ids))
    for sequence, begin, end in zip(sequences, ends, ends[1:], strict=False):
        assert as_text(member, ids[begin:end]) == slowly(member, sequence)
        assert (member.encode(sequence) == ids[begin:end]).all()


def test_an_n_is_spelled_with_its_word_and_moves_no_other() -> None:
    assert as_text(CodonVocabulary(1), CodonVocabulary(1).encode("GATGANACGTT")) == [
        *("G", "ATG", "A", "N", "A", "CGT", "T"),
    ]
    assert as_text(BlockVocabulary(4), BlockVocabulary(4).encode("ACGTACnTACGTA")) == [
        *("ACGT", "A", "C", "N", "T", "ACGT", "A"),
    ]


@pytest.mark.parametrize("member", KINDS)
def test_pieces_are_all_words_and_the_letters(member: Blocks) -> None:
    assert len(set(member.pieces)) == len(member.pieces) == 4**member.k + 4
    for piece in member.pieces:
        tokens = "ACGT"[: member.frame] + piece if len(piece) == member.k else piece
        assert as_text(member, member.encode(tokens))[-1] == piece


def test_numbers_out_of_range_are_refused() -> None:
    for k in (1, MAXIMUM_K + 1):
        with pytest.raises(InputError, match=f"k {k}: give 2 to {MAXIMUM_K}"):
            BlockVocabulary(k)
    for frame in (-1, 3):
        with pytest.raises(InputError, match=f"frame {frame}: give 0, 1 or 2"):
            CodonVocabulary(frame)
