"""Letters: reverse complement, what is changed and counted, what is refused (R11)."""

import pytest

from genomics_fm.errors import InputError
from genomics_fm.genome import alphabet


@pytest.mark.parametrize(("sequence", "expected"), [("AACGTN", "NACGTT"), ("", ""), ("GATTACA", "TGTAATC")])
def test_reverse_complement(sequence: str, expected: str) -> None:
    assert alphabet.reverse_complement(sequence) == expected
    assert alphabet.reverse_complement(expected) == sequence


def test_normalise_changes_and_counts() -> None:
    found = alphabet.normalise(b"acgtACGTnNuU" + b"A" * 20 + b"Ry", "x.fa:1")
    assert found == alphabet.Normalised("ACGTACGTNNTT" + "A" * 20 + "NN", lower=7, u_to_t=2, iupac_to_n=2)


@pytest.mark.parametrize("letter", "EFIJLOPQXZefijlopqxz*")
def test_letters_of_proteins_are_refused(letter: str) -> None:
    with pytest.raises(InputError, match=r"^x\.fa:7: letter .* is no nucleotide code"):
        alphabet.normalise(b"ACGT" * 100 + letter.encode(), "x.fa:7")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"\0", "NUL"),
        (b"\xc3", "non-ASCII byte 0xc3"),
        (b"-", "'-'"),
        (b" ", "' '"),
        (b"1", "'1'"),
        (b"\r", "line end unlike"),
        (b"\x01", "control character 0x01"),
    ],
)
def test_other_bytes_are_refused(bad: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        alphabet.normalise(b"ACGT" + bad + b"ACGT", "x.fa:1")


def test_a_tenth_of_ambiguity_codes_is_the_limit_and_n_does_not_count() -> None:
    assert alphabet.normalise(b"R" + b"A" * 9, "x:1").iupac_to_n == 1
    assert alphabet.normalise(b"N" * 50, "x:1").sequence == "N" * 50
    with pytest.raises(InputError, match=r"11 of 100 letters are outside ACGTN"):
        alphabet.normalise(b"R" * 11 + b"A" * 89, "x:1")


def test_first_refused_is_an_offset() -> None:
    assert alphabet.first_refused(b"AC\nGT", also=b"\n") == -1
    assert alphabet.first_refused(b"AC\nG-T", also=b"\n") == 4
