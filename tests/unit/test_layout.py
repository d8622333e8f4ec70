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
    ("modules", "absent"),
    [
        (("cli",), ("ray", "mlflow", "fastapi", "torch")),
        (("corpus.build",), ("ray", "torch", "polars")),
        (
            ("training.loop", "tasks.trial"),
            ("ray", "mlflow", "polars", "pydantic", "sklearn", "torch.distributed.tensor"),
        ),
        (
            ("inference.pyfunc", "inference.predict", "inference.export"),
            ("ray", "mlflow", "fastapi", "transformers", "peft", "sklearn", "pandas"),
        ),
    ],
)
def test_importing_modules_does_not_import(modules: tuple[str, ...], absent: tuple[str, ...]) -> None:
    names = ", ".join(f"genomics_fm.{module}" for module in modules)
    code = f"import sys, {names}; print(*[name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []
