"""A damaged block, part or manifest is found before any row of it is used, and its file is named."""

import dataclasses
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genomics_fm.corpus.build import PARTS, build_unit
from genomics_fm.corpus.cache import BlockCache
from genomics_fm.corpus.commit import commit
from genomics_fm.corpus.manifest import MANIFEST, PROVENANCE, Corpus
from genomics_fm.corpus.plan import Plan, units
from genomics_fm.corpus.sources import Source
from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.storage import Folder
from jobs.build_corpus import run_sources
from tests import corpora

WINDOWS = 60
RECIPE = dataclasses.replace(corpora.RECIPE, rows_per_block=4)
COUNT = pytest.mark.parametrize("count", [20, pytest.param(500, marks=pytest.mark.full)])
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """15 blocks, to be read only."""
    step = RECIPE.window_bp - RECIPE.overlap_bp
    contigs = {name: corpora.dna(step * WINDOWS // 2 + 50, seed) for seed, name in enumerate(("one", "two"))}
    return corpora.corpus_of(tmp_path_factory.mktemp("whole") / "corpus", contigs, RECIPE)


@pytest.fixture(scope="module")
def rows(corpus: Corpus) -> list[str]:
    return [corpus.sequence(row) for row in range(len(corpus))]


def flip(files: Files, name: str, draw: np.random.Generator) -> list[str]:
    data = bytearray(files[name])
    data[draw.integers(len(data))] ^= 1 << int(draw.integers(8))
    files[name] = bytes(data)
    return [name]


def truncate(files: Files, name: str, draw: np.random.Generator) -> list[str]:
    files[name] = files[name][: draw.integers(len(files[name]))]
    return [name]


def delete(files: Files, name: str, draw: np.random.Generator) -> list[str]:
    del files[name]
    return [name]


def swap(files: Files, name: str, draw: np.random.Generator) -> list[str]:
    other = str(draw.choice([found for found in files if found.endswith(".arrow") and found != name]))
    files[name], files[other] = files[other], files[name]
    return [name, other]


DAMAGES: list[Callable[[Files, str, np.random.Generator], list[str]]] = [flip, truncate, delete, swap]


def read_until_refused(place: Folder, cache: Path, rows: list[str], draw: np.random.Generator) -> str:
    """Read all rows in random order, each of them right until one is refused; the refusal."""
    with pytest.raises(CorruptArtefact) as caught:
        damaged = Corpus(place, cache=cache)
        for row in draw.permutation(len(rows)).tolist():
            assert damaged.sequence(row) == rows[row]
    return str(caught.value)


@COUNT
def test_a_damaged_block_is_found_before_it_is_used(
    count: int, corpus: Corpus, rows: list[str], tmp_path: Path
) -> None:
    whole = {path.name: path.read_bytes() for path in corpus.folder.iterdir()}
    draw = np.random.default_rng(count)
    for attempt in range(count):
        files = dict(whole)
        name = str(draw.choice([block["file"] for block in corpus.blocks]))
        damaged = DAMAGES[attempt % len(DAMAGES)](files, name, draw)
        folder = tmp_path / "damaged"
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        said = read_until_refused(Folder(folder), tmp_path, rows, draw)
        assert any(f"{folder}/{name}: " in said for name in damaged), (said, damaged)
        assert "\n" not in said and "jobs.build_corpus" in said
        shutil.rmtree(folder)


@pytest.mark.parametrize("count", [8, pytest.param(100, marks=pytest.mark.full)])
def test_a_damaged_block_in_an_object_store(
    count: int, corpus: Corpus, rows: list[str], object_store: str, tmp_path: Path
) -> None:
    whole, folder = {path.name: path.read_bytes() for path in corpus.folder.iterdir()}, Folder(object_store) / "corpus"
    for name, data in whole.items():
        folder.write(name, data)
    draw = np.random.default_rng(count)
    for attempt in range(count):
        files = dict(whole)
        name = str(draw.choice([block["file"] for block in corpus.blocks]))
        damaged = DAMAGES[attempt % len(DAMAGES)](files, name, draw)
        for name in damaged:
            folder.write(name, files[name]) if name in files else folder.delete(name)
        said = read_until_refused(folder, tmp_path / f"cache{attempt}", rows, draw)
        assert any(f"{folder.shown(name)}: " in said for name in damaged) and "\n" not in said
        for name in damaged:
            folder.write(name, whole[name])


@COUNT
def test_a_damaged_block_in_the_cache_is_fetched_again(
    count: int, corpus: Corpus, rows: list[str], object_store: str, tmp_path: Path
) -> None:
    folder = Folder(object_store) / "corpus"
    for path in corpus.folder.iterdir():
        folder.write(path.name, path.read_bytes())
    Corpus(folder, verify=True, cache=tmp_path)
    files = {path.name: path.read_bytes() for path in (tmp_path / "blocks").iterdir()}
    draw = np.random.default_rng(count)
    for attempt in range(count):
        now = dict(files)
        for name in DAMAGES[attempt % len(DAMAGES)](now, str(draw.choice(list(files))), draw):
            cached = tmp_path / "blocks" / name
            cached.unlink()  # as another process would: what is mapped stays
            if name in now:
                cached.write_bytes(now[name])
        opened = Corpus(folder, cache=tmp_path)
        if attempt % 5 == 0:
            assert [opened.sequence(row) for row in range(len(opened))] == rows
        else:
            opened.verify()
        assert {path.name: path.read_bytes() for path in (tmp_path / "blocks").iterdir()} == files


def test_what_a_killed_reader_left_in_the_cache_goes_after_a_day(
    corpus: Corpus, object_store: str, tmp_path: Path
) -> None:
    folder = Folder(object_store) / "corpus"
    for path in corpus.folder.iterdir():
        folder.write(path.name, path.read_bytes())
    old, new = (tmp_path / "blocks" / f".{name}.tmp" for name in ("old", "new"))
    new.parent.mkdir()
    for left, age_days in ((old, 2), (new, 0)):
        left.write_bytes(b"half a block")
        os.utime(left, (time.time() - 86_400 * age_days,) * 2)
    Corpus(folder, cache=tmp_path).window(0)
    assert new.exists() and not old.exists()


def test_a_small_cache_holds_what_was_used_last(
    corpus: Corpus, rows: list[str], object_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks may go as soon as they were fetched: another process' doing, in the moment before they are opened."""
    folder = Folder(object_store) / "corpus"
    for path in corpus.folder.iterdir():
        folder.write(path.name, path.read_bytes())
    room = sum(block["bytes"] for block in corpus.blocks[-3:])
    opened, cache = Corpus(folder, cache=tmp_path), BlockCache(tmp_path, room)
    really, calls = cache.path, []

    def path(*arguments: Any) -> Path:
        found = really(*arguments)
        calls.append(found)
        if len(calls) % 4 == 1:
            found.unlink()
        return found

    monkeypatch.setattr(cache, "path", path)
    monkeypatch.setattr(opened, "_cache", cache)
    assert [opened.sequence(row) for row in range(len(rows))] == rows
    assert len(calls) > len(corpus.blocks)
    kept = {path.stem for path in (tmp_path / "blocks").iterdir()}
    assert kept == {block["sha256"] for block in corpus.blocks[-3:]}


@COUNT
def test_a_damaged_manifest_is_refused_or_says_the_same(count: int, corpus: Corpus, tmp_path: Path) -> None:
    whole = (corpus.folder / MANIFEST).read_bytes()
    draw = np.random.default_rng(count)
    for path in corpus.folder.glob("*.arrow"):
        (tmp_path / path.name).hardlink_to(path)
    refused = 0
    for attempt in range(count):
        files = {MANIFEST: whole}
        (truncate if attempt % 5 == 0 else flip)(files, MANIFEST, draw)
        (tmp_path / MANIFEST).write_bytes(files[MANIFEST])
        try:
            assert Corpus(tmp_path).manifest == corpus.manifest
        except CorruptArtefact as error:
            assert f"{tmp_path / MANIFEST}: " in str(error) and "\n" not in str(error)
            refused += 1
    assert refused > 0.8 * count


@COUNT
def test_a_damaged_provenance_is_refused_or_says_the_same(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpora.without_ray(monkeypatch)
    source = Source(str(corpora.write_fasta(tmp_path / "a.fa", {"a": corpora.dna(2_000, 0)})), "Fictus")
    folder, plan = Folder(tmp_path / "corpus"), Plan(recipe=RECIPE)
    made = run_sources([source], plan, folder)
    whole = folder.read(PROVENANCE)
    draw = np.random.default_rng(count)
    refused = 0
    for attempt in range(count):
        files = {PROVENANCE: whole}
        (truncate if attempt % 5 == 0 else flip)(files, PROVENANCE, draw)
        folder.write(PROVENANCE, files[PROVENANCE])
        try:
            assert run_sources([source], plan, folder) == made
        except CorruptArtefact as error:
            assert folder.shown(PROVENANCE) in str(error) and "\n" not in str(error)
            refused += 1
    assert refused > 0.8 * count
    folder.delete(PROVENANCE)
    with pytest.raises(InputError, match=r"provenance\.json: no such file"):
        run_sources([source], plan, folder)


@COUNT
def test_a_damaged_part_is_built_again(count: int, tmp_path: Path) -> None:
    """Whether of the part itself or of its block's size; what changes neither is found when the block is read."""
    names = ("a", "b")
    files = [corpora.write_fasta(tmp_path / f"{name}.fa", {"c": corpora.dna(3_000, ord(name))}) for name in names]
    plan, folder = Plan(recipe=RECIPE), Folder(tmp_path / "corpus")
    work = units([Source(str(file), file.stem) for file in files])
    straight = corpora.build(tmp_path / "straight", [unit.source for unit in work], RECIPE)
    draw = np.random.default_rng(count)
    for attempt in range(count):
        for unit in work:
            build_unit(unit, plan, folder, tmp_path, unit.identity(plan.identity()))
        place = tmp_path / "corpus" / PARTS / "00001-00000.json"
        held = {place.name: place.read_bytes()}
        (flip, truncate, delete)[attempt % 3](held, place.name, draw)
        place.unlink()
        if held:
            place.write_bytes(held[place.name])
        corpora.build_here(work, plan, folder)
        assert commit(folder, work, plan) == straight.manifest
        (tmp_path / "corpus" / MANIFEST).unlink()


def test_a_manifest_with_numbers_json_does_not_know_is_corrupt(corpus: Corpus, tmp_path: Path) -> None:
    changed = json.loads((corpus.folder / MANIFEST).read_text())
    changed["assemblies"][0]["weight"] = float("nan")
    (tmp_path / MANIFEST).write_text(json.dumps(changed))
    with pytest.raises(CorruptArtefact, match=r"manifest\.json: changed"):
        Corpus(tmp_path)
