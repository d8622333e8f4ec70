"""FASTA, GenBank and BED with something wrong: one line each that names file, line and cure; never anything else."""

import gzip
import lzma
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_fm.checks import check_files, describe
from genomics_fm.errors import InputError
from genomics_fm.genome import source
from tests.genomes import BGZF_END, bgzf_block, block_gzip

FASTA = b">one first\nACGTacgtNN\nACGTRU\n>two\nGATTACA\n"
LONG = FASTA + b">three\n" + b"ACGT" * 40 + b"\n"
GENBANK = b"""\
LOCUS       ONE                       20 bp    DNA     linear   UNA 01-JAN-2026
ACCESSION   ONE
VERSION     ONE.1
FEATURES             Location/Qualifiers
     source          1..20
                     /organism="Made up"
                     /chromosome="I"
     CDS             complement(join(1..6,9..>12))
                     /gene="abc"
                     /note="two
                     lines"
ORIGIN
        1 acgtacgtac gtacgtacgt
//
"""
BED = b"# assembly: x\none\t0\t10\ta\t1\t+\none\t2\t3\tb\t.\t-\n"
GENOME = b">one\n" + b"ACGT" * 3 + b"\n"


def gb(old: str, new: str) -> bytes:
    assert old.encode() in GENBANK
    return GENBANK.replace(old.encode(), new.encode(), 1)


def zstd(data: bytes) -> bytes:
    return pyarrow.compress(data, codec="zstd", asbytes=True)


