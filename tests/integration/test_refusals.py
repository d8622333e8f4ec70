"""What a job refuses instead of quietly doing something else."""

import dataclasses
from pathlib import Path

import pytest

from genomics_fm.corpus.plan import Plan, request_identity
from genomics_fm.corpus.sources import Source
from genomics_fm.corpus.windows import Recipe
from genomics_fm.errors import InputError
from genomics_fm.storage import Folder
from jobs import quickstart, sweep
from jobs.build_corpus import run_sources
from jobs.config import parse
from jobs.sweep import SweepConfig
from tests.commands import command, write_genome
from tests.heads import write_head

PLAN = Plan(recipe=Recipe(window_bp=4_096))


def test_a_named_corpus_of_other_content_is_refused(tmp_path: Path, local_ray: None) -> None:
    genome = write_genome(tmp_path / "genome.fa")
    first = run_sources([Source(str(genome), "made up")], PLAN, Folder(tmp_path / "corpus"))
    excluding = Source(str(genome), "made up", exclude_contigs=("contig1",))
    with pytest.raises(InputError, match="another --name"):
        run_sources([excluding], PLAN, Folder(tmp_path / "corpus"))
    write_genome(genome, seed=1)
    with pytest.raises(InputError, match="another --name"):
        run_sources([Source(str(genome), "made up")], PLAN, Folder(tmp_path / "corpus"))
    write_genome(genome)
    again = run_sources([Source(str(genome), "made up")], PLAN, Folder(tmp_path / "corpus"))
    assert again["sha256"] == first["sha256"]


def test_a_corpus_is_what_its_sources_hold_not_where_they_lie(tmp_path: Path) -> None:
    here, there = (write_genome(tmp_path / name) for name in ("a.fa", "b.fa"))
    assert request_identity([Source(str(here), "x")], PLAN) == request_identity([Source(str(there), "x")], PLAN)
    other = write_genome(tmp_path / "c.fa", seed=1)
    assert request_identity([Source(str(other), "x")], PLAN) != request_identity([Source(str(here), "x")], PLAN)
    with pytest.raises(InputError, match="directory"):
        request_identity([Source(str(tmp_path), "x")], PLAN)


@pytest.mark.parametrize(
    "flags",
    [
        ("--seeds", "0"),
        ("--served-sequences", "0"),
        ("--workers", "0"),
        ("--max-rows", "1"),
        ("--sweep.search-trials", "0"),
        ("--training.steps", "-3"),
        ("--sweep.trial.cap", "-5"),
    ],
)
def test_numbers_out_of_range_are_refused_at_once(flags: tuple[str, str]) -> None:
    with pytest.raises(InputError, match=flags[1]):
        parse(quickstart.PRESETS, list(flags), "quickstart")


@pytest.mark.parametrize("name", ["--sweep.seeds=3", "--sweep.trial.fraction=0.5", "--vocabulary.output=x"])
def test_what_the_quickstart_fills_in_cannot_be_given(name: str, storage: Path) -> None:
    config, _ = parse(quickstart.PRESETS, [name], "quickstart")
    with pytest.raises(InputError, match=name.split("=")[0]):
        quickstart.run(config)


def test_preset_and_name_are_two_things() -> None:
    config, _ = parse(quickstart.PRESETS, ["--preset", "smoke", "--name", "mine"], "quickstart")
    assert (config.preset, config.name) == ("smoke", "mine")
    assert all(dataclasses.asdict(preset)["preset"] == name for name, preset in quickstart.PRESETS.items())


def test_a_wrong_encoder_folder_is_one_line(tmp_path: Path) -> None:
    head = write_head(tmp_path / "head")
    ended = command("jobs.finetune", "--checkpoint", str(tmp_path), "--task", str(head))
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err


def test_the_identity_of_a_sweep_ignores_what_has_no_influence() -> None:
    config = SweepConfig(tracking="sqlite:///x.db", concurrent=7, output="here")
    kept = {k for k in dataclasses.asdict(config) if k not in sweep.NO_INFLUENCE}
    assert kept.isdisjoint({"tracking", "concurrent", "output"})
    assert {"fractions", "trial", "seeds"} <= kept
