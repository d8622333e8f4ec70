"""From files, or a published set, to a divided and audited task in a folder."""

import dataclasses
import os
from pathlib import Path
from typing import Any, get_args

from genomics_fm.artefacts import sha256_file
from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import InputError, require
from genomics_fm.tasks import audit, read_data, registry, splits, thinning
from genomics_fm.tasks import task as tasks
from genomics_fm.tasks.labelled import Labelled
from genomics_fm.tasks.task import TASK_FILE, Task
from jobs.finetune_config import FinetuneConfig, data_of
from jobs.progress import INTERVAL_SECONDS, Clock, rate, say
from jobs.stages import stage


class _Spoken:
    """Progress of something counted, said every few seconds with a rate; called with (done, of how many)."""

    def __init__(self, what: str, unit: str) -> None:
        self.what, self.unit, self.clock, self.said = what, unit, Clock(), 0.0

    def __call__(self, done: int, of: int) -> None:
        if self.clock.seconds - self.said >= INTERVAL_SECONDS:
            self.said = self.clock.seconds
            say(f"[{self.what}] {done:,} of {of:,} {self.unit}: {rate(done, self.clock.seconds, self.unit)}")


def task_folder(config: FinetuneConfig, root: Path, name: str) -> Path:
    """The folder of the task: as given, or read and divided now.

    Args:
        config: of the job.
        root: stages lie there.
        name: of the task.

    Raises:
        InputError: the data are wrong: file, line, what, cure.
    """
    if "/" in config.task or (config.task and (Path(config.task) / TASK_FILE).is_file()):
        tasks.load(Path(config.task))  # raises what is wrong with it
        for setting in ("crop", "scored_rows", "divide"):
            if getattr(config, setting) != getattr(FinetuneConfig, setting):
                raise InputError(f"--{setting.replace('_', '-')}: a task's folder is taken as it is; leave it out")
        return Path(config.task).absolute()
    ways = get_args(splits.How)
    require(config.divide in ways, "--divide", config.divide, f"one of {', '.join(ways)}")
    inputs = [_identity(config), config.divide, config.seed, name, splits.DIVISION_VERSION]
    done = stage(root, "rows", inputs, lambda folder: _divided(config, folder, name))
    if not (config.crop or config.scored_rows):
        return done.folder
    thinner = [done.hash, config.crop, config.scored_rows, config.seed]
    return stage(root, "thinned", thinner, lambda folder: _thinned(config, tasks.load(done.folder), folder)).folder


def _identity(config: FinetuneConfig) -> Any:
    """What decides the labelled rows: contents of files, and how they are read."""
    if config.task:
        entry, root = registry.TASKS.get(config.task), _data_root(config)
        found = registry.local_files(entry, root) if entry and root else {}
        sums = {file.path: [sha256_file(path) for path in paths] for file, paths in found.items()}
        genome = root / entry.genome if entry and root and entry.genome else None
        how = [dataclasses.asdict(entry) if entry else None, sha256_file(genome) if genome and genome.is_file() else ""]
        return [config.task, sums, how]
    data = data_of(config)
    several = data.form in ("tracks", "classes")
    files = read_data.named(data.files) if several else {"": data.files[0]}
    contents = [[name, Path(path).name, _sum(path)] for name, path in files.items()]
    settings = {key: value for key, value in dataclasses.asdict(data).items() if key not in ("files", "genome")}
    return [contents, _sum(data.genome) if data.genome else "", settings, config.licence, config.citation]


def _sum(path: str) -> str:
    """Of a file; of one that is not there, or cannot be read, its name, and reading it says so."""
    return sha256_file(Path(path)) if Path(path).is_file() and os.access(path, os.R_OK) else path


def _data_root(config: FinetuneConfig) -> Path | None:
    given = config.data_root or os.environ.get(registry.ROOT_VARIABLE)
    return Path(given) if given else None


def _divided(config: FinetuneConfig, folder: Path, name: str) -> dict[str, Any]:
    clock = Clock()
    labelled = _read(config)
    say(f"[data] {len(labelled.rows):,} rows read: {rate(len(labelled.rows), clock.seconds, 'rows')}")
    made = splits.divide(labelled, config.divide, seed=config.seed, name=name)  # type: ignore[arg-type]
    tasks.save(folder, made)
    return {"rows": {split: len(rows) for split, rows in made.splits.items()}, "hashes": made.hashes}


def _thinned(config: FinetuneConfig, task: Task, folder: Path) -> dict[str, Any]:
    made = thinning.cropped(task, config.crop) if config.crop else task
    if config.scored_rows:
        made = thinning.fewer_scored(made, config.scored_rows, config.seed)
    tasks.save(folder, made)
    return {"rows": {split: len(rows) for split, rows in made.splits.items()}, "hashes": made.hashes}


def _read(config: FinetuneConfig) -> Labelled:
    if config.task:
        return registry.load(config.task, data_root=_data_root(config), report=_Spoken("data", "bytes"))
    labelled = read_data.read(data_of(config))
    told = {name: getattr(config, name) for name in ("licence", "citation") if getattr(config, name)}
    return dataclasses.replace(labelled, about=labelled.about | told)


def with_audit(folder: Path, root: Path, corpus: Corpus | None) -> Path:
    """The task's folder with an audit that has looked at the pretraining corpus, where that is here (SPEC R28)."""
    task = tasks.load(folder)
    known = task.about.get("audit", {})
    if known and known.get("corpus", "") == (corpus.sha256 if corpus else ""):
        return folder
    inputs = [task.sha256, task.name, task.about, corpus.sha256 if corpus else None, splits.DIVISION_VERSION]
    return stage(root, "task", inputs, lambda place: _audited(task, place, corpus)).folder


def _audited(task: Task, folder: Path, corpus: Corpus | None) -> dict[str, Any]:
    made = audit.audited(task, corpus, _Spoken("audit", "windows of the corpus"))
    tasks.save(folder, made)
    return {"verdict": made.about["audit"]["verdict"]}