CASES: dict[str, tuple[bytes, str]] = {
    "x.fa: empty": (b"", ":1: the file is empty"),
    "x.fa: blank lines": (b"\n\n\n", ":1: the file holds only blank lines"),
    "x.fa: no header": (b"ACGT\nACGT\n", ":1:1: text before the first '>name'"),
    "x.fa: text before the header": (b"my genome\n" + FASTA, ":1:1: text before the first"),
    "x.fa: blank before the header": (b"\n " + FASTA, ":2:1: text before the first"),
    "x.fa: old comment": (b";made up\n" + FASTA, ":1:1: text before the first"),
    "x.fa: FASTQ": (b"@r\nACGT\n+\nIIII\n", ":1:1: text before the first"),
    "x.fa: SAM": (b"@HD\tVN:1.6\n", ":1:1: text before the first"),
    "x.fa: GFF": (b"##gff-version 3\n", ":1:1: text before the first"),
    "x.fa: HTML": (b"<!DOCTYPE html>\n", ":1: begins with an HTML or XML page"),
    "x.fa: blank HTML": (b"\n  <html>\n", ":1: begins with an HTML or XML page"),
    "x.fa.gz: HTML in gzip": (gzip.compress(b"<html>\n"), ":1: begins with an HTML or XML page"),
    "x.fa: byte order mark": (b"\xef\xbb\xbf" + FASTA, ":1: begins with a byte order mark"),
    "x.fa: UTF-16": ("\ufeff>a\nACGT\n".encode("utf-16-le"), ":1: begins with a byte order mark (UTF-16)"),
    "x.fa: zip": (b"PK\x03\x04", ":1: begins with a zip archive"),
    "x.fa: bzip2": (b"BZh9", ":1: begins with bzip2 data"),
    "x.fa: 2bit": (b"\x43\x27\x41\x1a", ":1:1: text before the first"),
    "x.fa: no name": (b">\nACGT\n", ":1:2: header without a name"),
    "x.fa: blank name": (b">a\nAC\n> b\nAC\n", ":3:2: header without a name"),
    "x.fa: name twice": (b">a\nAC\n>b\nAC\n>a x\nGT\n", ":5: second record named 'a'"),
    "x.fa: empty record": (b">a\n>b\nAC\n", ":1: record 'a' is empty"),
    "x.fa: empty last record": (b">a\nAC\n>b", ":3: record 'b' is empty"),
    "x.fa: blank record": (b">a\n\n\n>b\nAC\n", ":1: record 'a' is empty"),
    "x.fa: NUL": (b">a\nAC\n\0\n", ":3:1: NUL byte"),
    "x.fa: NUL at the end": (FASTA + b"\0" * 512, ":6:1: NUL byte"),
    "x.fa: NUL in the header": (b">a\0b\nAC\n", ":1:3: NUL byte"),
    "x.fa: Latin-1": (b">a\nAC\xe9\n", ":2:3: non-ASCII byte 0xe9"),
    "x.fa: UTF-8 name": (">é\nAC\n".encode(), ":1:2: non-ASCII byte 0xc3"),
    "x.fa: no-break space": (b">a\nAC\xa0GT\n", ":2:3: non-ASCII byte 0xa0"),
    "x.fa: escape in the header": (b">a\x1b[31m\nAC\n", ":1:3: control character 0x1b"),
    "x.fa: protein": (b">p\nMKVLAAGIVGL\n", ":2:4: letter 'L' is no nucleotide code"),
    "x.fa: protein without its letters": (b">p\nMKVDSTAGHN\n", ":1: 6 of 10 letters are outside ACGTN"),
    "x.fa: stop codon": (b">p\nACGT*\n", ":2:5: letter '*'"),
    "x.fa: gap": (b">a\nAC--GT\n", ":2:3: character '-'"),
    "x.fa: digits": (b">a\n1 ACGT\n", ":2:1: character '1'"),
    "x.fa: blank in the sequence": (b">a\nACGT ACGT\n", ":2:5: character ' '"),
    "x.fa: mark within a line": (b">a\nACGT>b\nAC\n", ":2:5: character '>'"),
    "x.fa: CR among LF": (b">a\nAC\rGT\n", ":2:3: line end unlike the first one"),
    "x.fa: LF among CR": (b">a\rAC\rGT\nGT\r", ":3:3: line end unlike the first one"),
    "x.fa: endless header": (b">" + b"a" * (3 << 20), ":1: a line of more than 1,048,576 bytes"),
    "x.fa.gz: cut gzip": (gzip.compress(LONG)[:-9], "the gzip data are cut short; fetch"),
    "x.fa.gz: gzip of nothing": (gzip.compress(b""), ":1: the file is empty"),
    "x.fa.gz: gzip header alone": (gzip.compress(LONG)[:10], ":1: the gzip data are cut short"),
    "x.fa.gz: wrong checksum": (gzip.compress(LONG)[:-8] + bytes(8), "damaged gzip data"),
    "x.fa.gz: text behind gzip": (gzip.compress(LONG) + b"ACGT", ":8: damaged gzip data"),
    "x.fa.gz: second member cut": (
        gzip.compress(LONG) + gzip.compress(b"AC\n")[:-4],
        ":9: the gzip data are cut short",
    ),
    "x.fa.gz: block gzip without its end": (bgzf_block(LONG), ":8: block gzip without its end mark"),
    "x.fa.gz: block gzip cut": (block_gzip(LONG)[: -len(BGZF_END) - 5], "the gzip data are cut short"),
    "x.fa.xz: cut xz": (lzma.compress(LONG)[:-1], ":8: the xz data are cut short"),
    "x.fa.xz: damaged xz": (lzma.compress(LONG)[:40] + b"\xff" + lzma.compress(LONG)[41:], "damaged xz data"),
    "x.fa.zst: cut zstd": (zstd(LONG)[:-1], "the zstd data are cut short"),
    "x.fa.zst: text behind zstd": (zstd(LONG) + b"text text", "damaged zstd data"),
    "x.gb: no length": (gb("20 bp", "bp"), ":1: LOCUS line without name and length"),
    "x.gb: another length": (gb("20 bp", "21 bp"), ":1: LOCUS says 21 bp, ORIGIN holds 20"),
    "x.gb: endless length": (gb("20 bp", "9" * 5000 + " bp"), ":1: LOCUS line without name and length"),
    "x.gb: protein": (gb("20 bp", "20 aa"), ":1: a protein record"),
    "x.gb: no sequence": (gb("ORIGIN\n        1 acgtacgtac gtacgtacgt\n", ""), ":1: record without ORIGIN"),
    "x.gb: empty sequence": (gb("        1 acgtacgtac gtacgtacgt\n", ""), ":1: LOCUS says 20 bp, ORIGIN holds 0"),
    "x.gb: nothing of nothing": (b"LOCUS A 0 bp\nORIGIN\n//\n", ":1: record 'A' is empty"),
    "x.gb: cut in the features": (GENBANK[:300], "the file ends within a record; it is cut short"),
    "x.gb: cut in the sequence": (GENBANK[:-12], ":13: record without its closing //"),
    "x.gb: no end": (gb("//\n", ""), ":14: record without its closing //"),
    "x.gb: no end before the next": (gb("//\n", "") + GENBANK, ":14: record without its closing //"),
    "x.gb: text between records": (GENBANK + b"hello\n" + GENBANK, ":15: text after //"),
    "x.gb: record twice": (GENBANK + GENBANK, ":15: second record named 'ONE.1'"),
    "x.gb: letter": (gb("1 acgt", "1 acet"), ":13:13: letter 'e'"),
    "x.gb: NUL in the sequence": (gb("1 acgt", "1 ac\0t"), ":13:13: NUL byte"),
    "x.gb: NUL in the features": (gb("Made up", "Made\0up"), ":6:37: NUL byte"),
    "x.gb: Latin-1 organism": (GENBANK.replace(b"Made up", b"Mad\xe9 up"), ":6:36: non-ASCII byte 0xe9"),
    "x.gb: location outside": (gb("9..>12", "9..>21"), ":8: CDS: location 9..>21 does not lie in 1..20"),
    "x.gb: location of another record": (gb("1..6", "X1:1..6"), ":8: CDS: location 'X1:1..6' is not understood"),
    "x.gb: location backwards": (gb("9..>12", "12..9"), ":8: CDS: location 12..9 does not lie"),
    "x.gb: endless location": (gb("1..6", "1.." + "6" * 5000), ":8: CDS: "),
    "x.gb: deep location": (gb("1..6", "join(" * 20_000 + "1..6" + ")" * 20_000), ":8: CDS: location"),
    "x.gb: not a feature": (gb("     CDS", "   CDS"), ":8: line of the feature table not understood"),
    "x.bed: two columns": (b"one\t0\t1\none\t3\n", ":2: 2 columns after lines of 3"),
    "x.bed: blanks": (b"one 0 1\n", ":1: 1 columns; give contig, start and end separated by tabs"),
    "x.bed: negative": (b"one\t-1\t1\n", ":1: start '-1' is no position"),
    "x.bed: float": (b"one\t0\t1e3\n", ":1: end '1e3' is no position"),
    "x.bed: endless number": (b"one\t0\t" + b"9" * 5000 + b"\n", ":1: end '999"),
    "x.bed: backwards": (b"one\t5\t4\n", ":1: interval 5-4 is empty"),
    "x.bed: empty interval": (b"one\t5\t5\n", ":1: interval 5-5 is empty"),
    "x.bed: no contig": (b"\t5\t6\n", ":1: contig ''"),
    "x.bed: score": (b"one\t5\t6\tx\thigh\n", ":1: score 'high'"),
    "x.bed: strand": (b"one\t5\t6\tx\t1\tplus\n", ":1: strand 'plus'"),
    "x.bed: NUL": (b"one\t5\t6\0\n", ":1:8: NUL byte"),
    "x.bed: two assemblies": (b"# assembly: a\n# assembly: b\n", ":2: a second assembly, 'b'"),
    "x.bed: half a sum": (b"# assembly_sha256: 0a1b\n", ":1: assembly_sha256 is not 64"),
    "x.bed: unknown contig": (b"two\t0\t1\n", ":1: no contig 'two' in"),
    "x.bed: past the end": (b"one\t0\t13\n", ":1: end 13 lies past the end of one"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_malformed_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    data, words = CASES[case]
    path, genome = tmp_path / case.partition(":")[0], tmp_path / "genome.fa"
    path.write_bytes(data)
    genome.write_bytes(GENOME)
    assert check_files([str(path)], str(genome)) == InputError.exit_code
    out, err = capsys.readouterr()
    (line,) = (line for line in err.splitlines() if not line.startswith("check: "))
    assert out == ""
    assert line.startswith(f"error: {path}:")
    assert words in line
    assert "; " in line, "it says what to do"
    assert len(line) < 400 + 2 * len(str(path))


def test_the_good_files_are_good(tmp_path: Path) -> None:
    for name, data in (("x.fa", FASTA), ("x.gb", GENBANK), ("x.bed", BED)):
        (tmp_path / name).write_bytes(data)
        assert describe(str(tmp_path / name))


MEMBER_BYTES, MEMBERS = 16 << 20, 64  # 1 GiB in all, in a file of about 1 MB
MEASURE = """\
import resource, sys
from genomics_fm.checks import check_files
small, bomb = sys.argv[1:]
check_files([small], None)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
code = check_files([bomb], None)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, code)
"""


@pytest.mark.parametrize(
    ("name", "head", "repeated", "code", "words", "limit_mib"),
    [
        ("endless contig", b">a\n", b"A", 0, "1 records, 1,073,741,824 nt", 32),
        ("zeros", b">a\n", b"\0", 2, ":2:1: NUL byte", 32),
        ("line ends", b"", b"\n", 2, "only blank lines", 32),
        ("header", b"", b">", 2, "a line of more than", 32),
        pytest.param(
            *("features", b"LOCUS A 1 bp\n", b"COMMENT     12345678901\n", 2, "bytes without ORIGIN; give", 400),
            marks=pytest.mark.full,
        ),
        ("one feature", b"LOCUS A 1 bp\n", b"A", 2, "a line of more than", 32),
    ],
)
def test_a_gzip_bomb_does_not_fill_the_memory(
    tmp_path: Path, name: str, head: bytes, repeated: bytes, code: int, words: str, limit_mib: int
) -> None:
    small, bomb = tmp_path / "small.fa.gz", tmp_path / "bomb.gz"
    small.write_bytes(gzip.compress(FASTA))
    member = gzip.compress(repeated * (MEMBER_BYTES // len(repeated)))
    bomb.write_bytes((gzip.compress(head) if head else b"") + member * MEMBERS)
    assert bomb.stat().st_size < 4 << 20
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(small), str(bomb)], capture_output=True, text=True, check=True, timeout=300
    )
    grown_kib, ended = map(int, done.stdout.splitlines()[-1].split())
    assert ended == code, done.stderr
    assert words in done.stdout + done.stderr, name
    assert grown_kib < limit_mib << 10, name


def outcome(path: Path) -> str:
    """What `describe` says, or its error; anything but an `InputError` is a failure of the test."""
    try:
        return describe(str(path))
    except InputError as error:
        assert "\n" not in str(error)
        assert "; " in str(error)
        return str(error)


GOOD = {"x.fa": FASTA, "x.gb": GENBANK, "x.bed": BED}
PIECES = st.sampled_from(
    [bytes([byte]) for byte in b'>\n\r\t\0ACGTacgtURE1*" \xff']
    + [b"\r\n", b"N" * 70, b"LOCUS", b"ORIGIN\n", b"//\n", b"     CDS   ", b"join(", b")", b"..", b" " * 21, b"/gene="]
    + [b"# assembly: ", b"\t9\t"]
)
PACKINGS = st.sampled_from([bytes, gzip.compress, lzma.compress, zstd, bgzf_block, block_gzip])


@st.composite
def mutated(draw: st.DrawFn, good: bytes) -> bytes:
    """A good file with a few bytes cut out, put in or exchanged; perhaps compressed, and then changed again."""
    data = draw(PACKINGS)(_changed(draw, good)) if draw(st.booleans()) else _changed(draw, good)
    return _changed(draw, data) if draw(st.integers(0, 3)) == 0 else data


def _changed(draw: st.DrawFn, data: bytes) -> bytes:
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(data)))
        cut = draw(st.integers(0, 8))
        data = data[:place] + draw(st.one_of(PIECES, st.binary(max_size=4))) + data[place + cut :]
    return data


