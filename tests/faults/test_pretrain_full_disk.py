"""A disk that fills up during a pretraining: exit 4, the older checkpoint holds, and it goes on with space again."""

import os
from pathlib import Path

import pytest

from tests.disks import mounted
from tests.pretrainings import CHECKPOINT_STEPS, STEPS, Pretraining

DISK_MIB = 8
LEFT_BYTES = 100 << 10
"""Room for the log of some hundred steps, and not for a checkpoint, which is three times as large."""


def fill(disk: Path) -> Path:
    """Fill a disk up but for a little; the file that does."""
    filler, free = disk / "filler", os.statvfs(disk)
    filler.write_bytes(bytes(free.f_bavail * free.f_frsize - LEFT_BYTES))
    return filler


@pytest.mark.full
def test_the_job_says_so_and_the_same_command_goes_on(
    pretraining_corpus: Path, undisturbed: Pretraining, tmp_path: Path
) -> None:
    with mounted(tmp_path / "disk", f"size={DISK_MIB}m") as disk:
        run = Pretraining(pretraining_corpus, disk, STEPS, "--max-failures=0")
        whole = run.folder / "checkpoints" / f"step-{CHECKPOINT_STEPS:08d}" / "manifest.json"
        with run:
            run.start()
            run.wait_for(whole.is_file)
            filler = fill(disk)
            assert run.end(None) == 4, run.log.read_text()
            [line] = [line for line in run.log.read_text().splitlines() if line.startswith("error: ")]
            assert f"{run.folder}/checkpoints/step-" in line and "disk full" in line
            assert "Traceback" not in run.log.read_text()
            filler.unlink()
            run.start()
            assert run.end(None) == 0, run.log.read_text()
            assert len(run.starts()) == 2 and run.starts()[1] >= CHECKPOINT_STEPS
            assert run.outcome() == undisturbed.outcome()
