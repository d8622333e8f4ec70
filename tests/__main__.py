"""`./run test`: every check CI runs, in order; stops at the first that fails.

`--full` adds the long fault and soak counts; anything else is passed on to pytest.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import Any

FULL = "--full"
FAST = ["-n", "auto", "--maxprocesses", "4", "--dist", "worksteal", "tests/unit"]
"""Unit tests share nothing and run side by side; the others start Ray and would fight for the cores."""
SLOW = ["tests/integration", "tests/faults", "tests/e2e"]
GRACE_SECONDS = 10
NOTHING_COLLECTED = 5
"""pytest's exit code; expected of some folders when arguments choose the tests."""


def checks(arguments: list[str]) -> list[tuple[str, list[str]]]:
    """Name and command of each check."""
    python = sys.executable
    marks = [] if FULL in arguments else ["-m", "not full and not gpu"]
    passed_on = [argument for argument in arguments if argument != FULL]
    pytest = [python, "-m", "pytest", "-q", "--durations=8", *marks, *passed_on]
    return [
        ("lint", ["ruff", "check", "."]),
        ("format", ["ruff", "format", "--check", "."]),
        ("types", [python, "-m", "mypy"]),
        ("imports", ["lint-imports"]),
        ("unit tests", [*pytest, *FAST]),
        ("integration, fault and end-to-end tests", [*pytest, *SLOW]),
    ]


def run(command: list[str]) -> int:
    """Run one check in a process group of its own; a SIGTERM to us ends all of it."""
    process = subprocess.Popen(command, start_new_session=True)

    def stop(signum: int, _frame: Any) -> None:
        os.killpg(process.pid, signal.SIGINT)  # pytest then tears its fixtures down
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        sys.exit(128 + signum)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return process.wait()


def main() -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each of some hundred processes compiles every module again
    started, chosen = time.monotonic(), any(argument != FULL for argument in sys.argv[1:])
    tested = False
    for name, command in checks(sys.argv[1:]):
        print(f"== {name}", flush=True)
        begun = time.monotonic()
        code = run(command)
        if code == NOTHING_COLLECTED and chosen:
            print(f"== {name}: none chosen")
            continue
        tested = tested or "pytest" in command
        print(f"== {name}: {'passed' if code == 0 else 'FAILED'} in {time.monotonic() - begun:.0f} s", flush=True)
        if code:
            sys.exit(code)
    if not tested:
        print("== no test matches the arguments")
        sys.exit(NOTHING_COLLECTED)
    print(f"== all checks passed in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
