"""VCF and BCF that nobody should trust: each is refused with one line that names file, place and cure."""

import gzip
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genomics_fm.errors import InputError
from genomics_fm.genome import vcf_lines
from genomics_fm.genome.haplotypes import HaplotypeRecipe, Haplotypes
from genomics_fm.genome.variants import summarise
from tests.variants import vcf_text

GENOME = {"chr1": "ACGTACGTTTTTGCATGCAA", "chr2": "GGGGCCCCAANNTTACGTAC"}
RECORDS = ["3 G A,C 0|1 1|2", "8 TT T 0/1 ./.", "9 T A 0|1 1|1", "chr2:5 C CAT 1|1 0|0"]
DEFINED = ["INFO=<ID=END,Number=1,Type=Integer,Description=x>", "FORMAT=<ID=GT,Number=1,Type=String,Description=x>"]
GOOD = vcf_text(RECORDS, ("U", "V"), ["ID=chr1,length=20", "ID=chr2"])
HEADER_LINES = 4


def genome(folder: Path) -> str:
    path = folder / "genome.fa"
    path.write_text("".join(f">{name}\n{letters}\n" for name, letters in GENOME.items()))
    return str(path)


def read_all(location: str) -> None:
    """As the corpus builder reads."""
    haplotypes = Haplotypes(location, "", "yes", "", HaplotypeRecipe(random_phase=True))
    for name, letters in GENOME.items():
        haplotypes.window(name, 0, 20, letters.encode())
        haplotypes.finish_contig(name, 20)
    haplotypes.finish()


def refusal(read: Callable[[], object], location: str) -> str:
    """The message, which has one line and a cure."""
    with pytest.raises(InputError) as refused:
        read()
    message = str(refused.value)
    assert message.startswith(location)
    assert "\n" not in message
    assert "; " in message
    return message.removeprefix(location)


def check_refused(folder: Path, data: bytes, expected: str, name: str = "bad.vcf") -> None:
    path = folder / name
    path.write_bytes(data)
    location = str(path)
    assert expected in refusal(lambda: summarise(location, genome(folder)), location)
    assert expected in refusal(lambda: read_all(location), location)


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


