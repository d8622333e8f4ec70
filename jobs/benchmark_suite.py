"""Which published sets the benchmark runs on: those of a local data folder."""

import os
from pathlib import Path

from genomics_fm.errors import InputError
from genomics_fm.tasks import registry


def data_root(given: str) -> Path:
    """The folder of published sets: as given, or `$GENOMICS_FM_DATA`.

    Raises:
        InputError: neither, or no folder.
    """
    told = given or os.environ.get(registry.ROOT_VARIABLE, "")
    if not told or not Path(told).is_dir():
        raise InputError(f"--data-root {told or '(none)'}: no such folder; give one with sets as in docs/tasks.md")
    return Path(told).absolute()


def sets(root: Path, asked: tuple[str, ...]) -> list[str]:
    """Names of the sets to run, in the registry's order: those asked for, or all that the folder holds.

    Raises:
        InputError: one asked for is not known or not in the folder; none is.
    """
    if unknown := [name for name in asked if name not in registry.TASKS]:
        raise InputError(f"--tasks {unknown[0]}: not known; see docs/tasks.md")
    here = [name for name, entry in registry.TASKS.items() if registry.local_files(entry, root)]
    if missing := [name for name in asked if name not in here]:
        raise InputError(f"--tasks {missing[0]}: not in {root}; it holds {', '.join(here) or 'none'}")
    found = [name for name in here if name in (asked or here)]
    if not found:
        raise InputError(f"{root}: no published set in it; see docs/tasks.md for where files lie")
    return found
