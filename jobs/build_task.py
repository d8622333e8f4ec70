"""Build the demo task's labelled rows: `python -m jobs.build_task --name NAME`."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genomics_fm.genome.reader import read_genome
from genomics_fm.tasks import coding, task
from genomics_fm.tasks.fractions import nested_subset
from genomics_fm.tasks.rows import Rows
from jobs import launch
from jobs.build_corpus import YEAST
from jobs.progress import Clock, rate, say


@dataclass(frozen=True)
class BuildTaskConfig:
    """Which annotated genome becomes the coding-versus-intergenic task."""

    genomes: tuple[str, ...] = field(default=YEAST, metadata={"help": "annotated GenBank files"})
    seed: int = field(default=0, metadata={"help": "of the balancing"})
    max_rows: int | None = field(default=None, metadata={"help": "most rows of a split, for smoke tests; none: all"})
    name: str = field(default=coding.NAME, metadata={"help": "folder under storage/tasks"})


def _capped(split: Rows, max_rows: int | None, seed: int) -> Rows:
    return split if max_rows is None else split.take(nested_subset(split, 1.0, seed, max_rows))


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
    splits = {split: _capped(rows, config.max_rows, config.seed) for split, rows in built.splits.items()}
    about = built.about | {"max_rows": config.max_rows}
    made = dataclasses.replace(built, splits=splits, about=about)
    task.save(folder, made)
    sizes = {split: len(selected) for split, selected in splits.items()}
    say(f"[task] rows: {', '.join(f'{split} {count:,}' for split, count in sizes.items())}")
    return {"folder": str(folder), "counts": about["counts"], "hashes": made.hashes, "rows": sizes}


PRESETS = {"default": BuildTaskConfig(), "smoke": BuildTaskConfig(max_rows=160)}


def main() -> None:
    """The command line."""
    launch.main(PRESETS, run, "python -m jobs.build_task", "Build the coding-versus-intergenic task of a genome.")


if __name__ == "__main__":
    from jobs.build_task import main  # by its own name, so that workers can import what they are sent

    main()
