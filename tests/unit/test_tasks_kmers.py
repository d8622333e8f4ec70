"""Canonical k-mers against a slow version written with strings."""

import random
from collections import Counter

import numpy as np
import pytest

from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.tasks import kmers


def _canonical(sequence: str, k: int) -> list[str]:
    words = (sequence[i : i + k] for i in range(len(sequence) - k + 1))
    return [min(word, reverse_complement(word)) for word in words if "N" not in word]


def _spell(number: int, k: int) -> str:
    return "".join("ACGT"[number >> 2 * (k - 1 - i) & 3] for i in range(k))


def _sequences() -> list[str]:
    draw = random.Random(3)
    return ["".join(draw.choices("ACGTN", [9, 9, 9, 9, 1], k=length)) for length in (80, 3, 0, 200, 31)]


def test_counts() -> None:
    sequences = _sequences()
    table = kmers.counts(sequences, 3)
    columns = sorted({min(_spell(i, 3), reverse_complement(_spell(i, 3))) for i in range(64)})
    assert table.shape == (5, 32)
    assert table.dtype == np.float32
    for row, sequence in zip(table, sequences, strict=True):
        seen = Counter(_canonical(sequence, 3))
        assert row.tolist() == [seen[word] for word in columns]


def test_there_are_2080_canonical_6mers_and_strand_does_not_matter() -> None:
    sequences = _sequences()
    table = kmers.counts(sequences, 6)
    assert table.shape[1] == 2080
    assert np.array_equal(table, kmers.counts([reverse_complement(s) for s in sequences], 6))


def test_containment_by_hand() -> None:
    reference = ["ACGTTGCATT", "GGGGG"]
    assert kmers.containment([reverse_complement("ACGTTGCATT"), "CCCCC", "AAAAA", "AC", ""], reference, 4).tolist() == [
        1,
        1,
        0,
        0,
        0,
    ]
    assert kmers.containment(["CCCCC", "CCCCC"], reference, 4).tolist() == [1, 1]
    # AAAACG: AAAA (twice in AAAAACG, counted once), AAAC and AACG = CGTT; only the last is in the reference.
    assert kmers.containment(["AAAAACG"], reference, 4)[0] == pytest.approx(1 / 3)


def test_no_kmer_crosses_two_sequences() -> None:
    assert kmers.containment(["ACGTAC"], ["ACG", "TAC"], 4).tolist() == [0]
