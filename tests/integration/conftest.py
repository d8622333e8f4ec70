"""One local Ray for the tests that call jobs in this process, and a storage folder for each."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import launch


@pytest.fixture(scope="package")
def local_ray() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RAY_metrics_report_interval_ms", "1000")  # a test waits for them; the default is ten seconds
            stack.enter_context(launch.connect())
        yield


@pytest.fixture
def storage(tmp_path: Path, empty_tracking: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A storage folder of the test's own, with tracking inside it."""
    (tmp_path / "runs").mkdir()
    shutil.copy(empty_tracking, tmp_path / "runs" / "mlflow.db")
    monkeypatch.setenv("GENOMICS_FM_STORAGE", str(tmp_path / "runs"))
    monkeypatch.delenv("GENOMICS_FM_TRACKING", raising=False)
    return tmp_path / "runs"
