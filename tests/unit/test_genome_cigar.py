"""CIGARs: hand-written sequences, and a naive walk on random ones."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_fm.errors import CorruptArtefact
from genomics_fm.genome import cigar

OPERATIONS = st.lists(st.tuples(st.integers(1, 5), st.sampled_from("=XID")), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("text", "edits", "expected"),
    [
        ("8=", b"", b"ACGTACGT"),
        ("", b"", b"ACGTACGT"),
        ("2=1X5=", b"A", b"ACATACGT"),
        ("2=3I6=", b"TTT", b"ACTTTGTACGT"),
        ("2=4D2=", b"", b"ACGT"),
        ("1X1D2I6=", b"GCC", b"GCCGTACGT"),
        ("8=2I", b"GG", b"ACGTACGTGG"),
        ("8D", b"", b""),
    ],
)
def test_apply(text: str, edits: bytes, expected: bytes) -> None:
    assert cigar.apply(b"ACGTACGT", text, edits) == expected


@pytest.mark.parametrize(
    ("text", "edits"),
    [
        ("7=", b""),
        ("9=", b""),
        ("8=1I", b""),
        ("8=", b"A"),
        ("8M", b""),
        ("=8", b""),
        ("8=1", b""),
        ("", b"A"),
        ("-8=", b""),
        ("8=99999999999999999999D", b""),
    ],
)
def test_what_does_not_fit_is_refused(text: str, edits: bytes) -> None:
    with pytest.raises(CorruptArtefact, match="cigar"):
        cigar.apply(b"ACGTACGT", text, edits)


def test_coordinates_map_by_hand() -> None:
    #     reference  100 A C G - - T A C G T 107
    #     haplotype    0 A T G c c T - - G T
    text = "1=1X1=2I1=2D2="
    assert [cigar.to_reference(text, 100, place) for place in range(8)] == [100, 101, 102, 102, 102, 103, 106, 107]
    assert [cigar.from_reference(text, 100, place) for place in range(100, 108)] == [0, 1, 2, 5, 5, 5, 6, 7]
    with pytest.raises(ValueError, match="position 8 of a haplotype of 8 nt"):
        cigar.to_reference(text, 100, 8)
    with pytest.raises(ValueError, match=r"coordinate 108 of a row \[100, 108\)"):
        cigar.from_reference(text, 100, 108)


def test_bases_before_the_first_one() -> None:
    assert cigar.to_reference("2I3=", 10, 1) == 9
    assert cigar.from_reference("2D3=", 10, 11) == -1


def test_the_reference_row_maps_to_itself() -> None:
    assert cigar.to_reference("", 10, 3) == 13
    assert cigar.from_reference("", 10, 13) == 3


def test_a_broken_cigar_has_no_coordinates() -> None:
    with pytest.raises(CorruptArtefact, match="not a CIGAR"):
        cigar.to_reference("5=2N", 0, 1)


def naive(operations: list[tuple[int, str]], reference: str, edits: str) -> tuple[str, list[int], list[int]]:
    """Sequence, reference coordinate of each of its bases, and its place for each reference base, one by one."""
    sequence, to, back, at, taken = "", [], [], 0, 0
    for length, operation in operations:
        for _ in range(length):
            if operation == "D":
                back.append(len(sequence) - 1)
                at += 1
                continue
            if operation == "I":
                to.append(at - 1)
            else:
                back.append(len(sequence))
                to.append(at)
            if operation == "=":
                sequence += reference[at]
            else:
                sequence += edits[taken]
                taken += 1
            at += operation != "I"
    return sequence, to, back


def check_against_naive(operations: list[tuple[int, str]], letters: str) -> None:
    reference = letters[: sum(length for length, operation in operations if operation != "I")]
    edits = letters[::-1][: sum(length for length, operation in operations if operation in "XI")]
    text = "".join(f"{length}{operation}" for length, operation in operations)
    sequence, to, back = naive(operations, reference, edits)
    assert cigar.apply(reference.encode(), text, edits.encode()) == sequence.encode()
    assert [cigar.to_reference(text, 7, place) for place in range(len(sequence))] == [7 + at for at in to]
    assert [cigar.from_reference(text, 7, 7 + at) for at in range(len(reference))] == back


LETTERS = st.text("ACGTN", min_size=60, max_size=60)


@settings(max_examples=50, deadline=None)
@given(OPERATIONS, LETTERS)
def test_equal_to_a_naive_walk(operations: list[tuple[int, str]], letters: str) -> None:
    check_against_naive(operations, letters)


@pytest.mark.full
@settings(max_examples=5_000, deadline=None)
@given(OPERATIONS, LETTERS)
def test_equal_to_a_naive_walk_often(operations: list[tuple[int, str]], letters: str) -> None:
    check_against_naive(operations, letters)
