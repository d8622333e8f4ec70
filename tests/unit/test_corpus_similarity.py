"""Sketches: of made-up genomes, and of real bacteria where they are at hand."""

import gzip
import random
import time
import tracemalloc
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from genomics_fm.corpus import similarity
from genomics_fm.corpus.similarity import Pair, Sketch, near_identical
from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.genome import kmers
from genomics_fm.genome.alphabet import reverse_complement

BACTERIA = Path(__file__).parents[3] / "shared" / "data" / "genomes" / "bacteria"
NUCLEOTIDES = np.frombuffer(b"ACGT", np.uint8)


def _drawn(length: int, seed: int) -> bytes:
    return np.random.default_rng(seed).choice(NUCLEOTIDES, length).tobytes()


def _mutated(sequence: bytes, rate: float, seed: int = 0) -> bytes:
    """Every nucleotide replaced by another one with probability `rate`."""
    random_numbers = np.random.default_rng(seed)
    letters = np.frombuffer(sequence, np.uint8).copy()
    at = np.flatnonzero(random_numbers.random(len(letters)) < rate)
    code = np.searchsorted(NUCLEOTIDES, letters[at])
    letters[at] = NUCLEOTIDES[(code + random_numbers.integers(1, 4, len(at))) % 4]
    return letters.tobytes()


def _sketch(*contigs: bytes, chunk: int = 1 << 20) -> Sketch:
    made = Sketch()
    for contig in contigs:
        made.update(contig[i : i + chunk] for i in range(0, len(contig), chunk))
    return made


def test_a_sketch_is_the_hashes_below_its_threshold() -> None:
    genome = _drawn(200_000, 1)
    sketch = _sketch(genome)
    hashes = np.unique(kmers.Scan(31).hashes_below(genome, kmers.HASHES))
    assert sketch.threshold == 2**64 // 1000 and sketch.halvings == 0
    assert np.array_equal(sketch.hashes, hashes[hashes < 2**64 // 1000])
    assert 150 < len(sketch.hashes) < 250


@pytest.mark.parametrize("maximum", [100, 160, 4096])
def test_order_strand_split_and_chunks_make_no_difference(maximum: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity, "MAXIMUM_HASHES", maximum)
    monkeypatch.setattr(similarity, "_COMPACT_AT", maximum)
    contigs = [_drawn(length, seed) for seed, length in enumerate((150_000, 90_000, 40, 60_000, 0, 10))]
    whole = _sketch(*contigs)
    assert maximum / 2 * 0.7 < len(whole.hashes) <= maximum or maximum == 4096
    hashes = np.concatenate([kmers.Scan(31).hashes_below(contig, whole.threshold) for contig in contigs])
    assert np.array_equal(whole.hashes, np.unique(hashes))
    turned = [reverse_complement(contig.decode()).encode() for contig in contigs[::-1]]
    one, other = _sketch(*turned[:3], chunk=999), _sketch(*turned[2:])
    one.merge(other)
    other.merge(_sketch(*contigs))
    assert one.to_bytes() == other.to_bytes() == whole.to_bytes()


def test_watching_passes_letters_on_and_n_breaks_a_run() -> None:
    genome = _drawn(50_000, 2)
    sketch = Sketch()
    assert list(sketch.watch(iter([genome[:7], genome[7:]]))) == [genome[:7], genome[7:]]
    assert sketch.to_bytes() == _sketch(genome).to_bytes()
    assert len(_sketch(b"N".join(genome[i : i + 30] for i in range(0, 50_000, 30))).hashes) == 0


def test_bytes_come_back_and_damage_is_noticed() -> None:
    sketch = _sketch(_drawn(100_000, 3))
    data = sketch.to_bytes()
    again = Sketch.from_bytes(data)
    assert again.to_bytes() == data and again.threshold == sketch.threshold
    again.merge(_sketch(_drawn(100_000, 4)))  # goes on from there
    assert len(again.hashes) > len(sketch.hashes)
    draw = random.Random(0)
    for bit in draw.sample(range(8 * len(data)), 40):
        bad = bytearray(data)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptArtefact, match=r"make it again|upgrade"):
            Sketch.from_bytes(bytes(bad))
    for bad_data in (b"", data[:50], data[:-1], data + b"x"):
        with pytest.raises(CorruptArtefact, match="make it again"):
            Sketch.from_bytes(bad_data)
    with pytest.raises(CorruptArtefact, match="format_version 2 is newer than 1"):
        Sketch.from_bytes(data[:8] + b"\2\0\0\0" + data[12:])


def test_containment_and_identity() -> None:
    genome = _drawn(400_000, 5)
    whole, half, stranger = _sketch(genome), _sketch(genome[:200_000]), _sketch(_drawn(400_000, 6))
    assert similarity.containment(half, whole) == 1
    assert similarity.containment(whole, half) == pytest.approx(0.5, abs=0.1)
    assert similarity.ani(whole, half) == similarity.ani(half, whole) == 1
    assert similarity.ani(whole, stranger) == similarity.ani(whole, Sketch()) == 0
    assert similarity.identity(0.99**31) == pytest.approx(0.99)


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.03])
def test_identity_of_a_mutated_copy(rate: float) -> None:
    genome = _drawn(2_000_000, 7)
    assert similarity.ani(_sketch(genome), _sketch(_mutated(genome, rate))) == pytest.approx(1 - rate, abs=0.003)


