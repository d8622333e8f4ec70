from itertools import pairwise

import numpy as np
import pytest

from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.pretraining.segments import (
    MIN_SEGMENT_BP,
    NO_DRAW,
    PUBLISHED_MAX_BP,
    Segment,
    cut,
    draw_length,
    text,
)
from genomics_fm.randomness import key, uniform
from tests.corpora import dna, kolmogorov_smirnov

MAX = 500


def cut_of(
    length: int, seed: int, name: str, epoch: int, window: int, longest: int, carried: int = NO_DRAW
) -> tuple[list[tuple[int, int]], int]:
    """Intervals of a window's segments and the draw carried on."""
    ends_S, draw = cut(length, key(seed, "length", name, epoch, window, 0), longest, carried)
    return list(pairwise([0, *ends_S.tolist()])), draw


def lengths_of(intervals: list[tuple[int, int]]) -> list[int]:
    return [end - start for start, end in intervals]


def drawn(draw_key: int, longest: int) -> int:
    """The law of C2 and C3, written again."""
    first, second = uniform(draw_key, 2)
    return longest if first < 0.5 else 70 + int(second * (longest - 70))


def draws_of(window: int, count: int) -> list[int]:
    """The draws `cut` makes in a window, made again."""
    return [drawn(key(0, "length", "bpe", 0, window, 0, i), MAX) for i in range(count)]


@pytest.mark.parametrize("name", ["bpe", "kmer"])
def test_half_of_the_draws_are_the_longest_and_the_rest_uniform(name: str) -> None:
    longest = PUBLISHED_MAX_BP[name]
    draws = np.array([draw_length(np.uint64(key("draw", i)), longest) for i in range(20_000)])
    assert np.mean(draws == longest) == pytest.approx(0.5, abs=0.01)
    assert draws.min() == MIN_SEGMENT_BP and draws.max() == longest
    shorter = draws[draws < longest]
    assert kolmogorov_smirnov(shorter + 0.5, MIN_SEGMENT_BP, longest) < 1.95
    assert shorter.max() >= longest - 3


@pytest.mark.parametrize(("name", "share"), [("bpe", 0.494), ("kmer", 0.499)])
def test_long_windows_keep_the_law(name: str, share: float) -> None:
    """R2: 0.494 and 0.499 of the emitted segments of windows over 100 kb are the longest."""
    longest, carried, found = PUBLISHED_MAX_BP[name], NO_DRAW, []
    for window in range({"bpe": 150, "kmer": 40}[name]):
        intervals, carried = cut_of(131_072, 0, name, 0, window, longest, carried)
        found += lengths_of(intervals)
    assert np.mean(np.array(found) == longest) == pytest.approx(share, abs=0.012)
    assert min(found) >= MIN_SEGMENT_BP


@pytest.mark.parametrize("longest", [200, 510, 2300])
def test_segments_cover_the_window_once_and_keep_to_the_bounds(longest: int) -> None:
    carried = NO_DRAW
    for window in range(300):
        length = 70 + (window * 97) % 3_000
        intervals, carried = cut_of(length, 1, "bpe", 0, window, longest, carried)
        assert intervals[0][0] == 0 and intervals[-1][1] == length
        assert all(left[1] == right[0] for left, right in pairwise(intervals))
        assert all(MIN_SEGMENT_BP <= size <= longest for size in lengths_of(intervals)), (length, intervals)
        assert MIN_SEGMENT_BP <= carried <= longest


def test_a_remainder_of_70_or_more_is_a_segment_of_its_own_and_the_draw_is_carried() -> None:
    first, second, *_ = draws_of(0, 5)
    intervals, carried = cut_of(first + 70, 0, "bpe", 0, 0, MAX)
    assert second > 70
    assert (lengths_of(intervals), carried) == ([first, 70], second)


def test_a_shorter_remainder_joins_the_last_segment_if_that_stays_within_the_maximum() -> None:
    window = next(w for w in range(100) if draws_of(w, 1)[0] < MAX - 69)
    first, second = draws_of(window, 2)
    assert cut_of(first + 69, 0, "bpe", 0, window, MAX) == ([(0, first + 69)], second)


def test_else_the_last_segment_gives_up_what_the_remainder_lacks() -> None:
    window = next(w for w in range(100) if draws_of(w, 1)[0] == MAX)
    second = draws_of(window, 2)[1]
    assert cut_of(MAX + 1, 0, "bpe", 0, window, MAX) == ([(0, MAX - 69), (MAX - 69, MAX + 1)], second)
    assert cut_of(MAX, 0, "bpe", 0, window, MAX) == ([(0, MAX)], second)


def test_a_carried_draw_comes_first() -> None:
    intervals, _ = cut_of(5_000, 0, "bpe", 0, 3, MAX, 123)
    assert lengths_of(intervals)[0] == 123
    assert lengths_of(intervals)[1] == draws_of(3, 2)[1]


def test_a_carried_draw_that_does_not_fit_again_is_carried_on() -> None:
    assert cut_of(200, 0, "bpe", 0, 3, MAX, 400) == ([(0, 200)], 400)
    assert cut_of(69, 0, "bpe", 0, 3, MAX, 400) == ([], 400)


def test_cuts_differ_by_seed_vocabulary_epoch_and_window() -> None:
    places = [(0, "bpe", 0, 0), (1, "bpe", 0, 0), (0, "kmer", 0, 0), (0, "bpe", 1, 0), (0, "bpe", 0, 1)]
    cuts = {tuple(cut_of(20_000, *place, MAX)[0]) for place in places}
    assert len(cuts) == 5


def test_the_strand_is_a_fair_coin_and_the_other_one_is_the_reverse_complement() -> None:
    window = dna(1_000, 0)
    turned = 0
    for i in range(4_000):
        segment = Segment("bpe", 0, 7, i, 10, 30)
        found = text(segment, window, seed=0)
        assert found in (window[10:30], reverse_complement(window[10:30]))
        turned += found != window[10:30]
    assert turned / 4_000 == pytest.approx(0.5, abs=0.026)  # 3.3 standard errors
    assert text(Segment("bpe", 0, 7, 0, 10, 30), window, 0) == text(Segment("bpe", 0, 7, 0, 10, 30), window, 0)


def test_a_segments_key_holds_all_of_its_identity_but_its_place_in_the_window() -> None:
    base = Segment("bpe", 0, 0, 0, 0, 70)
    others = [Segment("kmer", 0, 0, 0, 0, 70), Segment("bpe", 1, 0, 0, 0, 70), Segment("bpe", 0, 1, 0, 0, 70),
              Segment("bpe", 0, 0, 1, 0, 70), Segment("bpe", 0, 0, 0, 0, 70, visit=1)]  # fmt: skip
    assert len({s.key(0, "mask") for s in [base, *others]} | {base.key(1, "mask"), base.key(0, "strand")}) == 8
