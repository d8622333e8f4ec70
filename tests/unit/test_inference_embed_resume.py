import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from genomics_fm.cli import app
from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.inference import embed as embed_module
from genomics_fm.inference import embed_parts, embed_windows
from genomics_fm.inference.embed_parts import folder_of, parts_of
from genomics_fm.inference.embed_progress import Progress, duration
from genomics_fm.inference.embed_windows import Scan, windows
from tests.corpora import dna, write_fasta
from tests.embedding import embed, small_source, write_encoder
from tests.vocabularies import every_kind

SEQUENCES = {f"s{i}": dna(60 + 7 * i, i) for i in range(20)}


class KilledError(Exception):
    """Stands in for the end of a process."""


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed_windows, "WINDOW_LETTERS", 400)


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "in.fa", SEQUENCES)


def dying(after: int) -> Callable[..., object]:
    """The rows of windows, until so many were computed."""
    rows, count = embed_module._rows, iter(range(after))

    def until(*arguments: object) -> object:
        if next(count, None) is None:
            raise KilledError
        return rows(*arguments)  # type: ignore[arg-type]

    return until


def interrupted(
    fasta: Path, target: Path, monkeypatch: pytest.MonkeyPatch, after: int = 2, **settings: object
) -> list[str]:
    """Stop a run after some windows; what it said."""
    said: list[str] = []
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(embed_module, "_rows", dying(after))
        arguments = small_source(), str(fasta), target, embed_module.EmbedSettings(**settings)  # type: ignore[arg-type]
        embed_module.embed_file(*arguments, said.append)
    return said


