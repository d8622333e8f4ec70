"""What masking hid: shares of tokens and of bases (R15)."""

from dataclasses import dataclass

import numpy as np

from genomics_fm.pretraining.masking import HEAD, IGNORE_INDEX, TAIL
from genomics_fm.vocabulary.special import MASK_ID, UNK_ID


@dataclass(frozen=True)
class Rates:
    """Counts over documents' contents.

    Attributes:
        tokens: CLS, prompts and SEP are not counted.
        selected: tokens with a label, whatever is shown in their place.
        masked: of those, shown as [MASK].
        bases: that the documents stand for.
        hidden: bases that only selected tokens cover.
    """

    tokens: int
    selected: int
    masked: int
    bases: int
    hidden: int

    @property
    def token_rate(self) -> float:
        return self.selected / self.tokens

    @property
    def base_rate(self) -> float:
        return self.hidden / self.bases


def hidden_bases(shown_T: np.ndarray, labels_T: np.ndarray, intervals_T2: np.ndarray) -> np.ndarray:
    """Which bases of one document are covered by a selected token and by no visible piece, (L,) bool.

    Args:
        shown_T: content ids after masking; an [UNK] shows nothing of the bases around its N.
        labels_T: their labels.
        intervals_T2: half-open base interval of every content token (`Ensemble.intervals`).
    """
    length = int(intervals_T2[:, 1].max(initial=0))
    selected_T = labels_T != IGNORE_INDEX
    visible_T = ~selected_T & (shown_T != UNK_ID)
    return _covered(intervals_T2[selected_T], length) & ~_covered(intervals_T2[visible_T], length)


def _covered(intervals_T2: np.ndarray, length: int) -> np.ndarray:
    begins_L = np.bincount(intervals_T2[:, 0], minlength=length + 1)
    ends_L = np.bincount(intervals_T2[:, 1], minlength=length + 1)
    return np.cumsum(begins_L - ends_L)[:length] > 0


def measured(shown_N: np.ndarray, labels_N: np.ndarray, offsets_D: np.ndarray, intervals_C2: np.ndarray) -> Rates:
    """The rates of what `mask_many` made of documents that lie end to end.

    Args:
        shown_N: ids after masking.
        labels_N: what it returned.
        offsets_D: (D + 1,), as given to it.
        intervals_C2: half-open base interval of every content token, from its own document's start
            (`Ensemble.intervals`), document after document.
    """
    content_N = np.ones(len(shown_N), dtype=bool)
    for head in range(HEAD):
        content_N[offsets_D[:-1] + head] = False
    for tail in range(TAIL):
        content_N[offsets_D[1:] - 1 - tail] = False
    shown_C, labels_C = shown_N[content_N], labels_N[content_N]
    hidden_L = hidden_bases(shown_C, labels_C, _end_to_end(intervals_C2, np.diff(offsets_D) - HEAD - TAIL))
    selected_C = labels_C != IGNORE_INDEX
    counts = [selected_C, selected_C & (shown_C == MASK_ID), hidden_L]
    selected, masked, hidden = (int(np.count_nonzero(which)) for which in counts)
    return Rates(len(labels_C), selected, masked, len(hidden_L), hidden)


def _end_to_end(intervals_C2: np.ndarray, tokens_D: np.ndarray) -> np.ndarray:
    """The intervals with every document's bases behind those of the document before it."""
    last_D = np.cumsum(tokens_D) - 1
    bases_D = np.where(tokens_D > 0, intervals_C2[last_D, 1], 0) if len(intervals_C2) else 0 * tokens_D
    return intervals_C2 + np.repeat(np.cumsum(bases_D) - bases_D, tokens_D)[:, None]
