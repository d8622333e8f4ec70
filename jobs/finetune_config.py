"""What `python -m jobs.finetune` is asked for."""

import operator
import re
from dataclasses import dataclass, field
from pathlib import Path

from genomics_fm.errors import InputError, require
from genomics_fm.tasks.hf_encoder import PREFIX
from genomics_fm.tasks.layout import Layout
from genomics_fm.tasks.read_data import Data, grid_of
from genomics_fm.tasks.trial_config import How, TrialConfig

TRIAL = TrialConfig(updates=2_000, cap=100_000, evaluations=16, evaluation_rows=512, patience=6)
"""Stops when validation rises no more."""
FEWEST_UPDATES = 64
MOST_BATCH_ROWS = 512
"""Of more than 64,000 rows: up to a million are each seen within the updates."""
FILLED_IN = ("vocabulary", "start", "how", "seed", "device")
"""Of a trial, what flags of the job say."""
_OF_DATA = (
    "form", "genome", "sequence", "label", "targets", "split", "kind", "classes", "stranded", "conflicts", "window",
    "licence", "citation",
)  # fmt: skip


@dataclass(frozen=True)
class FinetuneConfig:
    """From labelled sequences to a registered head. Flags of data are those of `genomics-fm check`."""

    preset: str = field(default="default", metadata={"flag": False})
    data: tuple[str, ...] = field(default=(), metadata={"help": "files of labelled sequences"})
    task: str = field(default="", metadata={"help": "instead of --data: a published set, or a task's folder"})
    data_root: str = field(default="", metadata={"help": "folder of published sets; default: $GENOMICS_FM_DATA"})
    name: str = field(default="", metadata={"help": "of the task and the registered model; default: the file's"})
    form: str = field(
        default="",
        metadata={"flag": "as", "help": "what --data is: table, labels, peaks, tracks, classes; default: table"},
    )
    genome: str | None = field(default=None, metadata={"help": "FASTA or GenBank that BED and places lie in"})
    sequence: str = field(default="sequence", metadata={"help": "column of the sequences"})
    label: str = field(default="label", metadata={"help": "column of the label"})
    targets: str = field(default="", metadata={"help": "columns of several labels or values: A,B,…"})
    split: str = field(default="split", metadata={"help": "column of an official split; '' for none"})
    kind: str = field(default="", metadata={"help": "classification, multilabel, regression or per-base"})
    classes: str = field(default="", metadata={"help": "in this order, the positive one last: A,B,…"})
    stranded: bool = field(default=False, metadata={"help": "the strand carries meaning"})
    conflicts: str = field(default="drop", metadata={"help": "equal sequences, other labels: drop, refuse, keep"})
    window: int = field(default=0, metadata={"help": "length of peaks' or tracks' rows in nt; 0: usual"})
    licence: str = field(default="", metadata={"help": "of --data, for the head's card"})
    citation: str = field(default="", metadata={"help": "of --data, for the head's card"})
    seed: int = field(default=0, metadata={"help": "of background, of windows without a label, and of the split"})
    crop: int = field(default=0, metadata={"help": "cut longer rows to their middle, in nt; 0: never"})
    scored_rows: int = field(default=0, metadata={"help": "most rows each of validation, calibration and test; 0: all"})
    divide: str = field(default="auto", metadata={"help": "split by: auto, official, contig, blocks or cluster"})
    checkpoint: str = field(default="", metadata={"help": "encoder's folder; default: the newest, else a new one"})
    vocabulary: str = field(default="all", metadata={"help": "of the encoder's, one or A,B; all: each is tried"})
    how: How = field(default="full", metadata={"help": "full, lora (adapters) or probe (encoder frozen)"})
    seeds: int = field(default=1, metadata={"help": "seeds 0 … n-1 of every trial"})
    passes: int = field(default=12, metadata={"help": "most passes over the training rows"})
    encoder: tuple[str, ...] = field(default=(), metadata={"help": "others' frozen encoders to compare: hf:PATH or ID"})
    concurrent: int = field(default=2, metadata={"help": "arms at a time, one CPU each"})
    workers: int = field(default=1, metadata={"help": "of each trial, one CPU each, or with --gpu one GPU each"})
    gpu: bool = field(default=False, metadata={"help": "a GPU for every trial"})
    register: bool = field(default=True, metadata={"help": "register the head, which may become champion"})
    tracking: str | None = field(default=None, metadata={"help": "MLflow tracking URI"})
    trial: TrialConfig = field(default_factory=lambda: TRIAL)

    def __post_init__(self) -> None:
        for name in ("seeds", "passes", "concurrent", "workers"):
            require(getattr(self, name) >= 1, f"--{name}", getattr(self, name), "at least 1")
        for name in ("crop", "scored_rows"):
            require(getattr(self, name) >= 0, f"--{name.replace('_', '-')}", getattr(self, name), "0 or more")
        untouched = TrialConfig()
        for name in self.encoder:
            require(name.startswith(PREFIX), "--encoder", name, f"{PREFIX}FOLDER or {PREFIX}ID; ours is --checkpoint")
        for name in FILLED_IN:
            if operator.attrgetter(name)(self.trial) != getattr(untouched, name):
                raise InputError(f"--trial.{name}: filled in; give --{name if name != 'device' else 'gpu'} of the job")
        require(
            self.trial.fraction == 1, "--trial.fraction", self.trial.fraction, "--trial.cap: it is for baselines, too"
        )
        require(self.workers <= self.trial.batch_rows, "--workers", self.workers, "at most --trial.batch-rows")
        if self.workers > 1 and self.how == "probe":
            raise InputError(f"--workers {self.workers}: a probe has one; give --concurrent, so many arms at a time")

    def updates(self, rows: int) -> int:
        """Most updates of a trial on so many training rows."""
        wanted = max(FEWEST_UPDATES, -(-self.passes * rows // self.batch_rows(rows)))
        return min(wanted, self.trial.updates)

    def batch_rows(self, rows: int) -> int:
        """Sequences an update; doubled until every row can be seen, if neither it nor the updates were asked for."""
        size = self.trial.batch_rows
        if (size, self.trial.updates) == (TRIAL.batch_rows, TRIAL.updates):
            while size < MOST_BATCH_ROWS and size * TRIAL.updates < rows:
                size *= 2
        return size


def refuse_contradictions(config: FinetuneConfig) -> None:
    """Refuse what cannot be meant.

    Raises:
        InputError: neither or both of --data and --task; flags of files with a task.
    """
    if bool(config.data) == bool(config.task):
        raise InputError("--data, --task: give one of them: your files, or a published set's name or a task's folder")
    plain = FinetuneConfig()
    given = [name for name in _OF_DATA if getattr(config, name) != getattr(plain, name)]
    if config.task and given:
        flag = "as" if given[0] == "form" else given[0]
        raise InputError(f"--{flag}: belongs to --data; the task {config.task} says itself how it is read")


def data_of(config: FinetuneConfig) -> Data:
    """The files as `genomics-fm check` would read them.

    Raises:
        InputError: a flag is wrong, or missing.
    """
    form = config.form or "table"
    if not config.form and any(name.lower().removesuffix(".gz").endswith((".bed", "peak")) for name in config.data):
        raise InputError(f"{config.data[0]}: say what it is: --as labels, --as peaks or --as tracks")
    if config.window and form not in ("peaks", "tracks"):
        raise InputError("--window: belongs to --as peaks or --as tracks; say which")
    layout = Layout(
        sequence=config.sequence,
        label=config.label,
        targets=_names(config.targets),
        split=config.split,
        kind=config.kind or None,  # type: ignore[arg-type]
        classes=_names(config.classes),
        stranded=config.stranded,
        conflicts=config.conflicts,  # type: ignore[arg-type]
    )
    grid, window = grid_of(config.window), config.window or None
    return Data(config.data, form, config.genome, layout, grid, window, config.seed)  # type: ignore[arg-type]


def name_of(config: FinetuneConfig) -> str:
    """What the task is called: as asked for, or as its file or set is, in letters that a name may have."""
    return config.name or re.sub(
        r"[^A-Za-z0-9_.-]+", "-", Path((config.data or (config.task,))[0].rpartition("=")[2].removesuffix(".gz")).stem
    )


def vocabularies_of(config: FinetuneConfig, names: tuple[str, ...]) -> tuple[str, ...]:
    """The vocabularies to try, of those an encoder has.

    Raises:
        InputError: it has no such one.
    """
    wanted = names if config.vocabulary == "all" else _names(config.vocabulary)
    if unknown := [name for name in wanted if name not in names]:
        raise InputError(f"--vocabulary {unknown[0]}: the encoder has {', '.join(names)}; give one of them, or all")
    if not wanted:
        raise InputError(f"--vocabulary: none given; give {', '.join(names)} or all")
    return wanted


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
