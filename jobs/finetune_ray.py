"""A trial on several workers of Ray Train: one GPU or one CPU each, the same curve as on one."""

import dataclasses
from pathlib import Path
from typing import Any

from genomics_fm.errors import EnvironmentFault
from genomics_fm.training.workers import Workers
from jobs import arms, launch, train_group
from jobs.arms import ArmConfig
from jobs.config import validate
from jobs.finetune_progress import Told
from jobs.progress import say

RESTARTS = 1
"""A worker may be lost so often: the trial is short, and begins again."""


def _worker(settings: dict[str, Any]) -> dict[str, Any]:
    """One Ray Train worker; the first writes the arm and tells how far it is."""
    workers = Workers.current()
    arm, folder = validate(ArmConfig, settings["arm"]), Path(settings["folder"])
    if workers.rank:
        return arms.run(arm, folder, workers=workers)
    told = Told(folder, arm.trial)
    done = arms.run(arm, folder, told, workers=workers)
    told.end()
    return done


def fit(arm: ArmConfig, folder: Path, workers: int, gpu: bool) -> dict[str, Any]:
    """Run a trial on the connected Ray; its summary, as `arms.run` gives it.

    Args:
        arm: a trial whose weights are trained, whole or by adapters.
        folder: of the arm, on storage that all workers share.
        workers: one GPU or one CPU each.
        gpu: compute on GPUs, over NCCL.

    Raises:
        GenomicsFmError: what a worker raised; `EnvironmentFault`: that was not ours, or workers were lost twice.
    """
    from ray.train import ScalingConfig
    from ray.train.torch import TorchTrainer

    from jobs.pretrain_refusals import GiveUp

    trainer = TorchTrainer(
        _worker,
        train_loop_config={"arm": dataclasses.asdict(arm), "folder": str(folder)},
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu),
        run_config=train_group.run_config(RESTARTS, [GiveUp()]),
        torch_config=train_group.torch_config(gpu),
    )
    try:
        return dict(trainer.fit().return_value)
    except Exception as error:  # Ray wraps whatever a worker raised
        raise train_group.in_one_line(
            error, f"{arm.trial.name}, seed {arm.trial.seed}, on {workers} workers"
        ) from error


def check_room(workers: int, gpu: bool, beside: int, local: bool) -> None:
    """Compare what trials need with what the connected Ray has: say so where nodes may still come.

    Args:
        workers: of a trial.
        gpu: whether each has a GPU, else a CPU.
        beside: arms that run beside it, a CPU each.
        local: this Ray ends with the job, and grows no more.

    Raises:
        EnvironmentFault: it is local, and has too few.
    """
    unit, needed = ("GPU", workers) if gpu else ("CPU", workers + beside)
    there = sum(node["resources"].get(unit, 0) for node in launch.nodes())
    if there >= needed:
        return
    lacks = f"{needed} {unit}s are needed for --workers {workers}, there are {there:g}"
    if local:
        raise EnvironmentFault(f"{lacks}; give fewer --workers{', or no --gpu' if gpu else ''}")
    say(f"[finetune] waiting for nodes: {lacks}; add nodes, or start it with fewer --workers")
