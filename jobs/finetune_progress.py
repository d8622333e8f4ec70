"""How far trials are: a file beside each, so that it can be read wherever the trial runs."""

import time
from collections.abc import Iterable
from pathlib import Path

from genomics_fm.artefacts import read_json_object, write_json
from genomics_fm.errors import CorruptArtefact
from genomics_fm.tasks.trial_config import TrialConfig
from jobs.progress import Clock, rate

PROGRESS, PROGRESS_SECONDS = "progress.json", 2.0
LOST = "begun again, a worker was lost: "


class Told:
    """Writes how far a trial is every few seconds; whose file is there already begins again."""

    def __init__(self, folder: Path, trial: TrialConfig) -> None:
        self.path, self.trial = folder / PROGRESS, trial
        self.again = LOST if self.path.is_file() else ""
        self.clock, self.written = Clock(), 0.0
        self._write("begins")

    def __call__(self, update: int, loss: float) -> None:
        if self.clock.seconds - self.written >= PROGRESS_SECONDS:
            self.written = self.clock.seconds
            speed = rate(update * self.trial.batch_rows, self.clock.seconds, "sequences")
            self._write(f"update {update:,} of at most {self.trial.updates:,}, loss {loss:.3f}, {speed}")

    def _write(self, text: str) -> None:
        write_json(self.path, {"text": self.again + text, "time": time.time()})

    def end(self) -> None:
        """Nothing more is to be said of it."""
        self.path.unlink(missing_ok=True)


def forget(folder: Path) -> None:
    """Take away what a trial of a run that was killed had told."""
    (folder / PROGRESS).unlink(missing_ok=True)


def told(trials: Iterable[tuple[str, Path]]) -> str | None:
    """How far those trials are, by name and folder, that have begun."""
    lines = []
    for name, folder in trials:
        path = folder / PROGRESS
        if path.is_file():
            try:
                lines.append(f"{name}: {read_json_object(path)['text']}")
            except (CorruptArtefact, OSError, KeyError):
                continue  # being replaced just now; the next look will do
    return f"[finetune] {'; '.join(lines)}" if lines else None
