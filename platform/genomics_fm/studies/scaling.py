"""A study of scale (SPEC Q1, S6): which pretraining runs it takes, and what may be said of their scores.

A run is scored on held-out sequences by R17, once for each of its vocabularies. Scores are compared only where the
same vocabulary reads: two vocabularies are asked different questions. A *set* such as `bpe+kmer` is what a run learns.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise, product
from typing import Any

import numpy as np

from genomics_fm.errors import InputError, require
from genomics_fm.model.encoder import ENCODERS, EncoderConfig
from genomics_fm.training.config import TrainingConfig
from genomics_fm.training.estimate import FULL_ROWS, SECONDS_AN_HOUR, TERA, flops_per_token, parameters_of

Row = dict[str, Any]
"""A cell with what came of it, as in the study's JSON."""
AXES = ("size", "corpus", "vocabulary", "steps")
SAME_TOKENS = "tokens"
SAME_TOKENS_READ = "tokens of the vocabulary that reads"
"""R27: a run of two vocabularies reads half of its tokens in each; both ways of comparing it are told."""
WARMUP_SHARE = 0.1
"""Of a run, at most, is warm-up."""
LEAST_LEVELS, LEAST_SPAN = 4, 10.0
"""A power law is fitted to as many sizes (or budgets), the largest so many times the smallest."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Size:
    """An encoder, and the settings that go with its size."""

    encoder: EncoderConfig
    learning_rate: float
    rows_per_microbatch: int


SIZES = {
    "nano": Size(EncoderConfig(layers=1, width=32, heads=2, ffn_width=96), 4e-3, 2),
    "micro": Size(EncoderConfig(layers=2, width=64, heads=2, ffn_width=192), 3e-3, 2),
    "tiny": Size(ENCODERS["tiny"], 2e-3, 2),
    "small": Size(ENCODERS["small"], 5e-4, 32),
    "base": Size(ENCODERS["base"], 4e-4, 32),
    "large": Size(ENCODERS["large"], 2e-4, 16),
}
"""`base` and `large` are the published 120 M and 400 M."""


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    Attributes:
        size: a name of `SIZES`.
        corpus: what the study calls it.
        vocabulary: a set, its members joined by `+`.
        steps: updates.
        seed: of weights, rows and masks.
    """

    size: str
    corpus: str
    vocabulary: str
    steps: int
    seed: int

    @property
    def members(self) -> tuple[str, ...]:
        return tuple(self.vocabulary.split("+"))

    @property
    def slug(self) -> str:
        """A name for its folder."""
        return f"{self.size}-{self.corpus}-{self.vocabulary.replace('+', '_')}-{self.steps}-{self.seed}"


def cells_of(
    sizes: Sequence[str],
    corpora: Iterable[str],
    vocabularies: Sequence[str],
    steps: Sequence[int],
    seeds: Sequence[int],
) -> list[Cell]:
    """Every run, small and short ones first.

    Raises:
        InputError: an axis has no level, one twice, or one that is not known.
    """
    corpora = list(corpora)
    for axis, levels in zip((*AXES, "seed"), (sizes, corpora, vocabularies, steps, seeds), strict=True):
        require(len(levels) > 0, axis, "(none)", "at least one")
        require(len(set(levels)) == len(levels), axis, ", ".join(map(str, levels)), "each once")
    for size in sizes:
        require(size in SIZES, "sizes", size, f"some of {', '.join(SIZES)}")
    for corpus in corpora:
        require(_NAME.fullmatch(corpus) is not None, "corpora", corpus, "names of letters, digits, _ and -")
    for number in steps:
        require(number >= 1, "steps", number, "at least 1")
    ordered = product(sorted(steps), sizes, corpora, vocabularies, seeds)
    return [Cell(size, corpus, vocabulary, number, seed) for number, size, corpus, vocabulary, seed in ordered]


