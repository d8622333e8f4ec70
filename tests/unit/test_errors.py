import errno

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


def test_bugs_are_not_dressed_up() -> None:
    with pytest.raises(ZeroDivisionError), one_line_errors():
        _ = 1 / 0


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "disk full"),
        (errno.EDQUOT, "disk full"),
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


def test_other_system_errors_pass() -> None:
    with pytest.raises(OSError, match="I/O"), writing("/data/x"):
        raise OSError(errno.EIO, "I/O error")
