import numpy as np
import pytest

from genomics_fm.genome.packing import pack, unpack
from tests.corpora import dna


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 70, 1_001])
@pytest.mark.parametrize("letters", ["ACGT", "ACGTN", "N", "ANNNNC"])
def test_what_is_packed_comes_back(length: int, letters: str) -> None:
    sequence = dna(length, length, letters)
    packed = pack(sequence.encode())
    assert len(packed.data) == -(-length // 4)
    assert unpack(np.frombuffer(packed.data, np.uint8), packed.n_runs, length).tobytes().decode() == sequence
    assert (packed.gc, packed.n) == (sequence.count("G") + sequence.count("C"), sequence.count("N"))


def test_runs_of_n_are_start_and_length() -> None:
    assert pack(b"NNACNGTNNN").n_runs.tolist() == [0, 2, 4, 1, 7, 3]
    assert pack(b"ACGT").n_runs.tolist() == []


def test_the_bytes_are_the_same_for_ever() -> None:
    """Corpora on disk hold them."""
    assert pack(b"ACTGNTA").data == bytes([0b11100100, 0b001011])
