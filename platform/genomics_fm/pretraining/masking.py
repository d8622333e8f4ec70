"""What is hidden from the model, so that it cannot be read off its neighbours (SPEC 1.D, R14, R15)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from genomics_fm.errors import require
from genomics_fm.pretraining.masking_kernel import BASES, CENTRES, SINGLE, TOKENS, hide

IGNORE_INDEX = -100
HEAD, TAIL = 2, 1
"""Tokens of a document before its content, CLS and the prompt, and after it, SEP (R18)."""
_RATE_OF = {"bases": BASES, "tokens": TOKENS, "centres": CENTRES}


@dataclass(frozen=True)
class MaskingConfig:
    """How much is hidden, and how.

    Tokens that stand side by side are selected one by one. Overlapping k-mers are selected in runs, because a
    k-mer that stays visible shows all but one base of its neighbour.

    Attributes:
        mask_rate: share hidden: of the tokens where they stand side by side, of `kmer_rate_of` for k-mers.
        kmer_span: tokens in a masked run of overlapping k-mers; 14 hides 9 bases when k is 6.
        kmer_rate: of overlapping k-mers, where it is not `mask_rate`.
        kmer_rate_of: what a k-mer rate is a share of: "bases" that no visible token covers (R15), "tokens", or
            "centres": tokens chosen one by one and widened to `kmer_span` tokens, which may merge. The first
            two place disjoint runs with a gap, every way equally likely, and are met exactly on average.
        fate_by: what draws whether it is masked, random or kept: a "run" or, which leaks, every "token" of it.
    """

    mask_rate: float = 0.15
    kmer_span: int = 14
    kmer_rate: float | None = None
    kmer_rate_of: Literal["bases", "tokens", "centres"] = "bases"
    fate_by: Literal["run", "token"] = "run"

    def __post_init__(self) -> None:
        require(0 < self.mask_rate < 1, "mask_rate", self.mask_rate, "a share between 0 and 1")
        require(self.kmer_span >= 1, "kmer_span", self.kmer_span, "at least 1")
        require(0 < self.rate(2) < 1, "kmer_rate", self.kmer_rate, "a share between 0 and 1")
        require(self.kmer_rate_of in _RATE_OF, "kmer_rate_of", self.kmer_rate_of, f"one of {', '.join(_RATE_OF)}")
        require(self.fate_by in ("run", "token"), "fate_by", self.fate_by, "run or token")

    def rate(self, overlap: int) -> float:
        """The rate for tokens of which `overlap` cover a base."""
        return self.mask_rate if overlap == 1 or self.kmer_rate is None else self.kmer_rate

    def check(self, overlap: int) -> None:
        """Refuse runs that hide no base.

        Raises:
            InputError: a run is shorter than the k-mers of which `overlap` cover a base.
        """
        give = f"at least {overlap}, a run of fewer hides no base of {overlap}-mers"
        require(overlap == 1 or self.kmer_span >= overlap, "kmer_span", self.kmer_span, give)


MASKING = {
    "default": MaskingConfig(),
    "paper": MaskingConfig(kmer_span=6, kmer_rate=0.14, kmer_rate_of="tokens"),
    "authors": MaskingConfig(kmer_rate=0.15 / 6, kmer_rate_of="centres", fate_by="token"),
}
"""Ours; the paper's run of 6, which hides 2.3 % of the bases; the published code's, which leaks (SPEC D1–D6, R15)."""


def mask_many(
    ids_N: np.ndarray,
    offsets_D: np.ndarray,
    keys_D: np.ndarray,
    overlap: int,
    pieces_V: np.ndarray,
    config: MaskingConfig,
) -> np.ndarray:
    """Hide a part of documents that lie end to end.

    Args:
        ids_N: CLS, prompt, content, SEP of each; int32, changed in place. An [UNK] is neither replaced nor a
            label, and hides nothing inside a run.
        offsets_D: where each document begins, and the end of the last, (D + 1,) int64.
        keys_D: uint64, `Segment.key` of each document for "mask"; draws depend on nothing else.
        overlap: tokens that cover a base (`Member.overlap`).
        pieces_V: ids of the active vocabulary, int32, from which random tokens come.
        config: how much is hidden.

    Returns:
        Labels, (N,) int32: the id that stood there, or IGNORE_INDEX where nothing is to be predicted.

    Raises:
        InputError: `config.check`.
    """
    config.check(overlap)
    labels_N = np.full(len(ids_N), IGNORE_INDEX, dtype=np.int32)
    hide(
        ids_N,
        labels_N,
        offsets_D[:-1] + HEAD,
        offsets_D[1:] - TAIL,
        keys_D,
        pieces_V,
        SINGLE if overlap == 1 else _RATE_OF[config.kmer_rate_of],
        config.rate(overlap),
        config.kmer_span,
        overlap,
        config.fate_by == "token",
    )
    return labels_N


def mask(
    ids_T: np.ndarray, draw_key: int, overlap: int, pieces_V: np.ndarray, config: MaskingConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Shown ids and labels of one document; see `mask_many`. `ids_T` stays as it is."""
    shown_T = ids_T.astype(np.int32)
    offsets_2, keys_1 = np.array([0, len(ids_T)]), np.array([draw_key], dtype=np.uint64)
    return shown_T, mask_many(shown_T, offsets_2, keys_1, overlap, pieces_V, config)
