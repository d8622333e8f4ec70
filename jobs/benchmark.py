"""An encoder on every published set at hand, beside all baselines: `python -m jobs.benchmark --checkpoint DIR`.

Each set goes through `jobs.finetune` with every vocabulary and seed, frozen, and on some sets whole. After each set
the table is written anew; what is finished is only read, so the same command goes on where it was stopped.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from genomics_fm.artefacts import sha256_json, write_bytes, write_sealed_json
from genomics_fm.errors import InputError, require
from genomics_fm.report import benchmark_plot, benchmark_text
from genomics_fm.tasks import hf_encoder, registry
from genomics_fm.tasks import task as tasks
from jobs import benchmark_rows, benchmark_suite, encoders, finetune, launch
from jobs.encoders import Encoder
from jobs.finetune_config import TRIAL, FinetuneConfig, vocabularies_of
from jobs.progress import Clock, say

FORMAT_VERSION = 1
NAME = "benchmark"
TABLE, PAGE, PICTURE, RECORD = "tasks.parquet", "tasks.md", "tasks.svg", "benchmark.json"


@dataclass(frozen=True)
class BenchmarkConfig:
    """Which sets, how much of them, and how they are learnt."""

    data_root: str = field(default="", metadata={"help": "folder of published sets; default: $GENOMICS_FM_DATA"})
    tasks: tuple[str, ...] = field(default=(), metadata={"help": "sets; default: all that the folder holds"})
    full: tuple[str, ...] = field(
        default=("gue_prom_core_tata", "gue_human_tf_0", "gue_mouse_0", "mrl_human_utr"),
        metadata={"help": "sets on which the whole encoder is trained as well"},
    )
    checkpoint: str = field(default="", metadata={"help": "encoder's folder; default: the newest"})
    vocabulary: str = field(default="all", metadata={"help": "of the encoder's, one or A,B; all: each"})
    encoder: tuple[str, ...] = field(default=(), metadata={"help": "others' frozen encoders beside it: hf:PATH or ID"})
    seeds: int = field(default=3, metadata={"help": "seeds of every trial, and of baselines that learn"})
    rows: int = field(default=2_000, metadata={"help": "most training rows, drawn anew by each seed"})
    scored_rows: int = field(default=2_000, metadata={"help": "most rows each of validation and test; 0: all"})
    crop: int = field(default=4_000, metadata={"help": "cut longer rows to their middle, in nt; 0: never"})
    concurrent: int = field(default=2, metadata={"help": "arms at a time, one CPU each"})
    gpu: bool = field(default=False, metadata={"help": "a GPU for every trial"})
    tracking: str | None = field(default=None, metadata={"help": "MLflow tracking URI"})

    def __post_init__(self) -> None:
        for name, least in (("seeds", 1), ("rows", 2), ("scored_rows", 0), ("crop", 0), ("concurrent", 1)):
            require(
                getattr(self, name) >= least, f"--{name.replace('_', '-')}", getattr(self, name), f"{least} or more"
            )


def run(config: BenchmarkConfig) -> dict[str, Any]:
    """Every set, and the table of all.

    Returns:
        What `benchmark.json` holds; `folder` is where all of it lies.

    Raises:
        InputError: the data folder, a set's name or an encoder is wrong; no set could be run.
    """
    clock = Clock()
    data = benchmark_suite.data_root(config.data_root)
    names = benchmark_suite.sets(data, config.tasks)
    if unknown := [name for name in config.full if name not in registry.TASKS]:
        raise InputError(f"--full {unknown[0]}: not known; see docs/tasks.md")
    encoder = _encoder(config)
    _refuse_of_all(config, encoder)
    folder = launch.storage() / NAME / f"tasks-{_identity(config, names, encoder)[:10]}"
    say(f"[benchmark] {len(names)} sets, {encoder} → {folder}")
    work = [(name, how) for name in names for how in ("probe", *(["full"] if name in config.full else []))]
    rows: list[dict[str, Any]] = []
    refused: dict[str, str] = {}
    result: dict[str, Any] = {}
    with launch.connect(max(launch.LOCAL_CPUS, config.concurrent)):
        for number, (name, how) in enumerate(work, 1):
            say(f"[benchmark] {number}/{len(work)} {name}, {how}: {clock.seconds / 60:.0f} min so far")
            try:
                rows += _one(config, data, encoder, name, how)
            except InputError as error:
                refused[name] = str(error).replace(f"{data}/", "")
                say(f"[benchmark] {name} left out: {error}")
            result = _written(folder, config, encoder, rows, refused, clock.seconds)
    if not rows:
        raise InputError(f"no set could be run; {names[0]}: {refused[names[0]]}")
    return result


def _refuse_of_all(config: BenchmarkConfig, encoder: Encoder) -> None:
    """What every set would be left out for: vocabularies that our encoder lacks, others' that cannot be opened."""
    vocabularies_of(FinetuneConfig(vocabulary=config.vocabulary, encoder=config.encoder), encoder.vocabulary.names)
    for name in config.encoder:
        hf_encoder.load(name)


