"""`jobs.build_corpus`: on Ray Data, the same bytes on any number of workers."""

from pathlib import Path

import pytest

from genomics_fm.artefacts import sha256_file
from genomics_fm.corpus.manifest import MANIFEST, Corpus
from genomics_fm.corpus.windows import Recipe
from jobs.build_corpus import BuildCorpusConfig, build, run, source_of
from tests.commands import command, write_genome

RECIPE = Recipe(window_bp=4_096, rows_per_block=4)


@pytest.fixture
def genomes(tmp_path: Path) -> tuple[str, ...]:
    return tuple(str(write_genome(tmp_path / f"genome{i}.fa", seed=i)) for i in range(3))


def test_ray_builds_what_one_process_builds(
    genomes: tuple[str, ...], tmp_path: Path, storage: Path, local_ray: None
) -> None:
    from genomics_fm.corpus.build import build_source, commit

    sources = [source_of(name, ()) for name in genomes]
    nodes = build(sources, RECIPE, tmp_path / "ray")
    assert len(nodes) == 1
    reports = [build_source(number, source, RECIPE, tmp_path / "one") for number, source in enumerate(sources)]
    commit(tmp_path / "one", sources, RECIPE, reports[::-1])
    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert len([name for name in names if name.endswith(".arrow")]) > 3
    for name in names - {"provenance.json"}:
        assert sha256_file(tmp_path / "ray" / name) == sha256_file(tmp_path / "one" / name), name


def test_a_finished_corpus_is_left_alone(genomes: tuple[str, ...], storage: Path, local_ray: None) -> None:
    config = BuildCorpusConfig(genomes=genomes[:1], exclude_contigs=("contig1",), recipe=RECIPE, name="mine")
    first = run(config)
    written = (Path(first["folder"]) / MANIFEST).stat().st_mtime_ns
    assert run(config)["sha256"] == first["sha256"]
    assert (Path(first["folder"]) / MANIFEST).stat().st_mtime_ns == written
    assert first["counts"]["dropped_contigs: held-out contig"] == 1
    assert {Corpus(Path(first["folder"])).window(row).contig for row in range(first["windows"])} == {
        "contig0",
        "contig2",
    }


def test_the_error_of_a_worker_reaches_the_user_as_one_line(tmp_path: Path) -> None:
    protein = tmp_path / "protein.fa"
    protein.write_text(">p\nMEEPQSDPSVEPPLSQETFSDLWKLLPENNVLSPLPSQAMDDLMLSPDDIEQWFTEDPGP\n")
    ended = command("jobs.build_corpus", "--genomes", str(protein), GENOMICS_FM_STORAGE=str(tmp_path / "runs"))
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert ended.err.startswith(f"error: {protein}:2")
    assert not list((tmp_path / "runs").rglob(MANIFEST))
