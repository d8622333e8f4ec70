"""Cutting windows into training segments by the published length law (SPEC C2, C3; R2)."""

from dataclasses import dataclass

from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.randomness import key, uniform

MIN_SEGMENT_BP = 70
PUBLISHED_MAX_BP = {"bpe": 2300, "kmer": 510}
"""Longest segment by vocabulary: 2,300 nt is about 512 BPE tokens, 510 nt is 505 6-mers (SPEC C2, C3)."""
LONGEST_SHARE = 0.5
"""Share of draws that take the longest length; the rest is uniform over the shorter ones."""
MAX_N_SHARE = 0.10


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
    """

    vocabulary: str
    epoch: int
    window: int
    index: int
    start: int
    end: int

    def key(self, seed: int, purpose: str) -> int:
        """The key of every random draw about this segment (R6)."""
        return key(seed, purpose, self.vocabulary, self.epoch, self.window, self.index)


def draw_length(draw_key: int, max_bp: int) -> int:
    """One length: `max_bp` half of the time, else uniform on [MIN_SEGMENT_BP, max_bp)."""
    first, second = uniform(draw_key, 2)
    if first < LONGEST_SHARE:
        return max_bp
    return MIN_SEGMENT_BP + int(second * (max_bp - MIN_SEGMENT_BP))


def cut(
    length: int, seed: int, vocabulary: str, epoch: int, window: int, max_bp: int, carried: int | None
) -> tuple[list[tuple[int, int]], int]:
    """Cut a window into segments that cover it.

    Args:
        length: nucleotides in the window.
        seed: of the run.
        vocabulary: whose law and draws.
        epoch: of that vocabulary.
        window: row of the corpus.
        max_bp: longest segment.
        carried: the draw that did not fit the previous window of the stream.

    Returns:
        Intervals in the window, and the draw to carry on. The intervals cover the window without gaps unless
        it is shorter than `MIN_SEGMENT_BP`: then there are none.
    """
    lengths: list[int] = []
    left = length
    while True:
        number = key(seed, "length", vocabulary, epoch, window, len(lengths))
        draw = carried if carried is not None else draw_length(number, max_bp)
        carried = None
        if draw > left:
            break
        lengths.append(draw)
        left -= draw
    if left >= MIN_SEGMENT_BP:
        lengths.append(left)
    elif left and lengths and lengths[-1] + left <= max_bp:
        lengths[-1] += left
    elif left and lengths:
        lengths[-1] -= MIN_SEGMENT_BP - left
        lengths.append(MIN_SEGMENT_BP)
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    return [(end - size, end) for end, size in zip(ends, lengths, strict=True)], draw


def text(segment: Segment, window_sequence: str, seed: int) -> str:
    """The nucleotides of a segment, reverse-complemented by a fair counted coin (SPEC A7)."""
    forward = window_sequence[segment.start : segment.end]
    if uniform(segment.key(seed, "strand"), 1)[0] < 0.5:
        return forward
    return reverse_complement(forward)
