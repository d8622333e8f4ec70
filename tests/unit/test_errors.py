import errno
import os
import re
from pathlib import Path

import pytest

from genomics_fm.errors import (
    CorruptArtefact,
    EnvironmentFault,
    GenomicsFmError,
    InputError,
    one_line_errors,
    writing,
)


@pytest.mark.parametrize(("kind", "code"), [(InputError, 2), (CorruptArtefact, 3), (EnvironmentFault, 4)])
def test_each_kind_is_one_line_and_its_exit_code(
    kind: type[GenomicsFmError], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end, one_line_errors():
        raise kind("a.fa:3: wrong; mend it")
    assert end.value.code == code
    assert capsys.readouterr().err == "error: a.fa:3: wrong; mend it\n"


def test_debug_adds_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), one_line_errors(debug=True):
        raise InputError("wrong")
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_ends_with_130_and_no_words(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end, one_line_errors():
        raise KeyboardInterrupt
    assert end.value.code == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("name", "says"), [(None, "standard output"), ("/data/x", "/data/x")])
def test_a_full_disk_that_nobody_foresaw_is_one_line(
    name: str | None, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end, one_line_errors():
        raise OSError(errno.ENOSPC, "No space left on device", name)
    assert end.value.code == 4
    assert re.fullmatch(rf"error: {says}.*: disk full; free some space .*\n", capsys.readouterr().err)
    with pytest.raises(OSError, match="No space"), one_line_errors(debug=True):
        raise OSError(errno.ENOSPC, "No space left on device", name)


def test_bugs_are_not_dressed_up() -> None:
    with pytest.raises(ZeroDivisionError), one_line_errors():
        _ = 1 / 0


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "disk full"),
        (errno.EDQUOT, r"disk full \(your quota\)"),
        (errno.EACCES, "not writable"),
        (errno.EROFS, "not writable"),
        (errno.ENOTDIR, "not writable"),
        (errno.EISDIR, "not writable"),
        (errno.EEXIST, "not writable"),
    ],
)
def test_a_place_that_cannot_be_written_is_named(number: int, says: str) -> None:
    with pytest.raises(EnvironmentFault, match=rf"^/data/x: {says}.*; .*choose another"), writing("/data/x"):
        raise OSError(number, "as the system says it")


@pytest.mark.parametrize(
    ("needed", "files", "says"),
    [
        (0, 9, "8,192 bytes free;"),
        (70_000, 9, "70,000 bytes needed, 8,192 free;"),
        (1, 0, "1 bytes needed, 8,192 free, no more files allowed;"),
    ],
)
def test_a_full_disk_says_what_was_needed_and_what_is_free(
    needed: int, files: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def statvfs(path: Path) -> os.statvfs_result:
        asked.append(path)
        if not path.exists():
            raise FileNotFoundError(path)
        return os.statvfs_result((4096, 4096, 100, 5, 2, 50, 9, files, 0, 255))

    monkeypatch.setattr(os, "statvfs", statvfs)
    with pytest.raises(EnvironmentFault) as caught, writing(tmp_path / "not yet" / "x", needed):
        raise OSError(errno.ENOSPC, "as the system says it")
    assert f"not yet/x: disk full: {says} free some space" in str(caught.value)
    assert asked[-1] == tmp_path


def test_other_system_errors_pass() -> None:
    with pytest.raises(OSError, match="I/O"), writing("/data/x"):
        raise OSError(errno.EIO, "I/O error")
