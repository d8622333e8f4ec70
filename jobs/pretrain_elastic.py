"""Workers that come and go: a checkpoint before a resize, and no failure counted for a lost node; imports Ray."""

import os
import time
from typing import Any

import ray
from ray.data._internal.cluster_autoscaler.default_autoscaling_coordinator import get_or_create_autoscaling_coordinator
from ray.exceptions import RayError
from ray.train.constants import TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S
from ray.train.v2._internal.constants import WORKER_GROUP_START_TIMEOUT_S_ENV_VAR
from ray.train.v2._internal.execution.callback import ControllerCallback, WorkerGroupCallback

from genomics_fm.errors import EnvironmentFault
from jobs import launch
from jobs.pretrain_handover import stop_with_checkpoint

CHECKPOINT_SECONDS = 120.0
"""For how long a resize waits for the checkpoint it asks for; without one the steps since the last are repeated."""
QUERY_SECONDS = 1.0
"""Ray Train asks its coordinator for the nodes at most as often, and goes by its last answer meanwhile."""
LOOK_SECONDS = 5.0
"""For how long a look at the cluster is waited for."""
START_SECONDS = 10.0
"""For how long a group that was planned on nodes that are gone is waited for; Ray's default is a minute."""
SHUTDOWN_SECONDS = 5.0
"""For how long the process group of a worker whose peers failed may take to end; Ray's default is half a minute."""


def look_at_cluster() -> Any:
    """Let Ray's coordinator see which nodes there are; by itself it looks every 20 seconds. Returns at once."""
    return get_or_create_autoscaling_coordinator().get_reserved_resources.remote("", recompute=True)


class Elastic(ControllerCallback, WorkerGroupCallback):
    """In Ray Train's controller: what has to happen around a change of the number of workers.

    Ray counts a worker that went with its node as a failure like any other. Here only those count whose node is
    still there; `FailureConfig(max_failures=-1)` leaves the count to this class.
    """

    def __init__(self, resize_seconds: float, max_failures: int) -> None:
        """For a run that looks for nodes every `resize_seconds` and ends after more than `max_failures` failures."""
        self._resize_seconds, self._max_failures = resize_seconds, max_failures
        self._looked = time.monotonic()
        self._failures = 0
        self._failed: tuple[set[str], str] | None = None
        self._group: Any = None

    def after_controller_start(self, train_run_context: Any) -> None:
        """Shorten Ray's waits; it reads them here when it makes a group."""
        os.environ.setdefault(WORKER_GROUP_START_TIMEOUT_S_ENV_VAR, str(START_SECONDS))
        os.environ.setdefault(TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S, str(int(SHUTDOWN_SECONDS)))

    def before_worker_group_start(self, worker_group_context: Any) -> None:
        """Count the failure that ended the group before, unless it lost a node.

        Raises:
            EnvironmentFault: there were too many.
        """
        failed, self._failed = self._failed, None
        if failed is None or failed[0] - {node["id"] for node in launch.nodes()}:
            return
        self._failures += 1
        if self._failures > self._max_failures:
            count = f"failures of workers: {self._failures}, --max-failures {self._max_failures}"
            raise EnvironmentFault(f"{count}; the last: {failed[1]}; run the same command again")

    def after_worker_group_training_start(self, worker_group: Any) -> None:
        """Remember the group."""
        self._group = worker_group

    def after_worker_group_shutdown(self, worker_group_context: Any) -> None:
        """Forget the group."""
        self._group = None

    def after_worker_group_poll_status(self, worker_group_status: Any) -> None:
        """Look at the cluster as often as a resize is considered; remember what ended the group."""
        if worker_group_status.errors and self._group is not None:
            last_line = str(next(iter(worker_group_status.errors.values()))).strip().splitlines()[-1]
            reason = last_line.partition(". ")[0]
            self._failed = {worker.metadata.node_id for worker in self._group.get_workers()}, reason
        elif time.monotonic() - self._looked >= self._resize_seconds / 2:
            self._looked = time.monotonic()
            look_at_cluster()

    def before_controller_execute_failure_decision(self, failure_decision: Any) -> None:
        """See which nodes are left before the next group is planned."""
        try:
            ray.get(look_at_cluster(), timeout=LOOK_SECONDS)
        except RayError:
            return  # planned on old news the group does not start, and after `START_SECONDS` we are here again
        time.sleep(QUERY_SECONDS)

    def before_controller_execute_resize_decision(self, resize_decision: Any) -> None:
        """Let a group that is well write a checkpoint before another takes over, so that no step is repeated.

        What is left of one that failed may wait for ever for the worker that did.
        """
        if self._group is None or self._failed is not None:
            return
        try:
            ray.get(self._group.execute_async(stop_with_checkpoint, CHECKPOINT_SECONDS))
        except RayError:
            return  # a worker has died in this moment; the last checkpoint holds
