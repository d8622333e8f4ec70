"""What every group of Ray Train workers here has in common; Ray is imported when asked."""

from collections.abc import Sequence
from typing import Any

from genomics_fm.errors import EnvironmentFault, GenomicsFmError
from jobs import launch

COLLECTIVE_SECONDS = 600
"""For how long a worker waits for the others before it gives up. One that dies is noticed at once, by Ray; this is for
one that hangs, and longer than rank 0 may take to write an encoder."""


def run_config(max_failures: int, callbacks: Sequence[Any]) -> Any:
    """Ray's. What Ray wants to store goes to its own memory: checkpoints, metrics and heads are ours.

    Args:
        max_failures: restarts of the group after a lost worker or an error; -1: no bound.
        callbacks: of Ray Train.
    """
    import pyarrow.fs
    from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]
    from ray.train import FailureConfig, RunConfig

    return RunConfig(
        name="train",
        storage_path="ray",
        storage_filesystem=pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(MemoryFileSystem())),
        failure_config=FailureConfig(max_failures=max_failures),
        callbacks=list(callbacks),
    )


def torch_config(gpu: bool) -> Any:
    """How workers meet: over NCCL, or over gloo without GPUs."""
    from ray.train.torch import TorchConfig

    return TorchConfig(backend="nccl" if gpu else "gloo", timeout_s=COLLECTIVE_SECONDS)


def in_one_line(error: Exception, what: str) -> GenomicsFmError:
    """The error of ours in what a trainer raised, else an `EnvironmentFault` that gives its reason."""
    ours = launch.find_our_error(error)
    if ours is not None:
        return ours
    reason = (str(error).strip() or repr(error)).splitlines()[-1]
    if _lost_a_worker(error):
        reason = "a worker was lost, out of memory perhaps"
    return EnvironmentFault(f"{what} failed: {reason}; run the same command again")


def _lost_a_worker(error: Exception) -> bool:
    """Whether a worker's process died; what the others say of that is no reason."""
    failures = (getattr(error, "worker_failures", None) or {}).values()
    if not failures:
        return False
    from ray.exceptions import RayActorError

    return any(isinstance(getattr(one, "health_check_failure", one), RayActorError) for one in failures)
