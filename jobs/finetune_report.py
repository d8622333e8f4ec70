"""The page of a finetuned head: `python -m jobs.finetune_report ARMS_FOLDER` writes it again.

It lies beside `result.json` and not in the head's folder: it shows sequences, and heads travel.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genomics_fm.artefacts import read_sealed_json, sha256_file, write_bytes
from genomics_fm.errors import CorruptArtefact, InputError, one_line_errors
from genomics_fm.inference.card import read_card
from genomics_fm.inference.predicted import read_predicted
from genomics_fm.report.head_page import head_page
from genomics_fm.report.head_record import HeadRecord
from genomics_fm.tasks import task as tasks
from genomics_fm.tasks.metrics import Predictions
from genomics_fm.tasks.problem import Problem
from jobs import arms

RESULT, REPORT = "result.json", "report.html"
FORMAT_VERSION = 1
"""Of `RESULT`."""


def write(folder: Path) -> Path:
    """Write the page of a finished finetuning.

    Args:
        folder: of its arms; beside it lies the folder of the task.

    Returns:
        Where the page lies.

    Raises:
        InputError: no result there, or its rows are gone.
        CorruptArtefact: a file is not as it was written.
    """
    path = folder / REPORT
    write_bytes(path, head_page(record_of(folder)).encode())
    return path


def record_of(folder: Path) -> HeadRecord:
    """What the page shows; arguments and errors as of `write`."""
    if not (folder / RESULT).is_file():
        raise InputError(f"{folder}: no {RESULT}; give the folder that jobs.finetune names at its end")
    result = read_sealed_json(folder / RESULT, FORMAT_VERSION, "run jobs.finetune again")
    rows = _beside(folder.parent, result["task_folder"])
    task = tasks.load(rows)
    if any(result["hashes"].get(split) != sha256 for split, sha256 in task.hashes.items()):
        raise CorruptArtefact(f"{rows}: not the rows that {folder / RESULT} names; run jobs.finetune again")
    head = _beside(folder, result["head"]["head"])
    rivals = {one["name"]: _predictions(folder, _rival(result, one["name"]), task.problem)
              for one in result["comparisons"]}  # fmt: skip
    files = {"head": str(head), "rows": str(rows), "all numbers": str(folder / RESULT)}
    mine = next(arm for arm in result["arms"] if Path(arm["folder"]).name == head.name)
    return HeadRecord(
        result, task, read_card(head / "config.json"), _predictions(folder, mine, task.problem), rivals, files
    )


def _beside(folder: Path, path: str) -> Path:
    """What lies in a folder, also if all of it was moved; else where it was."""
    return folder / Path(path).name if (folder / Path(path).name).exists() else Path(path)


def _rival(result: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The arm that was compared: of a name the best seed on validation."""
    of = [arm for arm in result["arms"] if arm["name"] == name]
    return max(of, key=lambda arm: arm["validation"][arm["metric"]])


def _predictions(folder: Path, arm: Mapping[str, Any], problem: Problem) -> Predictions:
    """Of an arm for the test rows, as it wrote them."""
    path = _beside(folder, arm["folder"]) / arms.TEST
    if not path.is_file() or sha256_file(path) != arm.get("files", {}).get(arms.TEST):
        raise CorruptArtefact(f"{path}: not as {arms.ARM_FILE} says that it was written; run jobs.finetune again")
    return read_predicted(path, problem).predictions


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser("python -m jobs.finetune_report", description="Writes a head's page again.")
    parser.add_argument("folder", metavar="ARMS_FOLDER", help="where result.json of a finetuning lies")
    given = parser.parse_args()
    with one_line_errors():
        print(f"report: {write(Path(given.folder).absolute())}")


if __name__ == "__main__":
    main()
