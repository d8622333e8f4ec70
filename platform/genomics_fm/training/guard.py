"""What keeps a bad step out of the weights: finiteness on all workers together, and jumps of the loss."""

import bisect
import math
import statistics
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import InputError
from genomics_fm.pretraining.batches import MicroBatch, micro_batch
from genomics_fm.pretraining.lane import Row
from genomics_fm.pretraining.walk import END, START, WINDOW
from genomics_fm.training.workers import Workers

OnNonfinite = Literal["stop", "skip"]
MOST_SKIPPED = 8
"""Steps in a row left out for not being finite; then it is no longer the rows, and going on would be for nothing."""
SPIKE_STEPS = 128
"""Steps whose losses say what is usual."""
SPIKE_SIGMAS = 6.0
LEAST_SIGMA = 1e-3
"""Of the mean: where losses hardly vary, a rounding is no spike."""
MOST_NAMED = 6
"""Segments a message names; it counts the others."""
STOPPED = "not finite, nothing was updated; lower the learning rate and use another --name, or --on-nonfinite skip"


@dataclass(frozen=True)
class TracedBatch(MicroBatch):
    """A micro-batch that knows its rows, so that a fault can be traced to them."""

    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Place:
    """Where on this worker something is not finite.

    Attributes:
        micro_batch: its number in the step.
        tokens: packed positions; none where it is only known that the whole micro-batch's gradient is concerned.
    """

    micro_batch: int
    tokens: tuple[int, ...] = ()


class NotFinite(InputError):  # noqa: N818  (it says what is the matter)
    """Loss or gradient of a step is not finite on some worker; every worker raises it, and none has updated.

    Attributes:
        what: "loss" or "gradient".
        places: on this worker.
    """

    def __init__(self, what: str, places: list[Place]) -> None:
        super().__init__(f"{what} {STOPPED}")
        self.what, self.places = what, places


class Stopped(Exception):  # noqa: N818  (nothing went wrong)
    """A run that was asked to stop has written a checkpoint and can go on from it, with nothing lost."""


@contextmanager
def watched_gradients(embeddings: nn.Module) -> Iterator[list[Tensor]]:
    """Record, for every forward pass in the block, whether the gradient came back from the layers finite.

    Yields:
        One flag for each backward pass: True where something was not finite. Reading one waits for the device.
    """
    flags: list[Tensor] = []

    def watch(_module: nn.Module, _given: Any, embedded_PD: Tensor) -> None:
        if embedded_PD.requires_grad:
            embedded_PD.register_hook(lambda gradient_PD: flags.append(~torch.isfinite(gradient_PD).all()))

    handle = embeddings.register_forward_hook(watch)
    try:
        yield flags
    finally:
        handle.remove()


def places_of(micro_batches: list[MicroBatch], bad_losses: list[Tensor], bad_gradients: list[Tensor]) -> list[Place]:
    """Where this worker's losses are not finite; failing that, where its gradients are not.

    Args:
        micro_batches: of the step.
        bad_losses: for each, which predicted tokens' losses are not finite, (M,) bool.
        bad_gradients: for each, whether its gradient is not.
    """
    places = []
    for number, (batch, bad_M) in enumerate(zip(micro_batches, bad_losses, strict=True)):
        if bad_M.any():
            places.append(Place(number, tuple(batch.select_M[bad_M.cpu()].tolist())))
    return places or [Place(number) for number, bad in enumerate(bad_gradients) if bad]


def named(places: list[Place], micro_batches: list[TracedBatch], corpus: Corpus, rank: int) -> list[str]:
    """The segments at some places, as `worker 1, block blocks/0.arrow row 3, bpe 0–352`; each once."""
    found: dict[str, None] = {}
    for place in places:
        for row, document in _documents(place, micro_batches[place.micro_batch]):
            window, start, end = (int(row.segments_D6[document, column]) for column in (WINDOW, START, END))
            number = bisect.bisect_right(range(len(corpus.blocks)), window, key=corpus.first_row) - 1
            at = window - corpus.first_row(number)
            text = f"worker {rank}, block {corpus.blocks[number]['file']} row {at}, {row.vocabulary} {start:,}–{end:,}"
            found[text] = None
    return list(found)


