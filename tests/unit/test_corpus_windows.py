from itertools import pairwise

import numpy as np
import pytest

from genomics_fm.corpus.windows import Recipe, pieces, windows
from genomics_fm.errors import InputError


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        ("", []),
        ("ACGT", [(0, 4)]),
        ("A" * 5 + "N" * 49 + "C" * 5, [(0, 59)]),
        ("A" * 5 + "N" * 50 + "C" * 5, [(0, 5), (55, 60)]),
        ("N" * 50 + "A" + "N" * 200, [(50, 51)]),
        ("N" * 50, []),
        ("N" * 49 + "A" + "N" * 49, [(0, 99)]),
    ],
)
def test_contigs_are_cut_at_long_runs_of_n_only(sequence: str, expected: list[tuple[int, int]]) -> None:
    assert list(pieces(sequence, Recipe())) == expected


@pytest.mark.parametrize("window_bp", [200, 257, 1000])
@pytest.mark.parametrize("overlap_bp", [0, 1, 100])
@pytest.mark.parametrize("extra", [0, 1, 99, 100, 101, 199, 4321])
def test_neighbours_share_exactly_the_overlap_and_all_is_covered(window_bp: int, overlap_bp: int, extra: int) -> None:
    start, end = 37, 37 + window_bp + extra
    found = list(windows(start, end, Recipe(window_bp=window_bp, overlap_bp=overlap_bp)))
    assert found[0][0] == start and found[-1][1] == end
    assert all(b - a == window_bp for a, b in found[:-1]) and found[-1][1] - found[-1][0] <= window_bp
    assert all(left[1] - right[0] == overlap_bp for left, right in pairwise(found))
    depth = np.zeros(end, dtype=int)
    for a, b in found:
        depth[a:b] += 1
    twice = sum(left[1] - right[0] for left, right in pairwise(found))
    assert set(depth[start:].tolist()) <= {1, 2} and (depth == 2).sum() == twice


def test_a_piece_of_one_window_is_not_cut() -> None:
    assert list(windows(5, 1005, Recipe(window_bp=1000))) == [(5, 1005)]
    assert list(windows(5, 75, Recipe(window_bp=1000))) == [(5, 75)]


@pytest.mark.parametrize(
    ("field", "value"),
    [("overlap_bp", 501), ("overlap_bp", 1000), ("overlap_bp", -1), ("window_bp", 0), ("split_n_run_bp", 0),
     ("min_piece_bp", 0), ("rows_per_block", 0)],
)  # fmt: skip
def test_a_recipe_that_cannot_work_is_refused(field: str, value: int) -> None:
    """An overlap of a whole window would cut for ever."""
    with pytest.raises(InputError, match=field):
        Recipe(**{"window_bp": 1000, field: value})