def with_record(record: str) -> str:
    """The good file with one more record, on line 9."""
    return GOOD + vcf_text([record], ("U", "V")).splitlines()[-1] + "\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ":1: the file is empty"),
        ("\n", ":1: begins with ''"),
        ("<!DOCTYPE html>\n<html></html>\n", ":1: begins with '<!DOCTYPE html>'"),
        (">chr1\nACGT\n", ":1: begins with '>chr1'"),
        ("\ufeff" + GOOD, ":1: begins with "),
        (GOOD.replace("VCFv4.2", "VCFv3.3"), ":1: begins with "),
        (GOOD.partition("\n")[2], ":1: begins with '##contig"),
        (GOOD.replace("\n", "\r"), ":1: a lone carriage return"),
        (changed("##contig", "##con\0tig"), ":2: NUL byte"),
        (changed("##contig", "contig"), ":2: 'contig=<ID=chr1,length=20>' stands before the line '#CHROM'"),
        ("\n".join(GOOD.splitlines()[:3]), ":3: the header has no line '#CHROM'"),
        (GOOD.replace("\t", "    "), ":4: the columns are not"),
        (changed("#CHROM\tPOS", "#CHROM\tPOSITION"), ":4: the columns are not"),
        (changed("\tFORMAT", ""), ":4: the columns are not"),
        (changed("U\tV", "U\tU"), ":4: sample 'U' stands twice"),
        (changed("U\tV", "U\t"), ":4: a sample without a name"),
        ("\n".join([*GOOD.splitlines()[:4], ""]), ""),
        (changed("chr1\t9", "\nchr1\t9"), ":7: a blank line among the records"),
        (changed("chr1\t9", "##late\nchr1\t9"), ":7: a header line among the records"),
        (changed("chr1\t9\t.\tT\tA\t.", "chr1 9 . T A ."), ":7: 6 columns"),
        (changed("\t0|1\t1|1", ""), ":7: 9 columns"),
        (changed("\t0|1\t1|1", "\t0|1"), ":7: chr1:9: fewer columns than the header's 2 samples"),
        (changed("\t0|1\t1|1", "\t0|1\t1|1\t1|1"), ":7: chr1:9: more columns than the header's 2 samples"),
        (GOOD[: GOOD.rindex("\t")], ":8: chr2:5: fewer columns"),
        (changed("chr1\t9", "chr1\tnine"), ":7: contig 'chr1', position 'nine'"),
        (changed("chr1\t9", "chr1\t-9"), ":7: contig 'chr1', position '-9'"),
        (changed("chr1\t9", "chr1\t9.0"), ":7: contig 'chr1', position '9.0'"),
        (changed("chr1\t9", "\t9"), ":7: contig '', position '9'"),
        (changed("chr1\t9", "ch\0r1\t9"), ":7: contig 'ch\\x00r1'"),
        (changed("chr1\t3", "chr1\t0"), ":5: chr1:0: a position outside the contig"),
        (changed("chr2\t5", "chr2\t50"), ":8: chr2:50: outside the contig of 20 nt"),
        (changed("chr2\t5\t.\tC", "chr2\t20\t.\tCA"), ":8: chr2:20: "),
        (changed("chr2\t5", "chr2\t99999999999999999999"), ":8: "),
        (changed("chr2\t5\t.\tC", "chr2\t5\t.\tG"), ":8: chr2:5: REF 'G' is not the genome's 'C'"),
        (changed("\tTT\tT\t", "\tTX\tT\t"), ":6: chr1:8: REF 'TX' holds more than the letters ACGTN"),
        (changed("\tTT\tT\t", "\t\tT\t"), ":6: chr1:8: REF '' holds more"),
        (changed("\tTT\tT\t", "\tTT\tT?\t"), ":6: chr1:8: ALT 'T?' is not ACGTN"),
        (changed("\tTT\tT\t", "\tTT\tT,\t"), ":6: chr1:8: ALT '' is not ACGTN"),
        (changed("\tTT\tT\t", "\tTT\t<DEL\t"), ":6: chr1:8: ALT '<DEL' is not ACGTN"),
        (changed("\tTT\tT\t", "\tTT\tT\0\t"), ":6: chr1:8: ALT "),
        (changed("\tTT\tT\t", "\tTT\tTT\t"), ":6: chr1:8: ALT 'TT' equals REF"),
        (changed("\tTT\tT\t", "\tTT\t" + ",".join(126 * ["T"]) + "\t"), ":6: chr1:8: 126 ALT alleles"),
        (changed("1|2", "1|3"), ":5: chr1:3: sample V: an allele number with no ALT"),
        (changed("1|2", "1|x"), ":5: chr1:3: sample V: a malformed genotype"),
        (changed("1|2", "1|1|1"), ":5: chr1:3: sample V: a genotype of three or more alleles"),
        (changed("GT\t0/1", "DP\t0/1"), ":6: chr1:8: FORMAT does not begin with GT"),
        (changed("GT\t0/1", "\t0/1"), ":6: chr1:8: FORMAT does not begin with GT"),
        (changed("chr1\t9", "chr1\t7"), ":7: chr1:7: stands after position 8"),
        (with_record("chr1:12 T A 0|1 0|1"), ":9: chr1:12: contig chr1 begins a second time"),
        (with_record("chr7:1 A C 0|1 0|1"), ":9: chr7:1: contig 'chr7' is not in the genome"),
        (with_record("2:12 N A 0|1 0|1"), ": contigs 'chr2' and '2' would be one"),
        (changed("length=20", "length=21"), ": the header gives chr1 21 nt, the genome 20"),
        (changed("length=20", "length=8"), ":6: chr1:8: outside the contig of 8 nt that the header gives"),
    ],
)
def test_malformed_text(tmp_path: Path, text: str, expected: str) -> None:
    if not expected:  # a header alone is a file without variants, and only `check` has something to say
        path = tmp_path / "none.vcf"
        path.write_text(text)
        read_all(str(path))
        assert "no record behind the header" in refusal(lambda: summarise(str(path), None), str(path))
        return
    check_refused(tmp_path, text.encode(), expected)


def compressed(folder: Path, index: bool = False) -> Path:
    path = folder / "good.vcf"
    path.write_text(GOOD)
    pysam.tabix_compress(str(path), f"{path}.gz", force=True)
    if index:
        pysam.tabix_index(f"{path}.gz", preset="vcf", force=True)
    return Path(f"{path}.gz")


def binary(folder: Path) -> Path:
    path = folder / "good-text.vcf"
    path.write_text(GOOD.replace("##contig", "".join(f"##{line}\n" for line in DEFINED) + "##contig", 1))
    binary = folder / "good.bcf"
    with pysam.VariantFile(str(path)) as source, pysam.VariantFile(str(binary), "wb", header=source.header) as sink:
        for record in source:
            sink.write(record)
    return binary


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


def test_good_files_are_good(tmp_path: Path) -> None:
    for path in (compressed(tmp_path, index=True), binary(tmp_path), tmp_path / "good.vcf"):
        assert "4 records" in summarise(str(path), genome(tmp_path))
        read_all(str(path))


