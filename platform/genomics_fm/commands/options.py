"""Options that every command has, and what is refused before a command begins."""

from pathlib import Path
from typing import Annotated

import typer

from genomics_fm.errors import InputError

Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]


def refuse_folder(output: Path) -> None:
    """Refuse now, not when all is computed, to write a file where a folder is."""
    if output.is_dir():
        raise InputError(f"{output}: a folder; name a file to write")
