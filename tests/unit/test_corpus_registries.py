import gzip
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from genomics_fm.corpus import registry_tables
from genomics_fm.corpus.registries import ENSEMBL, VERTEBRATE, read_ensembl, read_lineage, read_ncbi
from genomics_fm.errors import InputError
from tests.assembly_tables import ENSEMBL_HEAD, NCBI_HEAD, ensembl_row, lineage_row, ncbi_row, write_lineage, write_ncbi


def write(folder: Path, text: str | bytes, name: str = "table") -> str:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_a_candidate_of_ncbi(tmp_path: Path) -> None:
    left_out: Counter[str] = Counter()
    (row,) = read_ncbi(write(tmp_path, NCBI_HEAD + ncbi_row(organism_name='S. "x" é')), left_out).to_dicts()
    folder = "https://ftp.ncbi.nlm.nih.gov/genomes/all/GCF/000/146/045/GCF_000146045.2_R64"
    assert row == {
        "accession": "GCF_000146045.2",
        "species_taxid": 4932,
        "name": 'S. "x" é',
        "clade": "Fungi",
        "category": 0,
        "level": 0,
        "date": "2014/12/17",
        "location": f"{folder}/GCF_000146045.2_R64_genomic.fna.gz",
        "registry": 0,
    }
    assert not left_out


def test_what_is_left_out_is_counted_by_its_first_reason(tmp_path: Path) -> None:
    rows = [
        {"version_status": "replaced", "genome_rep": "Partial"},
        {"version_status": "suppressed"},
        {"genome_rep": "Partial"},
        {"excluded_from_refseq": "contaminated"},
        {"ftp_path": "na"},
        {"group": "plant"},
        {"group": "viral"},
        {"group": "plant"},
        {"group": "invertebrate"},
        {"group": "vertebrate_other", "excluded_from_refseq": ""},
    ]
    left_out: Counter[str] = Counter()
    frame = read_ncbi(write(tmp_path, NCBI_HEAD + "".join(ncbi_row(**row) for row in rows)), left_out)
    assert frame["clade"].to_list() == ["Protozoa", VERTEBRATE]
    assert left_out == {
        "not the latest version": 2,
        "part of a genome": 1,
        "excluded from RefSeq": 1,
        "no file": 1,
        "no clade of the paper: plant": 2,
        "no clade of the paper: viral": 1,
    }


def test_ranks_of_category_and_level(tmp_path: Path) -> None:
    rows = [
        ncbi_row(refseq_category=category, assembly_level=level)
        for category in ("reference genome", "representative genome", "na")
        for level in ("Complete Genome", "Chromosome", "Scaffold", "Contig")
    ]
    frame = read_ncbi(write(tmp_path, NCBI_HEAD + "".join(rows)), Counter())
    assert frame["category"].to_list() == [0] * 4 + [1] * 4 + [2] * 4
    assert frame["level"].to_list() == [0, 1, 2, 3] * 3


def test_older_heads_gzip_and_crlf_read_the_same(tmp_path: Path) -> None:
    table = NCBI_HEAD + ncbi_row() + ncbi_row(ftp_path="ftp://ftp.ncbi.nlm.nih.gov/x/y", group="protozoa")
    expected = read_ncbi(write(tmp_path, table), Counter())
    assert expected["location"][1] == "https://ftp.ncbi.nlm.nih.gov/x/y/y_genomic.fna.gz"
    older = table.replace("##  See", "#   See").replace("#assembly", "# assembly").removesuffix("\n")
    assert read_ncbi(write(tmp_path, older), Counter()).equals(expected)
    assert read_ncbi(write(tmp_path, gzip.compress(table.encode())), Counter()).equals(expected)
    assert read_ncbi(write(tmp_path, table.replace("\n", "\r\n")), Counter()).equals(expected)


def test_small_chunks_give_the_same_and_say_how_far_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(write_ncbi(tmp_path / "many.txt", 300))
    counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    expected = read_ncbi(path, counts[0])
    monkeypatch.setattr(registry_tables, "CHUNK_BYTES", 10_000)
    lines: list[int] = []
    assert read_ncbi(path, counts[1], lambda _, line: lines.append(line)).equals(expected)
    assert counts[0] == counts[1]
    assert sum(counts[0].values()) + len(expected) == 300
    assert len(lines) > 10 and lines == sorted(lines) and lines[-1] == 302
    broken = Path(path).read_text().replace("strain 250\t", "strain\t250\t")
    with pytest.raises(InputError, match=r":253: 39 columns instead of 38"):
        read_ncbi(write(tmp_path, broken), Counter())


def test_vertebrates_of_ensembl(tmp_path: Path) -> None:
    table = (
        ENSEMBL_HEAD
        + ensembl_row("homo_sapiens", 9606, "GRCh38", "GCA_000001405.29")
        + ensembl_row("bos_grunniens", 30521, "LU Bosgru v3.0", "").removesuffix("\t\n")
        + "\n"
        + ensembl_row("zea_mays", 4577, "B73", "GCA_1.1", "EnsemblPlants")
    )
    left_out: Counter[str] = Counter()
    human, yak = read_ensembl(write(tmp_path, table), 115, left_out).to_dicts()
    assert human["location"] == (f"{ENSEMBL}/release-115/fasta/homo_sapiens/dna/Homo_sapiens.GRCh38.dna.toplevel.fa.gz")
    assert (human["accession"], human["name"], human["species_taxid"]) == ("GCA_000001405.29", "Homo sapiens", 9606)
    assert (human["clade"], human["registry"]) == (VERTEBRATE, 1)
    assert (yak["accession"], yak["location"].split("/")[-1]) == (
        "LU_Bosgru_v3.0",
        "Bos_grunniens.LU_Bosgru_v3.0.dna.toplevel.fa.gz",
    )
    assert left_out == {"no vertebrate of Ensembl": 1}
    with pytest.raises(InputError, match="--ensembl-release 0"):
        read_ensembl(write(tmp_path, table), 0, left_out)


