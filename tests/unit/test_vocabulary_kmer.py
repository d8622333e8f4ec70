"""Overlapping k-mers, against slicing and counting in Python."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_fm.errors import InputError
from genomics_fm.vocabulary.kmer import MAXIMUM_K, KmerVocabulary
from genomics_fm.vocabulary.special import UNKNOWN
from tests.corpora import dna


def slowly(k: int, sequence: str) -> list[int]:
    """Ranks by slicing and reading each word as a number of base four."""
    digits = {letter: str(number) for number, letter in enumerate("ACGT")}
    words = [sequence[place : place + k].upper() for place in range(len(sequence) - k + 1)]
    return [int("".join(map(digits.get, word)), 4) if set(word) <= set("ACGT") else UNKNOWN for word in words]  # type: ignore[arg-type]


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6, 7, 11, MAXIMUM_K])
@pytest.mark.parametrize("length", [0, 1, 5, 12, 510, 2047 + 6, 2048 + 6, 9001])
def test_ids_are_the_ranks_of_slices(k: int, length: int) -> None:
    sequence = dna(length, k, "ACGTacgt" * 8 + "NnRY-")
    assert KmerVocabulary(k).encode(sequence).tolist() == slowly(k, sequence)


@given(
    k=st.integers(1, 5),
    sequences=st.lists(st.text("ACGTNacgtnXé", max_size=20), max_size=8),
)
@settings(max_examples=60, deadline=None)
def test_many_sequences_at_once_are_each_encoded_alone(k: int, sequences: list[str]) -> None:
    letters = np.frombuffer("".join(sequences).encode("ascii", "replace"), np.uint8)
    offsets = np.cumsum([0, *map(len, sequences)])
    ids, ends = KmerVocabulary(k).encode_many(letters, offsets)
    assert (ids.dtype, ends.dtype, ends[0], ends[-1]) == (np.int32, np.int64, 0, len(ids))
    assert [part.tolist() for part in np.split(ids, ends[1:-1])][: len(sequences)] == [slowly(k, s) for s in sequences]


def test_words_of_no_letters_or_too_many_are_refused() -> None:
    for k in (0, MAXIMUM_K + 1):
        with pytest.raises(InputError, match=f"k {k}: give 1 to {MAXIMUM_K}"):
            KmerVocabulary(k)
