"""What every kind of vocabulary can do."""

import itertools
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from genomics_fm.vocabulary.letters import letters_of

EncodeMany = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


class Member(Protocol):
    """One vocabulary of an ensemble. Local ids are ranks in `pieces`; `UNKNOWN` is a token that is no piece."""

    @property
    def kind(self) -> str:
        """Name of the kind in JSON."""

    @property
    def overlap(self) -> int:
        """Tokens that cover a base: k for overlapping k-mers, 1 for kinds whose tokens stand side by side."""

    @property
    def pieces(self) -> list[str]:
        """Every piece, by local id."""

    def encode(self, sequence: str) -> np.ndarray:
        """Local ids of a sequence's tokens, (T,) int64."""

    def encode_many(self, letters_L: np.ndarray, offsets_D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Local ids of many sequences.

        Args:
            letters_L: all sequences one after the other, uint8 ASCII; letters other than A C G T (in either case)
                count as N.
            offsets_D: where each sequence begins, and the end of the last, (D + 1,) int64.

        Returns:
            Local ids, int32, and where each sequence's tokens begin, and the end of the last, (D + 1,) int64.
        """

    def decode(self, local_ids: np.ndarray) -> str:
        """The sequence that tokens cover; N where no known token covers a base (R14)."""

    def intervals(self, local_ids: np.ndarray) -> np.ndarray:
        """Half-open base interval of every token, (T, 2) int64, from the sequence's start."""

    def to_json(self) -> dict[str, Any]:
        """What the vocabulary is, with its `kind`."""


def encode_one(encode_many: EncodeMany, sequence: str) -> np.ndarray:
    """`Member.encode` by `Member.encode_many`: local ids, (T,) int64."""
    letters_L = letters_of(sequence).copy()  # for read-only letters numba would compile every kernel once more
    return encode_many(letters_L, np.array([0, letters_L.size]))[0].astype(np.int64)


def encode_each(member: Member, letters_L: np.ndarray, offsets_D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`encode_many` by encoding one sequence after the other."""
    texts = [letters_L[a:b].tobytes().decode("ascii") for a, b in itertools.pairwise(offsets_D)]
    ids = [member.encode(text).astype(np.int32) for text in texts]
    ends_D = np.cumsum([0, *map(len, ids)])
    return np.concatenate([np.empty(0, np.int32), *ids]), ends_D.astype(np.int64)
