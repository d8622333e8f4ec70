"""One vocabulary of one stream: from segments to masked rows, some hundred documents at a time (R2, R15, R18)."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from genomics_fm.errors import InputError
from genomics_fm.pretraining.masking import HEAD, TAIL, MaskingConfig, mask_many
from genomics_fm.pretraining.packing import gather, pack, wrap
from genomics_fm.pretraining.segments import Segment
from genomics_fm.pretraining.walk import COLUMNS, END, EPOCH, INDEX, START, VISIT, WINDOW, Taken, Walk
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.special import CLS_ID, SEP_ID

REFILL_SEGMENTS = 512
"""Segments made into documents at a time. Rows do not depend on it; what a state costs to restore does."""


@dataclass(frozen=True, eq=False)
class Row:
    """A packed row.

    Attributes:
        vocabulary: of all its documents.
        ids_N: shown token ids, int32, N ≤ row_tokens.
        labels_N: token to predict, or IGNORE_INDEX, int32.
        lengths_D: tokens of each document.
        segments_D6: where each document comes from; columns as in `walk`.
    """

    vocabulary: str
    ids_N: np.ndarray
    labels_N: np.ndarray
    lengths_D: np.ndarray
    segments_D6: np.ndarray

    @property
    def lengths(self) -> list[int]:
        """Tokens of each document."""
        return self.lengths_D.tolist()

    @property
    def segments(self) -> list[Segment]:
        """Where each document comes from."""
        return _segments(self.vocabulary, self.segments_D6)


def _segments(vocabulary: str, segments_D6: np.ndarray) -> list[Segment]:
    columns = (EPOCH, WINDOW, INDEX, START, END, VISIT)
    return [Segment(vocabulary, *row) for row in segments_D6[:, columns].tolist()]


@dataclass(frozen=True)
class _Documents:
    """Documents end to end: columns as of `Taken`, tokens, and where each begins, and the end of the last."""

    segments_D6: np.ndarray
    keys_D: np.ndarray
    ids_T: np.ndarray
    offsets_D: np.ndarray

    def __add__(self, other: "_Documents") -> "_Documents":
        return _Documents(
            np.concatenate([self.segments_D6, other.segments_D6]),
            np.concatenate([self.keys_D, other.keys_D]),
            np.concatenate([self.ids_T, other.ids_T]),
            np.concatenate([self.offsets_D, self.offsets_D[-1] + other.offsets_D[1:]]),
        )

    def of(self, order_O: np.ndarray) -> "_Documents":
        """Some of them, in another order."""
        return _Documents(self.segments_D6[order_O], self.keys_D[order_O], *gather(self.ids_T, self.offsets_D, order_O))


class _Rows:
    """Rows that have been packed together. They are masked together, when the first of them is looked at."""

    def __init__(self, vocabulary: str, documents: _Documents, ends_R: np.ndarray) -> None:
        self.vocabulary, self.documents = vocabulary, documents
        self._lengths_D = np.diff(documents.offsets_D)
        self._documents_of = list(itertools.pairwise(ends_R.tolist()))
        self._tokens_of = list(itertools.pairwise(documents.offsets_D[ends_R].tolist()))
        self._labels_T: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self._tokens_of)

    def row(self, number: int, mask: Callable[[_Documents], np.ndarray]) -> Row:
        """One of them; `mask` hides tokens in place and returns labels."""
        documents = self.documents
        if self._labels_T is None:
            self._labels_T = mask(documents)
        (first, last), (begin, end) = self._documents_of[number], self._tokens_of[number]
        return Row(
            self.vocabulary,
            documents.ids_T[begin:end],
            self._labels_T[begin:end],
            self._lengths_D[first:last],
            documents.segments_D6[first:last],
        )


class Lane:
    """Rows of one vocabulary in one stream, one after the other.

    Work is done a refill at a time: the next segments of the walk are read, encoded and packed with the documents
    that wait. The state is that of the last refill's beginning and the number of rows taken since: a restored lane
    makes the refill once more, at the first row it is asked for.
    """

    def __init__(self, walk: Walk, vocabulary: Ensemble, masking: MaskingConfig, row_tokens: int, pending: int) -> None:
        """A lane at its beginning.

        Args:
            walk: where its segments come from, at its beginning.
            vocabulary: the ensemble; the lane's own is the walk's.
            masking: what is hidden.
            row_tokens: slots in a row.
            pending: documents among which those of a row are chosen.
        """
        self.walk, self.vocabulary, self.masking = walk, vocabulary, masking
        self.row_tokens, self.pending = row_tokens, pending
        self._head = np.array([CLS_ID, vocabulary.prompt_id(walk.name)], np.int32)
        self._tail = np.array([SEP_ID], np.int32)
        self._overlap = vocabulary.member(walk.name).overlap
        self._pieces = vocabulary.piece_ids(walk.name)
        self.restore({**walk.state(), "pending": [], "rows_taken": 0})

    @property
    def dropped(self) -> int:
        """Segments with too many N that had been left out before the last refill."""
        return int(self._boundary["dropped_segments"])

    def row(self) -> Row:
        """The next row."""
        row = self._filled().row(self._taken, self._mask)
        self._taken += 1
        return row

    def drop(self) -> None:
        """Leave the next row to another worker; of rows that are all left, none is masked."""
        self._filled()
        self._taken += 1

    def state(self) -> dict[str, Any]:
        """Everything `restore` needs, as JSON."""
        return {**self._boundary, "rows_taken": self._taken}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self._boundary = {name: value for name, value in state.items() if name != "rows_taken"}
        self._taken: int = state["rows_taken"]
        self._rows: _Rows | None = None

    def _mask(self, documents: _Documents) -> np.ndarray:
        return mask_many(
            documents.ids_T, documents.offsets_D, documents.keys_D, self._overlap, self._pieces, self.masking
        )

    def _filled(self) -> _Rows:
        """The rows of the last refill, of which at least one has not been taken."""
        if self._rows is None:
            self.walk.restore(self._boundary)
            rows = np.array(self._boundary["pending"], np.int64).reshape(-1, COLUMNS)
            self._waiting = self._documents(self.walk.take_again(_segments(self.walk.name, rows)))
            self._rows = self._refill()
        while self._taken == len(self._rows):
            self._boundary = {**self.walk.state(), "pending": self._waiting.segments_D6.tolist()}
            self._taken, self._rows = 0, self._refill()
        return self._rows

    def _refill(self) -> _Rows:
        """Take segments, and pack what waits with them."""
        documents = self._waiting + self._documents(self.walk.take(REFILL_SEGMENTS))
        order_O, ends_R, waiting = pack(np.diff(documents.offsets_D), self.row_tokens, self.pending)
        self._waiting = documents.of(waiting)
        return _Rows(self.walk.name, documents.of(order_O), ends_R)

    def _documents(self, taken: Taken) -> _Documents:
        ids_T, offsets_D = self.vocabulary.encode_many(self.walk.name, taken.letters_L, taken.offsets_D)
        tokens_D = np.diff(offsets_D) + HEAD + TAIL
        if tokens_D.size and tokens_D.max() > self.row_tokens:
            longest = int(tokens_D.argmax())
            size = taken.segments_D6[longest, END] - taken.segments_D6[longest, START]
            raise InputError(
                f"segment of {size} nt: {tokens_D[longest]} tokens are more than a row's {self.row_tokens}; "
                "raise row_tokens or lower max_segment_bp"
            )
        return _Documents(taken.segments_D6, taken.keys_D, *wrap(ids_T, offsets_D, self._head, self._tail))
