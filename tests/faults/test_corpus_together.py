"""Builds of one corpus at once, and a build where one has ended: never a corrupt result, and no needless touch."""

import dataclasses
import errno
import fcntl
import random
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.fs
import pytest

from genomics_fm.corpus import manifest, plan
from genomics_fm.corpus.build import PARTS
from genomics_fm.corpus.manifest import Corpus
from genomics_fm.corpus.plan import Plan, quick_identity, units
from genomics_fm.corpus.sources import Source
from genomics_fm.corpus.windows import Recipe
from genomics_fm.errors import EnvironmentFault, GenomicsFmError, InputError
from genomics_fm.storage import Folder
from jobs import build_corpus, launch
from jobs.build_corpus import LOCK, run_sources, source_of
from tests import corpora
from tests.commands import command, write_genome

PLAN = Plan(recipe=corpora.RECIPE)
OTHER = Plan(recipe=dataclasses.replace(corpora.RECIPE, overlap_bp=90))
REFUSED = re.compile(r"another build is writing there|has begun there|holds a corpus of other|run the same build again")


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Source]:
    corpora.without_ray(monkeypatch)
    files = [corpora.write_fasta(tmp_path / f"{name}.fa", {"c": corpora.dna(9_000, ord(name))}) for name in "ab"]
    return [source_of(str(file), ()) for file in files]


