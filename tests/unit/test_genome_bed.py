"""Strict BED, by hand."""

import gzip
from pathlib import Path

import pytest

from genomics_fm.errors import InputError
from genomics_fm.genome import bed
from genomics_fm.genome.bed import Bed, BedInterval, read_bed

SHA = "0123456789abcdef" * 4
TEXT = f"""\
# made up
# assembly: GRCh37
#assembly_sha256:{SHA}
browser position chr1:1-10
track name="x"

chr1\t0\t10\ta\t5.5\t+
chr2\t7\t8\t\t.\t-
chr1\t0\t10\tb\t-1e3\t.
"""
INTERVALS = (
    BedInterval("chr1", 0, 10, "a", 5.5, "+", 7),
    BedInterval("chr2", 7, 8, "", 0.0, "-", 8),
    BedInterval("chr1", 0, 10, "b", -1000.0, ".", 9),
)
SHARED = Path(__file__).parents[2] / ".." / "shared" / "data" / "peaks"


def _read(folder: Path, data: bytes) -> Bed:
    path = folder / "x.bed"
    path.write_bytes(data)
    return read_bed(str(path))


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.encode().replace(b"\n", b"\r\n"),
        TEXT.encode().replace(b"\n", b"\r"),
        TEXT.encode()[:-1],
        gzip.compress(TEXT.encode()),
    ],
    ids=["LF", "CRLF", "CR", "no last LF", "gzip"],
)
def test_read(tmp_path: Path, data: bytes) -> None:
    assert _read(tmp_path, data) == Bed("GRCh37", SHA, INTERVALS)


def test_three_columns_and_no_header(tmp_path: Path) -> None:
    assert _read(tmp_path, b"1\t2\t3\n") == Bed("", "", (BedInterval("1", 2, 3, line=1),))
    assert _read(tmp_path, b"# nothing found\n") == Bed("", "", ())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"x\.bed:1: the file is empty"),
        (b"1\t2\t3\n1\t2\n", r"x\.bed:2: 2 columns after lines of 3"),
        (b"1\t2\n", r"x\.bed:1: 2 columns; give contig"),
        (b"1 2 3\n", r"x\.bed:1: 1 columns; give contig, start and end separated by tabs"),
        (b"\t2\t3\n", r"x\.bed:1: contig ''"),
        (b" 1\t2\t3\n", r"x\.bed:1: contig ' 1'"),
        (b"1\t-2\t3\n", r"x\.bed:1: start '-2' is no position"),
        (b"1\t2\t3.0\n", r"x\.bed:1: end '3\.0' is no position"),
        (b"1\t2\t1000000000000000\n", r"x\.bed:1: end '1000000000000000' is no position"),
        (b"1\t3\t3\n", r"x\.bed:1: interval 3-3 is empty"),
        (b"1\t4\t3\n", r"x\.bed:1: interval 4-3 is empty"),
        (b"1\t2\t3\tn\tnan\n", r"x\.bed:1: score 'nan'"),
        (b"1\t2\t3\tn\t1\t*\n", r"x\.bed:1: strand '\*'"),
        (b"1\t2\t3\tcaf\xc3\xa9\n", r"x\.bed:1:10: non-ASCII byte 0xc3"),
        (b"1\t2\t3\n1\t2\0\t3\n", r"x\.bed:2:4: NUL byte"),
        (b"# assembly: a\n# assembly: b\n1\t2\t3\n", r"x\.bed:2: a second assembly, 'b' after 'a'"),
        (b"# assembly_sha256: ABC\n", r"x\.bed:1: assembly_sha256 is not 64"),
        (b"<html>\n", r"x\.bed:1: begins with an HTML"),
        (b"1" * (2 << 20), r"x\.bed:1: a line of more than"),
    ],
)
def test_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        _read(tmp_path, data)
    assert "; " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_many_intervals_are_refused_before_they_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bed, "MAX_INTERVALS", 2)
    with pytest.raises(InputError, match=r"x\.bed:9: more than 2 intervals"):
        _read(tmp_path, TEXT.encode())


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data/peaks")
def test_real_peaks() -> None:
    location = str(SHARED / "chromatin_bed_hg19_chr20" / "CTCF.coad.ENCFF230HWI.bed.gz")
    intervals = read_bed(location).intervals
    assert len(intervals) > 100
    assert {interval.contig for interval in intervals} == {"chr20"}
