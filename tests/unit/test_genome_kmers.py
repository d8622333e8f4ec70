"""Rolled k-mers against a slow version written with strings."""

import random

import numpy as np
import pytest

from genomics_fm.genome import kmers
from genomics_fm.genome.alphabet import reverse_complement


def _drawn(length: int, seed: int = 3, letters: str = "ACGT") -> str:
    return "".join(random.Random(seed).choices(letters, k=length))


def _slow(sequence: str, k: int) -> list[str | None]:
    """The canonical k-mer that ends at each letter, spelled out."""
    words = [None] * min(k - 1, len(sequence)) + [sequence[i : i + k] for i in range(len(sequence) - k + 1)]
    return [min(w, reverse_complement(w)) if w and set(w) <= set("ACGT") else None for w in words]


def _spelled(number: np.uint64, k: int) -> str | None:
    if number == kmers.NO_KMER:
        return None
    return "".join("ACGT"[int(number) >> 2 * (k - 1 - i) & 3] for i in range(k))


@pytest.mark.parametrize("k", [1, 2, 3, 6, 15, 21, 30, 31])
@pytest.mark.parametrize("chunk", [1, 7, 5000])
def test_canonical_kmers_in_chunks_of_any_size(k: int, chunk: int) -> None:
    draw = random.Random(k)
    sequence = "".join(draw.choices("ACGTNX", [20, 20, 20, 20, 1, 1], k=300)) + _drawn(200)
    scan = kmers.Scan(k)
    found = [scan.canonical(sequence[i : i + chunk].encode()) for i in range(0, len(sequence), chunk)]
    assert [_spelled(number, k) for number in np.concatenate(found)] == _slow(sequence, k)


def test_both_strands_have_the_same_kmers() -> None:
    sequence = _drawn(500)
    forward, other = (kmers.canonical(s.encode(), 31)[30:] for s in (sequence, reverse_complement(sequence)))
    assert np.array_equal(forward, other[::-1])


@pytest.mark.parametrize("letters", ["", "A", "ACGT", "acgtacgt", "NNNNNNNN"])
def test_what_holds_no_kmer(letters: str) -> None:
    found = kmers.canonical(letters.encode(), 5)
    assert found.dtype == np.uint64 and found.tolist() == [int(kmers.NO_KMER)] * len(letters)


def test_hashes_below_a_threshold_are_those_of_all_the_kmers() -> None:
    sequence = (_drawn(9000) + "N" + _drawn(5000, 4)).encode()
    scan = kmers.Scan(31)
    every = scan.hashes_below(sequence, kmers.HASHES)
    known = kmers.canonical(sequence, 31)
    known = known[known != kmers.NO_KMER]
    assert every.tolist() == [int(kmers.mixed(kmer)) for kmer in known]
    threshold = kmers.HASHES // 7
    scan = kmers.Scan(31)
    parts = [scan.hashes_below(sequence[i : i + 1000], threshold) for i in range(0, len(sequence), 1000)]
    assert np.array_equal(np.concatenate(parts), every[every < threshold])
    assert len(np.concatenate(parts)) == pytest.approx(len(every) / 7, rel=0.15)


def test_the_hash_is_spread_evenly_and_splitmix64() -> None:
    # First outputs of splitmix64 with seed 0, from its authors' reference code.
    assert kmers.mixed(np.uint64(0)) == np.uint64(0xE220A8397B1DCDAF)
    assert kmers.mixed(np.uint64(0x9E3779B97F4A7C15)) == np.uint64(0x6E789E6AA1B965F4)
    values = kmers.Scan(15).hashes_below(_drawn(60_000).encode(), kmers.HASHES)
    per_bin = np.bincount((values >> np.uint64(60)).astype(np.int64), minlength=16)
    assert per_bin.min() > 0.9 * per_bin.mean() and per_bin.max() < 1.1 * per_bin.mean()


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 1000, 4097])
def test_lookups_find_what_is_in_the_table_and_nothing_else(size: int) -> None:
    inside, outside = _drawn(size + 20, 5), _drawn(20_000, 6)
    wanted = kmers.table(kmers.canonical(inside.encode(), 21))
    assert wanted.kmers.size == size
    text = (outside + "N" + reverse_complement(inside) + "N" + outside).encode()
    scan = kmers.Scan(21)
    ends, places = [], []
    for begin in range(0, len(text), 3000):
        end, place = scan.found(text[begin : begin + 3000], wanted)
        ends.append(begin + end)
        places.append(place)
    every = kmers.canonical(text, 21)
    expected = np.flatnonzero(np.isin(every, wanted.kmers))
    assert len(expected) == size
    assert np.array_equal(np.concatenate(ends), expected)
    assert np.array_equal(wanted.kmers[np.concatenate(places)], every[expected])
    assert np.array_equal(kmers.Scan(21).ends(text, wanted), expected)


def test_distinct() -> None:
    some = np.array([7, kmers.NO_KMER, 0, 7, 3, kmers.NO_KMER, 3], np.uint64)
    assert kmers.distinct(some).tolist() == [0, 3, 7]
    assert kmers.distinct(some[:0]).dtype == np.uint64 and len(kmers.distinct(some[:0])) == 0


def test_a_table_leaves_out_what_is_no_kmer() -> None:
    assert kmers.table(np.array([kmers.NO_KMER, 5, 3, 5], np.uint64)).kmers.tolist() == [3, 5]


@pytest.mark.parametrize("k", [0, 32])
def test_k_that_does_not_fit(k: int) -> None:
    with pytest.raises(ValueError, match=f"k {k}: give 1 to 31"):
        kmers.Scan(k)
