"""The fast loop says what a slow one says, whatever the lines look like and wherever the text is cut."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_fm.genome import letters

FASTA = letters.table(next_record=b">")
GENBANK = letters.table(next_record=b"/L", skipped=b" 0123456789")
NORMAL = dict(zip(b"ACGTNUacgtnuRYSWKMBDHVryswkmbdhv", b"ACGTNTACGTNT" + b"N" * 20, strict=True))


class Taken(NamedTuple):
    letters: bytes
    lines: int
    column: int
    lower: int
    u_to_t: int
    iupac_to_n: int
    refused: int
    place: int


def slowly(data: bytes, next_record: bytes, skipped: bytes) -> Taken:
    """What `clean` must do, byte by byte."""
    written, lines, column, lower, refused, place = bytearray(), 0, 0, 0, 0, 0
    for byte in data:
        if byte in next_record and column == 0:
            break
        if byte not in b"\n" + skipped and byte not in NORMAL:
            refused = 1
            break
        place, column = place + 1, column + 1
        if byte == ord("\n"):
            lines, column = lines + 1, 0
        elif byte in NORMAL:
            written.append(NORMAL[byte])
            lower += chr(byte).islower()
    seen = [byte for byte in data[:place] if byte in NORMAL]
    u_to_t = sum(byte in b"Uu" for byte in seen)
    return Taken(
        bytes(written), lines, column, lower, u_to_t, sum(b not in b"ACGTNUacgtnu" for b in seen), refused, place
    )


def fast(data: bytes, table: np.ndarray, pieces: list[int]) -> Taken:
    """`clean`, given the data in pieces of these lengths, and then the rest."""
    written, counts, column, place, refused = b"", np.zeros(len(letters.STATE), np.int64), 0, 0, 0
    ends = [*np.minimum(np.cumsum(pieces, dtype=int), len(data)), len(data)]
    for end in ends:
        piece = np.frombuffer(data[place:end], np.uint8)
        out, state = np.zeros(len(piece), np.uint8), np.zeros(len(letters.STATE), np.int64)
        state[letters.COLUMN] = column
        taken = letters.clean(piece, table, out, state)
        written += out[: state[letters.WRITTEN]].tobytes()
        counts, column, place = counts + state, int(state[letters.COLUMN]), place + taken
        refused = int(state[letters.REFUSED])
        if taken < len(piece):
            break
    lines, lower, u_to_t, iupac = (
        int(counts[i]) for i in (letters.LINES, letters.SOFT_MASKED, letters.U_TO_T, letters.IUPAC_TO_N)
    )
    return Taken(written, lines, column, lower, u_to_t, iupac, refused, place)


def genome(length: int, width: int, odd: bytes, every: int, seed: int) -> bytes:
    """Lines of one width (0: no line end), with an odd byte now and then."""
    drawn = np.random.default_rng(seed)
    text = drawn.choice(np.frombuffer(b"ACGTNacgtn", np.uint8), length)
    if every:
        text[every - 1 :: every] = drawn.choice(np.frombuffer(odd, np.uint8), len(text[every - 1 :: every]))
    joined = text.tobytes()
    return b"".join(joined[i : i + width] + b"\n" for i in range(0, length, width)) if width else joined


@pytest.mark.parametrize("width", [0, 1, 2, 59, 60, 8191, 8192, 8193, 20_000])
@pytest.mark.parametrize(
    ("odd", "every"),
    [(b"A", 0), (b"U", 3), (b"Ry", 9_000), (b"\n", 40), (b">", 9_011), (b"E", 17_000), (b"\0", 30_000)],
)
def test_long_texts(width: int, odd: bytes, every: int) -> None:
    data = genome(31_000, width, odd, every, seed=width)
    expected = slowly(data, b">", b"")
    assert fast(data, FASTA, []) == expected
    assert fast(data, FASTA, [1, 8_200, 7, 9_000]) == expected


@given(
    st.lists(st.sampled_from([b"A", b"c", b"Nn", b"u", b"R", b"\n", b">", b"E", b" ", b"/", b"1"])), st.integers(0, 9)
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_short_texts(parts: list[bytes], cut: int) -> None:
    data = b"".join(parts)
    assert fast(data, FASTA, [cut, 3]) == slowly(data, b">", b"")
    assert fast(data, GENBANK, [cut, 3]) == slowly(data, b"/L", b" 0123456789")
