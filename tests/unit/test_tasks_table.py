"""Tables of labels: what is read from them, and one clear line for each way in which they are wrong."""

import dataclasses
import gzip
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from genomics_fm.artefacts import sha256_file
from genomics_fm.cli import app
from genomics_fm.errors import InputError
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.tasks.layout import Layout
from genomics_fm.tasks.parts import places
from genomics_fm.tasks.read_table import read_bed_labels, read_classes, read_table

A, B, C, D = "ACGTACGTACGG", "TTGACCAGTACA", "GGGCATTTACAG", "CATCATTAGGAC"
GENOME = ">20 whole\nACGTTGCAAGTCCATGNNAC\nttacgu\n>two\nGGGGCCCCAT\n"


def write(folder: Path, text: str | bytes, name: str = "t.csv") -> str:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def lines(*rows: str, header: str = "sequence,label") -> str:
    return "\n".join([header, *rows]) + "\n"


@pytest.fixture
def genome(tmp_path: Path) -> str:
    return write(tmp_path, GENOME, "genome.fa")


PLAIN = lines(f"{A},1", f"{B},0", f"{C},1")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("t.csv", PLAIN.encode()),
        ("t.csv.gz", gzip.compress(PLAIN.encode(), mtime=0)),
        ("t.tsv", PLAIN.replace(",", "\t").encode()),
        ("t.csv", PLAIN.replace(",", "\t").encode()),
        ("t.csv", PLAIN.replace("\n", "\r\n").encode()),
        ("t", PLAIN.replace(",1", ' , "1"').encode().replace(b" ", b"")),
        ("t.csv", PLAIN.replace("\n", "\n\n").rstrip().encode()),
        ("t.csv", lines(f"x,1,{A}", f'"y, z",0,{B}', f",1,{C}", header="note,label, sequence").encode()),
    ],
)
def test_one_table_in_many_clothes(tmp_path: Path, name: str, data: bytes) -> None:
    path = write(tmp_path, data, name)
    found = read_table(path)
    assert found.rows.sequences == [A, B, C] and found.rows.labels.tolist() == [1, 0, 1]
    assert found.problem.names == ("0", "1") and found.problem.kind == "classification" and found.split is None
    assert found.rows.block.tolist() == [0, 1, 2]
    assert found.about["source"] == name
    assert found.about["files"] == {name: sha256_file(Path(path))}
    assert found.about["counts"]["duplicates"] == 0 and found.about["counts"]["rows"] == 3
    assert len(set(found.rows.locus)) == 3 and all(locus.startswith(f"{name}:") for locus in found.rows.locus)


def test_locus_of_a_row_is_its_line(tmp_path: Path) -> None:
    assert read_table(write(tmp_path, PLAIN)).rows.locus == ["t.csv:2", "t.csv:3", "t.csv:4"]


def test_parquet_of_any_number_type(tmp_path: Path) -> None:
    labels = {
        "label": pa.array(["b", "a", "b"]).dictionary_encode(),
        "bit": pa.array([True, False, True]),
        "half": pa.array([0.5, None, 2.25], pa.float32()),
        "whole": pa.array([3, 1, 3], pa.int16()),
    }
    path = str(tmp_path / "t.parquet")
    pq.write_table(pa.table({"sequence": [A, B, C], **labels}), path)
    classes = read_table(path)
    assert classes.problem.names == ("a", "b") and classes.rows.labels.tolist() == [1, 0, 1]
    assert classes.rows.locus == ["t.parquet:1", "t.parquet:2", "t.parquet:3"]
    assert read_table(path, Layout(label="bit")).rows.labels.tolist() == [1, 0, 1]
    assert read_table(path, Layout(label="whole")).problem.names == ("1", "3")
    values = read_table(path, Layout(targets=("half", "whole"))).rows.labels
    assert np.array_equal(values, np.array([[0.5, 3], [np.nan, 1], [2.25, 3]], np.float32), equal_nan=True)
    with pytest.raises(InputError, match=r"t.parquet: row 2: column 'half': nothing measured"):
        read_table(path, Layout(label="half"))