def test_lineages_of_the_wanted_only(tmp_path: Path) -> None:
    table = (
        lineage_row(1, "root")
        + lineage_row(9606, "Homo sapiens", genus="Homo", family="Hominidae", order="Primates", class_="Mammalia")
        + lineage_row(8468, "Testudines | x")
    )
    frame = read_lineage(write(tmp_path, table), pl.Series([9606, 9606, 8468, 5]))
    assert frame.rows() == [
        (9606, "Homo sapiens", "", "Homo", "Hominidae", "Primates", "Mammalia"),
        (8468, "Testudines | x", "", "", "", "", ""),
    ]
    many = write_lineage(tmp_path / "many.dmp", 2_000)
    assert len(read_lineage(str(many), pl.Series(range(0, 500)))) == 50


ROW = ncbi_row()
NCBI_CASES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", ":1: the file is empty"),
    "HTML": ("\n<html></html>", ":1: an HTML or XML page"),
    "no header": (ROW, ":1: no header line that begins with #"),
    "no column group": (NCBI_HEAD.replace("\tgroup\t", "\tgrp\t") + ROW, ":2: no column group"),
    "a column short": (NCBI_HEAD + ROW + ROW.replace("\tMajor\t", "\t"), ":4: 37 columns instead of 38"),
    "a blank line": (NCBI_HEAD + ROW + "\n" + ROW, ":4: 1 columns instead of 38"),
    "cut": (NCBI_HEAD + ROW + ROW[:150], ":4: 20 columns instead of 38"),
    "taxid": (NCBI_HEAD + ROW + ROW + ncbi_row(taxid="yeast"), ":5: taxid 'yeast' is not a taxonomy id"),
    "accession": (NCBI_HEAD + ncbi_row(assembly_accession="R64"), ":3: assembly_accession 'R64' is not an accession"),
    "level": (NCBI_HEAD + ncbi_row(assembly_level="Draft"), ":3: assembly_level 'Draft' is not one of"),
    "date": (NCBI_HEAD + ncbi_row(seq_rel_date="17.12.2014"), ":3: seq_rel_date '17.12.2014' is not a date"),
    "path": (NCBI_HEAD + ncbi_row(ftp_path="file:///etc/x"), ":3: ftp_path 'file:///etc/x' is not a URL"),
    "no name": (NCBI_HEAD + ncbi_row(organism_name=" "), ":3: organism_name ' ' is not a name"),
    "NUL": (NCBI_HEAD + ROW + ROW.replace("R64", "R\0"), ":4: the control character 0x00"),
    "old Mac line ends": ((NCBI_HEAD + ROW).replace("\n", "\r"), ":1: no column assembly_accession"),
    "Latin-1": (NCBI_HEAD.encode() + ROW.encode() + ROW.replace("S288C", "é").encode("latin-1"), ":4: not UTF-8"),
    "cut gzip": (gzip.compress((NCBI_HEAD + ROW).encode())[:-12], ": the gzip data are damaged"),
    "UTF-16": ((NCBI_HEAD + ROW).encode("utf-16"), ":1: "),
}


@pytest.mark.parametrize("name", NCBI_CASES)
def test_a_malformed_summary(tmp_path: Path, name: str) -> None:
    content, words = NCBI_CASES[name]
    path = write(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read_ncbi(path, Counter())
    assert str(caught.value).startswith(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value) and "; " in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lineage_row(5, "x").replace("\t|\t", ","), ":1: 1 columns, fewer than 7"),
        (lineage_row(5, "x") + lineage_row(6, "y").replace("\t|\t", "|", 1), ":2: 9 columns instead of 10"),
        (lineage_row(5, "x") + "six" + lineage_row(6, "y")[1:], ":2: taxid 'six'"),
        (lineage_row(5, "x") + lineage_row(6, ""), ":2: tax_name ''"),
    ],
)
def test_a_malformed_lineage(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_lineage(write(tmp_path, content), pl.Series([5, 6]))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (ensembl_row("Homo sapiens", 9606, "GRCh38", "x"), ":2: species 'Homo sapiens'"),
        (ensembl_row("homo_sapiens", 9606, "../GRCh38", "x"), ":2: assembly '../GRCh38'"),
        (ensembl_row("homo_sapiens", 9606, "GRCh38", "x\tx\tx"), ":2: 18 columns instead of 15"),
    ],
)
def test_a_malformed_species_table(tmp_path: Path, row: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_ensembl(write(tmp_path, ENSEMBL_HEAD + row), 115, Counter())


def test_a_table_that_is_not_there_or_has_no_line_ends(tmp_path: Path) -> None:
    for path in (tmp_path / "no.txt", tmp_path):
        with pytest.raises(InputError, match="give NCBI's assembly_summary"):
            read_ncbi(str(path), Counter())
    endless = tmp_path / "endless"
    with endless.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match="a line of more than"):
        read_ncbi(str(endless), Counter())
