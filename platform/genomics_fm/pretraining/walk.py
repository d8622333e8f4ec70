"""One vocabulary's walk through the windows of one stream: which segments come, in which order (R2, R3, R5)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import InputError
from genomics_fm.pretraining.order import Order
from genomics_fm.pretraining.segments import (
    MAX_N_SHARE,
    NO_DRAW,
    TURNED_SHARE,
    Segment,
    cut_into,
    most_segments,
    text,
)
from genomics_fm.randomness import key
from genomics_fm.randomness_kernels import fold, unit

MAX_OPEN_WINDOWS = 16
EMPTY_EPOCHS = 2
"""After so many epochs without a segment that may be used, there is none: an epoch has been walked whole."""
_N = np.uint8(ord("N"))
_COMPLEMENTS = np.frombuffer(bytes.maketrans(b"ACGTN", b"TGCAN"), np.uint8)
EPOCH, WINDOW, VISIT, INDEX, START, END = range(6)
"""Columns of a table of segments."""
COLUMNS = 6
_FOUND, _TURN, _DROPPED = range(3)
_STRAND, _MASK = range(2)


@dataclass(frozen=True)
class Taken:
    """Segments in the order in which they come.

    Attributes:
        segments_D6: int64; columns EPOCH … END.
        keys_D: uint64, `Segment.key` for the purpose "mask".
        letters_L: uint8 ASCII, all segments as they are read, one after the other.
        offsets_D: where each begins, and the end of the last, (D + 1,) int64.
    """

    segments_D6: np.ndarray
    keys_D: np.ndarray
    letters_L: np.ndarray
    offsets_D: np.ndarray


@dataclass
class _Open:
    """A window that is being cut, as it stands in a walk's state."""

    epoch: int
    window: int
    visit: int
    carried: int


@njit(cache=True, nogil=True)
def _read(letters_L: np.ndarray, turned: bool, complements: np.ndarray, out_L: np.ndarray) -> None:  # pragma: no cover
    if not turned:
        out_L[:] = letters_L
        return
    last = letters_L.size - 1
    for place in range(letters_L.size):
        out_L[place] = complements[letters_L[last - place]]


@njit(cache=True, nogil=True)
def _take(
    progress: np.ndarray,
    about_W3: np.ndarray,
    count_W: np.ndarray,
    taken_W: np.ndarray,
    keys_W2: np.ndarray,
    ends_WS: np.ndarray,
    letters_WL: np.ndarray,
    complements: np.ndarray,
    segments_D6: np.ndarray,
    keys_D: np.ndarray,
    offsets_D: np.ndarray,
    out_L: np.ndarray,
) -> None:  # pragma: no cover
    """Take segments of the open windows in turn until the tables are full or the window whose turn it is has ended.

    Args:
        progress: segments found, whose turn it is, segments dropped; kept up to date.
        about_W3: epoch, row and visit of the open windows.
        count_W: segments of each.
        taken_W: how many of them have been taken; kept up to date.
        keys_W2: keys of the strands and masks of each window's segments, but for the segment's number.
        ends_WS: where the segments end.
        letters_WL: the windows' letters.
        complements: of every letter, (256,).
        segments_D6: filled; as `Taken`, and so are the next three.
        keys_D: filled.
        offsets_D: filled.
        out_L: filled.
    """
    found, turn = progress[_FOUND], progress[_TURN]
    while found < keys_D.size and taken_W[turn] < count_W[turn]:
        index, window = taken_W[turn], turn
        start, end = ends_WS[window, index - 1] if index else 0, ends_WS[window, index]
        taken_W[window] += 1
        turn = (turn + 1) % count_W.size
        letters_L = letters_WL[window, start:end]
        unknown = 0
        for letter in letters_L:
            unknown += letter == _N
        if unknown > MAX_N_SHARE * (end - start):
            progress[_DROPPED] += 1
            continue
        segments_D6[found, :INDEX] = about_W3[window]
        segments_D6[found, INDEX], segments_D6[found, START], segments_D6[found, END] = index, start, end
        keys_D[found] = fold(keys_W2[window, _MASK], index)
        begin = offsets_D[found]
        turned = unit(fold(keys_W2[window, _STRAND], index), 0) >= 1 - TURNED_SHARE
        _read(letters_L, turned, complements, out_L[begin : begin + end - start])
        offsets_D[found + 1] = begin + end - start
        found += 1
    progress[_FOUND], progress[_TURN] = found, turn


