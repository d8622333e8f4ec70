"""The page of a head is written from what a finetuning left, also where it was moved; nothing changed is shown."""

import dataclasses
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from genomics_fm.artefacts import write_sealed_json
from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.tasks import baselines, task
from genomics_fm.vocabulary.ensemble import Ensemble
from jobs import arms, encoders, finetune, finetune_arms, finetune_report
from jobs.config import parse
from tests.unit.test_report_page import Page
from tests.unit.trial_tasks import encoder, task_of


@pytest.fixture(scope="module")
def finished(vocabulary: Ensemble, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder NAME of a finetuning with two arms, without Ray."""
    root = tmp_path_factory.mktemp("finetuning")
    made = task_of("classification")
    about = {"audit": {"grade": "none", "verdict": "none leaks", "rows_in_train": [], "counts": {"A": 0}}}
    task.save(root / "task-1", dataclasses.replace(made, about=about))
    folder = encoder(root / "encoder", vocabulary)
    flags = ("--task", "x", "--vocabulary", "kmer", "--trial.updates", "2", "--trial.evaluations", "2")
    config = parse(finetune.PRESETS, flags, "finetune")[0]
    plan = finetune_arms.planned(config, str(root / "task-1"), made.problem, str(folder), ["kmer"], 60)
    plan = [one for one in plan if one.trial or one.name == baselines.NAMES["classification"][0]]
    found = [finetune_arms._on_worker(dataclasses.asdict(one), str(root / "arms-1")) for one in plan]
    opened = encoders.opened(folder, "asked for")
    result = finetune._result(config, task.load(root / "task-1"), opened, root / "arms-1", plan, found)
    result |= {"name": "x", "task_folder": str(root / "task-1"), "registered": None, "seconds": 1.0}
    write_sealed_json(root / "arms-1" / finetune_report.RESULT, result)
    return root


@pytest.fixture
def moved(finished: Path, tmp_path: Path) -> Iterator[Path]:
    """Its arms somewhere else, and nothing where they were written."""
    shutil.copytree(finished, tmp_path / "moved")
    hidden = finished.rename(finished.with_name("hidden"))
    yield tmp_path / "moved" / "arms-1"
    hidden.rename(finished)


def test_a_moved_finetuning_is_shown_by_the_command(
    moved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["finetune_report", str(moved)])
    finetune_report.main()
    path = moved / finetune_report.REPORT
    assert capsys.readouterr().out == f"report: {path}\n"
    page = Page(path.read_text())
    for words in ("Head: classification task", "scratch kmer", "Learning curves", "none leaks", "Worst mistakes"):
        assert words in page.text
    assert str(moved / "pretrained-kmer-seed0") in page.text, "the head that is there"


def test_what_was_changed_is_not_shown(moved: Path) -> None:
    test = moved / "scratch-kmer-seed0" / arms.TEST
    kept = test.read_bytes()
    shutil.copy(moved / "pretrained-kmer-seed0" / arms.TEST, test)
    with pytest.raises(CorruptArtefact, match=r"scratch-kmer-seed0/test.parquet: not as arm.json says"):
        finetune_report.write(moved)
    test.write_bytes(kept)
    task.save(moved.parent / "task-1", task_of("classification", rows=63))
    with pytest.raises(CorruptArtefact, match=r"task-1: not the rows that"):
        finetune_report.write(moved)
    assert not (moved / finetune_report.REPORT).exists()


def test_a_folder_without_a_result_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no result.json; give the folder that jobs.finetune names"):
        finetune_report.write(tmp_path)