def training_of(cell: Cell, base: TrainingConfig) -> TrainingConfig:
    """The config of a cell's run: `base` with the cell's size, length and seed."""
    size = SIZES[cell.size]
    warmup = min(base.optimizer.warmup_steps, max(1, int(WARMUP_SHARE * cell.steps)))
    return replace(
        base,
        steps=cell.steps,
        rows_per_microbatch=min(base.batch_rows, size.rows_per_microbatch),
        encoder=size.encoder,
        stream=replace(base.stream, seed=cell.seed),
        optimizer=replace(base.optimizer, learning_rate=size.learning_rate, warmup_steps=warmup),
    )


def planned(cell: Cell, base: TrainingConfig, vocabulary_size: int, flops_a_second: float) -> Row:
    """What a cell will take, calculated: the columns of a `Row` that are known before it has run, and `hours`."""
    encoder = replace(SIZES[cell.size].encoder, vocabulary_size=vocabulary_size)
    tokens = int(base.batch_rows * base.stream.row_tokens * FULL_ROWS) * cell.steps
    flops = tokens * flops_per_token(encoder)
    hours = flops / flops_a_second / SECONDS_AN_HOUR
    return {**asdict(cell), "parameters": parameters_of(encoder), "tokens": tokens, "flops": flops, "hours": hours}


def rate_of(workers: int, peak_tflops: float, share: float) -> float:
    """Floating-point operations a second of all workers together."""
    return workers * peak_tflops * TERA * share


def readings(rows: Iterable[Row]) -> list[str]:
    """Vocabularies that read in some run, in order of appearance."""
    return list(dict.fromkeys(name for row in rows for name in row["scores"]))


def levels(rows: Sequence[Row], axis: str) -> list[Any]:
    """Levels of an axis; sizes as in `SIZES`, steps by number, others as they first come."""
    found = list(dict.fromkeys(row[axis] for row in rows))
    if axis == "size":
        return sorted(found, key=list(SIZES).index)
    return sorted(found) if axis == "steps" else found


