"""Overlapping k-mers: every position of a sequence starts a token (Genomic Vocabulary-2, SPEC B2)."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from genomics_fm.vocabulary.member import encode_each
from genomics_fm.vocabulary.special import UNKNOWN

_CODES = np.full(256, 4, dtype=np.int64)
for _code, _letter in enumerate(b"ACGT"):
    _CODES[_letter] = _code


@dataclass(frozen=True)
class KmerVocabulary:
    """All 4**k words over A C G T, read at stride 1. Local ids are lexicographic ranks."""

    k: int
    kind = "kmer"

    @property
    def overlap(self) -> int:
        """Tokens that cover a base."""
        return self.k

    @property
    def pieces(self) -> list[str]:
        return ["".join(letters) for letters in product("ACGT", repeat=self.k)]

    def encode(self, sequence: str) -> np.ndarray:
        """Local ids, (max(L − k + 1, 0),) int64; a k-mer with any letter but A C G T is `UNKNOWN`."""
        codes_L = _CODES[np.frombuffer(sequence.encode("ascii"), dtype=np.uint8)]
        tokens = len(codes_L) - self.k + 1
        if tokens <= 0:
            return np.empty(0, dtype=np.int64)
        rank_T = np.zeros(tokens, dtype=np.int64)
        unknown_T = np.zeros(tokens, dtype=bool)
        for offset in range(self.k):
            column_T = codes_L[offset : offset + tokens]
            rank_T = rank_T * 4 + column_T
            unknown_T |= column_T == 4
        rank_T[unknown_T] = UNKNOWN
        return rank_T

    def encode_many(self, letters_L: np.ndarray, offsets_D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Member.encode_many`."""
        return encode_each(self, letters_L, offsets_D)

    def decode(self, local_ids: np.ndarray) -> str:
        """The sequence the tokens cover: its length is kept; bases under no known token are N (R14)."""
        if len(local_ids) == 0:
            return ""
        letters = np.full(len(local_ids) + self.k - 1, ord("N"), dtype=np.uint8)
        known = np.flatnonzero(local_ids != UNKNOWN)
        for offset in range(self.k):
            digit = (local_ids[known] // 4 ** (self.k - 1 - offset)) % 4
            letters[known + offset] = np.frombuffer(b"ACGT", dtype=np.uint8)[digit]
        return letters.tobytes().decode("ascii")

    def intervals(self, local_ids: np.ndarray) -> np.ndarray:
        """Half-open base interval of every token, (T, 2) int64, from the segment's start."""
        start_T = np.arange(len(local_ids), dtype=np.int64)
        return np.stack([start_T, start_T + self.k], axis=1)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "k": self.k}
