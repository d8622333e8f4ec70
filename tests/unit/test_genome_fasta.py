"""Strict FASTA, read through `read_genome`."""

import gzip
from pathlib import Path

import pytest

from genomics_fm.errors import InputError
from genomics_fm.genome import source
from genomics_fm.genome.reader import read_genome
from genomics_fm.genome.records import Contig

TWO = b">one first record\nACGTacgt\nNNu\n>two\nRAAAAAAAAAAA\n"


def _read(folder: Path, data: bytes) -> list[Contig]:
    path = folder / "x.fa"
    path.write_bytes(data)
    return list(read_genome(str(path)))


def test_two_records(tmp_path: Path) -> None:
    where = str(tmp_path / "x.fa")
    assert _read(tmp_path, TWO) == [
        Contig("one", "ACGTACGTNNT", where, line=1, soft_masked=5, u_to_t=1),
        Contig("two", "NAAAAAAAAAAA", where, line=4, iupac_to_n=1),
    ]


@pytest.mark.parametrize(
    "data",
    [
        TWO.replace(b"\n", b"\r\n"),
        TWO.replace(b"\n", b"\r"),
        TWO[:-1].replace(b"\n", b"\r"),
        TWO.replace(b"ACGTacgt\n", b"A\nCGT\r\nacgt\r\n"),
        TWO[:-1],
        TWO + b"\n\n",
        b"\n" + TWO,
        gzip.compress(TWO),
        TWO.replace(b"NNu", b"NN\n\nu"),
    ],
    ids=[
        "CRLF",
        "CR",
        "no last CR",
        "CRLF and LF",
        "no last LF",
        "blank end",
        "blank start",
        "gzip",
        "blank line inside",
    ],
)
def test_spellings_of_the_same_records(tmp_path: Path, data: bytes) -> None:
    found = [(contig.name, contig.sequence) for contig in _read(tmp_path, data)]
    assert found == [("one", "ACGTACGTNNT"), ("two", "NAAAAAAAAAAA")]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
def test_chunk_borders_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, ends: bytes) -> None:
    whole = _read(tmp_path, TWO)
    monkeypatch.setattr(source, "CHUNK_BYTES", size)
    assert _read(tmp_path, TWO.replace(b"\n", ends)) == whole


def test_lines_are_counted_across_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "CHUNK_BYTES", 5)
    with pytest.raises(InputError, match=r"x\.fa:7:1: letter 'E'"):
        _read(tmp_path, b">a\nAC\nGT\n>b\nAC\nGT\nEE\n")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"x\.fa:1: the file is empty"),
        (b"\n\n \n", r"x\.fa:3:1: text before the first"),
        (b"\n\n\n", r"only blank lines"),
        (b"ACGT\n>a\nACGT\n", r"x\.fa:1:1: text before the first .>name"),
        (b"@read\nACGT\n+\nIIII\n", r"x\.fa:1:1: text before the first"),
        (b">\nACGT\n", r"x\.fa:1:2: header without a name"),
        (b">a\nAC\n> b\nAC\n", r"x\.fa:3:2: header without a name"),
        (b">a\nAC\n>b\nAC\n>a\nAC\n", r"x\.fa:5: second record named 'a' \(the first: .*x\.fa:1\)"),
        (b">a\n>b\nACGT\n", r"x\.fa:1: record 'a' is empty"),
        (b">a\nACGT\n>b\n\n", r"x\.fa:3: record 'b' is empty"),
        (b">a\nACGT\nAC\0GT\n", r"x\.fa:3:3: NUL byte"),
        (b">a\nACGT\n>b \0\nAC\n", r"x\.fa:3:4: NUL byte"),
        (b">a caf\xc3\xa9\nACGT\n", r"x\.fa:1:7: non-ASCII byte 0xc3"),
        (b">a\nAC\xe9GT\n", r"x\.fa:2:3: non-ASCII byte 0xe9"),
        (b"\xef\xbb\xbf>a\nACGT\n", r"x\.fa:1: begins with a byte order mark"),
        (b"\xff\xfe>\0a\0\n\0", r"x\.fa:1: begins with a byte order mark \(UTF-16\)"),
        (b"  <!DOCTYPE html>\n<html>\n", r"x\.fa:1: begins with an HTML or XML page"),
        (b">a\nACGT\rACGT\n", r"x\.fa:2:5: line end unlike the first one"),
        (b">a\rACGT\rACGT\n", r"x\.fa:3:5: line end unlike the first one"),
        (b">a\rACGT\r\nACGT\r", r"x\.fa:3:1: line end unlike the first one"),
        (b">a\n" + b"ACGT" * 5000 + b">", r"x\.fa:2:20001: character '>'"),
        (b">" + b"a" * (2 << 20), r"x\.fa:1: a line of more than 1,048,576 bytes"),
        (b">a\nAC-GT\n", r"x\.fa:2:3: character '-'"),
        (b">a\nMKVLAT\n", r"x\.fa:2:4: letter 'L' is no nucleotide code \(protein\?\)"),
        (b">a\nMKVDSTAGHN\n", r"x\.fa:1: 6 of 10 letters are outside ACGTN"),
        (b"PK\x03\x04....", r"x\.fa:1: begins with a zip archive"),
    ],
)
def test_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        _read(tmp_path, data)
    assert "; " in str(caught.value), "a message says what to do"
    assert "\n" not in str(caught.value)


def test_records_before_a_bad_one_are_streamed(tmp_path: Path) -> None:
    path = tmp_path / "x.fa"
    path.write_bytes(b">a\nACGT\n>b\nAC!T\n")
    contigs = read_genome(str(path))
    assert next(contigs).name == "a"
    with pytest.raises(InputError, match=r"x\.fa:4"):
        next(contigs)


@pytest.mark.parametrize(
    ("header", "organelle"),
    [(b"chrM", True), (b"NC_1.1 Homo sapiens mitochondrion", True), (b"chr1", False), (b"X Mitogen gene", False)],
)
def test_organelles_are_told_by_name(tmp_path: Path, header: bytes, organelle: bool) -> None:
    assert _read(tmp_path, b">" + header + b"\nACGT\n")[0].organelle is organelle