def test_letters_are_changed_and_counted(tmp_path: Path) -> None:
    found = read_table(write(tmp_path, lines(f"{A.lower()},1", "ACGUACGUAC,0", "ACGTRACGTAYCGTACGTAC,1")))
    assert found.rows.sequences == [A, "ACGTACGTAC", "ACGTNACGTANCGTACGTAC"]
    assert {name: found.about["counts"][name] for name in ("lower", "u_to_t", "iupac_to_n")} == {
        "lower": 12,
        "u_to_t": 2,
        "iupac_to_n": 2,
    }


def test_splits_groups_and_loci_are_kept(tmp_path: Path) -> None:
    rows = [f"{A},1,train,p1,chr2:5-17:-", f"{B},0,dev,p2,chr2:40-52", f"{C},1,test,p1,x:0-12:+"]
    path = write(tmp_path, lines(*rows, header="sequence,label,split,group,locus"))
    found = read_table(path)
    assert found.split == ["train", "dev", "test"] and found.rows.block.tolist() == [0, 1, 0]
    assert found.rows.locus == ["chr2:5-17:-", "chr2:40-52:+", "x:0-12:+"]
    assert read_table(path, Layout(split="")).split is None


def test_places_beside_sequences_say_where_rows_lie(tmp_path: Path) -> None:
    rows = [f"{A},1,chr2,5,17,-", f"{B},0,chr2,5,17,-", f"{C},1,x,0,12,+", f"{D},0,x,0,12,", f"{A},1,x,0,12,"]
    path = write(tmp_path, lines(*rows, header="sequence,label,chrom,start,end,strand"))
    loci = ["chr2:5-17:-", "chr2:5-17:-#3", "x:0-12:+", "x:0-12:.", "x:0-12:.#6"]
    assert read_table(path).rows.locus == loci and read_table(path).rows.sequences == [A, B, C, D, A]
    found = places(loci * 4)
    assert found and found.names == ("chr2", "x") and found.start.tolist() == [5, 5, 0, 0, 0] * 4


@pytest.mark.parametrize("place", [",1,9", "c,,9", "c,1,NA"])
def test_places_count_only_where_all_rows_have_one(tmp_path: Path, place: str) -> None:
    path = write(tmp_path, lines(f"{A},1,c,1,9", f"{B},0,{place}", header="sequence,label,chrom,start,end"))
    found = read_table(path)
    assert found.rows.locus == ["t.csv:2", "t.csv:3"] and found.about["counts"]["rows_without_place"] == 1


def test_a_locus_column_counts_before_places(tmp_path: Path) -> None:
    rows = [f"{A},1,chr2,5,17,y:1-9", f"{B},0,chr2,5,17,y:2-9"]
    path = write(tmp_path, lines(*rows, header="sequence,label,chrom,start,end,locus"))
    assert read_table(path).rows.locus == ["y:1-9:+", "y:2-9:+"]


def test_contradicting_rows_go_together_with_what_they_contradict(tmp_path: Path) -> None:
    text = lines(f"{A},1", f"{B},0", f"{reverse_complement(A)},0", f"{B},0", f"{C},1", f"{D},0")
    path = write(tmp_path, text)
    found = read_table(path)
    assert found.rows.sequences == [B, B, C, D]
    counts = found.about["counts"]
    assert (counts["rows"], counts["duplicates"], counts["conflicts"], counts["conflicts_left_out"]) == (6, 2, 2, 2)
    kept = read_table(path, Layout(conflicts="keep"))
    assert len(kept.rows) == 6 and kept.about["counts"]["conflicts"] == 2
    with pytest.raises(InputError, match=r"t.csv:2: its sequence stands again at t.csv:4 with another label \(2 rows"):
        read_table(path, Layout(conflicts="refuse"))
    stranded = read_table(path, Layout(stranded=True))
    assert len(stranded.rows) == 6 and stranded.about["counts"]["conflicts"] == 0


