"""The arms of a finetuning: which there are, and running those that are not there yet on Ray."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genomics_fm.artefacts import sha256_bytes
from genomics_fm.errors import EnvironmentFault
from genomics_fm.tasks import baselines, identities
from genomics_fm.tasks.cnn_baseline import CnnConfig
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.task import Task
from genomics_fm.tasks.trial_config import TrialConfig
from jobs import arms, finetune_ray, launch
from jobs.arms import ArmConfig
from jobs.config import validate
from jobs.finetune_config import FinetuneConfig
from jobs.finetune_progress import Told, forget, told
from jobs.progress import Clock, say, watched
from jobs.stages import HASH_CHARACTERS

FEATURES = "features"
LONGEST = ("kmer",)
"""Vocabularies of most tokens a sequence: their trials take longest and begin first."""


@dataclass(frozen=True)
class Planned:
    """An arm to run.

    Attributes:
        name: for people, and of its folder.
        task: folder.
        trial: of our encoder; None: a baseline, or the encoder of others that `name` is.
        encoder: folder of ours.
        cap: most training rows.
        seed: of rows and network.
        foreign: how an encoder of others is probed: its `hf_encoder.SETTINGS` count.
    """

    name: str
    task: str
    trial: TrialConfig | None = None
    encoder: str = ""
    cap: int = 0
    seed: int = 0
    foreign: TrialConfig | None = None

    @property
    def seeded(self) -> bool:
        """Whether another seed is another network, or, of a baseline's later seeds, other rows."""
        return self.trial is not None or self.name == baselines.CNN or self.seed > 0

    @property
    def shown(self) -> str:
        return f"{self.name}, seed {self.seed}" if self.seeded else self.name

    @property
    def folder(self) -> str:
        name = f"{self.name} seed{self.seed}" if self.seeded else self.name
        if self.name.startswith(arms.FOREIGN):
            name += f" {sha256_bytes(name.encode())[:HASH_CHARACTERS]}"  # hf:a_b and hf:a-b are two
        return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")


def planned(
    config: FinetuneConfig, task: str, problem: Problem, encoder: str, names: Sequence[str], rows: int
) -> list[Planned]:
    """Every arm: baselines, others' encoders, and each vocabulary and seed from both starts.

    Where a seed draws its rows all that learn have one arm a seed, else the CNN alone of what is no encoder of ours.

    Args:
        config: of the job.
        task: folder of the audited task.
        problem: its question.
        encoder: folder of our encoder.
        names: vocabularies to try.
        rows: for training.
    """
    cap, seen = config.trial.cap, min(rows, config.trial.cap)
    updates, batch_rows = config.updates(seen), config.batch_rows(seen)
    evaluations = min(config.trial.evaluations, updates)
    common = dataclasses.replace(
        config.trial,
        how=config.how,
        updates=updates,
        batch_rows=batch_rows,
        evaluations=evaluations,
        device="cuda" if config.gpu else "auto",
    )
    found = [Planned(name, task, cap=cap) for name in baselines.NAMES[problem.kind]]
    foreign = range(config.seeds if rows > cap else 1)
    found += [
        Planned(name, task, foreign=dataclasses.replace(config.trial, seed=seed), seed=seed)
        for seed in foreign
        for name in config.encoder
    ]
    learning = baselines.NAMES[problem.kind][1:] if rows > cap else (baselines.CNN,)
    found += [Planned(name, task, cap=cap, seed=seed) for seed in range(1, config.seeds) for name in learning]
    for seed in range(config.seeds):
        for name in sorted(names, key=lambda name: name not in LONGEST):
            for start in ("pretrained", "scratch"):
                trial = dataclasses.replace(common, vocabulary=name, start=start, seed=seed)
                found.append(Planned(trial.name, task, trial, encoder, cap, seed))
    return found


def run(
    root: Path,
    plan: Sequence[Planned],
    task: Task,
    config: FinetuneConfig,
    on_arm: Callable[[Planned, dict[str, Any]], None],
) -> list[dict[str, Any]]:
    """The summaries of all arms, in the order of the plan; Ray starts only if one is missing.

    Args:
        root: the arms' folders lie there.
        plan: what to run.
        task: of all of them.
        config: of the job.
        on_arm: hears of each arm that is there, once.

    Raises:
        CorruptArtefact: a file of a finished arm, or the encoder, was changed.
        EnvironmentFault: a worker was lost twice.
    """
    found: dict[str, dict[str, Any]] = {}
    expected = _identities(plan, task, config.workers)
    for one in plan:
        done = arms.finished(root / one.folder, expected[one.folder])
        if done is not None:
            found[one.folder] = done
            on_arm(one, done)
    due = [one for one in plan if one.folder not in found]
    if found:
        say(f"[finetune] {len(found)} of {len(plan)} arms were there already")
    for one in due:
        forget(root / one.folder)

    def progress() -> str | None:
        return told((one.shown, root / one.folder) for one in due if one.folder not in found)

    if due:
        cpus = max(launch.LOCAL_CPUS, config.workers + config.concurrent - 1)
        with launch.connect(cpus) as connection, watched(progress):
            if config.gpu or config.workers > 1:
                finetune_ray.check_room(config.workers, config.gpu, config.concurrent - 1, connection.started_here)
            _run(root, due, config, found, on_arm)
    return [found[one.folder] for one in plan]


