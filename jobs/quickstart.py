"""From a genome to a served head with one command: `./run quickstart`.

Eight stages, each of which another command runs alone: corpus, vocabulary, pretraining, task, sweep, registry,
serving, report. A stage whose inputs did not change is skipped; an interrupted one goes on.
"""

import contextlib
import dataclasses
import operator
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genomics_fm.artefacts import sha256_file, write_bytes, write_json
from genomics_fm.corpus.plan import content_sum
from genomics_fm.corpus.windows import Recipe
from genomics_fm.errors import InputError
from genomics_fm.pretraining.stream import StreamConfig
from genomics_fm.report.page import render
from genomics_fm.report.table import terminal_table
from genomics_fm.tasks.coding import NAME as TASK_NAME
from genomics_fm.training.config import TrainingConfig
from genomics_fm.training.presets import SMOKE, TINY
from jobs import (
    build_task,
    launch,
    quickstart_report,
    quickstart_serving,
    register,
    serve,
    sweep,
    tracking,
    train_vocabulary,
)
from jobs.build_corpus import YEAST
from jobs.build_task import BuildTaskConfig
from jobs.pipeline import RECIPE, EncoderPlan, Pipeline, corpus_stage, pretraining_stage, vocabulary_stage
from jobs.progress import Clock, say
from jobs.register import RegisterConfig
from jobs.stages import Stage
from jobs.sweep import SweepConfig
from jobs.train_vocabulary import TrainVocabularyConfig

MIN_ROWS = 20
FORMAT_VERSION = 1
RESULT_FILE, REPORT_FILE = "result.json", "report.html"


@dataclass(frozen=True)
class QuickstartConfig:
    """Every stage's settings; what one stage hands to the next is filled in on the way."""

    preset: str = field(default="default", metadata={"flag": False})
    name: str = field(default="quickstart", metadata={"help": "folder under the storage folder"})
    fasta: tuple[str, ...] = field(default=(), metadata={"help": "your own genomes, added to the corpus"})
    seeds: int = field(default=1, metadata={"help": "seeds of every arm of the sweep"})
    keep_serving: bool = field(default=False, metadata={"help": "leave the endpoint up until Ctrl-C"})
    port: int = field(default=0, metadata={"help": "of the endpoint; 0 takes a free one"})
    served_sequences: int = field(default=128, metadata={"help": "held-out sequences sent to the endpoint"})
    tracking: str | None = field(default=None, metadata={"help": "MLflow tracking URI"})
    workers: int = field(default=2, metadata={"help": "pretraining workers"})
    gpu: bool = field(default=False, metadata={"help": "pretrain on GPUs"})
    max_rows: int | None = field(default=None, metadata={"help": "most rows of a split; none: all"})
    recipe: Recipe = field(default_factory=lambda: RECIPE)
    vocabulary: TrainVocabularyConfig = field(default_factory=TrainVocabularyConfig)
    training: TrainingConfig = field(default_factory=lambda: TINY)
    sweep: SweepConfig = field(default_factory=SweepConfig)

    def __post_init__(self) -> None:
        for name, least in (("seeds", 1), ("served_sequences", 1), ("workers", 1), ("max_rows", MIN_ROWS)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"--{name.replace('_', '-')} {value}: give at least {least}")


# Settings of a stage's own command that the quickstart fills in.
FILLED_IN = (
    "sweep.encoder", "sweep.task", "sweep.output", "sweep.seeds", "sweep.tracking", "sweep.trial.vocabulary",
    "sweep.trial.start", "sweep.trial.fraction", "sweep.trial.seed", "sweep.trial.optimizer.learning_rate",
    "vocabulary.corpus", "vocabulary.output", "training.encoder.vocabulary_size",
)  # fmt: skip


def _refuse_what_is_filled_in(config: QuickstartConfig) -> None:
    untouched = QuickstartConfig()
    for name in FILLED_IN:
        value = operator.attrgetter(name)
        if value(config) != value(untouched):
            raise InputError(f"--{name.replace('_', '-')}: the quickstart fills this in; leave it out")


def _plan(config: QuickstartConfig) -> EncoderPlan:
    """What of the config makes the encoder."""
    names = [entry.name for entry in dataclasses.fields(EncoderPlan)]
    return EncoderPlan(**{name: getattr(config, name) for name in names})


def _overlap(pipeline: Pipeline, config: QuickstartConfig, task: dict[str, Any]) -> dict[str, Any]:
    """How much of validation and test also stands in the user's genomes."""
    fasta = config.fasta
    inputs = [[content_sum(name) for name in fasta], task["hashes"]]
    return pipeline.stage("overlap", inputs, lambda _: quickstart_report.overlap(Path(task["folder"]), fasta))


def _task(pipeline: Pipeline, config: QuickstartConfig) -> dict[str, Any]:
    settings = BuildTaskConfig(max_rows=config.max_rows)
    inputs = [dataclasses.asdict(settings), content_sum(YEAST[0])]
    return pipeline.stage("task", inputs, lambda folder: build_task.run(settings, folder))


def _sweep(
    pipeline: Pipeline, quickstart: QuickstartConfig, encoder: dict[str, Any], task: dict[str, Any]
) -> dict[str, Any]:
    config = dataclasses.replace(quickstart.sweep, seeds=quickstart.seeds, tracking=quickstart.tracking)
    settings = {k: v for k, v in dataclasses.asdict(config).items() if k not in sweep.NO_INFLUENCE}
    inputs = [settings, encoder["weights_sha256"], task["hashes"]]

    def work(folder: Path) -> dict[str, Any]:
        places = {"encoder": encoder["folder"], "task": task["folder"], "output": str(folder)}
        return sweep.run(dataclasses.replace(config, **places))

    return pipeline.stage("sweep", inputs, work)


