"""What the quickstart tells its report: stages, counts, curves, and what to type next."""

import importlib.metadata
import math
import os
import platform as machine_platform
from pathlib import Path
from typing import Any

import numpy as np

from genomics_fm.genome.reader import read_genome
from genomics_fm.tasks import kmers, rows
from genomics_fm.tasks.coding import CONTAINMENT_K, CONTAINMENT_LIMIT
from jobs.stages import Stage

GIB = 1 << 30
STRETCH_BP, STRETCH_OVERLAP_BP = 4_000_000, 1_000


def machine() -> dict[str, Any]:
    """The machine and the versions that matter."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(pages / GIB, 1),
        "python": machine_platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("torch", "ray", "mlflow", "tokenizers", "pyarrow")},
    }


def cluster(connected: dict[str, Any] | None, done: list[Stage]) -> dict[str, Any] | None:
    """The Ray that ran the stages, with the nodes that said they ran a task; None when nothing had to run."""
    ran = [stage for stage in done if not stage.skipped]
    task_nodes = {node for stage in ran for node in stage.result.get("nodes", [])}
    return None if connected is None else {**connected, "task_nodes": sorted(task_nodes)}


def _summary(stage: Stage) -> str:
    result = stage.result
    match stage.name:
        case "corpus":
            return f"{result['windows']:,} windows, {result['nucleotides']:,} nt"
        case "vocabulary":
            return f"{result['size']:,} tokens, {result['shared_pieces']:,} shared"
        case "pretraining":
            return f"{result['parameters']:,} parameters, {result['tokens'][-1]:,} tokens, {result['workers']} workers"
        case "task":
            return ", ".join(f"{split} {count:,}" for split, count in result["rows"].items())
        case "sweep":
            return f"{len(result['arms'])} arms, {len(result['baselines'])} baselines"
        case "overlap":
            return ", ".join(f"{count:,} {split} windows" for split, count in result.items() if split != "nodes")
        case "registry":
            return f"{result['name']} version {result['version']}"
        case _:
            return f"{result['sequences']} sequences, largest difference {result['max_difference']:.0e}"


def stages(done: list[Stage]) -> list[dict[str, Any]]:
    """Every stage with its folder, hash, time and whether it was skipped."""
    return [
        {
            "name": stage.name,
            "seconds": round(stage.seconds, 2),
            "skipped": stage.skipped,
            "folder": str(stage.folder),
            "hash": stage.hash,
            "summary": _summary(stage),
        }
        for stage in done
    ]


def counts(corpus: dict[str, Any], task: dict[str, Any], overlap: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Everything that was left out, and how much of it."""
    found = []
    for what, count in corpus["counts"].items():
        if what.startswith("dropped"):
            unit, why = what.split(": ", 1)
            found.append({"what": f"corpus: {unit.removeprefix('dropped_')}", "count": count, "why": why})
    for split, numbers in task["counts"].items():
        for what, count in numbers.items():
            found.append({"what": f"task, {split}", "count": count, "why": what})
    for split, count in (overlap or {}).items():
        found.append(
            {
                "what": f"{split} windows that also stand in the added genomes",
                "count": count,
                "why": "seen unlabelled in pretraining: results on them are transductive",
            }
        )
    return found


def overlap(task: Path, fasta: tuple[str, ...]) -> dict[str, int]:
    """Validation and test windows of which more than half the 31-mers stand together in the user's genomes.

    Unlabelled, but seen in pretraining: grade B of R28. Genomes are searched a stretch at a time, so memory is
    bounded; a window is counted when one stretch holds it.
    """
    found = {}
    for split in ("validation", "test"):
        windows = rows.read(task / f"{split}.parquet").sequences
        shares = np.zeros(len(windows))
        for name in fasta:
            for contig in read_genome(name):
                for start in range(0, max(len(contig.sequence), 1), STRETCH_BP):
                    stretch = contig.sequence[start : start + STRETCH_BP + STRETCH_OVERLAP_BP]
                    shares = np.maximum(shares, kmers.containment(windows, [stretch], CONTAINMENT_K))
        found[split] = int((shares > CONTAINMENT_LIMIT).sum())
    return found


def pretraining(encoder: dict[str, Any]) -> dict[str, Any]:
    """The curves of the report: loss by vocabulary against the loss of a uniform guess."""
    return {**encoder, "uniform_loss": math.log(encoder["vocabulary_size"])}


def next_commands(champion: dict[str, Any]) -> list[str]:
    """Three commands that go on from here."""
    return [
        f"./run genomics-fm predict --head {champion['head']} sequences.fa -o predictions.parquet",
        f"./run job serve --model {champion['uri']} --port 8000",
        "./run quickstart --name my-genome --fasta my_genome.fa --seeds 3",
    ]
