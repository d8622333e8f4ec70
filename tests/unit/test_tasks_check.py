"""What `genomics-fm check` says of labelled rows, to people and as JSON."""

import dataclasses
import json
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from genomics_fm.cli import app
from genomics_fm.tasks import check
from genomics_fm.tasks.read_table import read_table


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["check", *arguments])


def _drawn(length: int, seed: int, letters: str = "ACGT") -> str:
    return "".join(random.Random(seed).choices(letters, k=length))


@pytest.fixture
def table(tmp_path: Path) -> str:
    """80 rows without G or C and 30 of all letters; one repeated, one shifted, two that contradict each other."""
    rows = [(_drawn(60, n, "AT"), "no", "train") for n in range(80)] + [
        (_drawn(60, n), "yes", "test") for n in range(30)
    ]
    rows += [rows[80], (rows[81][0][3:] + "AAA", "yes", "test"), (rows[82][0], "no", "train")]
    rows[5] = (rows[5][0].lower(), *rows[5][1:])
    path = tmp_path / "t.csv"
    path.write_text("\n".join(map(",".join, [("sequence", "label", "split"), *rows])) + "\n")
    return str(path)


def test_what_a_table_holds(table: str) -> None:
    found = check.summary(read_table(table))
    assert found["kind"] == "classification" and found["names"] == ["no", "yes"] and found["rows"] == 111
    assert [answer["count"] for answer in found["answers"]] == [80, 31]
    assert found["answers"][1]["share"] == pytest.approx(31 / 111)
    assert found["splits"] == {"train": 80, "test": 31}
    assert found["length_bp"] == [60, 60, 60] and found["gc"][0] == 0 and found["gc"][2] > 0.5 and found["n_share"] == 0
    counts = found["counts"]
    assert (counts["rows"], counts["duplicates"], counts["conflicts"], counts["lower"]) == (113, 2, 2, 60)
    assert found["clusters"] == {"clusters": 109, "largest": 2, "alone": 107}
    said = "; ".join(found["warnings"])
    assert "GC alone tells the classes apart (AUROC 1.00)" in said and "length alone" not in said
    assert "equal sequences with different labels (t.csv:84 and t.csv:114, …)" in said


@pytest.mark.parametrize(("contigs", "said"), [(1, "lie: on 1 contig\n"), (3, "lie: on 3 contigs\n"), (9, "")])
def test_where_rows_lie(tmp_path: Path, contigs: int, said: str) -> None:
    rows = [f"{_drawn(60, n)},{n % 2},chr{n % contigs},{n},{n + 60}" for n in range(60)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["sequence,label,chrom,start,end", *rows]) + "\n")
    result = call(str(path))
    assert said in result.stdout if said else "where they lie" not in result.stdout


def test_counts_of_several_files_are_summed(table: str) -> None:
    found = read_table(table)
    several = {"train": {"rows": 3, "lower": 1}, "test": {"rows": 4}, "places_repeated": {"left_out": 2}}
    said = check.summary(dataclasses.replace(found, about={"counts": several}))
    assert said["counts"] == {"rows": 7, "lower": 1, "left_out": 2}
    assert "1 lower case" in check.text(said) and "left out 2" in check.text(said)


def test_people_read_lines_and_programs_json(table: str) -> None:
    result = call(table)
    assert result.exit_code == 0 and not result.stderr
    for words in (
        f"{table}: classification, unstranded, compared by mcc; 111 rows",
        "yes: 31 of 111 (27.9%)",
        "2 duplicates, 2 rows that contradict another (2 left out), 109 clusters of similar",
        "splits of the source: train 80, test 31",
        "letters changed: 60 lower case",
        "warning: GC alone",
    ):
        assert words in result.stdout
    bad = Path(table).with_name("bad.csv")
    bad.write_text("sequence,label\nAXGT,1\n")
    result = call(str(bad), table, "--json")
    assert result.exit_code == 2
    refused, found = map(json.loads, result.stdout.splitlines())
    assert not refused["ok"] and refused["error"].startswith(f"{bad}:2: column 'sequence': letter 2: ")
    assert (
        found["ok"]
        and found["file"] == table
        and found == {"file": table, "ok": True} | check.summary(read_table(table))
    )


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([f"{n / 7:.3f}" for n in range(30)], "label: 30 values, mean 2.071"),
        ([_drawn(60, n, "01.") for n in range(30)], "per-base, unstranded"),
        (["x"] * 29 + ["y"], "warning: 1 rare (y)"),
    ],
)
def test_other_kinds(tmp_path: Path, labels: list[str], words: str) -> None:
    rows = [f"{_drawn(60, n)},{label}" for n, label in enumerate(labels)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["sequence,label", *rows]) + "\n")
    result = call(str(path))
    assert result.exit_code == 0 and words in result.stdout, result.output
    assert "30 rows: too few to calibrate" in result.stdout


def test_multilabel_shares_are_of_what_was_measured(tmp_path: Path) -> None:
    rows = [f"{_drawn(60, n)},{n % 2},{'' if n < 10 else 1}" for n in range(30)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["sequence,a,b", *rows]) + "\n")
    result = call(str(path), "--targets", "a,b", "--json")
    assert [(one["count"], one["of"]) for one in json.loads(result.stdout)["answers"]] == [(15, 30), (20, 20)]


def test_classes_of_fasta_files_and_one_family(tmp_path: Path) -> None:
    shared = _drawn(80, 1)
    for name, seed in (("pos", 100), ("neg", 200)):
        records = (f">{n}\n{shared}{_drawn(20 if name == 'pos' else 50, seed + n)}\n" for n in range(30))
        (tmp_path / f"{name}.fa").write_text("".join(records))
    files = [f"none={tmp_path / 'neg.fa'}", str(tmp_path / "pos.fa")]
    result = call("--as", "classes", *files, "--stranded")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("2 files: classification, stranded, compared by mcc; 60 rows")
    assert "none: 30 of 60" in result.stdout and "pos: 30 of 60" in result.stdout
    assert "60 rows are similar to each other, more than 20%" in result.stdout
    assert "length alone tells the classes apart (AUROC 1.00)" in result.stdout


def test_tables_are_told_from_lists_of_genomes_and_bed(tmp_path: Path) -> None:
    table, bed = tmp_path / "t.txt", tmp_path / "b.bed"
    table.write_text('"seq"\t"label"\n' + "".join(f"{_drawn(30, n)}\t{n % 2}\n" for n in range(8)))
    assert "classification" in call(str(table), "--sequence", "seq").stdout
    bed.write_text("a\t0\t4\nb\t2\t9\n")
    assert "2 intervals on 2 contigs" in call(str(bed)).stdout
    for arguments, words in (
        (("--as", "labels", str(bed)), "labels without a genome"),
        (("--as", "guess", str(bed)), "form guess: give one of table, labels, peaks, tracks, classes"),
        ((str(bed), "--window", "200"), "--window: belongs to --as peaks or --as tracks"),
        (("--as", "classes", f"x={bed}", "--genome", "g.fa"), "hold their sequences; leave it away"),
    ):
        result = call(*arguments)
        assert result.exit_code == 2 and words in result.stderr and len(result.stderr.splitlines()) == 1
