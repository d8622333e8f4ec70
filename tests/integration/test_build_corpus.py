"""`jobs.build_corpus`: on Ray Data, the same bytes on any number of workers, on a disk and in an object store."""

from pathlib import Path

import pytest

from genomics_fm.artefacts import sha256_file
from genomics_fm.corpus.manifest import MANIFEST, PROVENANCE, Corpus
from genomics_fm.corpus.plan import Plan, units
from genomics_fm.corpus.windows import Recipe
from genomics_fm.storage import Folder
from jobs.build_corpus import BuildCorpusConfig, build, run, source_of
from tests import corpora
from tests.commands import command, write_genome

RECIPE = Recipe(window_bp=4_096, rows_per_block=4)


@pytest.fixture
def genomes(tmp_path: Path) -> tuple[str, ...]:
    return tuple(str(write_genome(tmp_path / f"genome{i}.fa", seed=i)) for i in range(3))


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in folder.iterdir() if path.name != PROVENANCE}


@pytest.mark.parametrize("workers", [1, 2, 0])
def test_ray_builds_what_one_process_builds(
    genomes: tuple[str, ...], tmp_path: Path, storage: Path, local_ray: None, workers: int
) -> None:
    config = BuildCorpusConfig(genomes=genomes, recipe=RECIPE, name="ray", workers=workers)
    result = run(config)
    assert len(result["nodes"]) == 1
    alone = corpora.build(tmp_path / "one", [source_of(name, ()) for name in genomes], RECIPE)
    assert len(alone.blocks) > 3
    assert hashes(Path(result["folder"])) == hashes(tmp_path / "one")


def test_a_finished_corpus_is_left_alone(genomes: tuple[str, ...], storage: Path, local_ray: None) -> None:
    config = BuildCorpusConfig(genomes=genomes[:1], exclude_contigs=("contig1",), recipe=RECIPE, name="mine")
    first = run(config)
    folder = Path(first["folder"])
    written = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert run(config)["sha256"] == first["sha256"]
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == written
    assert first["counts"]["dropped_contigs: held-out contig"] == 1
    assert {Corpus(folder).window(row).contig for row in range(first["windows"])} == {"contig0", "contig2"}


def test_an_object_store_holds_the_same_corpus(
    genomes: tuple[str, ...], tmp_path: Path, object_store: str, local_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENOMICS_FM_CACHE", str(tmp_path / "cache"))
    config = BuildCorpusConfig(genomes=genomes, recipe=RECIPE, output=object_store.replace("?", "/corpus?"))
    result = run(config)
    local = corpora.build(tmp_path / "one", [source_of(name, ()) for name in genomes], RECIPE)
    remote = Corpus(Folder(config.output), verify=True)
    assert remote.manifest == local.manifest
    assert [remote.window(row) for row in range(0, len(remote), 5)] == [
        local.window(row) for row in range(0, len(local), 5)
    ]
    assert Folder(config.output).names() == sorted(path.name for path in (tmp_path / "one").iterdir())
    assert run(config)["sha256"] == result["sha256"]


def test_the_error_of_a_worker_reaches_the_user_as_one_line(tmp_path: Path) -> None:
    protein = tmp_path / "protein.fa"
    protein.write_text(">p\nMEEPQSDPSVEPPLSQETFSDLWKLLPENNVLSPLPSQAMDDLMLSPDDIEQWFTEDPGP\n")
    ended = command("jobs.build_corpus", "--genomes", str(protein), GENOMICS_FM_STORAGE=str(tmp_path / "runs"))
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert ended.err.startswith(f"error: {protein}:2")
    assert not list((tmp_path / "runs").rglob(MANIFEST))


def test_what_is_left_undone_is_all_that_is_built(genomes: tuple[str, ...], tmp_path: Path, local_ray: None) -> None:
    plan, folder = Plan(recipe=RECIPE), Folder(tmp_path / "corpus")
    work = units([source_of(name, ()) for name in genomes])
    build(work[:2], plan, folder)
    first = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "corpus").glob("block-*")}
    build(work, plan, folder)
    assert (
        first.items() < {path.name: path.stat().st_mtime_ns for path in (tmp_path / "corpus").glob("block-*")}.items()
    )
