from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from genomics_fm.cli import app
from tests.corpora import dna, fixed_vocabulary, write_fasta

FIRST, SECOND = dna(420, 1), dna(90, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tokens")
    write_fasta(made / "in.fa", {"first": FIRST, "second": SECOND.lower()})
    fixed_vocabulary().save(made / "vocabulary.json")
    return made


def tokens(folder: Path, *more: object) -> Result:
    arguments = ["tokens", folder / "in.fa", "--vocabulary", folder / "vocabulary.json", *more]
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_first_300_bases_of_the_first_record_are_shown(folder: Path) -> None:
    result = tokens(folder)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("first, bases 0 to 300; preset default, seed 0")
    assert FIRST[:90] in result.stdout
    assert FIRST[270:300] in result.stdout
    assert FIRST[270:301] not in result.stdout
    assert "[BPE]" in result.stdout
    assert "[KMER]" in result.stdout


def test_record_place_vocabulary_preset_and_seed_can_be_chosen(folder: Path) -> None:
    options = ("--record", "second", "--start", 10, "--end", 40, "--name", "kmer", "--preset", "paper", "--seed", 3)
    result = tokens(folder, *options)
    assert result.stdout.startswith("second, bases 10 to 40; preset paper, seed 3")
    assert SECOND[10:40] in result.stdout.split()
    assert "[BPE]" not in result.stdout
    other = tokens(folder, *options[:-1], 4).stdout.splitlines()[1:]
    assert other != result.stdout.splitlines()[1:]


@pytest.mark.parametrize(("suffix", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_a_figure_is_written_where_asked(folder: Path, tmp_path: Path, suffix: str, begins: bytes) -> None:
    target = tmp_path / f"figure.{suffix}"
    result = tokens(folder, "-o", target)
    assert result.stderr == f"tokens: {target}\n"
    assert target.read_bytes().startswith(begins)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--end", 421), "420 nt"),
        (("--start", 420), "420 nt"),
        (("--start", 40, "--end", 40), "420 nt"),
        (("--record", "third"), "--record 'third'"),
        (("--name", "codon"), "bpe, kmer"),
        (("--preset", "best"), "default, paper, authors"),
        (("-o", "figure.pdf"), ".png or .svg"),
    ],
)
def test_errors_are_one_line_and_write_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[object, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = tokens(folder, *more)
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert not list(tmp_path.iterdir())
