from pathlib import Path
from typing import Any

import pytest

from genomics_fm.errors import CorruptArtefact
from jobs.stages import RECORD, stage


class Work:
    """Counts its runs, and leaves a file."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, folder: Path) -> dict[str, Any]:
        self.runs += 1
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "made").write_text(str(self.runs))
        return {"run": self.runs, "folder": str(folder)}


def test_a_stage_runs_once_and_is_then_skipped_aloud(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = Work()
    first = stage(tmp_path, "corpus", {"a": 1}, work)
    assert "done in" in capsys.readouterr().err
    second = stage(tmp_path, "corpus", {"a": 1}, work)
    assert f"[corpus] unchanged, skipped ({first.folder.name})" in capsys.readouterr().err
    assert work.runs == 1
    assert (first.skipped, second.skipped) == (False, True)
    assert second.result == first.result == {"run": 1, "folder": str(first.folder)}
    assert (second.folder, second.hash) == (first.folder, first.hash)
    assert second.seconds == pytest.approx(first.seconds, abs=1e-3)


def test_a_result_is_the_same_run_or_skipped(tmp_path: Path) -> None:
    """The first run hands on what the record will say, not Python's own tuples and keys."""
    results = [stage(tmp_path, "corpus", 1, lambda _: {"pair": (1, 2), "by": {3: 4}}).result for _ in range(2)]
    assert results[0] == results[1] == {"pair": [1, 2], "by": {"3": 4}}


def test_other_inputs_get_another_folder_and_the_old_one_stays(tmp_path: Path) -> None:
    work = Work()
    first = stage(tmp_path, "corpus", {"a": 1}, work)
    other = stage(tmp_path, "corpus", {"a": 2}, work)
    assert work.runs == 2 and first.folder != other.folder and first.hash != other.hash
    assert stage(tmp_path, "corpus", {"a": 1}, work).skipped
    assert stage(tmp_path, "corpus", {"a": 2}, work).skipped
    assert work.runs == 2
    assert first.folder.name == f"corpus-{first.hash}"


def test_stages_of_the_same_inputs_do_not_share_a_folder(tmp_path: Path) -> None:
    work = Work()
    assert stage(tmp_path, "a", 1, work).folder != stage(tmp_path, "b", 1, work).folder
    assert work.runs == 2


def test_the_order_of_inputs_is_no_change(tmp_path: Path) -> None:
    work = Work()
    stage(tmp_path, "a", {"x": (1, 2), "y": 2}, work)
    assert stage(tmp_path, "a", {"y": 2, "x": [1, 2]}, work).skipped


def test_an_interrupted_stage_runs_again_where_it_was(tmp_path: Path) -> None:
    def interrupted(folder: Path) -> dict[str, Any]:
        folder.mkdir(parents=True)
        (folder / "half").write_text("so far")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage(tmp_path, "train", 1, interrupted)

    def resumed(folder: Path) -> dict[str, Any]:
        return {"found": (folder / "half").read_text()}

    again = stage(tmp_path, "train", 1, resumed)
    assert not again.skipped and again.result == {"found": "so far"}
    assert stage(tmp_path, "train", 1, resumed).skipped


def test_a_damaged_record_is_not_taken_for_done(tmp_path: Path) -> None:
    done = stage(tmp_path, "train", 1, Work())
    (done.folder / RECORD).write_text("{")
    with pytest.raises(CorruptArtefact, match=r"stage\.json: not JSON"):
        stage(tmp_path, "train", 1, Work())