def test_a_contradiction_of_two_repeats_is_found_where_the_first_says_nothing(tmp_path: Path) -> None:
    header = "sequence,x,y"
    path = write(tmp_path, lines(f"{A},,1", f"{A},1,", f"{A},0,1", f"{B},,0", f"{B},1,", f"{C},0,1", header=header))
    layout = Layout(targets=("x", "y"))
    found = read_table(path, layout)
    assert found.about["counts"]["conflicts"] == 3 and found.rows.sequences == [B, B, C]
    assert found.about["conflict"] == ["t.csv:3", "t.csv:4"]
    with pytest.raises(InputError, match=r"t.csv:3: its sequence stands again at t.csv:4"):
        read_table(path, dataclasses.replace(layout, conflicts="refuse"))


def test_values_measured_twice_are_no_contradiction(tmp_path: Path) -> None:
    found = read_table(write(tmp_path, lines(f"{A},1.5", f"{A},2.5", f"{B},0.1")))
    assert len(found.rows) == 3 and found.about["counts"]["duplicates"] == 1 and not found.about["counts"]["conflicts"]


PLACES = lines("20,0,6,+,a", "chr20,6,12,-,b", "two,0,4,-,a", header="chrom,start,end,strand,label")


def test_places_are_cut_on_the_strand_that_matters(tmp_path: Path, genome: str) -> None:
    path = write(tmp_path, PLACES)
    forward = read_table(path, genome=genome)
    assert forward.rows.sequences == ["ACGTTG", "CAAGTC", "GGGG"]
    assert forward.rows.locus == ["20:0-6:+", "20:6-12:+", "two:0-4:+"]
    stranded = read_table(path, Layout(stranded=True), genome)
    assert stranded.rows.sequences == ["ACGTTG", "GACTTG", "CCCC"]
    assert stranded.rows.locus == ["20:0-6:+", "20:6-12:-", "two:0-4:-"]
    assert (
        stranded.about["genome"]["renamed"] == {"chr20": "20"}
        and len(stranded.about["genome"]["assembly_sha256"]) == 64
    )
    bed = write(tmp_path, "20\t0\t6\ta\t0\t+\n20\t6\t12\tb\t0\t-\n20\t6\t12\tb\t0\t-\n20\t20\t26\ta\t0\t+\n", "t.bed")
    named = read_bed_labels(bed, genome, Layout(stranded=True))
    assert named.rows.sequences == ["ACGTTG", "GACTTG", "TTACGT"] and named.rows.labels.tolist() == [0, 1, 0]
    assert named.about["counts"]["places_repeated"] == 1


def test_fasta_files_of_classes_stand_in_the_order_given(tmp_path: Path) -> None:
    yes, no = (
        write(tmp_path, f">a\n{A}\n>b\n{B.lower()}\n", "yes.fa"),
        write(tmp_path, f">a\n{C[:6]}\n{C[6:]}\n", "no.fa"),
    )
    found = read_classes({"other": no, "enhancer": yes}, Layout(stranded=True))
    assert found.problem.names == ("other", "enhancer") and found.problem.stranded
    assert found.rows.sequences == [C, A, B] and found.rows.labels.tolist() == [0, 1, 1]
    assert found.rows.locus == ["other/no.fa:1", "enhancer/yes.fa:1", "enhancer/yes.fa:3"]
    assert found.about["counts"]["lower"] == 12