def test_malformed_compression(tmp_path: Path) -> None:
    block, plain = compressed(tmp_path).read_bytes(), gzip.compress(GOOD.encode())
    check_refused(tmp_path, block[:-28], "block gzip without its end mark", "cut.vcf.gz")
    check_refused(tmp_path, block[: len(block) // 2], "block gzip without its end mark", "half.vcf.gz")
    check_refused(tmp_path, block[: len(block) // 2] + block[-28:], "gzip data are cut short", "hollow.vcf.gz")
    check_refused(tmp_path, flipped(block, len(block) // 2), "damaged gzip data", "flipped.vcf.gz")
    check_refused(tmp_path, plain[:-12], "the gzip data are cut short", "plain.vcf.gz")
    check_refused(tmp_path, flipped(plain, len(plain) // 2), "damaged gzip data", "plain-flipped.vcf.gz")


def test_malformed_bcf(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = binary(tmp_path).read_bytes()
    check_refused(tmp_path, data[:-28], "block gzip without its end mark", "cut.bcf")
    check_refused(tmp_path, data[: len(data) // 2] + data[-28:], "; fetch", "hollow.bcf")
    check_refused(tmp_path, flipped(data, len(data) - 50), "; fetch", "flipped.bcf")
    check_refused(tmp_path, gzip.decompress(data), "BCF without compression has no checksums", "bare.bcf")
    assert capfd.readouterr() == ("", "")


def test_an_index_that_is_broken_or_of_another_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = compressed(tmp_path, index=True)
    index = Path(f"{path}.tbi")
    good = index.read_bytes()
    for bad in (b"", b"nonsense", good[:40], gzip.compress(b"TBI\1" + bytes(40))):
        index.write_bytes(bad)
        with pytest.raises(InputError) as refused:
            summarise(str(path), genome(tmp_path))
        assert "bcftools index" in str(refused.value) or "not in the genome" in str(refused.value)
    assert capfd.readouterr() == ("", "")


def test_missing_files_and_folders(tmp_path: Path) -> None:
    assert "no such file" in refusal(lambda: read_all(f"{tmp_path}/absent.vcf"), str(tmp_path))
    assert "no such file" in refusal(lambda: read_all(str(tmp_path)), str(tmp_path))


def test_an_endless_line_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vcf_lines, "MAXIMUM_LINE_BYTES", 4 << 20)
    path = tmp_path / "bomb.vcf.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(GOOD.encode())
        for _ in range(64):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    message = refusal(lambda: read_all(str(path)), str(path))
    assert ":9: a line over 4,194,304 bytes" in message
    assert tracemalloc.get_traced_memory()[1] < 24 << 20
    tracemalloc.stop()


def check_fate(folder: Path, name: str, data: bytes) -> None:
    """Whatever the bytes are: a summary, or a refusal of one line; and the same for the builder."""
    path = folder / name
    path.write_bytes(data)
    for read in (lambda: summarise(str(path), str(folder / "genome.fa")), lambda: read_all(str(path))):
        try:
            said = read()
        except InputError as error:
            said = str(error)
            assert said.startswith(str(path))
        assert said is None or "\n" not in said


PIECES = [b"\t", b"\n", b"|", b".", b",", b":", b"0", b"T", b"*", b"<", b"", b"\xff", b"99", b"chr2\t", b"\r"]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """The good file with a few pieces replaced by others, its own or any."""
    data = GOOD.encode()
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(data)))
        end = begin + draw(st.integers(0, 12))
        piece = draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=4)))
        data = data[:begin] + piece + data[end:]
    return data


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=damaged())
def test_damaged_text_is_refused_or_read(tmp_path: Path, data: bytes) -> None:
    genome(tmp_path)
    check_fate(tmp_path, "damaged.vcf", data)


@pytest.mark.full
@settings(max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=damaged())
def test_damaged_text_is_refused_or_read_often(tmp_path: Path, data: bytes) -> None:
    genome(tmp_path)
    check_fate(tmp_path, "damaged.vcf", data)


def check_flips(folder: Path, seeds: range) -> None:
    genome(folder)
    good = {".vcf.gz": compressed(folder).read_bytes(), ".bcf": binary(folder).read_bytes()}
    for seed in seeds:
        for end, data in good.items():
            draw = random.Random(f"{seed}{end}")
            place = draw.randrange(len(data))
            check_fate(folder, f"flipped{end}", data[:place] + draw.randbytes(1) + data[place + 1 :])


def test_flipped_bytes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    check_flips(tmp_path, range(40))
    assert capfd.readouterr() == ("", "")


@pytest.mark.full
def test_flipped_bytes_often(tmp_path: Path) -> None:
    check_flips(tmp_path, range(2_000))
