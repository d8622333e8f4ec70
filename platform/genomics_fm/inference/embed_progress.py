"""How far a table is, for people."""

import time
from collections.abc import Callable

from genomics_fm.inference.embed_windows import Scan, Window

PROGRESS_SECONDS = 2.0
Say = Callable[[str], None]


class Progress:
    """Says every few seconds how much is done, how fast, and how long the rest will take.

    Attributes:
        tokens: computed in this run.
    """

    def __init__(self, found: Scan, say: Say) -> None:
        self.found, self.say = found, say
        self.tokens = self._sequences = self._letters = self._skipped = 0
        self._started = self._last = time.monotonic()

    def skip(self, window: Window) -> None:
        """Count a window in that an earlier run has done."""
        self._count(window)
        self._skipped = self._letters
        self._started = self._last = time.monotonic()

    def begin(self) -> None:
        """The next window is computed: say where an earlier run stopped."""
        if self._skipped and not self.tokens:
            self.say(f"going on after {self._sequences:,} sequences of an earlier run")

    def done(self, window: Window) -> None:
        """Count a window in that was computed."""
        self._count(window)
        self.tokens += len(window.ids_T)
        now = time.monotonic()
        if now - self._last >= PROGRESS_SECONDS:
            self._last = now
            self.say(self._line(now - self._started))

    def end(self) -> None:
        """No window is left: say so where an earlier run had computed them all."""
        if self._skipped and not self.tokens:
            self.say("every sequence was computed by an earlier run")

    def _count(self, window: Window) -> None:
        self._sequences += len(window.names)
        self._letters += int(window.offsets_S[-1])

    def _line(self, seconds: float) -> str:
        left = seconds * (self.found.letters - self._letters) / max(self._letters - self._skipped, 1)
        return (
            f"{self._sequences:,} of {self.found.sequences:,} sequences, "
            f"{self.tokens / max(seconds, 1e-9):,.0f} tokens/s, about {duration(left)} left"
        )


def duration(seconds: float) -> str:
    """`45 s`, `12 min` or `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
