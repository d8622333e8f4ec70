"""The log of a run: a line for every update and for every event, written in a thread and only ever added to.

On a disk it is one file, `metrics.jsonl`; an object store cannot append, and there it is pieces in `metrics/`, the
newest of which is put again as it grows. A run that resumes at step k says so in a `start` event, which takes back
the lines of later steps: what a process that died late has still written does no harm.
"""

import json
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from genomics_fm.errors import CorruptArtefact, EnvironmentFault, writing
from genomics_fm.storage import Folder

METRICS = "metrics.jsonl"
PIECES = "metrics"
FORMAT_VERSION = 1
LOCAL_SECONDS, STORE_SECONDS = 0.05, 5.0
"""For how long lines gather before they are written: to a disk, to an object store."""
PIECE_BYTES = 256 << 10
"""A piece in an object store gets no more lines once it is as large."""
MOST_WAITING = 100_000
"""Lines in memory, some 300 bytes each, beyond which a storage that takes none ends the run."""
START, VALIDATION, STOPPED, PREEMPTED = "start", "validation", "stopped", "preempted"
"""Kinds of events; others are whatever their writer calls them."""


class MetricsLog:
    """What rank 0 writes. `add` and `event` return at once; what failed in the thread is raised by the next call."""

    def __init__(self, folder: Folder, every_seconds: float | None = None) -> None:
        """Open the log of the run in `folder`, behind what it holds already.

        Args:
            folder: of the run.
            every_seconds: for how long lines gather; by default what suits the storage.

        Raises:
            EnvironmentFault: it cannot be written.
        """
        local = folder.local is not None
        self._sink: _File | _Pieces = _File(folder) if local else _Pieces(folder / PIECES)
        usual = LOCAL_SECONDS if local else STORE_SECONDS
        self._every_seconds = usual if every_seconds is None else every_seconds
        self._waiting: list[bytes] = []
        self._added = self._stored = self._flushing = 0
        self._error: Exception | None = None
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._write, name="metrics", daemon=True)
        self._thread.start()

    def add(self, line: dict[str, Any]) -> None:
        """Log one line.

        Raises:
            EnvironmentFault: earlier lines could not be written, or far too many wait.
        """
        data = json.dumps(line).encode() + b"\n"
        with self._changed:
            self._raise()
            if len(self._waiting) >= MOST_WAITING:
                raise EnvironmentFault(f"{self._sink}: takes no lines ({MOST_WAITING:,} wait); see to the storage")
            self._waiting.append(data)
            self._added += 1
            self._changed.notify_all()

    def event(self, kind: str, **fields: Any) -> None:
        """Log that something happened: a start, a skipped checkpoint, a spike."""
        self.add({"event": kind, **fields, "unixtime": time.time()})

    def start(self, step: int, steps: int, nodes: list[str], skipped: list[str], **fields: str) -> None:
        """Log that the run starts, or goes on, and wait until that is in the storage.

        Args:
            step: updates made so far; lines of later ones are taken back.
            steps: of the whole run.
            nodes: what the machine of each worker is called.
            skipped: messages about checkpoints that were not whole.
            fields: what else there is to say; `parallel` is shown, and `why` it is so.
        """
        about = {"step": step, "steps": steps, "nodes": nodes, "skipped": skipped, **fields}
        self.event(START, format_version=FORMAT_VERSION, **about)
        self.flush()

    def flush(self) -> None:
        """Wait until all that was added is in the storage; before a checkpoint says that the run got so far.

        Raises:
            EnvironmentFault: it cannot be written.
        """
        with self._changed:
            until, self._flushing = self._added, self._flushing + 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._stored >= until or self._error is not None)
            self._flushing -= 1
            self._raise()

    def close(self) -> None:
        """Write what waits and end the thread; raises as `flush`."""
        try:
            self.flush()
        finally:
            with self._changed:
                self._closing = True
                self._changed.notify_all()
            self._thread.join()
            self._sink.close()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _write(self) -> None:
        """The thread: take what waits, write it, until the end or an error."""
        while not self._closing and self._error is None:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                self._changed.wait_for(lambda: self._flushing or self._closing, self._every_seconds)
                lines, self._waiting = self._waiting, []
            error: Exception | None = None
            try:
                self._sink.write(lines)
            except Exception as raised:  # noqa: BLE001  (the next call, in the run's own thread, raises it)
                error = raised
            with self._changed:
                self._error = error
                self._stored += len(lines)
                self._changed.notify_all()


