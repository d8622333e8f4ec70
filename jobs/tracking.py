"""MLflow as the record of what ran: where it lives, and a run that never blocks or breaks the work it records.

Metrics go to a spool file and from there, in a thread, to the server. A server that is away when a job starts
is an error; one that goes away later costs a warning, and the spool file stays.
"""

import contextlib
import dataclasses
import json
import logging
import os
import queue
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genomics_fm.errors import EnvironmentFault, InputError, writing
from jobs import launch

TRACKING_VARIABLE = "GENOMICS_FM_TRACKING"
QUIET_MLFLOW = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # the default blocks one call for four minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
FLUSH_SECONDS = 1.0
CLOSE_SECONDS = 15.0
BATCH_ROWS = 500
MAX_PARAMETER_LENGTH = 500
REFUSED = re.compile(r"[^\w\-. :/]")
"""Characters that MLflow takes in no name; a name of ours may hold any, as a baseline's has a comma."""


def resolve_uri(uri: str | None) -> str:
    """The tracking URI to use: the given one, `GENOMICS_FM_TRACKING`, or SQLite in the storage folder.

    SQLite paths come back absolute, so that another process with another working folder finds the same file.

    Raises:
        InputError: not a database or server URI.
    """
    uri = uri or os.environ.get(TRACKING_VARIABLE) or f"sqlite:///{launch.storage() / 'mlflow.db'}"
    if uri.startswith("sqlite:///"):
        path = Path(uri.removeprefix("sqlite:///")).expanduser().absolute()
        return f"sqlite:///{path}"
    if re.match(r"(https?|postgresql|mysql|mssql)(\+\w+)?://", uri) is None:
        raise InputError(f"tracking {uri}: not understood; give sqlite:///FILE, http(s)://HOST or a database URI")
    return uri


def client(uri: str) -> Any:
    """An `MlflowClient` with short time-outs, after the tables of a new SQLite file have been made.

    Raises:
        EnvironmentFault: nothing answers at `uri`.
    """
    os.environ.update({k: v for k, v in QUIET_MLFLOW.items() if k not in os.environ})
    for name in ("alembic", "mlflow.store.db.utils", "mlflow.utils.requirements_utils"):
        logging.getLogger(name).setLevel(logging.ERROR)
    import mlflow

    if uri.startswith("sqlite:///"):
        path = Path(uri.removeprefix("sqlite:///"))
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
    made = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    with _reachable(uri):
        made.search_experiments(max_results=1)
    return made