def test_pairs_are_those_of_comparing_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity, "MAXIMUM_HASHES", 64)
    genome = _drawn(80_000, 8)
    made = [_mutated(genome, rate, 9) for rate in (0, 0.002, 0.01, 0.05)]
    made += [genome[:30_000], _drawn(80_000, 10), 4 * _drawn(20_000, 11) + genome, b"ACGT" * 100]
    sketches = [(f"g{number}", _sketch(contig)) for number, contig in enumerate(made)]
    assert len({sketch.halvings for _, sketch in sketches}) > 1
    for least in (0.9, 0.97, 1.0):
        slow = []
        for (a, first), (b, second) in combinations(sketches, 2):
            share = max(similarity.containment(first, second), similarity.containment(second, first))
            if share ** (1 / 31) >= least:
                slow.append(Pair(a, b, share ** (1 / 31), share))
        assert len(slow) > 1
        assert near_identical(sketches, least) == [pytest.approx(pair) for pair in slow]


def test_too_few_hashes_are_no_evidence() -> None:
    genome = _drawn(100_000, 12)
    small, smaller = _sketch(genome[:20_000]), _sketch(genome[:3_000])
    assert similarity.ani(smaller, _sketch(genome)) == 1 and 0 < len(smaller.hashes) < 10
    pairs = near_identical([("whole", _sketch(genome)), ("small", small), ("smaller", smaller)], 0.9)
    assert pairs == [Pair("whole", "small", 1, 1)]
    assert near_identical([], 0.9) == near_identical([("nothing", Sketch()), ("either", Sketch())], 0.9) == []


@pytest.mark.parametrize("least", [0, 1.01, -1])
def test_an_identity_out_of_range(least: float) -> None:
    with pytest.raises(InputError, match=r"min_ani .*: give an identity"):
        near_identical([], least)


@cache
def _bacterium(name: str) -> tuple[bytes, ...]:
    records = gzip.decompress((BACTERIA / name).read_bytes()).upper().split(b">")[1:]
    return tuple(record.partition(b"\n")[2].replace(b"\n", b"") for record in records)


@pytest.mark.skipif(not BACTERIA.is_dir(), reason="needs ../shared/data/genomes/bacteria")
def test_real_bacteria() -> None:
    files = {
        "E. coli": "Ecoli_536_NC_008253.fna.gz",
        "Salmonella": "GCF_000006945.1_ASM694v1_genomic.fna.gz",
        "Klebsiella": "Kpneumoniae_HS11286.fna.gz",
    }
    sketches = [(name, _sketch(*_bacterium(file))) for name, file in files.items()]
    sketches.append(("mutated", _sketch(*(_mutated(contig, 0.01) for contig in _bacterium(files["E. coli"])))))
    (pair,) = near_identical(sketches, 0.95)
    assert (pair.a, pair.b) == ("E. coli", "mutated") and pair.ani == pytest.approx(0.99, abs=0.005)
    related = near_identical(sketches, 0.8)
    assert len(related) == 6 and sum(p.ani < 0.9 for p in related) == 5  # three genera of one family


@pytest.mark.full
def test_all_genomes_of_the_paper_take_seconds_and_little_memory() -> None:
    random_numbers = np.random.default_rng(0)
    sketches = []
    for number in range(1160):
        sketch = Sketch()
        sketch._take(random_numbers.integers(0, sketch.threshold, 4096, np.uint64))
        sketches.append((str(number), sketch))
        assert len(sketch.hashes) == 4096
    sketches[1000] = "copy", sketches[7][1]
    tracemalloc.start()
    try:
        begun = time.process_time()
        assert near_identical(sketches, 0.95) == [Pair("7", "copy", 1, 1)]
        assert time.process_time() - begun < 20
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
    finally:
        tracemalloc.stop()
