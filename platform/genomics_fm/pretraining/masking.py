"""What is hidden from the model, so that it cannot be read off its neighbours (SPEC 1.D, R14, R15)."""

from dataclasses import dataclass
from math import floor

import numpy as np

from genomics_fm.errors import require
from genomics_fm.randomness import bits, key, uniform
from genomics_fm.vocabulary.special import MASK_ID, UNK_ID

IGNORE_INDEX = -100
MASK_SHARE, RANDOM_SHARE = 0.8, 0.1
"""Of what is selected, 80 % becomes [MASK], 10 % a random piece, and the rest stays (SPEC D1)."""


@dataclass(frozen=True)
class MaskingConfig:
    """How much is hidden.

    Attributes:
        mask_rate: share of bases hidden.
        kmer_span: tokens in a masked run of overlapping k-mers; 14 hides 9 bases when k is 6.
    """

    mask_rate: float = 0.15
    kmer_span: int = 14

    def __post_init__(self) -> None:
        require(0 < self.mask_rate < 1, "mask_rate", self.mask_rate, "a share between 0 and 1")
        require(self.kmer_span >= 1, "kmer_span", self.kmer_span, "at least 1")


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
