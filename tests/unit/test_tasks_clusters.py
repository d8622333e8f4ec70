"""Clusters against a slow version that compares all with all, and splits that divide none."""

import csv
import gzip
import random
import time
import tracemalloc
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from genomics_fm.errors import InputError
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.tasks import clusters, kmers, overlaps

DEEPSTARR = Path(__file__).parents[3] / "shared" / "data" / "tasks" / "deepstarr_sample"


def _drawn(length: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("ACGT", k=length))


def _mutated(sequence: str, rate: float, draw: random.Random) -> str:
    return "".join(draw.choice("ACGT") if draw.random() < rate else letter for letter in sequence)


def _words(sequence: str, k: int) -> set[str]:
    words = (sequence[i : i + k] for i in range(len(sequence) - k + 1))
    return {min(word, reverse_complement(word)) for word in words if "N" not in word}


def _slow(sequences: list[str]) -> list[int]:
    """All pairs, by R12; the lowest row of each one's cluster."""
    group = list(range(len(sequences)))
    most = max(10, len(sequences) // 100)
    kept = {}
    for k in (15, 21):
        words = [_words(sequence, k) for sequence in sequences]
        rows_of = Counter(word for some in words for word in some)
        kept[k] = [{word for word in some if rows_of[word] <= most} for some in words]
    for a, b in combinations(range(len(sequences)), 2):
        lengths = len(sequences[a]), len(sequences[b])
        first, second = (kept[15 if min(lengths) < 100 else 21][row] for row in (a, b))
        shorter = min(first, second, key=len) if lengths[0] == lengths[1] else (first, second)[lengths[0] > lengths[1]]
        same = sequences[a] in (sequences[b], reverse_complement(sequences[b]))
        if same or (first & second and 2 * len(first & second) >= len(shorter)):
            low, high = sorted((group[a], group[b]))
            group = [low if one == high else one for one in group]
    return group


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("entries", [1 << 23, 500])
def test_clusters_are_those_of_comparing_all(seed: int, entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlaps, "_ENTRIES_AT_ONCE", entries)
    draw = random.Random(seed)
    genome = _drawn(1500, seed)
    repeat = _drawn(30, 1000 + seed)
    sequences = []
    for _ in range(90):
        start = draw.randrange(1400)
        piece = genome[start : start + draw.choice([10, 14, 40, 99, 100, 120, 250])]
        piece = _mutated(piece, draw.choice([0, 0, 0.01, 0.03]), draw)
        if draw.random() < 0.5:
            piece = _drawn(len(piece), draw.randrange(1 << 30))
            piece = repeat + piece[30:] if draw.random() < 0.3 and len(piece) > 80 else piece
        if draw.random() < 0.1:
            piece = piece[:-7] + "N" + piece[-6:]
        sequences.append(reverse_complement(piece) if draw.random() < 0.5 else piece)
    sequences += draw.sample(sequences, 4)
    expected = _slow(sequences)
    assert 10 < len(set(expected)) < 80
    found = clusters.cluster(sequences)
    assert found.tolist() == np.unique(expected, return_inverse=True)[1].tolist()
    assert found.dtype == np.int64


def _strangers(count: int, length: int = 200, seed: int = 50) -> list[str]:
    return [_drawn(length, seed + number) for number in range(count)]


@pytest.mark.parametrize(("shift", "joined"), [(0, True), (1, True), (90, True), (91, False), (200, False)])
@pytest.mark.parametrize("turned", [False, True])
def test_shifted_windows(shift: int, joined: bool, turned: bool) -> None:
    # 200 nt hold 180 21-mers; windows shifted by 90 share 110 nt and 90 of them, exactly half.
    genome = _drawn(400, 1)
    other = genome[shift : shift + 200]
    found = clusters.cluster([genome[:200], reverse_complement(other) if turned else other, *_strangers(3)])
    assert bool(found[0] == found[1]) is joined and found.max() == (3 if joined else 4)


def test_chains_are_one_cluster() -> None:
    genome = _drawn(2000, 2)
    chain = [genome[start : start + 200] for start in range(0, 1800, 80)]
    found = clusters.cluster([*_strangers(2), *chain, *_strangers(2, seed=90)])
    assert found.tolist() == [0, 1, *[2] * len(chain), 3, 4]


@pytest.mark.parametrize(("length", "joined"), [(99, True), (100, False)])
def test_15mers_under_100_nt(length: int, joined: bool) -> None:
    # Two changed nucleotides leave 65 % of the 15-mers and 47 % of the 21-mers.
    first = _drawn(length, 3)
    second = "".join("ACGT"["ACGT".index(letter) ^ 1] if i in (33, 66) else letter for i, letter in enumerate(first))
    assert bool(np.diff(clusters.cluster([first, second, *_strangers(2)])[:2])) is not joined
    # With a longer sequence it is the shorter one that counts.
    assert clusters.cluster([second[:99], *_strangers(2), _drawn(70, 4) + first + _drawn(50, 5)]).tolist()[3] == 0


@pytest.mark.parametrize("sequence", ["", "ACGT", "N" * 50, "ACGTACGTACGTAC"])
def test_sequences_without_a_kmer_are_alone_unless_equal(sequence: str) -> None:
    assert clusters.cluster([sequence, *_strangers(2), reverse_complement(sequence), "A"]).tolist() == [0, 1, 2, 0, 3]
    assert clusters.cluster([]).tolist() == []
    assert clusters.cluster([sequence]).tolist() == [0]


def test_letters_of_either_case_are_the_same() -> None:
    sequence = _drawn(200, 5)
    assert clusters.cluster([sequence, sequence[20:].lower(), sequence.lower()]).tolist() == [0, 0, 0]


@pytest.mark.parametrize(("rows", "joined"), [(10, True), (11, False)])
def test_kmers_of_more_than_ten_rows_are_ignored(rows: int, joined: bool) -> None:
    # All share 45 of 100 21-mers, which is too little; the first two share 10 more.
    ends = [_drawn(10, 1) + _drawn(20, seed) for seed in (2, 3)] + _strangers(rows - 2, 30, 300)
    found = clusters.cluster([_drawn(25, 100 + row) + _drawn(65, 6) + end for row, end in enumerate(ends)])
    assert bool(found[0] == found[1]) is joined and found.max() == rows - 1 - joined


def test_a_family_larger_than_a_hundredth_is_found_and_refused() -> None:
    draw = random.Random(8)
    founder = _drawn(200, 8)
    family = [_mutated(founder, 0.01, draw) for _ in range(130)]
    family = [reverse_complement(one) if draw.random() < 0.5 else one for one in family]
    found = clusters.cluster([*family, *_strangers(370)])
    assert np.bincount(found).max() >= 128
    with pytest.raises(InputError, match=r"holds 1[23]\d of 500 \(26%, more than 20%\).*hold out by region or species"):
        clusters.split([*family, *_strangers(370)], (0.8, 0.1, 0.1), 0)


def test_parts_hold_whole_clusters_and_are_as_large_as_asked() -> None:
    genome = _drawn(60_000, 9)
    draw = random.Random(9)
    sequences = [genome[s : s + 200] for s in (draw.randrange(59_800) for _ in range(400))] + _strangers(200)
    ids = clusters.cluster(sequences)
    parts = clusters.split(sequences, (0.7, 0.1, 0.2), 3)
    assert sorted(np.concatenate(parts).tolist()) == list(range(600))
    assert [len(part) for part in parts] == [420, 60, 120]
    assert all(np.array_equal(part, np.sort(part)) for part in parts)
    for a, b in combinations(parts, 2):
        assert not set(ids[a].tolist()) & set(ids[b].tolist())
    again, other = clusters.split(sequences, (0.7, 0.1, 0.2), 3), clusters.split(sequences, (0.7, 0.1, 0.2), 4)
    assert all(map(np.array_equal, parts, again)) and not all(map(np.array_equal, parts, other))
    sizes = np.bincount(ids)
    assert all(sizes[ids[part]].max() > 1 for part in parts), "large clusters go to every part"
    everything, nothing = clusters.assign(ids, (1, 0), 3)
    assert len(everything) == 600 and len(nothing) == 0


@pytest.mark.parametrize("fractions", [(), (0.5, 0.4), (1.2, -0.2)])
def test_fractions_that_are_no_shares(fractions: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match=r"fractions \[.*\]: give shares of 1"):
        clusters.assign(np.arange(10), fractions, 0)


def test_too_few_clusters_for_the_parts() -> None:
    assert [len(part) for part in clusters.assign(np.arange(3), (0.4, 0.3, 0.3), 0)] == [1, 1, 1]
    with pytest.raises(InputError, match=r"2 sequences in 2 clusters: none left for the part of 0\.1"):
        clusters.assign(np.arange(2), (0.8, 0.1, 0.1), 0)


def test_more_rows_than_fit() -> None:
    with pytest.raises(InputError, match="4,194,305 sequences; give at most 4,194,304"):
        clusters.cluster([""] * ((1 << 22) + 1))


@pytest.mark.skipif(not DEEPSTARR.is_dir(), reason="needs ../shared/data/tasks/deepstarr_sample")
def test_real_windows_that_overlap() -> None:
    rows: dict[str, list[dict[str, str]]] = {}
    for part in ("train", "val", "test"):
        with gzip.open(DEEPSTARR / f"sample_{part}.txt.gz", "rt") as file:
            rows[part] = list(csv.DictReader(file, delimiter="\t"))
    every = [row for part in rows.values() for row in part]
    ids = clusters.cluster([row["Sequence"] for row in every])
    train, test = ids[:1000], ids[2000:]
    starts = {part: np.array([int(row["start"]) for row in rows[part]]) for part in rows}
    contigs = {part: np.array([row["seqnames"] for row in rows[part]]) for part in rows}
    same_contig = contigs["test"][:, None] == contigs["train"]
    shared = np.where(same_contig, 249 - np.abs(starts["test"][:, None] - starts["train"]), 0).max(1)
    joined = np.isin(test, train)
    # 58 test windows overlap a train window on the genome; 39 by half of their 21-mers, one more by a chain.
    assert np.sum(shared > 0) == 58 and np.sum(shared >= 135) == 39
    assert joined.sum() == 40 and joined[shared >= 135].all() and not joined[shared <= 0].any()
    parts = clusters.split([row["Sequence"] for row in every], (0.8, 0.1, 0.1), 0)
    assert [len(part) for part in parts] == [2400, 300, 300]
    chosen = [[every[row]["Sequence"] for row in part.tolist()] for part in parts]
    assert kmers.containment(chosen[2], chosen[0], 21).max() < 0.5


@pytest.mark.full
def test_a_hundred_thousand_rows() -> None:
    genome = _drawn(6_000_000, 11)
    draw = random.Random(11)
    sequences = [genome[start : start + 200] for start in (draw.randrange(5_999_800) for _ in range(100_000))]
    tracemalloc.start()
    try:
        begun = time.process_time()
        found = clusters.cluster(sequences)
        assert time.process_time() - begun < 60
        assert tracemalloc.get_traced_memory()[1] < 600 << 20
    finally:
        tracemalloc.stop()
    assert 20_000 < found.max() < 25_000
