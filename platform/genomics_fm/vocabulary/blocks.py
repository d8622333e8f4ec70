"""Words side by side: non-overlapping k-mers, and codons in one of three frames.

Words stand on a grid that letters cannot shift: word i covers bases [frame + i·k, frame + (i + 1)·k). Bases before
the frame, those left at the end, and those of a word that holds an N are spelled, one token a base; an N costs
k − 1 tokens and no word after it changes.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from genomics_fm.errors import require
from genomics_fm.vocabulary.kmer import MAXIMUM_K
from genomics_fm.vocabulary.letters import LETTERS, write_codes
from genomics_fm.vocabulary.member import encode_one
from genomics_fm.vocabulary.special import UNKNOWN

CODON = 3


@njit(cache=True, nogil=True)
def _spell(codes_B: NDArray[np.int32], words: int, ids_B: NDArray[np.int32]) -> int:  # pragma: no cover
    """One token a base; returns how many. Letters come after the `words` words."""
    for index in range(codes_B.size):
        ids_B[index] = words + codes_B[index] if codes_B[index] >= 0 else UNKNOWN
    return codes_B.size


@njit(cache=True, nogil=True)
def _read(codes_L: NDArray[np.int32], k: int, frame: int, ids_L: NDArray[np.int32]) -> int:  # pragma: no cover
    """Tokens of one sequence into `ids_L`; returns how many."""
    letters, place, words = codes_L.size, min(frame, codes_L.size), 4**k
    written = _spell(codes_L[:place], words, ids_L)
    while place + k <= letters:
        rank = 0
        for code in codes_L[place : place + k]:
            rank = rank << 2 | code  # an N is −1, and once negative it stays so
        if rank >= 0:
            ids_L[written] = rank
            written += 1
        else:
            written += _spell(codes_L[place : place + k], words, ids_L[written:])
        place += k
    return written + _spell(codes_L[place:], words, ids_L[written:])


@njit(cache=True, nogil=True)
def _read_many(
    letters_L: NDArray[np.uint8],
    offsets_D: NDArray[np.int64],
    k: int,
    frame: int,
    ids_L: NDArray[np.int32],
    ends_D: NDArray[np.int64],
) -> None:  # pragma: no cover
    """Fill `ids_L` from its start and `ends_D` after its first entry."""
    codes_L = np.empty(letters_L.size, np.int32)
    write_codes(letters_L, codes_L)
    for document in range(offsets_D.size - 1):
        begin, end, written = offsets_D[document], offsets_D[document + 1], ends_D[document]
        ends_D[document + 1] = written + _read(codes_L[begin:end], k, frame, ids_L[written:])


class _SideBySide:
    """What blocks and codons share. Local ids: words by rank, then A C G T."""

    overlap = 1
    k: int
    frame: int

    @cached_property
    def pieces(self) -> list[str]:
        return ["".join(letters) for letters in product(LETTERS, repeat=self.k)] + list(LETTERS)

    def encode(self, sequence: str) -> NDArray[np.int64]:
        """Local ids, (T,) int64; an N is one `UNKNOWN`."""
        return encode_one(self.encode_many, sequence)

    def encode_many(
        self, letters_L: NDArray[np.uint8], offsets_D: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """See `Member.encode_many`."""
        ids_L, ends_D = np.empty(letters_L.size, np.int32), np.zeros(offsets_D.size, np.int64)
        _read_many(letters_L, offsets_D, self.k, self.frame, ids_L, ends_D)
        return ids_L[: ends_D[-1]].copy(), ends_D

    def decode(self, local_ids: np.ndarray) -> str:
        """The sequence, N for each unknown token (R14)."""
        return "".join("N" if token == UNKNOWN else self.pieces[token] for token in local_ids.tolist())

    def intervals(self, local_ids: np.ndarray) -> NDArray[np.int64]:
        """Half-open base interval of every token, (T, 2) int64, from the sequence's start."""
        lengths_T = np.where((local_ids >= 0) & (local_ids < 4**self.k), self.k, 1)
        end_T = np.cumsum(lengths_T)
        return np.stack([end_T - lengths_T, end_T], axis=1)


@dataclass(frozen=True)
class BlockVocabulary(_SideBySide):
    """All 4**k words over A C G T at stride k, and the four letters."""

    k: int
    kind = "block"
    frame = 0

    def __post_init__(self) -> None:
        require(2 <= self.k <= MAXIMUM_K, "k", self.k, f"2 to {MAXIMUM_K}, or take k-mers with k = 1")

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "k": self.k}


@dataclass(frozen=True)
class CodonVocabulary(_SideBySide):
    """The 64 codons, read from base `frame` on, and the four letters.

    A sequence's three frames are three vocabularies; in an ensemble they share every row but the prompt's.
    """

    frame: int
    kind = "codon"
    k = CODON

    def __post_init__(self) -> None:
        require(0 <= self.frame < CODON, "frame", self.frame, "0, 1 or 2")

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "frame": self.frame}