def traced(rows: list[Row], share: int, at_once: int, names: tuple[str, ...]) -> list[TracedBatch]:
    """Rows as micro-batches of `at_once`; as many as `share` rows make, the last ones may be empty."""
    parts = [tuple(rows[i : i + at_once]) for i in range(0, share, at_once)]
    return [TracedBatch(**vars(micro_batch(list(part), names)), rows=part) for part in parts]


def where(error: NotFinite, parts: list[TracedBatch], corpus: Corpus, workers: Workers) -> str:
    """The segments of all workers that an error concerns; all workers call it together."""
    found = workers.gather(named(error.places, parts, corpus, workers.rank))
    return in_a_line([name for names in found for name in names])


def _documents(place: Place, batch: TracedBatch) -> list[tuple[Row, int]]:
    """Rows and numbers of the documents that stand at a place."""
    every = [(row, document) for row in batch.rows for document in range(len(row.lengths_D))]
    if not place.tokens or not every:
        return every
    ends_D = np.cumsum([row.lengths_D[document] for row, document in every])
    numbers = np.unique(np.searchsorted(ends_D, np.array(place.tokens), side="right"))
    return [every[number] for number in numbers]


def in_a_line(names: list[str]) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return "; ".join(names[:MOST_NAMED]) + more if names else "no row found: an overflow in the weights' gradient"


class Guard:
    """Which steps are left out. Its state goes into checkpoints: a resumed run decides as one left alone.

    Attributes:
        left_out: steps so far without an update.
    """

    def __init__(self, on_nonfinite: OnNonfinite, skip_spikes: bool) -> None:
        """A guard at a run's start.

        Args:
            on_nonfinite: end the run, or go on without the step.
            skip_spikes: leave out steps whose loss jumps; they are logged in any case.
        """
        self.on_nonfinite, self.skip_spikes = on_nonfinite, skip_spikes
        self.left_out = 0
        self._in_a_row = 0
        self._recent: dict[str, deque[float]] = {}
        self.spikes: list[str] = []

    def state(self) -> dict[str, Any]:
        """Everything `restore` needs, as JSON."""
        recent = {name: list(values) for name, values in self._recent.items()}
        return {"left_out": self.left_out, "in_a_row": self._in_a_row, "recent": recent}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.left_out, self._in_a_row = state["left_out"], state["in_a_row"]
        self._recent = {name: deque(values, SPIKE_STEPS) for name, values in state["recent"].items()}

    def accepts(self, loss: Mapping[str, float], gradient_norm: float) -> bool:
        """Whether a step with these losses by vocabulary and this gradient norm is to be made; sets `spikes`.

        A value is a spike where it lies more than `SPIKE_SIGMAS` deviations above the mean of the last `SPIKE_STEPS`.
        It counts among them afterwards, so that a new level is soon the usual one.
        """
        self.spikes, self._in_a_row = [], 0
        values = {f"loss of {name}": value for name, value in loss.items()}
        for name, value in {**values, "gradient norm": gradient_norm}.items():
            recent = self._recent.setdefault(name, deque(maxlen=SPIKE_STEPS))
            if len(recent) == SPIKE_STEPS and value > (limit := _limit(recent)):
                self.spikes.append(f"{name} {value:.4g}, over {limit:.4g}")
            recent.append(value)
        leaves_out = bool(self.spikes) and self.skip_spikes
        self.left_out += leaves_out
        return not leaves_out

    def leave_out(self, error: NotFinite, step: int, segments: str) -> str:
        """Go on without a step that is not finite, if that is wanted and does not go on for ever.

        Args:
            error: what was found.
            step: number of the update that was not made, from 1.
            segments: where, as of `where`.

        Returns:
            What to log.

        Raises:
            InputError: the run ends here.
        """
        place = f"step {step}: {error.what} of {segments}"
        if self.on_nonfinite == "stop":
            raise InputError(f"{place}: {STOPPED}")
        self.left_out += 1
        self._in_a_row += 1
        if self._in_a_row > MOST_SKIPPED:
            raise InputError(f"{place}: not finite for {self._in_a_row} steps in a row; lower the learning rate")
        return f"{place}: not finite, left out"


def _limit(recent: deque[float]) -> float:
    """Above it a value is a spike."""
    mean = statistics.fmean(recent)
    sigma = math.sqrt(math.fsum((value - mean) ** 2 for value in recent) / len(recent))
    return mean + SPIKE_SIGMAS * max(sigma, LEAST_SIGMA * abs(mean))
