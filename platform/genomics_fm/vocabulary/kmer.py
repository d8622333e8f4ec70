"""Overlapping k-mers: every position of a sequence starts a token (Genomic Vocabulary-2, SPEC B2)."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from genomics_fm.errors import require
from genomics_fm.vocabulary.letters import LETTERS, letters_of, write_codes
from genomics_fm.vocabulary.special import UNKNOWN

MAXIMUM_K = 12
"""4**12 words are 16.8 million rows of an embedding; nobody trains more."""
_BLOCK = 2048  # letters whose words stay in the first-level cache from pass to pass


@njit(cache=True, nogil=True)
def _join(
    left: NDArray[np.int32], right: NDArray[np.int32], width: int, words: NDArray[np.int32]
) -> None:  # pragma: no cover
    """Words of `left` followed by the words of `right`, which have `width` letters; either being negative stays so."""
    shift = np.int32(2 * width)
    for index in range(words.size):
        words[index] = left[index] << shift | right[index]


@njit(cache=True, nogil=True)
def _ranks(k: int, codes_L: NDArray[np.int32], words_L: NDArray[np.int32]) -> NDArray[np.int32]:  # pragma: no cover
    """Ranks of the L − k + 1 words of k letters, negative where one is an N, in log2(k) passes over `words_L`."""
    words, width, bit = codes_L, 1, 1
    while bit * 2 <= k:
        bit *= 2
    while bit > 1:
        bit //= 2
        joined = words_L[: words.size - width]
        _join(words, words[width:], width, joined)
        words, width = joined, 2 * width
        if k & bit:
            joined = words_L[: words.size - 1]
            _join(words, codes_L[width:], 1, joined)
            words, width = joined, width + 1
    return words


@njit(cache=True, nogil=True)
def _write_ids(
    letters_L: NDArray[np.uint8], offsets_D: NDArray[np.int64], k: int, ids_T: NDArray[np.int32]
) -> None:  # pragma: no cover
    """Fill `ids_T` with the rank of each k-mer of each sequence, `UNKNOWN` where it holds an N."""
    codes, words = np.empty(_BLOCK + k, np.int32), np.empty(_BLOCK + k, np.int32)
    written = 0
    for document in range(offsets_D.size - 1):
        end = offsets_D[document + 1] - k + 1
        for begin in range(offsets_D[document], end, _BLOCK):
            tokens = min(_BLOCK, end - begin)
            codes_L = codes[: tokens + k - 1]
            write_codes(letters_L[begin : begin + codes_L.size], codes_L)
            ranks = _ranks(k, codes_L, words)
            ids = ids_T[written : written + tokens]
            for index in range(tokens):
                ids[index] = max(ranks[index], np.int32(UNKNOWN))
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
        letters_L = letters_of(sequence)
        return self.encode_many(letters_L, np.array([0, letters_L.size]))[0].astype(np.int64)

    def encode_many(
        self, letters_L: NDArray[np.uint8], offsets_D: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """See `Member.encode_many`."""
        tokens_D = np.maximum(np.diff(offsets_D) - self.k + 1, 0)
        ends_D = np.concatenate([[0], np.cumsum(tokens_D)])
        ids_T = np.empty(ends_D[-1], np.int32)
        _write_ids(letters_L, offsets_D, self.k, ids_T)
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
