"""A pretraining on Ray Train: what every worker does, and the driver that starts them and watches."""

import sys
import time
from dataclasses import dataclass
from typing import Any

from genomics_fm.errors import EnvironmentFault
from genomics_fm.storage import Folder
from genomics_fm.training.config import TrainingConfig
from genomics_fm.training.guard import Stopped
from genomics_fm.training.loop import pretrain
from jobs import launch, pretrain_handover
from jobs.config import validate
from jobs.pretrain_stop import PREEMPTED, STOPPED, Told, stoppable
from jobs.progress import say, watched
from jobs.watch import View

COLLECTIVE_SECONDS = 600
"""For how long a worker waits for the others before it gives up. One that dies is noticed at once, by Ray; this is for
one that hangs, and longer than rank 0 may take to write an encoder."""


@dataclass(frozen=True)
class Scale:
    """How many workers a run has.

    Attributes:
        workers: of Ray Train, one GPU or one CPU each; the most there are.
        workers_min: the fewest that train on when nodes go; 0: always `workers`.
        gpu: compute on GPUs, over NCCL.
        max_failures: restarts after a lost worker; with `workers_min`, those whose node is lost are not counted.
        resize_seconds: between looks for nodes.
    """

    workers: int
    workers_min: int
    gpu: bool
    max_failures: int
    resize_seconds: float


def _worker(settings: dict[str, Any]) -> str | None:
    """One Ray Train worker.

    Returns:
        Why it ended before the encoder was there; None when it is.
    """
    import ray.train

    from jobs.pretrain_gauges import Gauges

    config = validate(TrainingConfig, settings["training"])
    rank = ray.train.get_context().get_world_rank()
    told, gauges = Told(settings["folder"], settings["start"], rank), Gauges() if rank == 0 else None

    def on_step(line: dict[str, Any]) -> None:
        told.step = line["step"]
        if gauges is not None:
            gauges.set(line)

    corpus, vocabulary, folder = (settings[name] for name in ("corpus", "vocabulary", "folder"))
    node, on_nonfinite, validation = launch.node_id(), settings["on_nonfinite"], settings["validation"]

    def asked() -> bool:
        return told.asked() or pretrain_handover.asked()

    try:
        pretrain(config, corpus, vocabulary, folder, on_step, node, on_nonfinite, asked, validation)
    except Stopped:
        return told.ended()
    finally:
        told.close()
        pretrain_handover.ended()
    return None


def _progress(view: View) -> str | None:
    """The latest state of a run as one line; what happened meanwhile is said once."""
    for text in view.news():
        say(f"[pretrain] {text}")
    state = view.state(time.time())
    return None if state is None else f"[pretrain] {state}"


def fit(folder: Folder, settings: dict[str, Any], scale: Scale, grace: float) -> None:
    """Train on the connected Ray until the encoder is saved.

    Args:
        folder: of the run.
        settings: what a worker gets: `corpus`, `vocabulary`, `folder`, `training`, `on_nonfinite`,
            `validation`.
        scale: the workers.
        grace: seconds for a checkpoint after SIGTERM.

    Raises:
        GenomicsFmError: what a worker raised; an `EnvironmentFault` where that was not ours.
        SystemExit: the run was asked to stop, and did.
    """
    view = View(folder)
    view.news()  # what happened before is not said again
    why: str | None = PREEMPTED
    with stoppable(folder, grace) as stopping, watched(lambda: _progress(view)):
        while why == PREEMPTED and not stopping.told:
            why = _fit_once(settings | {"start": stopping.start}, scale)
    if stopping.told or why == STOPPED:
        done = "stopped with a whole checkpoint" if why else "the encoder was finished meanwhile"
        say(f"[pretrain] {done}; the same command goes on from there")
        sys.exit(launch.EXIT_TERMINATED)


def _fit_once(settings: dict[str, Any], scale: Scale) -> str | None:
    """Train until the encoder is saved or the workers say why they ended before; raises as `fit`."""
    try:
        return _trainer(settings, scale).fit().return_value
    except Exception as error:  # Ray wraps whatever a worker raised
        ours = launch.find_our_error(error)
        reason = str(error).strip().splitlines()[-1]
        raise ours or EnvironmentFault(f"pretraining failed: {reason}; run the same command again") from error


def _trainer(settings: dict[str, Any], scale: Scale) -> Any:
    """Ray's trainer. What it wants to store goes to its own memory: checkpoints and metrics are ours."""
    import pyarrow.fs
    from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    from jobs.pretrain_elastic import Elastic
    from jobs.pretrain_refusals import GiveUp

    elastic = scale.workers_min > 0
    return TorchTrainer(
        _worker,
        train_loop_config=settings,
        scaling_config=ScalingConfig(
            num_workers=(scale.workers_min, scale.workers) if elastic else scale.workers,
            use_gpu=scale.gpu,
            elastic_resize_monitor_interval_s=scale.resize_seconds,
        ),
        run_config=RunConfig(
            name="train",
            storage_path="ray",
            storage_filesystem=pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(MemoryFileSystem())),
            failure_config=FailureConfig(max_failures=-1 if elastic else scale.max_failures),
            callbacks=[GiveUp(), *([Elastic(scale.resize_seconds, scale.max_failures)] if elastic else [])],
        ),
        torch_config=TorchConfig(backend="nccl" if scale.gpu else "gloo", timeout_s=COLLECTIVE_SECONDS),
    )
