"""Predictions for any number of sequences on Ray Data: `python -m jobs.score --head HEAD FILE… --output FOLDER`."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from genomics_fm.artefacts import refuse_input
from genomics_fm.errors import InputError, from_exit_code, require
from genomics_fm.genome.source import PACKAGE
from genomics_fm.inference import predict_blocks
from genomics_fm.inference.card import read_card
from genomics_fm.inference.head import verify
from genomics_fm.inference.predict import PredictSettings, made_of
from genomics_fm.inference.predict_blocks import LOCK, MANIFEST
from genomics_fm.inference.prior import parse, shares
from genomics_fm.inference.sequences import Familiar
from genomics_fm.storage import Folder, is_remote
from jobs import launch, register
from jobs.progress import Clock, rate, say, watched
from jobs.score_progress import Progress, Survey, described
from jobs.score_ray import Asked, absolute, records

CHECK_FIRST_SECONDS = 10.0
"""Reading the inputs through comes first where it takes no longer than this, and goes on beside the scoring else."""
TABLE = ".parquet"


@dataclass(frozen=True)
class ScoreConfig:
    """What is predicted, with which head, and where it is written."""

    inputs: tuple[str, ...] = field(
        default=(),
        metadata={
            "flag": "",
            "help": "FASTA or GenBank; .csv, .tsv, .parquet; .bed with --genome. Plain or compressed",
        },
    )
    head: str = field(default="", metadata={"help": "models:/name@alias, models:/name/version or a head folder"})
    output: str = field(default="", metadata={"help": "folder or s3:// address, or a .parquet file for one table"})
    genome: str = field(default="", metadata={"help": "what the places of the files lie in"})
    prior: str = field(default="", metadata={"help": "how frequent classes are there: 0.01, or NAME=0.2,OTHER=0.8"})
    dtype: str = field(default="fp32", metadata={"help": "fp32 or bf16"})
    workers: int = field(default=0, metadata={"help": "processes that score, a CPU each; 0: as many as there are"})
    tracking: str | None = field(default=None, metadata={"help": "tracking URI; SQLite in the storage folder"})

    def __post_init__(self) -> None:
        require(self.workers >= 0, "workers", self.workers, "0 or more")

    @property
    def table(self) -> Path | None:
        """The single file that is asked for."""
        return launch.local_folder(self.output, "--output") if self.output.endswith(TABLE) else None

    @property
    def folder(self) -> Folder:
        """Where the blocks lie: beside the table, until it is made of them."""
        if self.table is not None:
            return Folder(self.table.with_name(f".{self.table.name}.blocks"))
        return Folder(launch.absolute(self.output))


@dataclass(frozen=True)
class ScoreResult:
    """What a run did.

    Attributes:
        output: the folder or the table.
        sequences: predicted in all; `before`: of them by earlier runs.
        warned: with a warning; None where all was finished before.
        seconds: of this run.
    """

    output: str
    sequences: int
    before: int
    warned: int | None
    seconds: float


def run(config: ScoreConfig) -> ScoreResult:
    """Predict, or go on with what an earlier run of the same command has left.

    Raises:
        InputError: nothing to predict, no such head, or an input that its strict reader refuses; what was predicted
            until then stays, and is used when the input has been mended.
        CorruptArtefact: the head disagrees with its manifest.
        EnvironmentFault: another run writes there, or the disk is full.
    """
    started = time.monotonic()
    _check(config)
    located = register.resolve(config.head, config.tracking)
    head_sha256, card = verify(located.folder), read_card(located.folder / "config.json")
    settings = PredictSettings(config.genome or None, parse(config.prior) if config.prior else None, config.dtype)
    if settings.prior is not None:
        shares(card, settings.prior)
    asked = Asked(
        head=str(located.folder.absolute()),
        output=config.folder.uri,
        inputs=config.inputs,
        paths=tuple(map(absolute, config.inputs)),
        genome=absolute(config.genome) if config.genome else None,
        settings=settings,
        made=made_of(head_sha256, card, settings),
        stranded=card.problem.stranded,
        familiar=Familiar(card.length_bp, card.gc),
    )
    say(f"[score] {located.name} {located.version}: {len(config.inputs)} file(s) to {config.output}")
    done = _finished(config, asked)
    if done is not None:
        say(f"[score] {config.output}: finished before, nothing to do")
        return ScoreResult(config.output, done, done, None, time.monotonic() - started)
    with config.folder.alone(LOCK, head_sha256[:16], predict_blocks.taken(config.folder)):
        progress = _all(config, asked)
        if config.table is not None:
            predict_blocks.join(config.folder, config.table)
        for name in config.folder.names():
            if name == LOCK or name.startswith(f"{LOCK}-"):
                config.folder.delete(name)
    return ScoreResult(config.output, progress.done, progress.before, progress.warned, time.monotonic() - started)


def _check(config: ScoreConfig) -> None:
    """Refuse before anything is loaded what cannot be meant."""
    if not config.inputs:
        raise InputError("no file to predict; give one or more: FASTA, CSV, TSV, Parquet, or BED with --genome")
    for flag in ("head", "output"):
        require(bool(getattr(config, flag)), f"--{flag}", "(empty)", "one")
    for location in (*config.inputs, *filter(None, [config.genome])):
        if not location.startswith(PACKAGE) and not Path(location).is_file():
            raise InputError(f"{location}: no such file; check the path")
    require(not (config.table and config.table.is_dir()), "--output", config.output, "a name that no folder has")
    if config.table:
        refuse_input(config.table, *config.inputs, config.genome)
    into_file = not (config.table or is_remote(config.output)) and Path(config.output).is_file()
    require(not into_file, "--output", config.output, "a folder, or a name that ends in .parquet: this is a file")


def _finished(config: ScoreConfig, asked: Asked) -> int | None:
    """Sequences of exactly these predictions, where they are finished and whole.

    Raises:
        InputError: the folder holds finished predictions of other inputs, or by another head or other settings.
    """
    if config.table is not None:
        return predict_blocks.joined_before(config.table, asked.made, lambda: described(asked))
    if not config.folder.exists(MANIFEST):
        return None
    manifest = predict_blocks.read_manifest(config.folder)
    other = [name for name, value in asked.made.items() if manifest["made_of"].get(name) != value]
    if other or manifest["inputs"] != described(asked):
        what = f"with another {', '.join(other)}" if other else "of other inputs"
        raise InputError(f"{config.output}: holds finished predictions {what}; choose another --output")
    if wrong := predict_blocks.damaged(config.folder, manifest):
        say(f"[score] {len(wrong)} block(s) missing or changed since they were written: predicted again")
        return None
    return int(manifest["rows"])


def _all(config: ScoreConfig, asked: Asked) -> Progress:
    """All blocks and the manifest; the lock is held."""
    survey = Survey(asked)
    survey.start()
    survey.wait(CHECK_FIRST_SECONDS)
    progress = Progress(survey)
    with launch.connect(max(launch.LOCAL_CPUS, config.workers)) as connection, watched(progress.line):
        progress.clock = Clock()  # the seconds that Ray takes to start say nothing of the rate
        for record in records(asked, _workers(config.workers, connection)):
            if "error" in record:
                raise from_exit_code(record["exit_code"], record["error"])
            survey.wait(0)
            progress.add(record)
        survey.wait()
    removed = predict_blocks.commit(config.folder, asked.made, survey.inputs, progress.in_order())
    if removed:
        say(f"[score] {removed} block(s) of other inputs or settings removed")
    return progress


def _workers(wanted: int, connection: launch.Connection) -> int:
    """Scorers: as many as are wanted, or one a CPU; a Ray of our own has more CPUs in name than the machine has."""
    import ray

    cpus = max(int(ray.cluster_resources().get("CPU", 1)), 1)
    require(wanted <= cpus, "workers", wanted, f"at most {cpus}, the CPUs of this Ray")
    return wanted or (min(cpus, os.cpu_count() or 1) if connection.started_here else cpus)


def _run_and_print(config: ScoreConfig) -> None:
    done = run(config)
    if done.warned is None:
        print(f"score: {done.sequences:,} sequences: {done.output}")
        return
    new = done.sequences - done.before
    print(
        f"score: {done.sequences:,} sequences, {new:,} of them now in {done.seconds:.1f} s "
        f"({rate(new, done.seconds, 'sequences')}), {done.warned:,} with a warning: {done.output}"
    )


def main() -> None:
    """The command line."""
    launch.main(
        {"default": ScoreConfig()},
        _run_and_print,
        "python -m jobs.score",
        "Predict any number of sequences with a head; the same command goes on after a kill.",
    )


if __name__ == "__main__":
    from jobs.score import main  # by its own name, so that workers can import what they are sent

    main()
