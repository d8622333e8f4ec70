"""Cutting windows into training segments by the published length law (SPEC C2, C3; R2)."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.randomness import key, uniform
from genomics_fm.randomness_kernels import fold, unit

MIN_SEGMENT_BP = 70
PUBLISHED_MAX_BP = {"bpe": 2300, "kmer": 510}
"""Longest segment by vocabulary: 2,300 nt is about 512 BPE tokens, 510 nt is 505 6-mers (SPEC C2, C3)."""
LONGEST_SHARE = 0.5
"""Share of draws that take the longest length; the rest is uniform over the shorter ones."""
TURNED_SHARE = 0.5
"""Share of segments that are read from the other strand (SPEC A7)."""
MAX_N_SHARE = 0.10
NO_DRAW = -1
"""What is carried into a window when no draw is."""


@dataclass(frozen=True)
class Segment:
    """A stretch of one window, as one vocabulary sees it in one epoch.

    Attributes:
        vocabulary: name in the ensemble.
        epoch: of that vocabulary.
        window: row of the corpus.
        index: number of the segment in its window.
        start: in the window, 0-based.
        end: exclusive.
        visit: how often the window has come before in this epoch; above 0 only where sources are weighted (R4).
    """

    vocabulary: str
    epoch: int
    window: int
    index: int
    start: int
    end: int
    visit: int = 0

    def key(self, seed: int, purpose: str) -> int:
        """The key of every random draw about this segment (R6)."""
        return key(seed, purpose, self.vocabulary, self.epoch, self.window, self.visit, self.index)

    def turned(self, seed: int) -> bool:
        """Whether it is read from the other strand, by a fair counted coin (SPEC A7)."""
        return bool(uniform(self.key(seed, "strand"), 1)[0] >= 1 - TURNED_SHARE)


@njit(cache=True, nogil=True)
def draw_length(draw_key: np.uint64, max_bp: int) -> int:  # pragma: no cover
    """One length: `max_bp` half of the time, else uniform on [MIN_SEGMENT_BP, max_bp)."""
    if unit(draw_key, 0) < LONGEST_SHARE:
        return max_bp
    return MIN_SEGMENT_BP + int(unit(draw_key, 1) * (max_bp - MIN_SEGMENT_BP))


@njit(cache=True, nogil=True)
def cut_into(
    ends_S: np.ndarray, length: int, window_key: np.uint64, max_bp: int, carried: int
) -> tuple[int, int]:  # pragma: no cover
    """`cut`, writing the ends; returns how many there are and the draw to carry on."""
    count, left, draw = 0, length, carried
    while True:
        if draw == NO_DRAW:
            draw = draw_length(fold(window_key, count), max_bp)
        if draw > left:
            break
        left -= draw
        ends_S[count] = length - left
        count += 1
        draw = NO_DRAW
    if left >= MIN_SEGMENT_BP:
        ends_S[count] = length
        return count + 1, draw
    if left and count:
        last = ends_S[count - 1] - (ends_S[count - 2] if count > 1 else 0)
        if last + left > max_bp:
            ends_S[count - 1] = length - MIN_SEGMENT_BP
            count += 1
        ends_S[count - 1] = length
    return count, draw


def most_segments(length: int) -> int:
    """At most so many segments come out of a window."""
    return length // MIN_SEGMENT_BP + 1


def cut(length: int, window_key: int, max_bp: int, carried: int = NO_DRAW) -> tuple[np.ndarray, int]:
    """Cut a window into segments that cover it.

    Args:
        length: nucleotides in the window.
        window_key: `key(seed, "length", vocabulary, epoch, window, visit)`.
        max_bp: longest segment.
        carried: the draw that did not fit the previous window of the stream, or `NO_DRAW`.

    Returns:
        Where each segment ends and the next begins, (S,) int32, and the draw to carry on. The segments cover the
        window unless it is shorter than `MIN_SEGMENT_BP`: then there are none.
    """
    ends_S = np.empty(most_segments(length), np.int32)
    count, draw = cut_into(ends_S, length, np.uint64(window_key), max_bp, carried)
    return ends_S[:count], int(draw)


def text(segment: Segment, window_sequence: str, seed: int) -> str:
    """The nucleotides of a segment as they are read."""
    forward = window_sequence[segment.start : segment.end]
    return reverse_complement(forward) if segment.turned(seed) else forward
