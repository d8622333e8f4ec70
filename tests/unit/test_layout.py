"""The tree: what must not exist, and what the names promise."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN_LINES = 40


def test_platform_is_no_package() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists(), "it would shadow the standard library's platform"


def test_the_run_script_is_short_and_ends_in_exec() -> None:
    lines = (ROOT / "run").read_text().splitlines()
    assert len(lines) <= RUN_LINES
    assert lines[-1].startswith("exec ")


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("genomics_fm.cli", ("ray", "mlflow", "fastapi", "torch")),
        ("genomics_fm.corpus.build", ("ray", "torch", "polars")),
        ("genomics_fm.training.loop", ("ray", "mlflow", "polars", "pydantic")),
        ("genomics_fm.tasks.trial", ("ray", "mlflow", "polars", "pydantic")),
        ("genomics_fm.inference.export", ("ray", "mlflow", "transformers", "peft")),
        ("genomics_fm.inference.pyfunc", ("ray", "mlflow", "fastapi")),
    ],
)
def test_importing_a_module_does_not_import(module: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(*[name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []
