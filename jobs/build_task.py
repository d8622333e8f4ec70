"""Build the demo task's labelled rows: `python -m jobs.build_task --name NAME`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genomics_fm.artefacts import read_sealed_json, write_sealed_json
from genomics_fm.errors import CorruptArtefact
from genomics_fm.genome.reader import read_genome
from genomics_fm.tasks import coding, rows
from genomics_fm.tasks.coding import SPLITS
from genomics_fm.tasks.rows import Rows
from jobs import launch
from jobs.build_corpus import YEAST
from jobs.progress import Clock, rate, say

FORMAT_VERSION = 1
TASK_FILE = "task.json"
TASK_NAME = "yeast_coding"


@dataclass(frozen=True)
class BuildTaskConfig:
    """Which annotated genome becomes the coding-versus-intergenic task."""

    genomes: tuple[str, ...] = field(default=YEAST, metadata={"help": "annotated GenBank files"})
    seed: int = field(default=0, metadata={"help": "of the balancing"})
    max_rows: int | None = field(default=None, metadata={"help": "most rows of a split, for smoke tests; none: all"})
    name: str = field(default=TASK_NAME, metadata={"help": "folder under storage/tasks"})


@dataclass(frozen=True)
class Task:
    """A task's folder read back."""

    folder: Path
    about: dict[str, Any]
    train: Rows
    validation: Rows
    test: Rows

    @property
    def hashes(self) -> dict[str, str]:
        return {split: getattr(self, split).sha256 for split in SPLITS}


def load(folder: Path) -> Task:
    """Read a task's folder.

    Raises:
        InputError: no task there.
        CorruptArtefact: a split disagrees with its hash.
    """
    about = read_sealed_json(folder / TASK_FILE, FORMAT_VERSION, "build it with `python -m jobs.build_task`")
    task = Task(folder, about, *(rows.read(folder / f"{split}.parquet") for split in SPLITS))
    for split, expected in about["hashes"].items():
        if task.hashes[split] != expected:
            raise CorruptArtefact(f"{folder / split}.parquet: not the rows task.json names; build the task again")
    return task


def _capped(split: Rows, max_rows: int | None, seed: int) -> Rows:
    from genomics_fm.tasks.fractions import nested_subset

    return split if max_rows is None else split.take(nested_subset(split.labels, 1.0, seed, max_rows))


def run(config: BuildTaskConfig, folder: Path | None = None) -> dict[str, Any]:
    """Build the task.

    Returns:
        `folder`, `counts` by split, `hashes` by split, `rows` by split.
    """
    folder = folder or launch.storage() / "tasks" / config.name
    clock = Clock()
    contigs = [contig for location in config.genomes for contig in read_genome(location)]
    nucleotides = sum(len(contig.sequence) for contig in contigs)
    say(f"[task] read {len(contigs)} chromosomes: {rate(nucleotides, clock.seconds, 'nt')}")
    built = coding.build(contigs, config.seed)
    splits = {split: _capped(getattr(built, split), config.max_rows, config.seed) for split in SPLITS}
    for split, selected in splits.items():
        rows.write(folder / f"{split}.parquet", selected)
    about = {
        "format_version": FORMAT_VERSION,
        "task": TASK_NAME,
        "labels": list(coding.LABELS),
        "stranded": coding.STRANDED,
        "input_length_bp": coding.WINDOW_BP,
        "counts": built.counts,
        "max_rows": config.max_rows,
        "hashes": {split: selected.sha256 for split, selected in splits.items()},
    }
    write_sealed_json(folder / TASK_FILE, about)
    sizes = {split: len(selected) for split, selected in splits.items()}
    say(f"[task] rows: {', '.join(f'{split} {count:,}' for split, count in sizes.items())}")
    return {"folder": str(folder), "counts": built.counts, "hashes": about["hashes"], "rows": sizes}


PRESETS = {"default": BuildTaskConfig(), "smoke": BuildTaskConfig(max_rows=160)}


def main() -> None:
    """The command line."""
    launch.main(PRESETS, run, "python -m jobs.build_task", "Build the coding-versus-intergenic task of a genome.")


if __name__ == "__main__":
    from jobs.build_task import main  # by its own name, so that workers can import what they are sent

    main()
