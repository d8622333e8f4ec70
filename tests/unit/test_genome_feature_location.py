"""GenBank feature locations, by hand."""

import pytest

from genomics_fm.genome import feature_location


@pytest.mark.parametrize(
    ("text", "segments", "strand"),
    [
        ("3..9", ((2, 9),), 1),
        ("7", ((6, 7),), 1),
        ("<1..>9", ((0, 9),), 1),
        (">9", ((8, 9),), 1),
        ("5^6", ((5, 5),), 1),
        ("complement(3..9)", ((2, 9),), -1),
        ("join(1..3,5,7..9)", ((0, 3), (4, 5), (6, 9)), 1),
        ("order(1..3,7..9)", ((0, 3), (6, 9)), 1),
        ("complement(join(1..3,<5..9))", ((0, 3), (4, 9)), -1),
        ("join(complement(5..9),complement(1..3))", ((0, 3), (4, 9)), -1),
        ("join(90..100,1..5)", ((89, 100), (0, 5)), 1),
        ("complement(join(90..100,1..5))", ((89, 100), (0, 5)), -1),
        ("join(complement(5..9),12..20)", ((11, 20), (4, 9)), -1),
    ],
)
def test_parse(text: str, segments: tuple[tuple[int, int], ...], strand: int) -> None:
    assert feature_location.parse(text, 100) == (segments, strand)


@pytest.mark.parametrize(
    "text",
    [
        "0..5",
        "9..3",
        "1..101",
        "100^101x",
        "101^102",
        "J00194.1:1..5",
        "join(1..3,5..9",
        "1.5..9",
        "",
        "join()",
        "a..b",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"location"):
        feature_location.parse(text, 100)
