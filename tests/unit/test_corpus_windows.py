import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_fm.corpus.windows import Cut, Cutter, Recipe
from genomics_fm.errors import InputError

SHORT = Recipe(window_bp=1_000, min_piece_bp=1, min_contig_bp=1)


def cut(sequence: str, recipe: Recipe, chunk: int = 1 << 20) -> tuple[list[Cut], Counter[str]]:
    cutter = Cutter(recipe)
    letters = sequence.encode()
    found = list(cutter.cut(letters[i : i + chunk] for i in range(0, len(letters), chunk)))
    return found, cutter.counts


def intervals(sequence: str, recipe: Recipe = SHORT) -> list[tuple[int, int]]:
    return [(one.start, one.end) for one in cut(sequence, recipe)[0]]


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
        ("ACXXGT", [(0, 2), (4, 6)]),
        ("AC" + "N" * 49 + "X" + "GT", [(0, 51), (52, 54)]),
        ("X", []),
    ],
)
@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_contigs_are_cut_at_long_runs_of_n_and_at_what_is_excluded(
    sequence: str, expected: list[tuple[int, int]], chunk: int
) -> None:
    found, counts = cut(sequence, SHORT, chunk)
    assert [(one.start, one.end) for one in found] == expected
    assert counts["dropped_nt: excluded"] == sequence.count("X")
    assert sum(counts[name] for name in counts if name.startswith(("nucleotides_kept", "dropped_nt"))) == len(sequence)


@pytest.mark.parametrize("window_bp", [200, 257, 1000])
@pytest.mark.parametrize("overlap_bp", [0, 1, 100])
@pytest.mark.parametrize("extra", [0, 1, 99, 100, 101, 199, 4321])
def test_neighbours_share_exactly_the_overlap_and_all_is_covered(window_bp: int, overlap_bp: int, extra: int) -> None:
    start, end = 60, 60 + window_bp + extra
    recipe = Recipe(window_bp=window_bp, overlap_bp=overlap_bp, min_contig_bp=1)
    found = intervals("N" * start + "A" * (end - start), recipe)
    assert found[0][0] == start and found[-1][1] == end
    assert all(b - a == window_bp for a, b in found[:-1]) and found[-1][1] - found[-1][0] <= window_bp
    assert all(left[1] - right[0] == overlap_bp for left, right in pairwise(found))
    depth = np.zeros(end, dtype=int)
    for a, b in found:
        depth[a:b] += 1
    twice = sum(left[1] - right[0] for left, right in pairwise(found))
    assert set(depth[start:].tolist()) <= {1, 2} and (depth == 2).sum() == twice


def test_a_piece_of_one_window_is_not_cut() -> None:
    assert intervals("A" * 1000) == [(0, 1000)]
    assert intervals("A" * 1001) == [(0, 1000), (900, 1001)]


def test_short_contigs_and_pieces_are_dropped_and_counted() -> None:
    recipe = Recipe(window_bp=1_000, min_piece_bp=70, min_contig_bp=200)
    assert cut("A" * 199, recipe) == (
        [],
        {"dropped_contigs: contig shorter than 200": 1, "dropped_nt: contig shorter than 200": 199},
    )
    found, counts = cut("A" * 69 + "N" * 50 + "C" * 81, recipe)
    assert [(one.start, one.end) for one in found] == [(119, 200)]
    assert counts["dropped_nt: piece shorter than minimum"] == 69


def slowly(sequence: bytes, recipe: Recipe) -> list[Cut]:
    """The same with the whole contig in hand."""
    if len(sequence) < recipe.min_contig_bp:
        return []
    found, start, begin = [], 0, 0
    runs = [(run.start(), run.end()) for run in re.finditer(rb"N{%d,}|X+" % recipe.split_n_run_bp, sequence)]
    for run_start, run_end in [*runs, (len(sequence), len(sequence))]:
        end, overlap = run_start, 0
        while end >= begin + recipe.min_piece_bp:
            stop = min(start + recipe.window_bp, end)
            found.append(Cut(start, sequence[start:stop], overlap))
            if stop == end:
                break
            start, overlap = stop - recipe.overlap_bp, recipe.overlap_bp
        start = begin = run_end
    return found


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("NXAC"), st.sampled_from([1, 2, 3, 4, 5, 6, 12, 50])), max_size=30),
    st.lists(st.sampled_from([1, 2, 3, 7, 30, 200]), min_size=1, max_size=8),
    st.builds(
        Recipe,
        window_bp=st.sampled_from([20, 37, 64]),
        overlap_bp=st.sampled_from([0, 5, 10]),
        split_n_run_bp=st.sampled_from([3, 5]),
        min_piece_bp=st.sampled_from([1, 7]),
        min_contig_bp=st.sampled_from([1, 30]),
    ),
)
def test_chunks_change_nothing(runs: list[tuple[str, int]], sizes: list[int], recipe: Recipe) -> None:
    sequence = "".join(letter * count for letter, count in runs).encode()
    chunks, place = [], 0
    while place < len(sequence):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(sequence[place : place + size])
        place += size
    cutter = Cutter(recipe)
    assert list(cutter.cut(chunks)) == slowly(sequence, recipe)
    counted = sum(count for name, count in cutter.counts.items() if not name.startswith("dropped_contigs"))
    assert counted == len(sequence)


@pytest.mark.parametrize(
    ("field", "value"),
    [("overlap_bp", 501), ("overlap_bp", 1000), ("overlap_bp", -1), ("window_bp", 0), ("split_n_run_bp", 0),
     ("min_piece_bp", 0), ("min_contig_bp", 0), ("rows_per_block", 0)],
)  # fmt: skip
def test_a_recipe_that_cannot_work_is_refused(field: str, value: int) -> None:
    """An overlap of a whole window would cut for ever."""
    with pytest.raises(InputError, match=field):
        Recipe(**{"window_bp": 1000, field: value})