class Walk:
    """Segments of a few open windows in turn; a window that ends makes room for the next of the stream's order.

    Its memory is the letters of the open windows and where their segments end: 1.1 bytes a base, whatever the
    corpus.
    """

    def __init__(self, corpus: Corpus, order: Order, seed: int, name: str, max_bp: int, stream: int) -> None:
        """A walk at its beginning; nothing is read before the first `take`."""
        self.corpus, self.order, self.seed, self.name, self.max_bp, self.stream = (
            corpus, order, seed, name, max_bp, stream,
        )  # fmt: skip
        width = min(MAX_OPEN_WINDOWS, max(1, order.slots // order.streams))
        self._epoch = self._position = 0
        self._carried = NO_DRAW
        self._open: list[_Open] = []
        self._progress = np.zeros(3, np.int64)
        self._about_W3 = np.zeros((width, 3), np.int64)
        self._count_W, self._taken_W = np.zeros(width, np.int64), np.zeros(width, np.int64)
        self._keys_W2 = np.zeros((width, 2), np.uint64)
        self._ends_WS, self._letters_WL = np.zeros((width, 0), np.int32), np.zeros((width, 0), np.uint8)

    @property
    def dropped(self) -> int:
        """Segments left out because more than `MAX_N_SHARE` of them is N."""
        return int(self._progress[_DROPPED])

    def take(self, wanted: int) -> Taken:
        """The next segments.

        Raises:
            InputError: the stream has none with few enough N.
        """
        segments_D6, keys_D = np.empty((wanted, COLUMNS), np.int64), np.empty(wanted, np.uint64)
        offsets_D, out_L = np.zeros(wanted + 1, np.int64), np.empty(wanted * self.max_bp, np.uint8)
        self._progress[_FOUND] = before = 0
        while len(self._open) < len(self._count_W):
            self._open_next(len(self._open))
        last_epoch = self._epoch + EMPTY_EPOCHS
        while True:
            _take(
                self._progress, self._about_W3, self._count_W, self._taken_W, self._keys_W2, self._ends_WS,
                self._letters_WL, _COMPLEMENTS, segments_D6, keys_D, offsets_D, out_L,
            )  # fmt: skip
            found = int(self._progress[_FOUND])
            if found == wanted:
                return Taken(segments_D6, keys_D, out_L[: offsets_D[-1]], offsets_D)
            if found > before:
                before, last_epoch = found, self._epoch + EMPTY_EPOCHS
            if self._epoch > last_epoch:
                raise InputError(
                    f"{self.corpus.storage}: no segment with at most {MAX_N_SHARE:.0%} N in a whole epoch of stream "
                    f"{self.stream}; leave out the sources that are mostly N"
                )
            self._open_next(int(self._progress[_TURN]))

    def take_again(self, segments: list[Segment]) -> Taken:
        """Segments that were taken before, wherever the walk is now."""
        letters = [text(s, self.corpus.sequence(s.window), self.seed).encode() for s in segments]
        rows = [[s.epoch, s.window, s.visit, s.index, s.start, s.end] for s in segments]
        return Taken(
            np.array(rows, np.int64).reshape(-1, COLUMNS),
            np.array([s.key(self.seed, "mask") for s in segments], np.uint64),
            np.frombuffer(b"".join(letters), np.uint8),
            np.cumsum([0, *map(len, letters)]),
        )

    def _open_next(self, slot: int) -> None:
        """Open the stream's next window of the order in a slot."""
        place = self.stream + self._position * self.order.streams
        if place >= self.order.slots:
            self._epoch, self._position, place = self._epoch + 1, 0, self.stream
        self._position += 1
        window, visit = self.order.window(self.name, self._epoch, place)
        self._open[slot : slot + 1] = [_Open(self._epoch, window, visit, self._carried)]
        self._carried = self._load(slot)

    def _load(self, slot: int) -> int:
        """Read and cut the window of a slot; returns the draw it hands on."""
        about = self._open[slot]
        letters_L = self.corpus.letters(about.window)
        if letters_L.size > self._letters_WL.shape[1]:
            self._widen(letters_L.size)
        self._letters_WL[slot, : letters_L.size] = letters_L
        identity = (about.epoch, about.window, about.visit)
        length_key, *keys = (key(self.seed, purpose, self.name, *identity) for purpose in ("length", "strand", "mask"))
        self._about_W3[slot], self._keys_W2[slot], self._taken_W[slot] = identity, keys, 0
        self._count_W[slot], carried = cut_into(
            self._ends_WS[slot], letters_L.size, np.uint64(length_key), self.max_bp, about.carried
        )
        return int(carried)

    def _widen(self, length: int) -> None:
        """Make room for longer windows."""
        extra = [(0, 0), (0, length - self._letters_WL.shape[1])]
        self._letters_WL = np.pad(self._letters_WL, extra)
        self._ends_WS = np.pad(self._ends_WS, [(0, 0), (0, most_segments(length) - self._ends_WS.shape[1])])

    def state(self) -> dict[str, Any]:
        """Everything `restore` needs, as JSON."""
        opened = zip(self._open, self._taken_W.tolist(), strict=False)
        return {
            "epoch": self._epoch,
            "position": self._position,
            "carried": self._carried,
            "turn": int(self._progress[_TURN]),
            "dropped_segments": self.dropped,
            "open": [[o.epoch, o.window, o.visit, o.carried, taken] for o, taken in opened],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self._epoch, self._position, self._carried = state["epoch"], state["position"], state["carried"]
        self._progress[:] = 0, state["turn"], state["dropped_segments"]
        self._open = []
        for slot, (*about, taken) in enumerate(state["open"]):
            self._open.append(_Open(*about))
            self._load(slot)
            self._taken_W[slot] = taken
