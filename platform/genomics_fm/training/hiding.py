"""What is hidden from an encoder when it is evaluated, and which prediction answers for each hidden base (R15, R17)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genomics_fm.pretraining.masking import HEAD, IGNORE_INDEX, MaskingConfig, mask
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.letters import LETTERS, N_CODE
from genomics_fm.vocabulary.special import MASK_ID


@dataclass(frozen=True)
class Hidden:
    """A document with what is hidden of it. M counts masked tokens, S hidden bases.

    Attributes:
        ids_T: CLS, prompt, content with [MASK] at every place to predict, SEP.
        select_M: the masked places.
        labels_M: rank, among the vocabulary's pieces, of what stood there.
        base_S: hidden bases of the sequence, ascending: those that no visible token covers.
        token_S: which of the M answers for each.
        offset_S: which letter of its piece.
    """

    ids_T: NDArray[np.int32]
    select_M: NDArray[np.int64]
    labels_M: NDArray[np.int64]
    base_S: NDArray[np.int64]
    token_S: NDArray[np.int64]
    offset_S: NDArray[np.int64]


@dataclass(frozen=True)
class Reader:
    """One vocabulary of an ensemble, made ready to hide and to read predictions.

    Attributes:
        pieces_V: ensemble ids of its pieces.
        rank: of every ensemble id among the pieces; of no meaning for others.
        letters_VW: codes of the pieces' letters, `N_CODE` behind a piece's end.
    """

    ensemble: Ensemble
    name: str
    pieces_V: NDArray[np.int32]
    rank: NDArray[np.int64]
    letters_VW: NDArray[np.int8]

    @classmethod
    def of(cls, ensemble: Ensemble, name: str) -> "Reader":
        pieces, pieces_V = ensemble.member(name).pieces, ensemble.piece_ids(name)
        rank = np.zeros(ensemble.size, np.int64)
        rank[pieces_V] = np.arange(len(pieces_V))
        letters_VW = np.full((len(pieces), max(map(len, pieces))), N_CODE, np.int8)
        for number, piece in enumerate(pieces):
            letters_VW[number, : len(piece)] = [LETTERS.index(letter) for letter in piece]
        return cls(ensemble, name, pieces_V, rank, letters_VW)

    @property
    def overlap(self) -> int:
        """Tokens that cover a base."""
        return self.ensemble.member(self.name).overlap

    def hide(self, sequence: str, draw_key: int, config: MaskingConfig) -> Hidden:
        """Mask one sequence: all that is selected becomes [MASK], nothing a random piece or itself.

        Args:
            sequence: upper case, A C G T N.
            draw_key: the mask depends on it alone.
            config: how much is hidden.
        """
        ids_T = self.ensemble.document(self.name, sequence)
        shown_T, was_T = mask(ids_T, draw_key, self.overlap, self.pieces_V, config)
        select_M = np.flatnonzero(was_T != IGNORE_INDEX)
        shown_T[select_M] = MASK_ID
        interval_T2 = self.ensemble.intervals(self.name, ids_T[HEAD:-1])
        masked_T = was_T[HEAD:-1] != IGNORE_INDEX
        base_S = np.flatnonzero(_covering(interval_T2[masked_T], len(sequence)) > 0)
        base_S = base_S[_covering(interval_T2[~masked_T], len(sequence))[base_S] == 0]
        token_S = self._answering(interval_T2, base_S)
        return Hidden(
            shown_T,
            select_M,
            self.rank[was_T[select_M]],
            base_S,
            np.searchsorted(select_M, token_S + HEAD),
            base_S - interval_T2[token_S, 0],
        )

    def _answering(self, interval_T2: NDArray[np.int64], base_S: NDArray[np.int64]) -> NDArray[np.int64]:
        """The token in whose middle a base lies; at the ends of the sequence, the nearest that covers it."""
        if self.overlap == 1:
            return np.searchsorted(interval_T2[:, 0], base_S, side="right") - 1
        return np.clip(base_S - self.overlap // 2, 0, max(len(interval_T2) - 1, 0))


def _covering(interval_T2: NDArray[np.int64], bases: int) -> NDArray[np.int64]:
    """How many of the tokens cover each base."""
    starts, ends = (np.bincount(edge_T, minlength=bases + 1) for edge_T in interval_T2.T)
    return np.cumsum(starts - ends)[:bases]