@pytest.mark.parametrize("pooling", ["mean", "token", "base"])
def test_an_interrupted_run_goes_on_and_ends_in_the_same_bytes(
    pooling: str, fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, target = tmp_path / "whole.parquet", tmp_path / "out.parquet"
    embed(small_source(), fasta, whole, pooling=pooling)
    interrupted(fasta, target, monkeypatch, 2, pooling=pooling)
    assert not target.exists()
    said = interrupted(fasta, target, monkeypatch, 1, pooling=pooling)
    assert "going on after 10 sequences of an earlier run" in said
    _, said = embed(small_source(), fasta, target, pooling=pooling)
    assert "going on after 13 sequences of an earlier run" in said
    assert target.read_bytes() == whole.read_bytes()
    assert not folder_of(target).exists()


def test_a_run_that_died_while_it_joined_the_parts_computes_nothing_again(
    fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, target = tmp_path / "whole.parquet", tmp_path / "out.parquet"
    embed(small_source(), fasta, whole)
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(pq.ParquetWriter, "write_table", lambda *_, **__: (_ for _ in ()).throw(KilledError()))
        embed(small_source(), fasta, target)
    monkeypatch.setattr(embed_module, "_rows", lambda *_: pytest.fail("computed again"))
    summary, said = embed(small_source(), fasta, target)
    assert summary.tokens == 0
    assert said[-1] == "every sequence was computed by an earlier run"
    assert target.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("missing", range(4))
def test_parts_behind_a_missing_one_are_computed_again(
    missing: int, fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, target = tmp_path / "whole.parquet", tmp_path / "out.parquet"
    embed(small_source(), fasta, whole)
    interrupted(fasta, target, monkeypatch, 4)
    (part,) = folder_of(target).glob(f"{missing:08d}-*.arrow")
    part.unlink()
    embed(small_source(), fasta, target)
    assert target.read_bytes() == whole.read_bytes()


def test_a_run_that_waited_for_the_lock_of_one_that_finished_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.parquet"
    monkeypatch.setattr(embed_parts.fcntl, "flock", lambda *_: shutil.rmtree(folder_of(target)))
    with pytest.raises(InputError, match="another run writes it"), parts_of(target, pa.schema({}), {}):
        pytest.fail("opened")


CHANGES: dict[str, dict[str, object]] = {
    "input_sha256": {},
    "layer": {"layer": 1},
    "dtype": {"dtype": "bf16"},
    "batch_tokens": {"batch_tokens": 64},
    "max_tokens": {"max_tokens": 20},
    "pooling": {"pooling": "cls"},
    "vocabulary": {"vocabulary": "kmer5"},
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_changed_starts_anew_and_says_so(
    what: str, fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.parquet"
    interrupted(fasta, target, monkeypatch)
    if what == "input_sha256":
        write_fasta(fasta, {**SEQUENCES, "s3": dna(90, 99)})
    _, said = embed(small_source(), fasta, target, **CHANGES[what])
    assert f"an unfinished run of other make is there ({what}): starting anew" in said
    embed(small_source(), fasta, tmp_path / "fresh.parquet", **CHANGES[what])
    assert target.read_bytes() == (tmp_path / "fresh.parquet").read_bytes()


def test_a_damaged_manifest_starts_anew(fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out.parquet"
    interrupted(fasta, target, monkeypatch)
    (folder_of(target) / "manifest.json").write_text("{}")
    _, said = embed(small_source(), fasta, target)
    assert any("its manifest is damaged" in line for line in said)


def test_a_damaged_part_is_named_and_no_table_appears(
    fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.parquet"
    interrupted(fasta, target, monkeypatch)
    part = next(folder_of(target).glob("00000001-*.arrow"))
    data = bytearray(part.read_bytes())
    data[-50] ^= 1
    part.write_bytes(bytes(data))
    with pytest.raises(CorruptArtefact, match=part.name):
        embed(small_source(), fasta, target)
    assert not target.exists()


def test_two_runs_of_one_table_do_not_mix(fasta: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    with (
        parts_of(target, pa.schema([]), {}),
        pytest.raises(InputError, match=r"out\.parquet: another run writes it"),
    ):
        embed(small_source(), fasta, target)


def test_an_older_table_stays_until_the_new_one_is_whole(
    fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.parquet"
    embed(small_source(), fasta, target)
    before = target.read_bytes()
    interrupted(fasta, target, monkeypatch, layer=1)
    assert target.read_bytes() == before


def test_progress_says_how_far_how_fast_and_how_long(monkeypatch: pytest.MonkeyPatch, fasta: Path) -> None:
    clock = iter([0.0, 10.0, 14.0, 14.5, 20.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    said: list[str] = []
    progress = Progress(Scan(20, 8_000, 100, ""), said.append)
    skipped, first, second, third = list(windows(str(fasta), every_kind(), "kmer"))[:4]
    letters = [int(window.offsets_S[-1]) for window in (skipped, first, second, third)]
    progress.skip(skipped)
    for window in (first, second, third):
        progress.begin()
        progress.done(window)
    assert said[0] == f"going on after {len(skipped.names)} sequences of an earlier run"
    rate = len(first.ids_T) / 4
    left = 4 * (8_000 - sum(letters[:2])) / letters[1]
    count = len(skipped.names) + len(first.names)
    assert said[1] == f"{count} of 20 sequences, {rate:,.0f} tokens/s, about {duration(left)} left"
    assert len(said) == 3  # half a second later nothing is said


@pytest.mark.parametrize(("seconds", "text"), [(3.4, "3 s"), (89, "89 s"), (600, "10 min"), (12_000, "3 h 20 min")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_command(fasta: Path, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out.parquet"
    encoder = write_encoder(tmp_path / "encoder")
    more = ("--vocabulary", "kmer5", "--pooling", "cls", "--layer", 1, "--threads", 1)
    arguments = ("embed", fasta, "--encoder", encoder, "-o", target, *more)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert "20 sequences" in result.stderr
    embed(small_source(), fasta, tmp_path / "same.parquet", vocabulary="kmer5", pooling="cls", layer=1)
    tables = [pq.read_table(path)["embedding"].to_pylist() for path in (target, tmp_path / "same.parquet")]
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.fa", "--encoder", ".", "-o", "out.parquet"], "absent.fa: no such file"),
        (["IN", "--encoder", "absent", "-o", "out.parquet"], "absent: no such folder"),
        (["IN", "--encoder", "absent", "-o", "out.csv"], "out.csv: not a .parquet name"),
        (["IN", "--encoder", "absent", "-o", "FOLDER"], "folder.parquet: a folder"),
    ],
)
def test_what_the_command_refuses(arguments: list[str], words: str, fasta: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.parquet").mkdir()
    paths = {"IN": str(fasta), "FOLDER": str(tmp_path / "folder.parquet")}
    result = CliRunner().invoke(app, ["embed", *(paths.get(word, word) for word in arguments)])
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == [lines[-1]]
    assert words in lines[-1]
