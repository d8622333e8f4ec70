"""Training of a head, whole or by adapters: equal updates, one order of rows, the best weights kept where asked."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genomics_fm.randomness import key, uniform
from genomics_fm.tasks.documents import Document, outputs, parts, picked_rows, strands
from genomics_fm.tasks.objective import Objective, flat
from genomics_fm.tasks.parallel import alone, shares, sum_gradients
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.scoring import turned
from genomics_fm.tasks.trial_config import TrialConfig
from genomics_fm.training.optimizer import adamw, learning_rate, set_learning_rate
from genomics_fm.training.workers import Workers
from genomics_fm.vocabulary.ensemble import Ensemble

PLATEAU = 0.005
"""A metric that rises by no more than this does not rise."""
LEAST_POINTS = 4
"""Evaluations below which nobody knows whether training had come to an end."""

OnUpdate = Callable[[int, float], None]
"""Receives (updates made, loss of the last)."""


@dataclass(frozen=True)
class Point:
    """An evaluation: updates made, rows seen (with repetitions), mean loss since the last one, validation metric."""

    update: int
    rows_seen: int
    loss: float
    validation: float


@dataclass
class Course:
    """What a training did.

    Attributes:
        rows: training rows there were.
        rows_seen: rows of all updates, with repetitions.
        updates: made.
        points: evaluations in the course of it.
        out_of_patience: it ended before its last update.
    """

    rows: int
    rows_seen: int = 0
    updates: int = 0
    points: list[Point] = field(default_factory=list)
    out_of_patience: bool = False

    @property
    def converged(self) -> bool | None:
        """Whether every row was seen, and validation rose no more in the second half of the evaluations or until
        patience ran out.

        Half of them, because a rate that falls to 0 makes any training look finished at its end. None where there
        were fewer than `LEAST_POINTS`.
        """
        if len(self.points) < LEAST_POINTS:
            return None
        half = len(self.points) // 2
        early, late = ([point.validation for point in part] for part in (self.points[:half], self.points[half:]))
        return self.rows_seen >= self.rows and (self.out_of_patience or max(late) <= max(early) + PLATEAU)

    def curve(self) -> list[dict[str, Any]]:
        """The points as JSON values."""
        return [asdict(point) for point in self.points]


class _Best:
    """The weights of the best evaluation so far; of equal ones the first."""

    def __init__(self, module: nn.Module) -> None:
        self.trained = {name: value for name, value in module.named_parameters() if value.requires_grad}
        self.value, self.point = -np.inf, -1
        self.weights: dict[str, Tensor] = {}

    def see(self, value: float, point: int) -> None:
        if value > self.value or not self.weights:
            self.value, self.point = value, point
            self.weights = {name: parameter.detach().clone() for name, parameter in self.trained.items()}

    def restore(self) -> None:
        with torch.no_grad():
            for name, value in self.weights.items():
                self.trained[name].copy_(value)


def train(
    config: TrialConfig,
    module: nn.Module,
    vocabulary: Ensemble,
    objective: Objective,
    rows: Rows,
    validate: Callable[[], float] | None = None,
    on_update: OnUpdate | None = None,
    workers: Workers | None = None,
) -> Course:
    """Train a head in place; unstranded sequences are read on each strand half of the time (R20).

    Args:
        config: of the trial; `start`, `fraction` and `cap` are not looked at.
        module: on the device where it is trained; only parameters that require gradients change.
        vocabulary: the ensemble.
        objective: of the training rows.
        rows: all are used.
        validate: the validation metric of the module as it stands, higher is better; called `config.evaluations` times.
            Several workers call it together, and it tells all of them the same.
        on_update: told of every update.
        workers: of which this process is one, with a module of the same weights; None: it is alone.

    Returns:
        The course. With evaluations, the module has the weights of the best one.
    """
    workers = workers or alone(next(module.parameters()).device)
    feed = _Feed(config, vocabulary, objective, rows, workers)
    optimizer, best, course = adamw(module, config.optimizer), _Best(module), Course(len(rows))
    losses: list[float] = []
    module.train()
    with _seeded(config, workers):
        for update in range(config.updates):
            set_learning_rate(optimizer, learning_rate(config.optimizer, update, config.updates))
            losses.append(feed.update(module, optimizer, update))
            course.updates, course.rows_seen = update + 1, course.rows_seen + feed.size
            if on_update is not None:
                on_update(update + 1, losses[-1])
            if validate is not None and _due(config, update):
                module.eval()
                course.points.append(Point(update + 1, course.rows_seen, float(np.mean(losses)), validate()))
                module.train()
                losses = []
                best.see(course.points[-1].validation, len(course.points))
                if config.patience and len(course.points) - best.point >= config.patience:
                    course.out_of_patience = True
                    break
    best.restore()
    module.eval()
    return course


def _due(config: TrialConfig, update: int) -> bool:
    """Whether an evaluation follows an update, counted from 0: they are spread evenly, the last one at the end."""
    return (update + 1) * config.evaluations // config.updates > update * config.evaluations // config.updates


@contextlib.contextmanager
def _seeded(config: TrialConfig, workers: Workers) -> Iterator[None]:
    """Dropout of adapters draws from torch's global generator, which is left as it was.

    It is drawn for packed tokens as they lie, so that other numbers of workers draw as other seeds do.
    """
    if config.how != "lora":
        yield
        return
    with torch.random.fork_rng():
        torch.manual_seed(config.seed if workers.rank == 0 else key(config.seed, "worker", workers.rank))
        yield


class _Feed:
    """Rows on their device, and updates made of them."""

    def __init__(
        self, config: TrialConfig, vocabulary: Ensemble, objective: Objective, rows: Rows, workers: Workers
    ) -> None:
        problem = objective.problem
        self.config, self.objective, self.rows = config, objective, len(rows)
        self.workers, self.device = workers, workers.device
        self.per_base, self.stranded = problem.kind == "per-base", problem.stranded
        self.size = min(config.batch_rows, len(rows))
        self.strands = strands(vocabulary, config.vocabulary, rows.sequences, not self.stranded, self.per_base)
        labels = objective.targets(rows.labels)
        self.labels = [labels, turned(labels) if self.per_base else labels]

    def update(self, module: nn.Module, optimizer: torch.optim.Optimizer, number: int) -> float:
        """Make one update; returns its loss. Each worker reads its share, and divides by what all of them read."""
        picked, turn = self._picked(number)
        given = [self.strands[int(side)][row] for row, side in zip(picked, turn, strict=True)]
        whole = self.objective.amount(self._labels(picked, turn)) or 1
        share = shares([len(document.ids_T) for document in given], self.workers.world)[self.workers.rank]
        optimizer.zero_grad()
        loss = 0.0
        for part in parts([given[row] for row in share], self.config.batch_tokens):
            mine = [share[row] for row in part]
            labels = self._labels(picked[mine], turn[mine])
            part_of_whole = self.objective.amount(labels) / whole
            loss += self._backward(module, [given[row] for row in mine], labels, part_of_whole)
        loss = sum_gradients(module, loss, self.workers)
        nn.utils.clip_grad_norm_(module.parameters(), self.config.optimizer.clip_norm)
        optimizer.step()
        return loss

    def _picked(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Rows of an update, and which of them are read on the other strand."""
        seed = self.config.seed
        picked = picked_rows(key(seed, "finetuning order"), number, self.rows, self.size)
        turn = uniform(key(seed, "finetuning strand", number), len(picked)) < 0.5
        return picked, turn & (not self.stranded)

    def _labels(self, picked: NDArray[np.int64], turn: NDArray[np.bool_]) -> Tensor:
        labels = self.labels[0][picked]
        if self.per_base:
            labels = labels.copy()
            labels[turn] = self.labels[1][picked[turn]]
        return torch.from_numpy(flat(labels)).to(self.device)

    def _backward(self, module: nn.Module, given: list[Document], labels: Tensor, share: float) -> float:
        """Add the gradients of a part of an update; returns what it adds to the loss."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            values = outputs(module, given, self.device)
        loss = self.objective.loss(values.float(), labels) * share
        loss.backward()
        return loss.item()
