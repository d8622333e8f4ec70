"""Strict GenBank, read through `read_genome`."""

from pathlib import Path

import pytest

from genomics_fm.errors import InputError
from genomics_fm.genome import source
from genomics_fm.genome.reader import read_genome
from genomics_fm.genome.records import Contig, Feature

RECORD = """\
LOCUS       TEST01                    72 bp    DNA     linear       01-JAN-2026
DEFINITION  A test.
ACCESSION   TEST01
VERSION     TEST01.2
FEATURES             Location/Qualifiers
     source          1..72
                     /organism="Testus
                     exemplaris"
                     /chromosome="IV"
     CDS             complement(join(<1..9,
                     20..30,
                     40..>45))
                     /gene="abc1"
                     /locus_tag="T_001"
                     /note="says ""no"" and
                     /gene=not this one"
                     /codon_start=1
                     /pseudo
     tRNA            order(50..52,60..61)
                     /locus_tag="T_002"
                     /anticodon=(pos:50..52,
                     aa:Ile)
BASE COUNT       18 a     18 c     18 g     18 t
ORIGIN
        1 acgtacgtac gtacgtacgt acgtacgtac gtacgtacgt acgtacgtac gtacgtacgt
       61 acgtacgtac gt
//
"""
SECOND = RECORD.replace("TEST01", "TEST02").replace('/chromosome="IV"', '/organelle="mitochondrion"')


def _read(folder: Path, text: str) -> list[Contig]:
    path = folder / "x.gb"
    path.write_bytes(text.encode("latin-1"))
    return list(read_genome(str(path)))


def test_one_record(tmp_path: Path) -> None:
    assert _read(tmp_path, RECORD) == [
        Contig(
            name="TEST01.2",
            sequence="ACGT" * 18,
            location=str(tmp_path / "x.gb"),
            chromosome="IV",
            organism="Testus exemplaris",
            features=(
                Feature("source", ((0, 72),), 1, ""),
                Feature("CDS", ((0, 9), (19, 30), (39, 45)), -1, "abc1"),
                Feature("tRNA", ((49, 52), (59, 61)), 1, "T_002"),
            ),
        )
    ]


def test_several_records_and_an_organelle(tmp_path: Path) -> None:
    first, second = _read(tmp_path, RECORD + SECOND)
    assert (first.name, first.organelle, first.line) == ("TEST01.2", False, 1)
    assert (second.name, second.organelle, second.line) == ("TEST02.2", True, 28)
    assert second.chromosome == ""


@pytest.mark.parametrize("size", [1, 6, 7, 50])
def test_chunks_and_line_ends_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    whole = _read(tmp_path, RECORD + SECOND)
    monkeypatch.setattr(source, "CHUNK_BYTES", size)
    assert _read(tmp_path, (RECORD + SECOND).replace("\n", "\r\n")) == whole


def test_name_falls_back_and_features_may_be_absent(tmp_path: Path) -> None:
    bare = RECORD[: RECORD.index("ACCESSION")] + RECORD[RECORD.index("ORIGIN") :]
    contig = _read(tmp_path, bare)[0]
    assert (contig.name, contig.features, contig.chromosome) == ("TEST01", (), "")
    contig = _read(tmp_path, RECORD.replace("VERSION     TEST01.2\n", ""))[0]
    assert contig.name == "TEST01"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("72 bp", "73 bp", r"x\.gb:1: LOCUS says 73 bp, ORIGIN holds 72"),
        ("72 bp", "72 aa", r"x\.gb:1: a protein record"),
        ("72 bp", "bp", r"x\.gb:1: LOCUS line without"),
        ("\n//\n", "\n", r"x\.gb:27: record without its closing //"),
        ("\n//\n", "\n//\nmore\n", r"x\.gb:28: text after //"),
        ("ORIGIN", "CONTIG", r"x\.gb:1: record without ORIGIN"),
        ("ORIGIN", "ORIGIN\n//\nORIGIN", r"x\.gb:27: no LOCUS line where|x\.gb:26: text after //"),
        (RECORD[RECORD.index("ORIGIN") :], "", r"x\.gb:24: the file ends within a record"),
        ("        1 acgtacgtac", "        1 aegtacgtac", r"x\.gb:25:12: letter 'e'"),
        ("       61 acgtacgtac gt\n", "", r"x\.gb:1: LOCUS says 72 bp, ORIGIN holds 60"),
        ("LOCUS   ", "LOCUM   ", r"x\.gb:1: no LOCUS line"),
        ("72 bp", f"{'9' * 5000} bp", r"x\.gb:1: LOCUS line without"),
        ("61 acgt", "61 acet", r"x\.gb:26:13: letter 'e'"),
        ("61 acgt", "61 ac\0t", r"x\.gb:26:13: NUL byte"),
        ("A test.", "A t\xe9st.", r"x\.gb:2:16: non-ASCII byte 0xe9"),
        ("50..52,60", "50..52,80", r"x\.gb:19: tRNA: location 80\.\.61"),
        ("<1..9", "Z1:1..9", r"x\.gb:10: CDS: location"),
        ("/codon_start=1", "codon_start=1", r"x\.gb:17: line of the feature table"),
        ('/gene=not this one"', "/gene=not this one", r"x\.gb:15: line of the feature table"),
    ],
)
def test_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in RECORD
    with pytest.raises(InputError, match=message) as caught:
        _read(tmp_path, RECORD.replace(old, new, 1))
    assert "; " in str(caught.value)


def test_same_version_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.gb:28: second record named 'TEST01\.2'"):
        _read(tmp_path, RECORD + RECORD)