def _registry(
    pipeline: Pipeline, config: QuickstartConfig, best: dict[str, Any], task: dict[str, Any]
) -> dict[str, Any]:
    """Register the best head; asked anew every time, because the registry is not ours alone."""
    clock = Clock()
    settings = RegisterConfig(
        head=best["head"],
        name=TASK_NAME,
        validation=str(Path(task["folder"]) / "validation.parquet"),
        tracking=config.tracking,
    )
    registered = register.run(settings)
    say(f"[registry] {registered.uri}: {'champion' if registered.promoted else 'not champion'}, {registered.why}")
    uri = f"models:/{registered.name}@{settings.alias}"
    located = register.resolve(uri, config.tracking)
    champion = {
        "name": registered.name,
        "version": registered.version,
        "champion_version": located.version,
        "uri": uri,
        "validation_mcc": best["validation_mcc"],
        "test_mcc": best["test_mcc"],
        "promoted": registered.promoted,
        "why": registered.why,
        "head": best["head"] if registered.promoted else str(located.folder),
    }
    folder = Path(tracking.resolve_uri(config.tracking).removeprefix("sqlite:///"))
    pipeline.stages.append(Stage("registry", folder, str(registered.version), champion, clock.seconds, skipped=False))
    return champion


def _serving(
    pipeline: Pipeline, config: QuickstartConfig, champion: dict[str, Any], task: dict[str, Any]
) -> dict[str, Any]:
    located = register.resolve(champion["uri"], config.tracking)
    inputs = [sha256_file(located.folder / "manifest.json"), task["hashes"]["test"], config.served_sequences]
    settings = serve.ServeConfig(
        model=champion["uri"],
        port=config.port,
        tracking=config.tracking,
        application="genomics-fm-quickstart",
        route_prefix="/quickstart",
    )
    return pipeline.stage(
        "serving",
        inputs,
        lambda folder: quickstart_serving.check(settings, Path(task["folder"]), config.served_sequences, folder),
    )


def run(config: QuickstartConfig) -> dict[str, Any]:
    """Run all stages that are due and write the report.

    Returns:
        What `result.json` holds.

    Raises:
        InputError: wrong input; EnvironmentFault: the machine; CorruptArtefact: a changed artefact.
    """
    _refuse_what_is_filled_in(config)
    serve.free_port("127.0.0.1", config.port)  # before minutes of work
    started, clock = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), Clock()
    root = launch.storage() / config.name
    with contextlib.ExitStack() as stack:
        pipeline, plan = Pipeline(root, stack), _plan(config)
        corpus = corpus_stage(pipeline, plan)
        vocabulary = vocabulary_stage(pipeline, plan, corpus)
        encoder = pretraining_stage(pipeline, plan, corpus, vocabulary)
        task = _task(pipeline, config)
        overlap = _overlap(pipeline, config, task) if config.fasta else None
        swept = _sweep(pipeline, config, encoder, task)
        champion = _registry(pipeline, config, swept["best"], task)
        serving = _serving(pipeline, config, champion, task)
    result = {
        "format_version": FORMAT_VERSION,
        "preset": config.preset,
        "name": config.name,
        "started": started,
        "seconds": sum(done.seconds for done in pipeline.stages),
        "seconds_now": clock.seconds,
        "machine": quickstart_report.machine(),
        "cluster": quickstart_report.cluster(pipeline.cluster, pipeline.stages),
        "stages": quickstart_report.stages(pipeline.stages),
        "counts": quickstart_report.counts(corpus, task, overlap),
        "hashes": {"corpus": corpus["sha256"], "vocabulary": vocabulary["sha256"], "encoder": encoder["weights_sha256"]}
        | task["hashes"],
        "vocabulary": vocabulary,
        "pretraining": quickstart_report.pretraining(encoder),
        "arms": swept["arms"],
        "baselines": swept["baselines"],
        "comparisons": swept["comparisons"],
        "search": swept["search"],
        "champion": champion,
        "serving": serving,
        "next_commands": quickstart_report.next_commands(champion),
    }
    write_json(root / RESULT_FILE, result)
    write_bytes(root / REPORT_FILE, render(result).encode())
    return result


def _run_and_print(config: QuickstartConfig) -> None:
    result = run(config)
    root = launch.storage() / config.name
    print(terminal_table(result))
    print(f"\nreport: {root / REPORT_FILE}")
    print("next:")
    for command in result["next_commands"]:
        print(f"  {command}")
    if config.keep_serving:
        settings = serve.ServeConfig(model=result["champion"]["uri"], port=config.port, tracking=config.tracking)
        serve.serve_until_stopped(settings)


PRESETS = {
    "default": QuickstartConfig(),
    "smoke": QuickstartConfig(
        preset="smoke",
        name="quickstart-smoke",
        max_rows=160,
        vocabulary=train_vocabulary.PRESETS["smoke"],
        training=dataclasses.replace(SMOKE, stream=StreamConfig(streams=8)),
        sweep=sweep.PRESETS["smoke"],
    ),
}


def main() -> None:
    """The command line."""
    launch.main(PRESETS, _run_and_print, "./run quickstart", "From a genome to a served head, on this machine.")


if __name__ == "__main__":
    from jobs.quickstart import main  # by its own name, so that workers can import what they are sent

    main()
