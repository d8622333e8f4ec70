"""A pretraining on Ray Train: what every worker does, and the driver that starts them and watches."""

import time
from pathlib import Path
from typing import Any

from genomics_fm.errors import EnvironmentFault
from genomics_fm.storage import Folder
from genomics_fm.training.config import TrainingConfig
from genomics_fm.training.loop import pretrain
from jobs import launch
from jobs.config import validate
from jobs.progress import say, watched
from jobs.watch import View


def _worker(settings: dict[str, Any]) -> None:
    """One Ray Train worker."""
    import ray.train

    from jobs.pretrain_gauges import Gauges

    config, folder = validate(TrainingConfig, settings["training"]), Path(settings["folder"])
    gauges = Gauges() if ray.train.get_context().get_world_rank() == 0 else None

    def on_step(line: dict[str, Any]) -> None:
        if gauges is not None:
            gauges.set(line)

    corpus, vocabulary = Path(settings["corpus"]), Path(settings["vocabulary"])
    pretrain(config, corpus, vocabulary, folder, on_step, launch.node_id(), settings["on_nonfinite"])


def _progress(view: View) -> str | None:
    """The latest state of a run as one line; what happened meanwhile is said once."""
    for text in view.news():
        say(f"[pretrain] {text}")
    state = view.state(time.time())
    return None if state is None else f"[pretrain] {state}"


def fit(folder: Path, settings: dict[str, Any], workers: int, gpu: bool, max_failures: int) -> None:
    """Train on the connected Ray until the encoder is saved.

    Args:
        folder: of the run.
        settings: what a worker gets: `corpus`, `vocabulary`, `folder`, `training`, `on_nonfinite`.
        workers: of Ray Train, one GPU or one CPU each.
        gpu: compute on GPUs, over NCCL.
        max_failures: restarts after a lost worker.

    Raises:
        GenomicsFmError: what a worker raised; an `EnvironmentFault` where that was not ours.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    from jobs.pretrain_refusals import GiveUp

    trainer = TorchTrainer(
        _worker,
        train_loop_config=settings,
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu),
        run_config=RunConfig(
            name="train",
            storage_path=str(folder / "ray"),
            failure_config=FailureConfig(max_failures=max_failures),
            callbacks=[GiveUp()],
        ),
        torch_config=TorchConfig(backend="nccl" if gpu else "gloo"),
    )
    view = View(Folder(folder))
    view.news()  # what happened before is not said again
    with watched(lambda: _progress(view)):
        try:
            trainer.fit()
        except Exception as error:  # Ray wraps whatever a worker raised
            ours = launch.find_our_error(error)
            reason = str(error).strip().splitlines()[-1]
            raise ours or EnvironmentFault(f"pretraining failed: {reason}; run the same command again") from error
