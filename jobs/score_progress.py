"""How far a scoring is: what its inputs hold, read through beside it, and the blocks that are there."""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genomics_fm.artefacts import sha256_file
from genomics_fm.errors import InputError
from genomics_fm.genome.source import PACKAGE
from genomics_fm.inference.embed_progress import duration
from genomics_fm.inference.predict_blocks import Written
from genomics_fm.inference.predict_source import Source
from jobs.progress import Clock, rate
from jobs.score_ray import Asked


class Survey(threading.Thread):
    """Reads all inputs through beside the scoring, so that the length of the way is known and errors come early."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(name="survey", daemon=True)
        self.asked = asked
        self.inputs: list[dict[str, str]] = []
        self.sequences = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        asked = self.asked
        try:
            self.inputs = described(asked)
            for given in asked.inputs:
                chunks = Source(given, asked.settings.genome, asked.stranded).chunks(asked.familiar)
                self.sequences += sum(map(len, chunks))
        except BaseException as error:  # noqa: BLE001  (raised again where the thread is waited for)
            self.error = error

    @property
    def total(self) -> int | None:
        """Sequences of all inputs; None while they are being read."""
        return None if self.is_alive() or self.error else self.sequences

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the end, or so long; raises what the reader raised."""
        self.join(seconds)
        if self.error is not None:
            raise self.error


def described(asked: Asked) -> list[dict[str, str]]:
    """Names and hashes of all files that are read; of a package's file, whose version its name pins, the name."""
    files = [*asked.inputs, *filter(None, [asked.settings.genome])]
    return [
        {"file": file} if file.startswith(PACKAGE) else {"file": Path(file).name, "sha256": sha256_file(Path(file))}
        for file in files
    ]


@dataclass
class Progress:
    """What has been done so far; read by the display's thread."""

    survey: Survey
    clock: Clock = field(default_factory=Clock)
    found: dict[tuple[int, int], Written] = field(default_factory=dict)
    expected: dict[int, int] = field(default_factory=dict)
    scored: int = 0
    before: int = 0
    warned: int = 0

    def add(self, record: dict[str, Any]) -> None:
        if "blocks" in record:
            self.expected[record["input"]] = record["blocks"]
            return
        rows = record["rows"]
        self.found[record["place"][0], record["place"][1]] = Written(record["file"], record["sha256"], rows)
        self.warned += record["warned"]
        if "before" in record:
            self.before += rows
        else:
            self.scored += rows

    def line(self) -> str | None:
        done, total = self.done, self.survey.total
        if not done:
            return None
        of = "" if total is None else f" of {total:,}"
        earlier = f", {self.before:,} by an earlier run" if self.before else ""
        text = f"[score] {done:,}{of} sequences{earlier}: {rate(self.scored, self.clock.seconds, 'sequences')}"
        if total is None or not self.scored or done >= total:
            return text
        return f"{text}, about {duration(self.clock.seconds * (total - done) / self.scored)} left"

    @property
    def done(self) -> int:
        """Sequences whose predictions are there."""
        return self.before + self.scored

    def in_order(self) -> list[Written]:
        """Every block.

        Raises:
            InputError: some are missing: an input is not what it was when it was read through.
        """
        wanted = [(given, number) for given, count in sorted(self.expected.items()) for number in range(count)]
        if sorted(self.found) != wanted or self.done != self.survey.total:
            raise InputError("the inputs changed while they were read; run the same command again")
        return [self.found[place] for place in wanted]