HEAD = f"{A},1", f"{B},0"
TWO = ["--targets", "x,y"]
PLACED = "chrom,start,end,label"
MALFORMED: dict[str, tuple[str | bytes, list[str], str]] = {
    "no rows": (lines(), [], ": a header and no rows; "),
    "empty": (b"", [], ":1: the file is empty; "),
    "blank first line": ("\n" + PLAIN, [], ":1: a blank line; "),
    "no header": ("\n".join(HEAD), [], ":1: no column 'sequence'"),
    "no label": (lines(A, header="sequence"), [], ":1: no column 'label' (it has 'sequence'"),
    "no target": (lines(f"{A},1", header="sequence,x"), TWO, ":1: no column 'y' (it has 'sequence', 'x')"),
    "column twice": (lines(f"{A},1,1", header="sequence,label,label"), [], ":1: column 'label' twice; "),
    "other names": (lines(f"{A},1", header="Seq,label"), [], ":1: no column 'sequence' (it has 'Seq', 'label')"),
    "semicolons": (PLAIN.replace(",", ";"), [], ":1: columns separated by ';'; "),
    "short line": (lines(*HEAD, A), [], ":4: 1 columns under a header of 2; "),
    "long line": (lines(*HEAD, f"{A},1,0"), [], ":4: 3 columns under a header of 2; "),
    "open quote": (lines(*HEAD, f'{A},"1'), [], ":4: quotes that do not close"),
    "no sequence": (lines(*HEAD, ",1"), [], ":4: column 'sequence': no sequence; "),
    "protein": (lines(*HEAD, "MKVLAAGIVG,1"), [], ":4: column 'sequence': letter 4: letter 'L'"),
    "blank in a sequence": (lines(*HEAD, "ACGT ACGT,1"), [], ":4: column 'sequence': letter 5: character ' '"),
    "gap": (lines(*HEAD, "ACGT-ACGT,1"), [], ":4: column 'sequence': letter 5: character '-'"),
    "ambiguous": (lines(*HEAD, "ACGTRYRYKM,1"), [], ":4: column 'sequence': 6 of 10 letters are outside ACGTN"),
    "no class": (lines(*HEAD, f"{C},"), [], ":4: column 'label': no class (''); "),
    "NaN": (lines(*HEAD, f"{C},NaN"), [], ":4: column 'label': no class ('NaN'); "),
    "one class": (lines(f"{A},1", f"{B},1"), [], ": column 'label': only the class '1'; "),
    "unknown class": (lines(*HEAD, f"{C},2"), ["--classes", "0,1"], ":4: column 'label': '2' is none of the classes"),
    "text among numbers": (lines(f"{A},0.5", f"{B},1.5", f"{C},high"), [], ":4: column 'label': 'high' among numbers"),
    "number among texts": (lines(f"{A},low", f"{B},1", f"{C},high"), [], ":3: column 'label': '1' among texts"),
    "names": (lines(*(f"{A},n{i}" for i in range(9))), [], "column 'label': 9 different texts in 9 rows"),
    "no number": (lines(f"{A},0.5", f"{B},", f"{C},1.5"), [], ":3: column 'label': nothing measured in this row; "),
    "infinite": (lines(f"{A},0.5", f"{B},1e99", f"{C},1.5"), [], ":3: column 'label': '1e99'; give a number"),
    "comma decimals": (lines(f'{A},"0,5"', f"{B},1.5", f"{C},2.5"), [], ":2: column 'label': '0,5' among numbers"),
    "constant": (lines(f"{A},0.5", f"{B},0.5"), [], "column 'label': one value in all rows; "),
    "no target value": (lines(f"{A},1,0", f"{B},,", header="sequence,x,y"), TWO, ":3: column 'x': nothing measured"),
    "not a bit": (
        lines(f"{A},1,0", f"{B},2,1", header="sequence,x,y"),
        [*TWO, "--kind", "multilabel"],
        ":3: column 'x': '2'; give 0 or 1",
    ),
    "bases and classes": (
        lines(f"{A},{'01' * 6}", f"{B},0101"),
        ["--kind", "per-base"],
        ":3: column 'label': 4 classes of 12 bases; ",
    ),
    "no split": (lines(f"{A},1,train", f"{B},0,", header="sequence,label,split"), [], ":3: column 'split': no split; "),
    "no group": (lines(f"{A},1,a", f"{B},0,", header="sequence,label,group"), [], ":3: column 'group': no group; "),
    "no locus": (lines(f"{A},1,chr1", f"{B},0,", header="sequence,label,locus"), [], ":2: column 'locus': 'chr1'; "),
    "a position beside a sequence": (
        lines(f"{A},1,chr1,1,9", f"{B},0,chr1,x,9", header="sequence,label,chrom,start,end"),
        [],
        ":3: column 'start': 'x' is no position; ",
    ),
    "locus twice": (
        lines(f"{A},1,c:1-9", f"{B},0,c:1-9:+", header="sequence,label,locus"),
        [],
        ":3: column 'locus': c:1-9:+ again after line 2; ",
    ),
    "contradiction": (lines(*HEAD, f"{A},0"), ["--conflicts", "refuse"], ":2: its sequence stands again at t.csv:4"),
    "byte order mark": (PLAIN.encode("utf-8-sig"), [], ":1: a byte order mark (Excel"),
    "UTF-16": (PLAIN.encode("utf-16"), [], ":1: begins with a byte order mark (UTF-16); "),
    "Latin-1": (lines(*HEAD, f"{A},é").encode("latin-1"), [], ":4: byte 0xe9 is no UTF-8 text; "),
    "binary": (b"sequence,label\n\0\1\2", [], ":2: a NUL byte"),
    "HTML": (b"<!DOCTYPE html>", [], ":1: begins with an HTML or XML page"),
    "zip": (b"PK\3\4abc", [], ":1: begins with a zip archive"),
    "cut gzip": (gzip.compress(PLAIN.encode())[:-9], [], "the gzip data are cut short"),
    "places without genome": (lines("20,0,9,1", header=PLACED), [], ": places and no sequences; "),
    "past the end": (lines("20,0,9,1", "20,20,27,0", header=PLACED), ["-g"], ":3: column 'end': 27 lies past the end"),
    "no contig": (lines("20,0,9,1", "21,0,9,0", header=PLACED), ["-g"], ":3: no contig '21' in "),
    "empty interval": (lines("20,9,9,1", header=PLACED), ["-g"], ":2: column 'start': interval 9-9 is empty; "),
    "no position": (lines("20,-1,9,1", header=PLACED), ["-g"], ":2: column 'start': '-1' is no position; "),
    "no strand": (lines("20,0,9,1", header=PLACED), ["-g", "--stranded"], ":1: no column 'strand', and the strand"),
    "unknown strand": (
        lines("20,0,9,1,.", header=f"{PLACED},strand"),
        ["-g", "--stranded"],
        ":2: column 'strand': '.'; a stranded problem needs",
    ),
    "place with two labels": (lines("20,0,9,1", "20,0,9,0", header=PLACED), ["-g"], ":3: 20:0-9:+ again, with another"),
    "sequence and places": (
        lines(f"{A},20,0,9,1", header=f"sequence,{PLACED}"),
        ["-g"],
        ": sequences and a genome; ",
    ),
}


