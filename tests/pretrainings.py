"""`jobs.pretrain` as a user starts it, disturbed from outside; what every disturbed run must equal."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from genomics_fm.artefacts import sha256_file
from genomics_fm.corpus.sources import Source
from genomics_fm.corpus.windows import Recipe
from genomics_fm.model.weights import WEIGHTS
from genomics_fm.storage import Folder
from genomics_fm.training.metrics import START, LogReader, read_events, read_metrics
from genomics_fm.vocabulary.bpe import BpeVocabulary
from genomics_fm.vocabulary.ensemble import FILE_NAME, Ensemble
from genomics_fm.vocabulary.kmer import KmerVocabulary
from tests.commands import ROOT, write_genome
from tests.corpora import build, dna, write_fasta
from tests.processes import Process, descendants, forget_ray, survivors

NAME, STEPS = "run", 480
"""Steps of some 30 ms."""
CHECKPOINT_STEPS = 20
SETTINGS = (
    "--preset", "smoke", f"--training.checkpoint-steps={CHECKPOINT_STEPS}", "--training.encoder.layers=1",
    "--training.stream.max-segment-bp", "bpe=600", "kmer=300",
    "--training.encoder.width=32", "--training.encoder.heads=2", "--training.encoder.ffn-width=48",
)  # fmt: skip
VALIDATION_STEPS, HELD_OUT_SEGMENTS = 200, 9
WAIT_SECONDS = 300.0
"""For a step; a start takes some ten seconds on a machine with nothing else to do."""
LINGER_SECONDS = 20.0
"""In which Ray's processes notice that their driver is gone."""
_WORKER = re.compile(r"ray::\S*RayTrainWorker")


def make_corpus(folder: Path) -> Path:
    """A corpus of a made-up genome, with its vocabulary."""
    genome = write_genome(folder / "genome.fa")
    build(folder, [Source(str(genome), "made up")], Recipe(window_bp=8_192))
    bpe = BpeVocabulary.train([genome.read_text().split("\n")[1][:20_000]], 200)
    Ensemble({"bpe": bpe, "kmer": KmerVocabulary(4)}).save(folder / FILE_NAME)
    return folder


def scored(place: Path) -> tuple[str, ...]:
    """Flags for a run that is scored on a made-up genome."""
    held_out = f"Nova={write_fasta(place / 'new.fa', {'x': dna(9_000, 99)})}"
    numbers = f"--validation-segments={HELD_OUT_SEGMENTS}", f"--validation-steps={VALIDATION_STEPS}"
    return "--validation", held_out, *numbers


@dataclass(frozen=True)
class Outcome:
    """What a run came to: losses of every step as hex, and the weights."""

    losses: list[dict[str, str]]
    weights_sha256: str


class Pretraining:
    """One run in a storage of its own, started as often as it takes."""

    def __init__(self, corpus: Path, storage: Path, steps: int, *more: str) -> None:
        """Nothing is started yet.

        Args:
            corpus: of `make_corpus`.
            storage: for this run alone.
            steps: of the run.
            more: further flags.
        """
        self.storage, self.folder = storage, storage / "encoders" / NAME
        self.arguments = ("--corpus", str(corpus), "--name", NAME, f"--training.steps={steps}", *SETTINGS, *more)
        self.log = storage.with_suffix(".log")
        self.tracking = f"sqlite:///{corpus / 'mlflow.db'}"  # made once: its tables take seconds
        self.started_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._family: list[Process] = []

    def __enter__(self) -> "Pretraining":
        self.storage.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process is not None:
            self.end(signal.SIGKILL, 0)

    def start(self, **environment: str) -> None:
        """Start the command; it writes to `log`."""
        self.started_at = time.time()
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jobs.pretrain", *self.arguments],
                cwd=ROOT,
                env={**os.environ, **self.places(), **environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def places(self) -> dict[str, str]:
        """Environment: where the run and its record go."""
        return {"GENOMICS_FM_STORAGE": str(self.storage), "GENOMICS_FM_TRACKING": self.tracking}

    @property
    def process(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("not started")
        return self._process

    def family(self) -> list[Process]:
        """All processes of this start, as far as they have been seen."""
        known = {(one.pid, one.started) for one in self._family}
        self._family += [one for one in descendants(self.process.pid) if (one.pid, one.started) not in known]
        return self._family

    def workers(self) -> list[Process]:
        """Those that train at this moment, in no order."""
        return [one for one in descendants(self.process.pid) if _WORKER.match(one.title)]

    def raylet(self) -> Process:
        """The one that runs this node's processes for Ray."""
        [found] = [one for one in descendants(self.process.pid) if one.title.split(" ")[0].endswith("/raylet")]
        return found

    def wait_for(self, look: Callable[[], bool], seconds: float = WAIT_SECONDS) -> float:
        """Wait until something is so; Unix time of that.

        Raises:
            AssertionError: it is not, in that time or because the command has ended.
        """
        until = time.monotonic() + seconds
        while not look():
            if self.process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"{self.folder}: it did not happen\n{self.log.read_text()[-3000:]}")
            time.sleep(0.02)
        return time.time()

    def wait_for_step(self, step: int) -> None:
        """Wait until this start has made a step, which may be one that an earlier start had made as well."""

        def made() -> bool:
            lines = read_metrics(Folder(self.folder))
            return bool(lines) and lines[-1]["step"] >= step and lines[-1]["unixtime"] > self.started_at

        self.wait_for(made)

    def starts(self) -> list[int]:
        """Steps at which the run was started or went on."""
        return [event["step"] for event in read_events(Folder(self.folder)) if event["event"] == START]

    def trains_again(self, since: float) -> float:
        """Wait for the first step of a start after a Unix time; seconds from then until it was made."""

        def made() -> list[float]:
            every = LogReader(Folder(self.folder)).new()
            begun = next(
                (line["unixtime"] for line in every if line.get("event") == START and line["unixtime"] > since), 0
            )
            return [line["unixtime"] for line in every if begun and "event" not in line and line["unixtime"] > begun]

        self.wait_for(lambda: bool(made()))
        return made()[0] - since

    def end(self, number: signal.Signals | None, seconds: float = WAIT_SECONDS) -> int:
        """Send a signal, or none; the exit code, once no process of this start is left.

        Raises:
            AssertionError: a process did not end by itself, and had `seconds` for it.
        """
        process = self.process
        family = self.family()
        if number is not None:
            process.send_signal(number)
        try:
            code = process.wait(seconds or LINGER_SECONDS)
        finally:
            process.kill()
            process.wait()
            left = survivors([one for one in family if "Agent" not in one.title], LINGER_SECONDS if seconds else 0)
            survivors(family, 0)
            if process.returncode < 0:
                forget_ray(family)
            self._process, self._family = None, []
        assert left == [] or not seconds, left
        return code

    def outcome(self) -> Outcome:
        """What the finished run came to."""
        lines = read_metrics(Folder(self.folder))
        assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
        losses = [{name: float(loss).hex() for name, loss in line["loss"].items()} for line in lines]
        return Outcome(losses, sha256_file(self.folder / WEIGHTS))
