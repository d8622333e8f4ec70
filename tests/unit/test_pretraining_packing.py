from itertools import combinations, pairwise

import numpy as np
import pytest

from genomics_fm.pretraining.packing import SLACK, gather, pack, wrap

STRETCH = 100


def drawn(longest: int, shortest: int, count: int, seed: int) -> np.ndarray:
    """Half of the longest length, the rest uniform: what C2 and C3 give."""
    draws = np.random.default_rng(seed)
    return np.where(draws.random(count) < 0.5, longest, draws.integers(shortest, longest, count)).astype(np.int64)


def packed(lengths_D: np.ndarray, row_tokens: int, pool: int) -> tuple[list[list[int]], list[int]]:
    order_O, ends_R, waiting = pack(lengths_D, row_tokens, pool)
    return [order_O[a:b].tolist() for a, b in pairwise(ends_R)], waiting.tolist()


@pytest.mark.parametrize("pool", [1, 2, 12, 64])
@pytest.mark.parametrize("row_tokens", [64, 512, 600, 1_027])
def test_every_document_comes_once_the_oldest_first_and_no_row_is_too_long(row_tokens: int, pool: int) -> None:
    lengths_D = drawn(min(508, row_tokens), 5, 3_000, row_tokens + pool)
    rows, waiting = packed(lengths_D, row_tokens, pool)
    assert sorted([document for row in rows for document in row] + waiting) == list(range(3_000))
    assert len(waiting) < pool and waiting == sorted(waiting)
    left = list(range(3_000))
    for row in rows:
        assert row[0] == left[0] and row == sorted(row) and set(row) <= set(left[:pool])
        assert lengths_D[row].sum() <= row_tokens
        left = [document for document in left[: pool + len(row)] if document not in row] + left[pool + len(row) :]


@pytest.mark.parametrize("seed", range(40))
def test_rows_are_as_full_as_any_choice_makes_them_but_for_the_slack(seed: int) -> None:
    draws = np.random.default_rng(seed)
    pool, row_tokens = 9, int(draws.integers(100, 1_500))
    lengths_D = draws.integers(1, row_tokens + 1, 60).astype(np.int64)
    left = list(range(60))
    for row in packed(lengths_D, row_tokens, pool)[0]:
        others = [lengths_D[document] for document in left[1:pool]]
        sums = [lengths_D[left[0]] + sum(some) for n in range(pool) for some in combinations(others, n)]
        best = max(total for total in sums if total <= row_tokens)
        assert best - lengths_D[row].sum() < max(row_tokens // SLACK, 1)
        left = [document for document in left if document not in row]


def test_rows_do_not_depend_on_how_many_documents_come_at_a_time() -> None:
    lengths_D = drawn(508, 68, 2_000, 0)
    whole = packed(lengths_D, 2_048, 64)[0]
    waiting: list[int] = []
    rows = []
    for begin in range(0, 2_000, 130):
        documents = np.array([*waiting, *range(begin, min(begin + 130, 2_000))])
        some, left = packed(lengths_D[documents], 2_048, 64)
        rows += [documents[row].tolist() for row in some]
        waiting = documents[left].tolist()
    assert rows == whole


@pytest.mark.parametrize("row_tokens", [2_048, 4_096, 8_192])
@pytest.mark.parametrize(("longest", "shortest", "spread"), [(508, 68, 0), (440, 16, 18)])
def test_any_stretch_of_rows_is_full(row_tokens: int, longest: int, shortest: int, spread: int) -> None:
    """Documents of 6-mers, and of BPE, whose longest segments differ in tokens."""
    lengths_D = drawn(longest, shortest, 40_000, row_tokens)
    lengths_D += np.random.default_rng(1).integers(-spread // 2, spread // 2 + 1, 40_000) * (lengths_D == longest)
    rows, _ = packed(lengths_D, row_tokens, 64)
    tokens = np.cumsum([0] + [lengths_D[row].sum() for row in rows])
    assert ((tokens[STRETCH:] - tokens[:-STRETCH]) / (STRETCH * row_tokens)).min() >= 0.995


def test_tokens_of_documents_in_another_order() -> None:
    ids_T, offsets_D = np.array([1, 2, 3, 4, 5, 6], np.int32), np.array([0, 2, 2, 5, 6])
    found_T, ends = gather(ids_T, offsets_D, np.array([3, 1, 0]))
    assert (found_T.tolist(), ends.tolist()) == ([6, 1, 2], [0, 1, 1, 3])
    assert found_T.dtype == np.int32
    empty_T, ends = gather(ids_T, offsets_D, np.empty(0, np.int64))
    assert (empty_T.tolist(), ends.tolist()) == ([], [0])


def test_sequences_get_a_head_and_a_tail() -> None:
    ids_T, offsets_D = np.array([7, 8, 9], np.int32), np.array([0, 2, 2, 3])
    found_T, ends = wrap(ids_T, offsets_D, np.array([1, 5], np.int32), np.array([2], np.int32))
    assert found_T.tolist() == [1, 5, 7, 8, 2, 1, 5, 2, 1, 5, 9, 2]
    assert ends.tolist() == [0, 5, 8, 12]