class _File:
    """A log on a disk.

    It is opened as a copy that takes the old one's name, without a last line that was cut short: what an earlier
    process may still write goes to the file it holds open, not into ours.
    """

    def __init__(self, folder: Folder) -> None:
        if folder.local is None:
            raise ValueError("an object store has no files to append to")
        self.path = folder.local / METRICS
        copy = self.path.with_name(f".{METRICS}.{uuid.uuid4().hex}.tmp")
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = copy.open("xb")
            try:
                if self.path.is_file():
                    with self.path.open("rb") as old:
                        self._file.writelines(line for line in old if line.endswith(b"\n"))
                self._sync()
                copy.rename(self.path)
            except BaseException:
                self._file.close()
                copy.unlink(missing_ok=True)
                raise

    def __str__(self) -> str:
        return str(self.path)

    def write(self, lines: list[bytes]) -> None:
        with writing(self.path):
            self._file.write(b"".join(lines))
            self._sync()

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        with writing(self.path):
            self._file.close()


class _Pieces:
    """A log in an object store: pieces numbered through, named also after who writes them."""

    def __init__(self, folder: Folder) -> None:
        self.folder, self._writer = folder, uuid.uuid4().hex[:8]
        names = folder.names()
        self._number = 1 + (int(names[-1].partition("-")[0]) if names else -1)
        self._piece = b""

    def __str__(self) -> str:
        return str(self.folder)

    def write(self, lines: list[bytes]) -> None:
        if not lines:
            return
        self._piece += b"".join(lines)
        self.folder.write(f"{self._number:06d}-{self._writer}.jsonl", self._piece)
        if len(self._piece) >= PIECE_BYTES:
            self._number, self._piece = self._number + 1, b""

    def close(self) -> None:
        """Nothing is open."""


class LogReader:
    """Reads a log as it grows; every look reads what is new alone."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._seen: dict[str, int] = {}

    def new(self) -> list[dict[str, Any]]:
        """Lines since the last look, in order; one that is still being written is left for the next.

        Raises:
            CorruptArtefact: a line is not JSON.
            EnvironmentFault: the storage does not answer.
        """
        lines = []
        for name, data in self._grown():
            whole = data[: data.rfind(b"\n") + 1]
            self._seen[name] = self._seen.get(name, 0) + len(whole)
            lines += [_parsed(line, self._folder.shown(name)) for line in whole.splitlines()]
        return lines

    def _grown(self) -> Iterator[tuple[str, bytes]]:
        """Names of files that may have grown, and what follows what has been read of them."""
        if self._folder.local is not None:
            path = self._folder.local / METRICS
            if path.is_file():
                with path.open("rb") as file:
                    file.seek(self._seen.get(METRICS, 0))
                    yield METRICS, file.read()
            return
        pieces = self._folder / PIECES
        for name in pieces.names():
            if self._seen.get(f"{PIECES}/{name}", 0) < PIECE_BYTES:
                data = pieces.read(name)
                yield f"{PIECES}/{name}", data[self._seen.get(f"{PIECES}/{name}", 0) :]


def _parsed(line: bytes, where: str) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError) as error:
        raise CorruptArtefact(f"{where}: a line is not JSON: {line[:80]!r}; delete that line") from error


def steps_of(lines: Iterable[dict[str, Any]], known: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """The lines of updates, without those that a later start has taken back.

    Args:
        lines: of a log, in order.
        known: what earlier lines came to; it is added to.
    """
    kept = [] if known is None else known
    for line in lines:
        if line.get("event") == START:
            while kept and kept[-1]["step"] > line["step"]:
                kept.pop()
        elif "event" not in line:
            kept.append(line)
    return kept


def events_of(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines of events."""
    return [line for line in lines if "event" in line]


def read_metrics(folder: Folder) -> list[dict[str, Any]]:
    """The updates of a run so far, in order, each once."""
    return steps_of(LogReader(folder).new())


def read_events(folder: Folder) -> list[dict[str, Any]]:
    """What happened in a run so far, in order."""
    return events_of(LogReader(folder).new())
