"""What is hidden from the model, so that it cannot be read off its neighbours (SPEC 1.D, R14, R15)."""

from dataclasses import dataclass
from math import floor
from typing import Literal

import numpy as np

from genomics_fm.errors import require
from genomics_fm.pretraining.masking_kernel import BASES, CENTRES, MASK_SHARE, RANDOM_SHARE, SINGLE, TOKENS, hide
from genomics_fm.randomness import bits, key, uniform
from genomics_fm.vocabulary.special import MASK_ID, UNK_ID

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


def span_selection(tokens: int, k: int, config: MaskingConfig, draw_key: int) -> np.ndarray:
    """Runs of overlapping k-mers to hide, (R, 2) half-open token intervals, disjoint with a gap of at least one.

    A run of s tokens hides the s − k + 1 bases that no visible token covers. As many runs are placed, uniformly
    among all ways to place them, as hide `mask_rate` of the bases on average.
    """
    span = min(config.kmer_span, tokens)
    hidden_bases = max(span - k + 1, 1)
    expected = config.mask_rate * (tokens + k - 1) / hidden_bases
    count_draw, *_ = uniform(draw_key, 1)
    runs = min(floor(expected) + int(count_draw < expected % 1), (tokens + 1) // (span + 1))
    if runs == 0:
        return np.empty((0, 2), dtype=np.int64)
    free = tokens - runs * span - (runs - 1)
    # Runs and free tokens in a line: which of them are runs, drawn without replacement, is every way equally often.
    places_R = np.sort(np.argsort(bits(key(draw_key, "places"), free + runs))[:runs])
    start_R = places_R + np.arange(runs) * span
    return np.stack([start_R, start_R + span], axis=1)


def single_selection(tokens: int, config: MaskingConfig, draw_key: int) -> np.ndarray:
    """Tokens to hide one by one, i.i.d., (R, 2) half-open token intervals of one token each."""
    start_R = np.flatnonzero(uniform(draw_key, tokens) < config.mask_rate)
    return np.stack([start_R, start_R + 1], axis=1)


def apply_mask(
    ids_T: np.ndarray, runs_R2: np.ndarray, pieces_V: np.ndarray, draw_key: int
) -> tuple[np.ndarray, np.ndarray]:
    """Replace the selected tokens: one of [MASK], random pieces, unchanged for each run.

    Args:
        ids_T: content tokens, without special tokens.
        runs_R2: half-open token intervals.
        pieces_V: ids of the active vocabulary, from which random tokens come.
        draw_key: of this segment.

    Returns:
        Input ids and labels, (T,) each; labels are IGNORE_INDEX where nothing is to be predicted. An [UNK] is
        neither replaced nor a label.
    """
    shown_T, labels_T = ids_T.copy(), np.full(len(ids_T), IGNORE_INDEX, dtype=np.int64)
    fate_R = uniform(key(draw_key, "fate"), len(runs_R2))
    random_T = pieces_V[(uniform(key(draw_key, "random"), len(ids_T)) * len(pieces_V)).astype(np.int64)]
    for (start, end), fate in zip(runs_R2.tolist(), fate_R, strict=True):
        labels_T[start:end] = ids_T[start:end]
        if fate < MASK_SHARE:
            shown_T[start:end] = MASK_ID
        elif fate < MASK_SHARE + RANDOM_SHARE:
            shown_T[start:end] = random_T[start:end]
    unknown_T = ids_T == UNK_ID
    shown_T[unknown_T] = UNK_ID
    labels_T[unknown_T] = IGNORE_INDEX
    return shown_T, labels_T