@pytest.mark.parametrize("wrong", MALFORMED)
def test_malformed_tables_get_one_line_and_2(wrong: str, tmp_path: Path, genome: str) -> None:
    data, options, words = MALFORMED[wrong]
    path = write(tmp_path, data)
    given = [part for option in options for part in (("--genome", genome) if option == "-g" else (option,))]
    result = CliRunner().invoke(app, ["check", path, *given])
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    expected = "t.csv:2" if wrong == "contradiction" else path
    assert line.startswith(f"error: {expected}") and words in line, line
    assert not result.stdout


@pytest.mark.parametrize(
    ("bed", "options", "words"),
    [
        ("20\t0\t9\n", [], ":1: column 'label': no class (''); "),
        ("20\t0\t9\ta\n20\t5\t9\t.\n", [], ":2: column 'label': no class ('.'); "),
        ("20\t0\t9\ta\t0\t+\n20\t5\t9\tb\t0\t.\n", ["--stranded"], ":2: column 'strand': '.'; a stranded problem"),
        ("20\t0\t9\ta\n20\t5\t5\tb\n", [], ":2: interval 5-5 is empty; "),
        ("20\t0\t9\ta\n20\t5\t27\tb\n", [], ":2: column 'end': 27 lies past the end of 20 (26 nt in "),
        ("20\t0\t9\ta\n3\t5\t9\tb\n", [], ":2: no contig '3' in "),
        ("20 0 9 a\n", [], ":1: 1 columns; give contig, start and end"),
        ("# only words\n", [], ": no intervals; "),
    ],
)
def test_malformed_bed(bed: str, options: list[str], words: str, tmp_path: Path, genome: str) -> None:
    path = write(tmp_path, bed, "t.bed")
    result = CliRunner().invoke(app, ["check", path, "--as", "labels", "--genome", genome, *options])
    (line,) = result.stderr.splitlines()
    assert result.exit_code == 2 and line.startswith(f"error: {path}{words}"), line


