"""`run` sets up its environment once, and again after a setup that was killed; `./run test` takes arguments."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests import __main__ as checks

ROOT = Path(__file__).parents[2]
MADE_PYTHON = '#!/bin/sh\necho "made $*" >>"$LOG"\n'
BASE_PYTHON = f"""#!/bin/sh
echo "base $*" >>"$LOG"
[ "$2" = venv ] || exit 0
rm -rf .venv; mkdir -p .venv/bin
cat >.venv/bin/python <<'END'
{MADE_PYTHON}END
chmod +x .venv/bin/python
"""


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def run(folder: Path) -> list[str]:
    """What was called during one `./run python -V`."""
    log = folder / "log"
    log.write_text("")
    environment = {**os.environ, "LOG": str(log), "PYTHON": str(folder / "base")}
    subprocess.run(["./run", "python", "-V"], cwd=folder, env=environment, check=True, capture_output=True)
    return log.read_text().splitlines()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("run", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    executable(tmp_path / "base", BASE_PYTHON)
    return tmp_path


def test_a_python_without_pip_is_made_again(checkout: Path) -> None:
    executable(checkout / ".venv/bin/python", '#!/bin/sh\n[ "$2" != pip ]\n')
    called = run(checkout)
    assert "base -m venv --clear .venv" in called
    assert called[-1] == "made -V"


def test_what_is_installed_is_not_installed_again(checkout: Path) -> None:
    assert any("install" in line for line in run(checkout))
    assert run(checkout) == ["made -V"]
    (checkout / "constraints.txt").write_text("")
    called = run(checkout)
    assert any("install" in line for line in called)
    assert not any("venv" in line for line in called)


@pytest.mark.parametrize(
    ("arguments", "codes", "expected"),
    [
        (["-k", "masking"], {"unit tests": 0, "integration": 5}, 0),
        (["-k", "nothing"], {"unit tests": 5, "integration": 5}, 5),
        (["-k", "masking"], {"unit tests": 1}, 1),
        ([], {"unit tests": 5}, 5),
        (["--full"], {"unit tests": 5}, 5),
    ],
)
def test_no_test_in_one_folder_is_no_failure_when_tests_were_chosen(
    arguments: list[str], codes: dict[str, int], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def code(command: list[str]) -> int:
        folder = "unit tests" if "tests/unit" in command else "integration"
        return codes.get(folder, 0) if "pytest" in command else 0

    monkeypatch.setattr(checks, "run", code)
    monkeypatch.setattr(sys, "argv", ["tests", *arguments])
    if expected == 0:
        checks.main()
        return
    with pytest.raises(SystemExit) as ended:
        checks.main()
    assert ended.value.code == expected