@pytest.fixture(params=["disk", "object store"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("GENOMICS_FM_CACHE", str(tmp_path / "cache"))
    return Folder(tmp_path / "disk") if request.param == "disk" else Folder(request.getfixturevalue("object_store"))


def at_once(sources: list[Source], plans: list[Plan], folder: Folder, draw: random.Random) -> list[str]:
    """Builds that begin a few milliseconds apart; "" for each that succeeds, else what it says."""
    ended = ["never ended"] * len(plans)

    def run(number: int, plan: Plan, wait_seconds: float) -> None:
        time.sleep(wait_seconds)
        try:
            run_sources(sources, plan, folder)
            ended[number] = ""
        except GenomicsFmError as error:
            ended[number] = str(error)

    threads = [
        threading.Thread(target=run, args=(number, plan, draw.random() * 0.05)) for number, plan in enumerate(plans)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ended


@pytest.mark.parametrize("count", [4, pytest.param(200, marks=pytest.mark.full)])
@pytest.mark.parametrize("plans", [[PLAN, PLAN], [PLAN, OTHER]], ids=["same", "different"])
def test_two_builds_into_one_folder(
    count: int, plans: list[Plan], sources: list[Source], root: Folder, tmp_path: Path
) -> None:
    straight = [
        corpora.build(tmp_path / f"straight{number}", sources, plan.recipe) for number, plan in enumerate(plans)
    ]
    draw = random.Random(count)
    for attempt in range(count if root.local else count // 8 + 1):
        folder = root / f"corpus{attempt}"
        ended = at_once(sources, plans, folder, draw)
        assert all(text == "" or (REFUSED.search(text) and "\n" not in text) for text in ended), ended
        if "" not in ended:  # in a store, two that come in the same moment
            assert root.local is None
            assert at_once(sources, plans[:1], folder, draw) == [""]
            ended[0] = ""
        made = Corpus(folder, verify=True)
        assert made.manifest in [one.manifest for one, text in zip(straight, ended, strict=True) if text == ""]
        if plans[0] == plans[1]:
            run_sources(sources, PLAN, folder)
        assert (folder / PARTS).names() == []
        assert len(folder.names()) == len(made.blocks) + 2


def test_a_build_is_refused_while_another_is_there(sources: list[Source], root: Folder) -> None:
    folder, parts = root / "corpus", root / "corpus" / PARTS
    with parts.alone(LOCK, "other", ""):
        parts.write("00000-00000.json", b"under way")
        with pytest.raises(EnvironmentFault, match=r"corpus.*: .*(wait until it has ended|delete .*parts.* has ended)"):
            run_sources(sources, PLAN, folder)
    assert parts.names() == ["00000-00000.json", *([LOCK] if root.local else [])]
    run_sources(sources, PLAN, folder)
    assert not parts.is_there()


def test_in_a_store_one_that_was_killed_lets_only_itself_in(sources: list[Source], object_store: str) -> None:
    parts = Folder(object_store) / "corpus" / PARTS
    for owner in ("other", quick_identity(units(sources), PLAN)):
        parts.write(f"{LOCK}-{owner}-1", b"")
    with pytest.raises(EnvironmentFault, match=r"delete s3://.*/corpus/parts/ if that build has ended"):
        run_sources(sources, PLAN, Folder(object_store) / "corpus")
    parts.delete(f"{LOCK}-other-1")
    run_sources(sources, PLAN, Folder(object_store) / "corpus")
    assert parts.names() == []


def test_who_waited_for_a_lock_that_was_deleted_takes_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, calls = fcntl.flock, []

    def flock(*arguments: int) -> None:
        calls.append(arguments)
        if len(calls) == 1:  # the one before us has ended, and tidied up
            (tmp_path / "parts" / "lock").unlink()
            (tmp_path / "parts").rmdir()
        really(*arguments)

    monkeypatch.setattr(fcntl, "flock", flock)
    with Folder(tmp_path / "parts").alone(LOCK, "", "") as locked:
        assert locked and len(calls) == 2
        with pytest.raises(EnvironmentFault, match="taken"), Folder(tmp_path / "parts").alone(LOCK, "", "taken"):
            pass


def test_who_comes_when_another_has_just_ended_leaves_nothing(sources: list[Source], root: Folder) -> None:
    folder = root / "corpus"
    run_sources(sources, OTHER, folder)
    (folder / PARTS).write(LOCK, b"")
    with pytest.raises(InputError, match="holds a corpus of other sources or another recipe"):
        run_sources(sources, PLAN, folder)
    assert not (folder / PARTS).is_there()


def test_a_file_system_without_locks_is_said(
    sources: list[Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    run_sources(sources, PLAN, Folder(tmp_path / "corpus"))
    assert "knows no locks" in capsys.readouterr().err


def test_two_commands_at_once(tmp_path: Path) -> None:
    """One is refused before it starts a Ray."""
    genome = str(write_genome(tmp_path / "genome.fa"))
    (tmp_path / "corpora" / "corpus").mkdir(parents=True)
    with (Folder(tmp_path / "corpora" / "corpus") / PARTS).alone(LOCK, "", ""):
        ended = command("jobs.build_corpus", "--genomes", genome, "--name", "corpus", GENOMICS_FM_STORAGE=str(tmp_path))
    assert ended.code == 4
    assert ended.err == (
        f"error: {tmp_path}/corpora/corpus: another build is writing there; wait until it has ended, "
        "or choose another --name\n"
    )


@pytest.mark.full
@pytest.mark.parametrize("seed", range(3))
def test_two_real_commands_at_once(seed: int, tmp_path: Path) -> None:
    genome = write_genome(tmp_path / "genome.fa", contigs=20)
    arguments = ["jobs.build_corpus", "--genomes", str(genome), "--name", "corpus", "--recipe.rows-per-block", "1"]
    wait_seconds = random.Random(seed).random() * 2
    with ThreadPoolExecutor() as pool:
        first = pool.submit(command, *arguments, GENOMICS_FM_STORAGE=str(tmp_path))
        time.sleep(wait_seconds)
        second = pool.submit(command, *arguments, GENOMICS_FM_STORAGE=str(tmp_path))
    ended = sorted([first.result(), second.result()], key=lambda one: one.code)
    assert [one.code for one in ended] == [0, 4]
    assert "another build is writing there" in ended[1].err and ended[1].err.count("\n") == 1
    straight = corpora.build(tmp_path / "straight", [source_of(str(genome), ())], Recipe(rows_per_block=1))
    assert len(straight.blocks) == 20
    assert corpora.contents(tmp_path / "corpora" / "corpus") == corpora.contents(tmp_path / "straight")


def touched(folder: Folder) -> dict[str, object]:
    """When each file, and on a disk each folder, was written last."""
    if folder.local is None:
        found = folder._fs.get_file_info(pyarrow.fs.FileSelector(folder._root, recursive=True))
        return {one.path: (one.mtime_ns, one.size) for one in found}
    return {str(path): path.stat().st_mtime_ns for path in [folder.local, *folder.local.rglob("*")]}


def test_a_finished_corpus_is_left_alone(sources: list[Source], root: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written, no Ray is started, and no block and no genome is read."""
    folder = root / "corpus"
    first = run_sources(sources, PLAN, folder)
    before = touched(folder)

    def never(*_: object) -> None:
        raise AssertionError

    for module, name in ((launch, "connect"), (build_corpus, "build"), (build_corpus, "commit"), (plan, "sha256_file")):
        monkeypatch.setattr(module, name, never)
    for name in ("write", "delete", "remove", "fetch"):
        monkeypatch.setattr(Folder, name, never)
    monkeypatch.setattr(manifest, "sha256_file", never)
    assert run_sources(sources, PLAN, folder) == first
    assert touched(folder) == before