def _encoder(config: BenchmarkConfig) -> Encoder:
    if config.checkpoint:
        return encoders.opened(Path(config.checkpoint).absolute(), "as asked for")
    found = encoders.newest(launch.storage())
    if found is None:
        raise InputError(f"--checkpoint: no encoder in {launch.storage()}; pretrain one (jobs.benchmark_encoder)")
    return found


def _identity(config: BenchmarkConfig, names: list[str], encoder: Encoder) -> str:
    without = ("data_root", "checkpoint", "tracking", "concurrent", "tasks")
    decisive = {key: value for key, value in dataclasses.asdict(config).items() if key not in without}
    return sha256_json([decisive, names, encoder.sha256])


def _one(config: BenchmarkConfig, data: Path, encoder: Encoder, name: str, how: str) -> list[dict[str, Any]]:
    settings = FinetuneConfig(
        task=name,
        data_root=str(data),
        checkpoint=str(encoder.folder),
        vocabulary=config.vocabulary,
        how=how,  # type: ignore[arg-type]
        seeds=config.seeds,
        encoder=config.encoder,
        crop=config.crop,
        scored_rows=config.scored_rows,
        concurrent=config.concurrent,
        gpu=config.gpu,
        register=False,
        tracking=config.tracking,
        trial=dataclasses.replace(TRIAL, cap=config.rows),
    )
    result = finetune.run(settings)
    task = tasks.load(Path(result["task_folder"]))
    result["task_sha256"] = task.sha256
    for line in result["verdict"]:
        say(f"[benchmark] {name}, {how}: {line}")
    return benchmark_rows.rows_of(registry.TASKS[name], how, result, task.length_bp)


def _written(
    folder: Path,
    config: BenchmarkConfig,
    encoder: Encoder,
    rows: list[dict[str, Any]],
    refused: dict[str, str],
    seconds: float,
) -> dict[str, Any]:
    """Table, picture, Parquet and the record of what they are of."""
    result = {
        "format_version": FORMAT_VERSION,
        "folder": str(folder),
        "config": dataclasses.asdict(config),
        "encoder": {"folder": str(encoder.folder), "sha256": encoder.sha256, "about": encoder.about},
        "refused": refused,
        "sets": len({row["set"] for row in rows}),
        "seconds": round(seconds, 1),
    }
    if rows:
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows, benchmark_rows.SCHEMA), sink, compression="zstd")
        write_bytes(folder / TABLE, sink.getvalue().to_pybytes())
        write_bytes(folder / PICTURE, benchmark_plot.picture(rows).encode())
        write_bytes(folder / PAGE, "\n".join(_page(result, rows)).encode())
    write_sealed_json(folder / RECORD, result)
    return result


def _page(result: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    config, encoder = result["config"], result["encoder"]
    steps = f" ({encoder['about']['steps']:,} updates)" if "steps" in encoder["about"] else ""
    return [
        "# An encoder on published sets",
        "",
        f"Written by `python -m jobs.benchmark`: encoder `{encoder['sha256'][:12]}`{steps}, at most {config['rows']:,} "
        f"training rows, drawn by {config['seeds']} seeds{_limits(config)}. {benchmark_text.times(rows)}",
        "",
        *benchmark_text.losses(rows),
        "",
        f"![Test scores of all models on all sets]({PICTURE})",
        "",
        *benchmark_text.table(rows),
        "",
        benchmark_text.LEGEND,
        "",
        "## What may be said",
        "",
        *benchmark_text.verdicts(rows),
        "",
        *(f"- `{name}` was left out: {why}" for name, why in result["refused"].items()),
        "",
    ]


def _limits(config: dict[str, Any]) -> str:
    """What is not all of a set."""
    scored = f"; scored on at most {config['scored_rows']:,} rows each of validation and test"
    crop = f"; rows longer than {config['crop']:,} nt are cut to their middle"
    return (scored if config["scored_rows"] else "") + (crop if config["crop"] else "")


def _run_and_print(config: BenchmarkConfig) -> None:
    result = run(config)
    print(f"table: {Path(result['folder']) / PAGE}")
    print(json.dumps({key: result[key] for key in ("folder", "sets", "refused", "seconds")}))


PRESETS = {
    "default": BenchmarkConfig(),
    "smoke": BenchmarkConfig(full=(), seeds=1, rows=64, scored_rows=64),
}


def main() -> None:
    """The command line."""
    launch.main(PRESETS, _run_and_print, "python -m jobs.benchmark", "An encoder on every published set at hand.")


if __name__ == "__main__":
    from jobs.benchmark import main  # by its own name, so that workers can import what they are sent

    main()