ANY_FILE = st.sampled_from(sorted(GOOD)).flatmap(
    lambda name: st.tuples(
        st.just(name),
        st.one_of(mutated(GOOD[name]), st.binary(max_size=80), st.lists(PIECES, max_size=30).map(b"".join)),
    )
)
CHUNKS = st.sampled_from([1, 2, 7, 64])


def check_any_file(folder: Path, named: tuple[str, bytes], chunk_bytes: int) -> None:
    name, data = named
    (folder / name).write_bytes(data)
    whole = outcome(folder / name)
    with mock.patch.object(source, "CHUNK_BYTES", chunk_bytes):
        in_pieces = outcome(folder / name)
    # Where compressed data are damaged, how far the text came before it was noticed may differ.
    assert in_pieces == whole or "damaged" in whole + in_pieces or "cut short" in whole + in_pieces


@settings(max_examples=200, deadline=None)
@given(ANY_FILE, CHUNKS)
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, named: tuple[str, bytes], chunk_bytes: int
) -> None:
    check_any_file(tmp_path_factory.getbasetemp(), named, chunk_bytes)


@pytest.mark.full
@settings(max_examples=20_000, deadline=None)
@given(ANY_FILE, CHUNKS)
def test_any_bytes_are_read_or_refused_many(
    tmp_path_factory: pytest.TempPathFactory, named: tuple[str, bytes], chunk_bytes: int
) -> None:
    check_any_file(tmp_path_factory.getbasetemp(), named, chunk_bytes)
