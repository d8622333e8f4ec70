"""A pretraining's log, copied to MLflow by a thread of the driver.

The log in the run's storage is what counts; how far it has been sent lies beside it. A server that is away at any time
therefore costs nothing: what is missing is sent once it is back, by the same process or by a later start of the run.
The workers know nothing of MLflow.
"""

import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from genomics_fm.storage import Folder
from genomics_fm.training.happened import described
from genomics_fm.training.metrics import START, VALIDATION, LogReader
from jobs import tracking
from jobs.progress import say

SENT = "tracking.json"
"""Of a run's folder: which MLflow run it is, and how many of its steps and events that has."""
FORMAT_VERSION = 1
FINISHED, FAILED, KILLED = "FINISHED", "FAILED", "KILLED"
"""MLflow's words."""
SEND_SECONDS, RETRY_SECONDS = 2.0, 5.0
CLOSE_SECONDS, BROKEN_SECONDS = 20.0, 3.0
"""For how long the end of a run waits for a server; when it ends by an error or SIGTERM."""
BATCH_LINES = 100
"""Lines a request, of fewer than ten metrics each: MLflow takes 1,000."""


SCORES = {"loss": "loss", "base_accuracy": "accuracy", "bits_per_nucleotide": "bits"}
"""Of a scoring, and what MLflow calls them."""
MOST_SCORES = 1_000
"""MLflow takes no more in a request; the log has the others."""


class Mirror:
    """One run's log on its way to MLflow; no call but `close` waits for anything."""

    def __init__(
        self, folder: Folder, uri: str | None, experiment: str, name: str, config: Any, hashes: Mapping[str, str]
    ) -> None:
        """Begin to copy.

        Args:
            folder: of the run.
            uri: of MLflow; None as in `tracking.resolve_uri`.
            experiment: MLflow's.
            name: MLflow's name of the run.
            config: a dataclass; recorded when the MLflow run is made.
            hashes: sha256 of inputs by name; tags `sha256.<name>`.

        Raises:
            InputError: the URI is of no known kind.
            EnvironmentFault: it is a file that cannot be written.
        """
        self.uri = tracking.resolve_uri(uri)
        if self.uri.startswith("sqlite:"):
            tracking.client(self.uri)  # a file is never away, and no thread must die while it makes its tables
        self._folder, self._experiment, self._name, self._config = folder, experiment, name, config
        self._hashes = dict(hashes)
        self._reader, self._lines = LogReader(folder), list[dict[str, Any]]()
        self._client: Any = None
        self._sent: dict[str, Any] = {}
        self._events = self._starts = 0
        self._end: tuple[str, dict[str, str]] | None = None
        self._warned = False
        self._closing, self._given_up, self.complete = threading.Event(), threading.Event(), False
        self._thread = threading.Thread(target=self._copy, name="mlflow-mirror", daemon=True)
        self._thread.start()

    def close(self, status: str, tags: Mapping[str, str]) -> None:
        """Send what is left and end the MLflow run; not for long, and if it does not arrive, say what that means."""
        self._end = status, dict(tags)
        self._closing.set()
        self._thread.join(CLOSE_SECONDS if status == FINISHED else BROKEN_SECONDS)
        self._given_up.set()
        if not self.complete:
            say(f"tracking {self.uri}: does not have all of {self._folder}; the same command sends the rest")

    def _copy(self) -> None:
        """The thread: send what is new again and again, until after the end all is sent or nobody waits for it."""
        while not self._given_up.is_set():
            ending, pause = self._closing.is_set(), SEND_SECONDS
            try:
                self._send()
                if ending:
                    self._finish()
            except Exception as error:  # noqa: BLE001  (a record that is late must not end a training)
                pause = RETRY_SECONDS
                self._warn(error)
            if self.complete:
                return
            if ending:
                self._given_up.wait(min(pause, 1.0))
            else:
                self._closing.wait(pause)

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            reason = (str(error).splitlines() or [repr(error)])[0][:200]
            say(f"tracking {self.uri}: {reason}; training goes on, and what is missing is sent later")
        self._warned = True

    def _send(self) -> None:
        """Send the lines that MLflow lacks; what has arrived is never sent again, unless we die in between."""
        if self._client is None:
            self._connect()
        self._lines += self._reader.new() if not self._lines else []
        while self._lines:
            batch, events, starts = _batch(self._lines), self._events, self._starts
            metrics, tags = [], {}
            for line in batch:
                if line.get("event") == VALIDATION:
                    metrics += _metrics(_scores(line), line) if line["step"] > self._sent.get("scored", 0) else []
                elif "event" in line:
                    events, starts = events + 1, starts + (line["event"] == START)
                    if events > self._sent["events"]:
                        tags[f"event.{events:04d}"] = described(line)
                        metrics += _metrics({"starts": starts}, line) if line["event"] == START else []
                elif line["step"] > self._sent["step"]:
                    metrics += _metrics(_values(line), line)
            self._client.log_batch(self._sent["run_id"], metrics=metrics, tags=_tags(tags))
            steps = [line["step"] for line in batch if "event" not in line]
            scored = [line["step"] for line in batch if line.get("event") == VALIDATION]
            self._lines, self._events, self._starts = self._lines[len(batch) :], events, starts
            self._remember(
                step=max([self._sent["step"], *steps]),
                events=max(self._sent["events"], events),
                scored=max([self._sent.get("scored", 0), *scored]),
            )
        if not self._sent["configured"]:  # last, because it needs a place for artifacts as well
            tracking.log_config(self._client, self._sent["run_id"], self._config)
            self._remember(configured=True)

    def _finish(self) -> None:
        status, tags = self._end or (FAILED, {})
        self._client.log_batch(self._sent["run_id"], tags=_tags(tags))
        self._client.set_terminated(self._sent["run_id"], status)
        self.complete = True

    def _connect(self) -> None:
        """Find the MLflow run this one had, or make it."""
        session = tracking.start(self.uri, self._experiment)
        found = {}
        if self._folder.exists(SENT):
            found = self._folder.read_json(SENT, FORMAT_VERSION, "start the run again")
        if found.get("uri") == self.uri:
            session.client.update_run(found["run_id"], status="RUNNING")
            self._sent = found
        else:
            tags = {f"sha256.{name}": value for name, value in self._hashes.items()}
            made = session.client.create_run(session.experiment_id, run_name=self._name, tags=tags)
            self._sent = {"format_version": FORMAT_VERSION, "uri": self.uri, "run_id": made.info.run_id}
            self._remember(step=0, events=0, scored=0, configured=False)
        self._client = session.client

    def _remember(self, **changes: Any) -> None:
        self._sent |= changes
        self._folder.write_json(SENT, self._sent)