def _spoilt(draw: random.Random, text: bytes) -> bytes:
    """A file with a few bytes changed, lost, added or repeated."""
    data = bytearray(text)
    for _ in range(draw.randrange(1, 4)):
        place, other = draw.randrange(len(data)), draw.randrange(len(data))
        added = draw.choice([b",", b"\t", b"\n", b'"', b"nan", b"\0", b"\xff", b"-", b"1e999", b"..", b"\r"])
        change = draw.randrange(4)
        if change == 0:
            data[place] = draw.randrange(256)
        elif change == 1:
            del data[place : place + draw.randrange(1, 9)]
        else:
            data[place:place] = added if change == 2 else data[other : other + draw.randrange(30)]
    return bytes(data)


def test_no_spoilt_table_ends_in_a_traceback(tmp_path: Path, genome: str) -> None:
    draw, read = random.Random(3), 0
    sequences = lines(*(f"{s},{n % 2},train,g,c:{n}-{n + 12}" for n, s in enumerate((A, B, C, D))), header=_EVERY)
    places = lines(*(f"20,{n},{n + 9},{n / 3:.2f},+" for n in range(8)), header="chrom,start,end,label,strand")
    for number in range(400):
        path = write(tmp_path, _spoilt(draw, (places if number % 2 else sequences).encode()))
        layout = Layout(stranded=number % 3 == 0, kind=draw.choice([None, None, "classification", "regression"]))
        try:
            read += len(read_table(path, layout, genome if number % 2 else None).rows) > 0
        except InputError as error:
            assert str(error).startswith(path) and "\n" not in str(error)
    assert 10 < read < 200


_EVERY = "sequence,label,split,group,locus"


def test_files_that_are_not_there_or_no_parquet(tmp_path: Path) -> None:
    for path, words in (
        (str(tmp_path / "no.csv"), "no such file"),
        (str(tmp_path / "no.parquet"), "no such file"),
        (write(tmp_path, b"PAR1 and no more", "x.parquet"), "not readable as Parquet"),
    ):
        with pytest.raises(InputError, match=words):
            read_table(path)
    lists = str(tmp_path / "lists.parquet")
    pq.write_table(pa.table({"sequence": [A], "label": [[1, 2]]}), lists)
    with pytest.raises(InputError, match="column 'label' holds list"):
        read_table(lists)


@pytest.mark.parametrize("value", ["kind", "conflicts"])
def test_layouts_that_say_nothing(value: str) -> None:
    with pytest.raises(InputError, match=f"{value} guess: give one of"):
        Layout(**{value: "guess"})
    with pytest.raises(InputError, match="each name once"):
        Layout(targets=("a", "a"))
