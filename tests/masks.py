"""Documents to be masked, and what masking made of them."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from genomics_fm.pretraining.mask_rates import Rates, measured
from genomics_fm.pretraining.masking import HEAD, IGNORE_INDEX, TAIL, MaskingConfig, mask_many
from genomics_fm.randomness import bits, key
from genomics_fm.vocabulary.special import CLS_ID, SEP_ID

K = 6
TOKENS = 505  # of the longest 6-mer segment
PROMPT_ID = 5
PIECES_V = np.arange(100, 100 + 4**K, dtype=np.int32)  # ids of the active vocabulary


@dataclass(frozen=True)
class Masked:
    """Documents before and after, end to end."""

    ids_N: np.ndarray
    shown_N: np.ndarray
    labels_N: np.ndarray
    offsets_D: np.ndarray

    def contents(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Content ids, shown ids and labels of each document."""
        edges = zip(self.offsets_D[:-1] + HEAD, self.offsets_D[1:] - TAIL, strict=True)
        return [(self.ids_N[a:b], self.shown_N[a:b], self.labels_N[a:b]) for a, b in edges]

    def runs(self) -> list[np.ndarray]:
        """Maximal runs of labelled content tokens of each document, (R, 2) half-open."""
        runs_R2 = runs_of(self.labels_N != IGNORE_INDEX)
        edges = np.searchsorted(runs_R2[:, 0], self.offsets_D)
        first_D = self.offsets_D[:-1] + HEAD
        return [runs_R2[a:b] - first for (a, b), first in zip(pairwise(edges), first_D, strict=True)]

    def rates(self, overlap: int) -> Rates:
        """Every token is `overlap` bases long, and the next begins one base later."""
        tokens_D = np.diff(self.offsets_D) - HEAD - TAIL
        start_C = np.concatenate([np.arange(tokens) for tokens in tokens_D])
        intervals_C2 = np.stack([start_C, start_C + overlap], axis=1)
        return measured(self.shown_N, self.labels_N, self.offsets_D, intervals_C2)


def runs_of(selected_T: np.ndarray) -> np.ndarray:
    edges = np.flatnonzero(np.diff(selected_T.astype(np.int8), prepend=0, append=0))
    return edges.reshape(-1, 2)


def documents(lengths: list[int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Documents of random pieces with so many content tokens each, end to end, and their offsets."""
    offsets_D = np.cumsum([0, *(length + HEAD + TAIL for length in lengths)])
    ids_N = PIECES_V[bits(key("documents", seed), int(offsets_D[-1])) % np.uint64(len(PIECES_V))]
    ids_N[offsets_D[:-1]], ids_N[offsets_D[:-1] + 1], ids_N[offsets_D[1:] - 1] = CLS_ID, PROMPT_ID, SEP_ID
    return ids_N, offsets_D


def masked(lengths: list[int], config: MaskingConfig, overlap: int, seed: int = 0) -> Masked:
    """Such documents after masking, keys by their number."""
    ids_N, offsets_D = documents(lengths, seed)
    shown_N, keys_D = ids_N.copy(), bits(key("masked", seed), len(lengths))
    return Masked(ids_N, shown_N, mask_many(shown_N, offsets_D, keys_D, overlap, PIECES_V, config), offsets_D)