def _identities(plan: Sequence[Planned], task: Task, workers: int) -> dict[str, str]:
    """What each arm is known by, by folder."""
    folders = {one.encoder for one in plan if one.trial}
    hashes = {folder: identities.encoder_hashes(Path(folder)) for folder in folders}
    found = {}
    for one in plan:
        if one.trial is not None:
            found[one.folder] = identities.of_trial(one.trial, hashes[one.encoder], task, workers)
        elif one.foreign is not None:
            found[one.folder] = identities.of_foreign(one.name, task, one.foreign)
        else:
            found[one.folder] = identities.of_baseline(one.name, task, one.seed, one.cap, CnnConfig())
    return found


def _run(
    root: Path,
    due: Sequence[Planned],
    config: FinetuneConfig,
    found: dict[str, dict[str, Any]],
    on_arm: Callable[[Planned, dict[str, Any]], None],
) -> None:
    import ray
    from ray import exceptions

    lost = (exceptions.WorkerCrashedError, exceptions.OutOfMemoryError, exceptions.NodeDiedError)
    clock, total = Clock(), len(due) + len(found)
    waiting = list(due)
    running: dict[Any, Planned] = {}
    while waiting or running:
        while len(running) < config.concurrent and (one := _next(waiting, running.values(), config)):
            waiting.remove(one)
            running[_started(one, root, config)] = one
        (ready, *_), _ = ray.wait(list(running), num_returns=1)
        one = running.pop(ready)
        try:
            found[one.folder] = ray.get(ready)
        except lost as error:
            raise EnvironmentFault(
                f"{one.shown}: its worker was lost twice, out of memory perhaps; run the same command again"
            ) from error
        on_arm(one, found[one.folder])
        say(f"[finetune] {len(found)}/{total} {_ended(one, found[one.folder])}; {clock.seconds:.0f} s so far")


def _next(waiting: Sequence[Planned], running: Iterable[Planned], config: FinetuneConfig) -> Planned | None:
    """The arm to start now; trials of several workers one at a time, as two that wait for each other's never end."""
    taken = any(_in_parallel(one, config) for one in running)
    return next((one for one in waiting if not (taken and _in_parallel(one, config))), None)


def _in_parallel(one: Planned, config: FinetuneConfig) -> bool:
    return one.trial is not None and config.workers > 1


def _started(one: Planned, root: Path, config: FinetuneConfig) -> Any:
    """What Ray calls an arm that it has been given."""
    import ray

    if one.trial is not None and _in_parallel(one, config):
        waits = ray.remote(finetune_ray.fit).options(num_cpus=0, max_retries=1)
        arm = ArmConfig(one.encoder, one.task, one.trial)
        return waits.remote(arm, root / one.folder, config.workers, config.gpu)
    gpus = 1 if config.gpu and one.trial else 0
    remote = ray.remote(_on_worker).options(num_cpus=1, num_gpus=gpus, max_retries=1)
    return remote.remote(dataclasses.asdict(one), str(root))


def _on_worker(one: dict[str, Any], root: str) -> dict[str, Any]:
    """Runs on a worker: one arm, to its end."""
    arm = validate(Planned, one)
    folder = Path(root) / arm.folder
    if arm.trial is not None:
        on_update = Told(folder, arm.trial)
        done = arms.run(ArmConfig(arm.encoder, arm.task, arm.trial), folder, on_update, Path(root) / FEATURES)
        on_update.end()
        return done
    if arm.foreign is not None:
        return arms.run_foreign(Path(arm.task), arm.name, folder, arm.foreign)
    return arms.run_baseline(Path(arm.task), arm.name, folder, arm.seed, arm.cap)


def _ended(one: Planned, arm: dict[str, Any]) -> str:
    metric = arm["metric"]
    seen = f", {arm['rows_seen']:,} rows seen" if "rows_seen" in arm else ""
    ended = "" if arm["converged"] is not False else ", not converged"
    return f"{one.shown}: validation {metric} {arm[f'validation_{metric}']:.3f}{seen}{ended}, {arm['seconds']:.1f} s"
