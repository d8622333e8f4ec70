"""Where places of excluded sequences lie on a contig, found while its letters come (SPEC R9)."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from genomics_fm.genome.kmers import Scan, Table

K = 31

_SCAN_BYTES = 1 << 20  # letters looked up at once; bounds memory where all of them are excluded

Span = tuple[int, int]


class Places:
    """The places of one contig, in which more than half of the 31-mers are wanted.

    Attributes:
        spans: of letters, ascending, disjoint; whoever uses them takes them away from the left.
        count: maximal runs found.
    """

    def __init__(self, wanted: Table, place_bp: int) -> None:
        self.spans: deque[Span] = deque()
        self.count = 0
        self._wanted = wanted
        self._place_bp = place_bp
        self._kmers = place_bp - K + 1
        self._least = self._kmers // 2 + 1  # 31-mers that are more than half of a place's
        self._scan = Scan(K)
        self._length = 0
        self._hits = 0
        self._recent = np.empty(0, np.int64)
        self._last_end = -1

    def take(self, letters: bytes) -> None:
        for begin in range(0, len(letters), _SCAN_BYTES):
            part = letters[begin : begin + _SCAN_BYTES]
            ends = self._scan.ends(part, self._wanted)
            if len(ends):
                self._add(self._length + ends)
            self._length += len(part)

    def _add(self, new: NDArray[np.int64]) -> None:
        """Take in where wanted 31-mers end.

        A place whose last letter is i holds the 31-mers that end in (i - kmers, i]. It has enough of them when,
        for some n, the hits n … n + least - 1 do: i from the last of these to the first of them + kmers - 1.
        """
        self._hits += len(new)
        ends = np.concatenate([self._recent, new])
        self._recent = ends[max(0, len(ends) - self._least + 1) :]
        first = ends[self._least - 1 :]
        last = ends[: len(first)] + self._kmers - 1
        enough = first <= last
        # The first letter of the first place, and one past the last letter of the last one.
        starts, stops = np.maximum(first[enough] - self._place_bp + 1, 0), last[enough] + 1
        if len(starts):
            begins = np.append(True, starts[1:] > stops[:-1])
            closes = np.append(begins[1:], True)
            for start, stop in zip(starts[begins].tolist(), stops[closes].tolist(), strict=True):
                self._mark(start, stop)

    def _mark(self, start: int, stop: int) -> None:
        self.count += start > self._last_end
        if self.spans and start <= self.spans[-1][1]:
            start, _ = self.spans.pop()
        self.spans.append((start, stop))
        self._last_end = stop

    def finish(self) -> None:
        """The contig has ended: one shorter than a place is a place itself."""
        if self._length < self._place_bp:
            whole = 2 * self._hits > self._length - K + 1
            self.count = int(whole)
            self.spans = deque([(0, self._length)] if whole else [])