@contextlib.contextmanager
def _reachable(uri: str) -> Iterator[None]:
    """One `EnvironmentFault` when the tracking store does not do what is asked."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        reason = str(error).splitlines()[0][:200]
        raise EnvironmentFault(f"tracking {uri}: {reason}; start the server or correct the URI") from error


@dataclass(frozen=True)
class Session:
    """One experiment of one tracking store."""

    uri: str
    experiment: str
    experiment_id: str
    client: Any

    @contextlib.contextmanager
    def run(
        self,
        name: str,
        config: Any = None,
        hashes: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Iterator["Run"]:
        """Record one run; it ends FINISHED, or FAILED when the block raises.

        Args:
            name: the run's name.
            config: a dataclass; its leaves become parameters, the whole is kept as `config.json`.
            hashes: sha256 of inputs by name; each becomes a tag `sha256.<name>`.
            tags: further tags.
        """
        all_tags = {**(tags or {}), **{f"sha256.{k}": v for k, v in (hashes or {}).items()}}
        with _reachable(self.uri):
            made = self.client.create_run(self.experiment_id, run_name=name, tags=all_tags)
        run = Run(self.client, made.info.run_id, launch.storage() / "spool")
        status = "FAILED"
        try:
            if config is not None:
                run.config(config)
            yield run
            status = "FINISHED"
        finally:
            run.close(status)


def start(uri: str | None, experiment: str) -> Session:
    """Connect to the tracking store and make the experiment when it is new.

    The artifacts of a database store lie under the storage folder, said explicitly (else MLflow writes to
    `./mlruns`); a server chooses for itself.

    Raises:
        InputError: the URI is of no known kind.
        EnvironmentFault: nothing answers there.
    """
    uri = resolve_uri(uri)
    connection = client(uri)
    place = None if uri.startswith("http") else (launch.storage() / "artifacts" / experiment).as_uri()
    with _reachable(uri):
        found = connection.get_experiment_by_name(experiment)
        known = found.experiment_id if found is not None else None
        experiment_id = known or connection.create_experiment(experiment, artifact_location=place)
    return Session(uri, experiment, experiment_id, connection)


class Run:
    """One run being recorded. Calls return at once; a server that is away costs a warning, a full disk an error."""

    def __init__(self, client: Any, run_id: str, spool_folder: Path) -> None:
        self.client = client
        self.run_id = run_id
        self.lost = False
        self.spool = spool_folder / f"{run_id}.jsonl"
        with writing(self.spool):
            spool_folder.mkdir(parents=True, exist_ok=True)
            self._file = self.spool.open("a")
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._forward, name="mlflow-spool", daemon=True)
        self._thread.start()

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Record metrics of one step."""
        row = {"values": {k: float(v) for k, v in values.items()}, "step": step, "time": int(time.time() * 1e3)}
        with writing(self.spool):
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()
        self._queue.put(row)

    def config(self, config: Any) -> None:
        """Record a config dataclass (or nested dict): its leaves as parameters, the whole as a file."""
        with self._forgiving():
            log_config(self.client, self.run_id, config)

    def tags(self, values: Mapping[str, Any]) -> None:
        with self._forgiving():
            for key, value in values.items():
                self.client.set_tag(self.run_id, key, str(value))

    def folder(self, path: Path, name: str) -> None:
        """Record the files of a folder as the artifact `name`."""
        with self._forgiving():
            self.client.log_artifacts(self.run_id, str(path), artifact_path=name)

    def file(self, path: Path) -> None:
        """Record one file as an artifact."""
        with self._forgiving():
            self.client.log_artifact(self.run_id, str(path))

    def close(self, status: str) -> None:
        """Send what is left, end the run, and drop the spool file if everything arrived."""
        self._queue.put(None)
        self._thread.join(CLOSE_SECONDS)
        self._file.close()
        with self._forgiving():
            self.client.set_terminated(self.run_id, status)
        if self.lost or self._thread.is_alive():
            print(
                f"tracking: not all of run {self.run_id} reached MLflow; metrics kept in {self.spool}", file=sys.stderr
            )
        else:
            self.spool.unlink(missing_ok=True)

    def _forward(self) -> None:
        ended = False
        while not ended:
            rows, ended = self._next_rows()
            if rows:
                with self._forgiving():
                    self._send(rows)

    def _next_rows(self) -> tuple[list[dict[str, Any]], bool]:
        """Rows of about one second; True when the queue has ended."""
        rows: list[dict[str, Any]] = []
        until = time.monotonic() + FLUSH_SECONDS
        while len(rows) < BATCH_ROWS and (left := until - time.monotonic()) > 0:
            try:
                row = self._queue.get(timeout=left)
            except queue.Empty:
                break
            if row is None:
                return rows, True
            rows.append(row)
        return rows, False

    def _send(self, rows: list[dict[str, Any]]) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(k, v, r["time"], r["step"]) for r in rows for k, v in r["values"].items()]
        for begin in range(0, len(metrics), BATCH_ROWS):
            self.client.log_batch(self.run_id, metrics=metrics[begin : begin + BATCH_ROWS])

    @contextlib.contextmanager
    def _forgiving(self) -> Iterator[None]:
        """A tracking store that fails costs one warning, not the run."""
        from mlflow.exceptions import MlflowException

        try:
            yield
        except (MlflowException, OSError) as error:
            if not self.lost:
                print(f"tracking: MLflow failed: {str(error).splitlines()[0][:200]}; going on", file=sys.stderr)
            self.lost = True


def log_config(client: Any, run_id: str, config: Any) -> None:
    """Record a config dataclass (or nested dict) with a run: its leaves as parameters, the whole as a file."""
    from mlflow.entities import Param

    values = config if isinstance(config, Mapping) else dataclasses.asdict(config)
    leaves = dict(_leaves(values))
    params = [Param(REFUSED.sub("_", k), str(v)[:MAX_PARAMETER_LENGTH]) for k, v in leaves.items()]
    client.log_batch(run_id, params=params)
    client.log_dict(run_id, json.loads(json.dumps(values, default=str)), "config.json")


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
