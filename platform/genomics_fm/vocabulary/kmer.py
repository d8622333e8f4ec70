"""Overlapping k-mers: every position of a sequence starts a token (Genomic Vocabulary-2, SPEC B2)."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from genomics_fm.errors import require
from genomics_fm.vocabulary.letters import LETTERS, write_codes
from genomics_fm.vocabulary.member import encode_one
from genomics_fm.vocabulary.special import UNKNOWN

MAXIMUM_K = 12
"""4**12 words are 16.8 million rows of an embedding; nobody trains more."""
_BLOCK = 2048  # letters whose words stay in the first-level cache from pass to pass
_MAXIMUM_K_OF_16_BITS = 7  # and a sign, for N
_Words = NDArray[np.int16] | NDArray[np.int32]


@njit(cache=True, nogil=True)
def _join(left: _Words, right: _Words, factor: np.signedinteger, words: _Words) -> None:  # pragma: no cover
    """Words of `left` with those of `right` behind them; what is negative stays so.

    Args:
        left: ranks.
        right: ranks, less than `factor`.
        factor: 4 to the length of the words of `right`.
        words: receives the ranks; other memory than theirs, or the loop is not vectorised.
    """
    for index in range(words.size):
        words[index] = left[index] * factor | right[index]


@njit(cache=True, nogil=True)
def _ranks(k: int, codes_L: _Words, scratch_2L: _Words) -> _Words:  # pragma: no cover
    """Ranks of the L − k + 1 words of k letters, negative where one is an N, in about log2(k) passes."""
    words, width, bit, turn = codes_L, 1, 1, 0
    while bit * 2 <= k:
        bit *= 2
    while bit > 1:
        bit //= 2
        joined = scratch_2L[turn, : words.size - width]
        _join(words, words[width:], codes_L.dtype.type(4**width), joined)
        words, width, turn = joined, 2 * width, 1 - turn
        if k & bit:
            joined = scratch_2L[turn, : words.size - 1]
            _join(words, codes_L[width:], codes_L.dtype.type(4), joined)
            words, width, turn = joined, width + 1, 1 - turn
    return words


@njit(cache=True, nogil=True)
def _write_ids(
    letters_L: NDArray[np.uint8], offsets_D: NDArray[np.int64], k: int, scratch_3L: _Words, ids_T: NDArray[np.int32]
) -> None:  # pragma: no cover
    """Fill `ids_T` with the rank of each k-mer of each sequence, `UNKNOWN` where it holds an N."""
    written = 0
    for document in range(offsets_D.size - 1):
        end = offsets_D[document + 1] - k + 1
        for begin in range(offsets_D[document], end, _BLOCK):
            tokens = min(_BLOCK, end - begin)
            codes_L = scratch_3L[2, : tokens + k - 1]
            write_codes(letters_L[begin : begin + codes_L.size], codes_L)
            ranks = _ranks(k, codes_L, scratch_3L)
            ids = ids_T[written : written + tokens]
            for index in range(tokens):
                ids[index] = max(ranks[index], UNKNOWN)
            written += tokens


@dataclass(frozen=True)
class KmerVocabulary:
    """All 4**k words over A C G T, read at stride 1; k = 1 is single nucleotides. Local ids are ranks."""

    k: int
    kind = "kmer"

    def __post_init__(self) -> None:
        require(1 <= self.k <= MAXIMUM_K, "k", self.k, f"1 to {MAXIMUM_K}")

    @property
    def overlap(self) -> int:
        """Tokens that cover a base."""
        return self.k

    @property
    def pieces(self) -> list[str]:
        return ["".join(letters) for letters in product(LETTERS, repeat=self.k)]

    def encode(self, sequence: str) -> NDArray[np.int64]:
        """Local ids, (max(L − k + 1, 0),) int64; a k-mer with any letter but A C G T is `UNKNOWN`."""
        return encode_one(self.encode_many, sequence)

    def encode_many(
        self, letters_L: NDArray[np.uint8], offsets_D: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """See `Member.encode_many`."""
        tokens_D = np.maximum(np.diff(offsets_D) - self.k + 1, 0)
        ends_D = np.concatenate([[0], np.cumsum(tokens_D)])
        ids_T = np.empty(ends_D[-1], np.int32)
        scratch_3L = np.empty((3, _BLOCK + self.k), np.int16 if self.k <= _MAXIMUM_K_OF_16_BITS else np.int32)
        _write_ids(letters_L, offsets_D, self.k, scratch_3L, ids_T)
        return ids_T, ends_D

    def decode(self, local_ids: np.ndarray) -> str:
        """The sequence the tokens cover: its length is kept; bases under no known token are N (R14)."""
        if len(local_ids) == 0:
            return ""
        letters = np.full(len(local_ids) + self.k - 1, ord("N"), dtype=np.uint8)
        known = np.flatnonzero(local_ids != UNKNOWN)
        for offset in range(self.k):
            digit = (local_ids[known] // 4 ** (self.k - 1 - offset)) % 4
            letters[known + offset] = np.frombuffer(LETTERS.encode(), dtype=np.uint8)[digit]
        return letters.tobytes().decode("ascii")

    def intervals(self, local_ids: np.ndarray) -> NDArray[np.int64]:
        """Half-open base interval of every token, (T, 2) int64, from the segment's start."""
        start_T = np.arange(len(local_ids), dtype=np.int64)
        return np.stack([start_T, start_T + self.k], axis=1)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "k": self.k}
