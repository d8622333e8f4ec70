"""What masking hid: shares of tokens and of bases (R15)."""

from dataclasses import dataclass
from itertools import pairwise

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


def measured(shown_N: np.ndarray, labels_N: np.ndarray, offsets_D: np.ndarray, intervals_D: list[np.ndarray]) -> Rates:
    """The rates of what `mask_many` made of documents that lie end to end.

    Args:
        shown_N: ids after masking.
        labels_N: what it returned.
        offsets_D: (D + 1,), as given to it.
        intervals_D: for each document the base intervals of its content tokens, (T, 2).
    """
    counts = np.zeros(5, dtype=np.int64)
    for (begin, end), intervals_T2 in zip(pairwise(offsets_D.tolist()), intervals_D, strict=True):
        shown_T, labels_T = shown_N[begin + HEAD : end - TAIL], labels_N[begin + HEAD : end - TAIL]
        hidden_L = hidden_bases(shown_T, labels_T, intervals_T2)
        selected_T = labels_T != IGNORE_INDEX
        masked = np.count_nonzero(selected_T & (shown_T == MASK_ID))
        counts += [len(labels_T), np.count_nonzero(selected_T), masked, len(hidden_L), np.count_nonzero(hidden_L)]
    return Rates(*counts.tolist())