def _batch(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the next request carries: lines in order, but a scoring, of many numbers, alone."""
    first = next((n for n, line in enumerate(lines[:BATCH_LINES]) if line.get("event") == VALIDATION), BATCH_LINES)
    return lines[: max(first, 1)]


def _scores(line: dict[str, Any]) -> dict[str, float]:
    """What MLflow shows of a scoring: `validation_loss_bpe` of all sources together, `….SOURCE` of each."""
    named = {}
    for vocabulary, figures in line["vocabularies"].items():
        groups = {"": figures["all"]} | {f".{source}": group for source, group in figures["by_source"].items()}
        for of, group in groups.items():
            for what, called in SCORES.items():
                if group.get(what) is not None:
                    named[f"validation_{called}_{vocabulary}{of}"] = group[what]
    return dict(list(named.items())[:MOST_SCORES])


def _values(line: dict[str, Any]) -> dict[str, float]:
    """What MLflow shows of a step."""
    named = {f"loss_{name}": loss for name, loss in line["loss"].items()}
    named |= {name: line[name] for name in ("gradient_norm", "learning_rate") if line[name] is not None}
    named["tokens_per_second"] = line["tokens"] / line["seconds"]
    named["useful_slot_fraction"] = line["tokens"] / line["slots"]
    named["data_wait_fraction"] = line["stall"] / line["seconds"]
    return {name: value for name, value in named.items() if math.isfinite(value)}


def _metrics(values: Mapping[str, float], line: dict[str, Any]) -> list[Any]:
    from mlflow.entities import Metric

    when = int(line["unixtime"] * 1000)
    return [Metric(tracking.REFUSED.sub("_", name), value, when, line["step"]) for name, value in values.items()]


def _tags(values: Mapping[str, str]) -> list[Any]:
    from mlflow.entities import RunTag

    return [RunTag(name, value[: tracking.MAX_PARAMETER_LENGTH]) for name, value in values.items()]


@contextmanager
def mirrored(
    folder: Folder, uri: str | None, experiment: str, name: str, config: Any, hashes: Mapping[str, str]
) -> Iterator[dict[str, str]]:
    """Copy a run's log to MLflow while the block runs; gives a dict for tags to set at its end.

    The MLflow run ends FINISHED, KILLED when somebody ended the block, or FAILED when it raises; a later start of the
    run takes it up again.
    """
    mirror, tags, status = Mirror(folder, uri, experiment, name, config, hashes), dict[str, str](), FAILED
    try:
        yield tags
        status = FINISHED
    except (SystemExit, KeyboardInterrupt):
        status = KILLED
        raise
    finally:
        mirror.close(status, tags)
