import itertools

import numpy as np
import pytest

from genomics_fm.randomness import bits, key, permuted, permuted_many, uniform
from tests.corpora import kolmogorov_smirnov


def test_bits_are_the_published_splitmix64() -> None:
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert bits(1234567, 4).tolist() == published
    assert bits(0, 2).tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]


def test_golden_values() -> None:
    """They may never change: every corpus order, mask and subset hangs on them."""
    assert key(0, "mask", "bpe", 0, 0, 0) == 11093214406154087473
    assert key("order", 7) == 40585092797004587
    assert uniform(key(0, "length"), 3).tolist() == [0.1303382245411947, 0.41334069118727246, 0.19350342637360407]
    assert [permuted(i, 10, key(0, "order")) for i in range(10)] == [7, 0, 8, 3, 1, 6, 9, 4, 2, 5]


def test_a_longer_draw_begins_with_the_shorter_one() -> None:
    assert uniform(5, 10)[:3].tolist() == uniform(5, 3).tolist()


def test_uniform_is_uniform() -> None:
    values = uniform(key("uniform"), 100_000)
    assert values.min() >= 0 and values.max() < 1
    assert values.mean() == pytest.approx(0.5, abs=0.004)
    assert kolmogorov_smirnov(values, 0, 1) < 1.95


def test_first_draws_of_neighbouring_keys_are_uniform_and_independent() -> None:
    first = np.array([uniform(key(0, "strand", "bpe", 0, window, 0), 1)[0] for window in range(5_000)])
    assert kolmogorov_smirnov(first, 0, 1) < 1.95
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.05


def test_every_part_of_a_key_matters_and_so_does_its_place() -> None:
    parts: list[int | str] = [0, "mask", "bpe", 1, 2, 3]
    keys = {key(*parts)}
    for place in range(len(parts)):
        changed = [*parts]
        changed[place] = "other" if isinstance(parts[place], str) else 77
        keys.add(key(*changed))
    keys |= {key(*order) for order in itertools.permutations(parts)}
    keys |= {key(*parts[:n]) for n in range(len(parts))}
    assert len(keys) == 6 + 720 + 6
    assert all(0 <= value < 2**64 for value in keys)


def test_names_and_numbers_are_told_apart() -> None:
    assert len({key(1), key("1"), key("01"), key(1, 0), key(0, 1)}) == 5


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 17, 100, 1000])
def test_a_permutation_is_one(size: int) -> None:
    for seed in range(5):
        assert sorted(permuted(i, size, key(seed)) for i in range(size)) == list(range(size))


def test_another_seed_is_another_permutation() -> None:
    orders = {tuple(permuted(i, 100, key(seed)) for i in range(100)) for seed in range(50)}
    assert len(orders) == 50


def test_a_permutation_sends_every_place_everywhere() -> None:
    """Over many seeds the image of a place is uniform, and its neighbour's image does not follow from it."""
    size, seeds = 21, 4_000
    images = np.array([[permuted(i, size, key("p", seed)) for i in (0, 1, 20)] for seed in range(seeds)])
    for column in images.T:
        chi_squared = ((np.bincount(column, minlength=size) - seeds / size) ** 2 / (seeds / size)).sum()
        assert chi_squared < 45.3  # 0.999 quantile with 20 degrees of freedom
    step = (images[:, 1] - images[:, 0]) % size
    expected = seeds / (size - 1)
    assert ((np.bincount(step, minlength=size)[1:] - expected) ** 2 / expected).sum() < 43.8  # 19 degrees


def test_a_permutation_of_billions_costs_no_memory() -> None:
    size = 1_900_000_000
    images = {permuted(i, size, 3) for i in range(1_000)}
    assert len(images) == 1_000 and max(images) < size


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 17, 1_000, 1_900_000_000, 2**32, 2**32 + 1, 2**40 + 7, 2**62])
def test_many_at_once_are_the_same_as_one_by_one(size: int) -> None:
    positions = [*range(min(size, 20)), size // 2, size - 1]
    for seed in (0, 3, key("order", 1), -1, 2**64 - 1, 2**70 + 5):
        found = permuted_many(np.array(positions), size, seed)
        assert found.tolist() == [permuted(position, size, seed) for position in positions]
        assert found.dtype == np.int64


@pytest.mark.parametrize("size", [1, 2, 31, 1_000, 65_537])
def test_many_at_once_are_a_permutation(size: int) -> None:
    assert np.array_equal(np.sort(permuted_many(np.arange(size), size, key("order"))), np.arange(size))


def test_a_million_of_billions_are_all_different_and_spread() -> None:
    size, count = 1_900_000_000, 1_000_000
    images = permuted_many(np.arange(size - count, size), size, key(0, "order"))
    assert np.unique(images).size == count
    assert images.min() >= 0 and images.max() < size
    assert kolmogorov_smirnov(images[::50] / size, 0, 1) < 1.95


def test_many_keep_the_shape_and_the_argument() -> None:
    positions = np.arange(40_000, dtype=np.int32).reshape(2, -1)
    found = permuted_many(positions, 50_000, 9)
    assert found.shape == (2, 20_000)
    assert found[1, 0] == permuted(20_000, 50_000, 9)
    assert np.array_equal(positions.reshape(-1), np.arange(40_000))
    assert permuted_many(np.array([], np.int64), 5, 1).size == 0
