"""Stages of a longer job: each has a folder named by the hash of its inputs, and runs only when there is none yet."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genomics_fm.artefacts import read_sealed_json, sha256_json, write_sealed_json
from jobs.progress import Clock, say

FORMAT_VERSION = 1
RECORD = "stage.json"
HASH_CHARACTERS = 10


@dataclass(frozen=True)
class Stage:
    """A finished stage.

    Attributes:
        name: of the stage.
        folder: its files.
        hash: of its inputs.
        result: what it returned, as JSON.
        seconds: it took when it ran.
        skipped: it had run before.
    """

    name: str
    folder: Path
    hash: str
    result: dict[str, Any]
    seconds: float
    skipped: bool


def stage(root: Path, name: str, inputs: Any, work: Callable[[Path], dict[str, Any]]) -> Stage:
    """Run `work` in the stage's folder, unless it has finished there before.

    A stage that was interrupted finds its folder as it left it, and may go on from there. Other inputs get
    another folder, so nothing is overwritten.

    Args:
        root: the run's folder.
        name: of the stage.
        inputs: everything that decides its result, as JSON.
        work: receives the folder, returns JSON.
    """
    digest = sha256_json(inputs)[:HASH_CHARACTERS]
    folder = root / f"{name}-{digest}"
    record = folder / RECORD
    skipped = record.is_file()
    if skipped:
        say(f"[{name}] unchanged, skipped ({folder.name})")
    else:
        say(f"[{name}] → {folder}")
        clock = Clock()
        result = work(folder)
        seconds = round(clock.seconds, 3)
        write_sealed_json(
            record, {"format_version": FORMAT_VERSION, "inputs": inputs, "result": result, "seconds": seconds}
        )
        say(f"[{name}] done in {seconds:.1f} s")
    done = read_sealed_json(record, FORMAT_VERSION, "")
    return Stage(name, folder, digest, done["result"], done["seconds"], skipped)
