"""How a job starts: its command line, its Ray, its folders. The same code on a laptop and a submitted job."""

import contextlib
import logging
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from genomics_fm.errors import EnvironmentFault, GenomicsFmError, InputError, one_line_errors
from genomics_fm.storage import Folder, is_remote
from jobs import config as job_config

Config = TypeVar("Config")
STORAGE_VARIABLE = "GENOMICS_FM_STORAGE"
LOCAL_CPUS = 4
"""Logical CPUs of a local Ray: more than the cores, or Train workers and Tune drivers wait for ever on two."""
MAX_TEMP_PATH = 24
"""Ray puts sockets below its temporary folder, and a socket's path has at most 107 bytes."""
EXIT_TERMINATED = 128 + signal.SIGTERM

QUIET_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # how soon an end is noticed; each look costs workers' time
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "0",
}
LOCAL_RAY = {
    "RAY_prestart_worker_first_driver": "0",  # idle processes that no actor of ours takes over: seconds of a start
    "RAY_enable_worker_prestart": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # nobody takes this machine away; the watcher is a process too
}
"""For a Ray that starts here and ends with the job."""


@dataclass(frozen=True)
class Connection:
    """The Ray this process is connected to."""

    address: str
    started_here: bool


def local_folder(uri: str, what: str) -> Path:
    """The folder a storage URI names; shared file systems only.

    Raises:
        InputError: the URI has a scheme other than `file`.
    """
    scheme = re.match(r"([a-z0-9+]+)://", uri)
    if scheme and scheme[1] != "file":
        raise InputError(f"{what} {uri}: object stores are not supported yet; use a folder all nodes share")
    return Path(uri.removeprefix("file://")).expanduser().absolute()


def storage() -> Path:
    """Where runs live: `GENOMICS_FM_STORAGE`, else `./runs`."""
    return local_folder(os.environ.get(STORAGE_VARIABLE) or "runs", STORAGE_VARIABLE)


def storage_folder() -> Folder:
    """Where runs live, for jobs that can write to an object store too."""
    uri = os.environ.get(STORAGE_VARIABLE) or "runs"
    return Folder(uri) if is_remote(uri) else Folder(storage())


def absolute(address: str | Path) -> str:
    """A path as every process on this machine understands it; a URI as it is."""
    return str(address) if is_remote(str(address)) else str(local_folder(str(address), "folder"))


def node_id() -> str:
    """The Ray node this process runs on; called by tasks to say where they ran."""
    import ray

    return str(ray.get_runtime_context().get_node_id())


def nodes() -> list[dict[str, Any]]:
    """Id and resources of every node of the connected Ray."""
    import ray

    return [{"id": node["NodeID"], "resources": node["Resources"]} for node in ray.nodes() if node["Alive"]]


@contextlib.contextmanager
def connect(num_cpus: int = LOCAL_CPUS) -> Iterator[Connection]:
    """Connect to `RAY_ADDRESS` when it is set, else start a local Ray that ends with the block.

    Nested use joins the connection that is open. A local Ray gets a temporary folder of its own, so that it
    neither finds nor is found by another.
    """
    _unless_set(QUIET_RAY)
    import ray  # here, because a command line's --help should not wait for it

    for name in ("ray", "ray.data", "ray.train", "ray.tune"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with _our_errors(), contextlib.ExitStack() as stack:
        started_here = not (ray.is_initialized() or os.environ.get("RAY_ADDRESS"))
        if started_here:
            short = tempfile.gettempdir() if len(tempfile.gettempdir()) <= MAX_TEMP_PATH else "/tmp"
            folder = tempfile.mkdtemp(prefix="gfm-ray-", dir=short)
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            stack.callback(ray.shutdown)
            _unless_set(LOCAL_RAY)
            _start_local(folder, num_cpus)
        elif not ray.is_initialized():
            stack.callback(ray.shutdown)
            _join()
        _end_on_sigterm()
        yield Connection(ray.get_runtime_context().gcs_address, started_here)


def _unless_set(variables: dict[str, str]) -> None:
    os.environ.update({name: value for name, value in variables.items() if name not in os.environ})


@contextlib.contextmanager
def _our_errors() -> Iterator[None]:
    """Raise the error of ours that a task raised, instead of Ray's wrapping of it."""
    try:
        yield
    except Exception as error:
        ours = find_our_error(error)
        if ours is None or ours is error:
            raise
        raise ours from error


def find_our_error(error: BaseException | None) -> GenomicsFmError | None:
    """The `GenomicsFmError` inside what Ray raised; None when there is none."""
    if error is None or (isinstance(error, GenomicsFmError) and not hasattr(error, "cause")):
        return error
    failures = list((getattr(error, "worker_failures", None) or {}).values())
    wrapped = (getattr(error, name, None) for name in ("cause", "controller_failure", "__cause__"))
    for inner in (*failures, *wrapped):
        if inner is not error and (found := find_our_error(inner)) is not None:
            return found
    return None


def _join() -> None:
    """Connect to the Ray at RAY_ADDRESS."""
    import ray

    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, TimeoutError, RuntimeError) as error:
        address = os.environ["RAY_ADDRESS"]
        raise EnvironmentFault(f"RAY_ADDRESS {address}: no Ray answers ({error}); start it or unset it") from error


def _start_local(folder: str, num_cpus: int) -> None:
    import ray

    paths = [str(Path(__file__).parents[1]), *filter(None, os.environ.get("PYTHONPATH", "").split(":"))]
    try:
        ray.init(
            address="local",
            num_cpus=num_cpus,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=300_000_000,
            _temp_dir=folder,
            runtime_env={"env_vars": {"PYTHONPATH": ":".join(paths), **QUIET_RAY}},
        )
    except Exception as error:  # what a node that starts too slowly raises has no type of its own
        raise EnvironmentFault(f"Ray did not start: {error}; try again, or set RAY_ADDRESS") from error
    token = Path.home() / ".ray" / "auth_token"
    if token.is_file() and token.stat().st_uid == os.getuid():
        token.chmod(0o600)  # Ray writes it for all to read


def terminate(signum: int, _frame: Any) -> None:
    """SIGTERM unwinds the stack like an exception, so that every `finally` stops what it started."""
    signal.signal(signum, signal.SIG_IGN)
    sys.exit(EXIT_TERMINATED)


def _end_on_sigterm() -> None:
    """Handle SIGTERM ourselves; `ray.init` puts a handler in place that kills Ray under our feet."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, terminate)


def main(
    presets: dict[str, Config],
    run: Callable[[Config], Any],
    prog: str,
    description: str = "",
    arguments: Sequence[str] | None = None,
) -> None:
    """A job's command line: preset, flags, one-line errors, a clean end on SIGTERM.

    Args:
        presets: named configs; the first is the default.
        run: the job.
        prog: how the job is called (`python -m jobs.pretrain`).
        description: one line for `--help`.
        arguments: the command line; the process's own by default.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    _end_on_sigterm()
    with one_line_errors(debug=job_config.debug_asked(given)):
        config, _ = job_config.parse(presets, given, prog, description)
        try:
            run(config)
        except SystemExit as end:
            if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
                raise
            raise SystemExit(EXIT_TERMINATED) from end  # inside a call of Ray's, our exit code becomes 1
