"""Progress on stderr: one line every few seconds, with a rate."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERVAL_SECONDS = 5.0


def say(text: str) -> None:
    """One line for people, at once."""
    print(text, file=sys.stderr, flush=True)


def rate(count: float, seconds: float, unit: str) -> str:
    """`1.2 M nt/s`."""
    value = count / max(seconds, 1e-9)
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.1f} {letter} {unit}/s"
    return f"{value:.1f} {unit}/s"


@contextmanager
def watched(look: Callable[[], str | None], interval_seconds: float = INTERVAL_SECONDS) -> Iterator[None]:
    """Print what `look` returns every few seconds while the block runs, and once more at its end.

    None and repeats are not printed.
    """
    stop = threading.Event()

    def watch() -> None:
        last = None
        ended = False
        while not ended:
            ended = stop.wait(interval_seconds)
            text = look()
            if text is not None and text != last:
                say(text)
            last = text

    thread = threading.Thread(target=watch, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start
