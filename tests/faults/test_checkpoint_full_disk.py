"""A disk that fills up while a checkpoint is written: exit 4, the older one loads, and it goes on with space again."""

import os
from pathlib import Path

import pytest
import torch
import torch.multiprocessing

from genomics_fm.errors import EnvironmentFault
from genomics_fm.storage import Folder
from tests.trained import ABOUT, STREAM_STATES, Expected, Trained, checkpoints_of, newest, save_where_one_is_refused

torch.set_num_threads(1)
PAGE = 4_096
CHECKPOINT_PAGES = 16
"""More than a checkpoint of the tiny model takes."""


def _leave(disk: Path, pages: int) -> None:
    """Fill the disk up but for some pages."""
    (disk / "filler").unlink(missing_ok=True)
    free = os.statvfs(disk)
    (disk / "filler").write_bytes(bytes(free.f_bavail * free.f_frsize - pages * PAGE))


def test_a_full_disk_at_every_file_of_a_checkpoint(small_disk: Path) -> None:
    trained, checkpoints, expected = Trained(), checkpoints_of(small_disk, keep=1), Expected()
    trained.step(0)
    checkpoints.save(1, trained.model, trained.optimizer, STREAM_STATES, ABOUT)
    checkpoints.wait()
    trained.step(1)
    failed: set[str] = set()
    for pages in range(CHECKPOINT_PAGES + 1):
        _leave(small_disk, pages)
        checkpoints.save(2, trained.model, trained.optimizer, STREAM_STATES, ABOUT)
        try:
            checkpoints.wait()
            break
        except EnvironmentFault as fault:
            assert fault.exit_code == 4
            assert "disk full" in str(fault) and f"{small_disk}/step-00000002/" in str(fault)
            failed.add(str(fault).partition(":")[0].rpartition(".")[2])
        found = newest(small_disk, [])
        assert found is not None and found.step == 1
        expected.check(found)
    assert failed == {"safetensors", "json"}
    found = newest(small_disk, [])
    assert found is not None and found.step == 2
    expected.check(found)
    assert not list(small_disk.rglob(".*"))


def test_the_fault_of_one_save_shows_when_the_next_is_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, checkpoints = Trained(), checkpoints_of(tmp_path)

    def refused(self: Folder, name: str, data: bytes | memoryview) -> None:
        raise EnvironmentFault(f"{self.shown(name)}: the store refused")

    with monkeypatch.context() as patched:
        patched.setattr(Folder, "write", refused)
        checkpoints.save(1, trained.model, trained.optimizer, STREAM_STATES, ABOUT)
        with pytest.raises(EnvironmentFault, match=r"safetensors: the store refused"):
            checkpoints.save(2, trained.model, trained.optimizer, STREAM_STATES, ABOUT)
    checkpoints.save(1, trained.model, trained.optimizer, STREAM_STATES, ABOUT)
    checkpoints.wait()
    found = newest(tmp_path, [])
    assert found is not None and found.step == 1


@pytest.mark.parametrize("refused", [0, 1])
def test_what_one_worker_cannot_write_all_are_told_and_none_waits_for_ever(refused: int, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    arguments = (2, str(folder), str(tmp_path / "meet"), refused)
    torch.multiprocessing.start_processes(save_where_one_is_refused, arguments, nprocs=2, start_method="forkserver")
    told = [(tmp_path / f"checkpoints-told-{rank}").read_text() for rank in range(2)]
    assert told[0] == told[1] and f"the store refused worker {refused}" in told[0]
    said: list[str] = []
    found = newest(folder, said)  # the second save
    assert found is not None and (found.step, found.world, said) == (1, 2, [])
