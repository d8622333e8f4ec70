"""A pretraining on Ray Train: what every worker does, and the driver that starts them and watches."""

import signal
import sys
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from genomics_fm.errors import GenomicsFmError
from genomics_fm.storage import Folder
from genomics_fm.training.config import TrainingConfig
from genomics_fm.training.guard import Stopped
from genomics_fm.training.loop import pretrain
from genomics_fm.training.metrics import PREEMPTED, STOPPED
from jobs import launch, pretrain_handover, train_group
from jobs.config import validate
from jobs.pretrain_stop import Told, stoppable
from jobs.progress import say, watched
from jobs.watch import View

WAITING_SECONDS = 300.0
"""Between lines that say that workers wait for nodes."""


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
    told = Told(settings["folder"], settings["start"], rank)
    gauges = Gauges(settings["name"], config.checkpoint_steps) if rank == 0 else None

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


def lacking(scale: Scale) -> str | None:
    """What the connected Ray lacks for the fewest workers that can begin, in one line; None where it is enough."""
    from ray.exceptions import RayError

    workers, unit = scale.workers_min or scale.workers, "GPU" if scale.gpu else "CPU"
    try:
        there = sum(node["resources"].get(unit, 0) for node in launch.nodes())
    except RayError:
        return None  # Ray is away, as who waits for the workers will say
    if there >= workers:
        return None
    less = "start it with fewer --workers" + ("" if scale.workers_min else ", or with --workers-min")
    return f"waiting for nodes: {workers} {unit}s are needed, the cluster has {there:g}; add nodes, or {less}"


class Progress:
    """What a driver says of its run while the workers train; threads may ask at the same time."""

    def __init__(self, folder: Folder, scale: Scale) -> None:
        """Begin behind what the log holds: that is not said again."""
        self._view, self._scale, self._lock = View(folder), scale, threading.Lock()
        self._view.news()
        self._starts, self._say_again = self._view.starts, 0.0

    def line(self) -> str | None:
        """The run's latest state; what happened meanwhile is said once."""
        with self._lock:
            try:
                begun = self._begun()
            except GenomicsFmError as error:  # a log that cannot be read now is no reason to end
                return f"[pretrain] {error}"
            state = self._view.state(time.time()) if begun else None
        if not begun and time.monotonic() >= self._say_again:
            self._say_again = time.monotonic() + WAITING_SECONDS
            state = lacking(self._scale)
        return None if state is None else f"[pretrain] {state}"

    def begun(self) -> bool:
        """Whether workers of this start have begun; so they have where the log cannot be read."""
        with self._lock:
            try:
                return self._begun()
            except GenomicsFmError:
                return True

    def _begun(self) -> bool:
        for text in self._view.news():
            say(f"[pretrain] {text}")
        return self._view.starts > self._starts


def fit(folder: Folder, settings: dict[str, Any], scale: Scale, grace: float) -> None:
    """Train on the connected Ray until the encoder is saved.

    Args:
        folder: of the run.
        settings: what a worker gets: `name`, `corpus`, `vocabulary`, `folder`, `training`, `on_nonfinite`,
            `validation`.
        scale: the workers.
        grace: seconds for a checkpoint after SIGTERM or Ctrl-C.

    Raises:
        GenomicsFmError: what a worker raised; an `EnvironmentFault` where that was not ours.
        SystemExit: the run was asked to stop, and did.
    """
    progress = Progress(folder, scale)
    why: str | None = PREEMPTED
    with stoppable(folder, grace, progress.begun) as stopping, watched(progress.line):
        while why == PREEMPTED and not stopping.told:
            why = _fit_once(settings | {"start": stopping.start}, scale)
    if stopping.told or why == STOPPED:
        stopped = "stopped with a whole checkpoint; the same command goes on from there"
        say(f"[pretrain] {stopped if why else 'the encoder was finished meanwhile'}")
        sys.exit(128 + (stopping.told or signal.SIGTERM))


def _fit_once(settings: dict[str, Any], scale: Scale) -> str | None:
    """Train until the encoder is saved or the workers say why they ended before; raises as `fit`."""
    ended: Future[str | None] = Future()

    def work() -> None:
        try:
            ended.set_result(_trainer(settings, scale).fit().return_value)
        except Exception as error:  # noqa: BLE001  (who waits for the result raises it)
            ended.set_exception(error)

    # In a thread, where Ray leaves Ctrl-C alone: its own handler ends this process without a checkpoint, and with 0.
    threading.Thread(target=work, name="fit", daemon=True).start()
    try:
        return ended.result()
    except Exception as error:  # Ray wraps whatever a worker raised
        raise train_group.in_one_line(error, "pretraining") from error


def _trainer(settings: dict[str, Any], scale: Scale) -> Any:
    """Ray's trainer."""
    from ray.train import ScalingConfig
    from ray.train.torch import TorchTrainer

    from jobs.pretrain_elastic import Elastic
    from jobs.pretrain_refusals import GiveUp

    elastic = scale.workers_min > 0
    callbacks = [GiveUp(), *([Elastic(scale.resize_seconds, scale.max_failures)] if elastic else [])]
    return TorchTrainer(
        _worker,
        train_loop_config=settings,
        scaling_config=ScalingConfig(
            num_workers=(scale.workers_min, scale.workers) if elastic else scale.workers,
            use_gpu=scale.gpu,
            elastic_resize_monitor_interval_s=scale.resize_seconds,
        ),
        run_config=train_group.run_config(-1 if elastic else scale.max_failures, callbacks),
        torch_config=train_group.torch_config(scale.gpu),
    )
