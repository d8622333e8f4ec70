from pathlib import Path

import pytest

from genomics_fm.corpus.sources import read_sources
from jobs import select_species
from jobs.select_species import SelectSpeciesConfig, run
from tests.assembly_tables import ENSEMBL_HEAD, ensembl_row, write_lineage, write_ncbi
from tests.commands import command


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    write_ncbi(folder / "assembly_summary.txt", 6_000)
    write_lineage(folder / "rankedlineage.dmp", 1_500)
    (folder / "species.txt").write_text(ENSEMBL_HEAD + ensembl_row("homo_sapiens", 9606, "GRCh38", "GCA_000001405.29"))
    return folder


def test_a_list_of_every_clade_that_reads_back_and_is_made_again(tables: Path, tmp_path: Path) -> None:
    config = SelectSpeciesConfig(
        ncbi=(str(tables / "assembly_summary.txt"),),
        ensembl=(str(tables / "species.txt"),),
        ensembl_release=110,
        lineage=str(tables / "rankedlineage.dmp"),
        count=60,
        output=str(tmp_path / "genomes.tsv"),
    )
    result = run(config)
    assert result["species"] == 60
    chosen = {clade: count for clade, _, count in result["clades"]}
    assert min(chosen.values()) >= 1 and sum(chosen.values()) == 60
    assert sum(before for _, before, _ in result["clades"]) + sum(result["left_out"].values()) == 6_001
    sources = read_sources(config.output)
    assert len({source.species for source in sources}) == len({source.location for source in sources}) == 60
    text = Path(config.output).read_text()
    assert text.startswith("# jobs.select_species --count 60 --seed 0\n# assembly_summary.txt sha256:")
    assert str(tables) not in text
    run(config)
    assert Path(config.output).read_text() == text


def test_the_command_prints_the_clades(
    tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["select", "--ncbi", str(tables / "assembly_summary.txt"), "--count", "2000"]
    monkeypatch.setattr("sys.argv", arguments)
    select_species.main()
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["clade", "candidates", "chosen"]
    table = {line.split()[0]: line.split()[1:] for line in out[1:9]}
    assert table["Birds"] == ["0", "0", "not", "reached"]
    assert table["Bacteria"][0] == table["Bacteria"][1] != "0"
    assert any("instead of 2,000: the tables hold no more" in line for line in out)
    assert any(line.startswith("left out, vertebrate: no lineage table: ") for line in out)
    assert out[-1].endswith(" species in genomes.tsv")


def test_a_command_that_is_wrong_ends_with_2_and_one_line(tmp_path: Path) -> None:
    table = tmp_path / "assembly_summary.txt"
    table.write_text("<html>\n")
    for arguments, words in (
        ((), "--ncbi"),
        (("--ncbi", str(table)), f"{table}:1: an HTML"),
        (("--ncbi", str(table), "--count", "0"), "--count 0"),
    ):
        ended = command("jobs.select_species", *arguments)
        assert ended.code == 2, ended.err
        (line,) = ended.err.splitlines()
        assert line.startswith("error: ") and words in line
    assert list(tmp_path.iterdir()) == [table]
