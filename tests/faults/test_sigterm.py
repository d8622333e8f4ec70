"""SIGTERM to `./run` ends every process it started, within 15 seconds; the next run goes on."""

import os
import signal
import subprocess
import time
import uuid
from pathlib import Path

from tests.commands import ROOT

LIMIT_SECONDS = 15
MARK = "GENOMICS_FM_TEST_MARK"


def marked(mark: str) -> list[int]:
    """Processes whose environment holds the mark: what was started, and all its descendants."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARK}={mark}".encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:  # it ended, or is not ours
            continue
    return found


def test_sigterm_during_pretraining_ends_ray_and_all(tmp_path: Path) -> None:
    mark, log = uuid.uuid4().hex, tmp_path / "log"
    environment = {**os.environ, MARK: mark, "GENOMICS_FM_STORAGE": str(tmp_path / "runs")}
    with log.open("w") as output:
        process = subprocess.Popen(
            ["./run", "quickstart", "--preset", "smoke", "--training.steps=400"],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
        )
        until = time.monotonic() + 240
        while "[pretrain] step" not in log.read_text() and time.monotonic() < until and process.poll() is None:
            time.sleep(0.2)
        assert len(marked(mark)) > 4, log.read_text()[-2000:]
        process.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        code = process.wait(LIMIT_SECONDS)
        while marked(mark) and time.monotonic() - asked < LIMIT_SECONDS:
            time.sleep(0.2)
    assert code == 143
    assert marked(mark) == []
    assert "Traceback" not in log.read_text()