def effects(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What a step along one axis changes, over all pairs of runs that are equal in everything else.

    Returns:
        By axis, pair of neighbouring levels and reading vocabulary: `pairs`; `loss` and `accuracy`, the mean changes;
        `loss_range` and `accuracy_range`, the least and the largest. Nothing where no pair is there.
    """
    found = []
    for axis, reading in product(AXES, readings(rows)):
        scored = [row for row in rows if reading in row["scores"]]
        for before, after in pairwise(levels(scored, axis)):
            for matched in (SAME_TOKENS, SAME_TOKENS_READ) if axis == "vocabulary" else (SAME_TOKENS,):
                pairs = _pairs(scored, axis, before, after, matched)
                if pairs:
                    about = {"axis": axis, "from": before, "to": after, "reading": reading, "matched": matched}
                    found.append(about | _changes(pairs, reading))
    return found


def _pairs(rows: Sequence[Row], axis: str, before: Any, after: Any, matched: str) -> list[tuple[Row, Row]]:
    """Runs at two levels of an axis that share everything else."""

    def others(row: Row) -> tuple[Any, ...]:
        steps = row["steps"] / len(row["vocabulary"].split("+")) if matched == SAME_TOKENS_READ else row["steps"]
        rest = {"size": row["size"], "corpus": row["corpus"], "vocabulary": row["vocabulary"], "steps": steps}
        return (*(value for name, value in rest.items() if name != axis), row["seed"])

    second = {others(row): row for row in rows if row[axis] == after}
    return [(row, second[others(row)]) for row in rows if row[axis] == before and others(row) in second]


def _changes(pairs: Sequence[tuple[Row, Row]], reading: str) -> dict[str, Any]:
    changes: dict[str, Any] = {"pairs": len(pairs)}
    for name, key in (("loss", "loss"), ("accuracy", "base_accuracy")):
        differences = [after["scores"][reading]["all"][key] - before["scores"][reading]["all"][key]
                       for before, after in pairs]  # fmt: skip
        changes |= {name: float(np.mean(differences)), f"{name}_range": [min(differences), max(differences)]}
    return changes


def seed_noise(rows: Sequence[Row], reading: str) -> float | None:
    """Standard deviation of the loss between runs that differ in their seed alone, pooled; None without such runs."""
    groups: dict[tuple[Any, ...], list[float]] = {}
    for row in rows:
        if reading in row["scores"]:
            loss = row["scores"][reading]["all"]["loss"]
            groups.setdefault(tuple(row[axis] for axis in AXES), []).append(loss)
    repeated = [values for values in groups.values() if len(values) > 1]
    if not repeated:
        return None
    squares = sum(float(np.var(values)) * len(values) for values in repeated)
    return math.sqrt(squares / sum(len(values) - 1 for values in repeated))


def curve(
    rows: Sequence[Row], reading: str, against: str, figure: str = "loss"
) -> dict[tuple[str, str], list[tuple[float, float, int]]]:
    """A figure against `parameters` at the longest runs, or against `tokens` at the largest size; means over seeds.

    The longest, and the largest, are those that every line has: while a study runs, some have got further than others.

    Returns:
        By corpus and set of vocabularies: (mean x, mean figure, runs) of each size or length, by x.
    """
    scored = [row for row in rows if reading in row["scores"]]
    fixed, varied = ("steps", "size") if against == "parameters" else ("size", "steps")
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in scored:
        groups.setdefault((row["corpus"], row["vocabulary"]), []).append(row)
    shared = [level for level in levels(scored, fixed)
              if all(any(row[fixed] == level for row in own) for own in groups.values())]  # fmt: skip
    found = {}
    for group, rows_of_group in groups.items():
        own = [row for row in rows_of_group if row[fixed] in shared[-1:]]
        repeated = ([row for row in own if row[varied] == level] for level in levels(own, varied))
        found[group] = sorted(
            (
                float(np.mean([row[against] for row in runs])),
                float(np.mean([row["scores"][reading]["all"][figure] for row in runs])),
                len(runs),
            )
            for runs in repeated
        )
    return {group: points for group, points in found.items() if points}


def power_law(points: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """loss = a · x^−b by least squares of the logarithms, where there are enough points; without a constant term.

    Args:
        points: (x, loss), x above 0 and each once.

    Returns:
        `levels`, `span` (largest x over smallest), and either `exponent` b with its standard `error` and `factor` a,
        or `why` there is none.
    """
    x_P, loss_P = (np.array(values, dtype=float) for values in zip(*points, strict=True))
    about = {"levels": len(points), "span": float(x_P.max() / x_P.min())}
    if len(points) < LEAST_LEVELS or about["span"] < LEAST_SPAN:
        found = f"{len(points)} point{'s' * (len(points) != 1)} over {about['span']:.3g} ×"
        why = f"{found}; at least {LEAST_LEVELS} over {LEAST_SPAN:g} ×"
        return about | {"why": why}
    logs_P = np.log(x_P) - np.log(x_P).mean()
    slope = float((logs_P * np.log(loss_P)).sum() / (logs_P**2).sum())
    middle = float(np.log(loss_P).mean())
    left_P = np.log(loss_P) - middle - slope * logs_P
    error = math.sqrt(float((left_P**2).sum()) / (len(points) - 2) / float((logs_P**2).sum()))
    return about | {"exponent": -slope, "error": error, "factor": math.exp(middle - slope * float(np.log(x_P).mean()))}


def fits(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """`power_law` of every curve of the study."""
    return [
        {"reading": reading, "against": against, "corpus": corpus, "vocabulary": vocabulary}
        | power_law([(x, loss) for x, loss, _ in points])
        for reading in readings(rows)
        for against in ("parameters", "tokens")
        for (corpus, vocabulary), points in curve(rows, reading, against).items()
    ]


def check_members(vocabularies: Sequence[str], names: Sequence[str]) -> None:
    """Refuse sets with a vocabulary that the ensemble lacks, or has twice.

    Raises:
        InputError: names it.
    """
    for vocabulary in vocabularies:
        members = vocabulary.split("+")
        for member in members:
            if member not in names or members.count(member) > 1:
                raise InputError(f"vocabularies {vocabulary}: give each once, joined by +, of {', '.join(names)}")
