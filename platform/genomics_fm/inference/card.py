"""What a head folder says about itself, in `config.json`; `card_text` says it for people."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genomics_fm.artefacts import read_json
from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.tasks.calibration import Calibration
from genomics_fm.tasks.metrics import Predictions
from genomics_fm.tasks.problem import Problem

FORMAT_VERSION = 3
"""1 knew two classes alone, one input length, and MCC; the thresholds of 2 were of the uncalibrated output, and decided
nothing."""
_DIGITS = 6  # of scores that are said to differ


@dataclass(frozen=True)
class HeadCard:
    """All of a head but its weights and its vocabulary.

    Attributes:
        task: the task's name; heads of one task compete for one alias.
        problem: what it answers: classes, labels or targets by name, strand, and what promotion compares.
        vocabulary: the member of the ensemble this head reads (`bpe`, `kmer`).
        encoder: `EncoderConfig` as a dict.
        length_bp: shortest and longest of the training sequences; others are scored with a warning.
        prevalence: of each class or label among the training rows, means of targets (R31); empty where not known.
        pooling: as `model.heads.SequenceClassifier` takes it; nothing to a per-base head.
        dense: whether the classifier has its dense-tanh layer; a probe has none.
        gc: shares of G and C among A, C, G and T that 99.8 % of the training sequences lie between; None: not known.
        weights: of each class, or each label's positives, in the training loss; None: 1 each. Probabilities of a
            head trained so are those of rows drawn so, which its answers undo.
        thresholds: probability, as it is answered, from which the second of two classes or each label is said to be
            there: of the best MCC on validation rows. None: one half.
        calibration: fitted on the task's calibration split; None where there was none.
        audit: what `tasks.audit` found: `grade`, `verdict`, `counts`, `rows`.
        metrics: `validation` and `test`, every metric by name, of the answers: "mcc" at a probability of one half,
            "mcc_at_threshold" of the labels that are said; `interval`, 95 %, of `problem.metric` on test;
            `baselines`, {name: `problem.metric` on validation}, and `compared`, the head's own before weights of the
            loss are undone and before calibration, as theirs are; `calibration`, as `calibration_report.assess`
            measures it on test.
        data: `source`, `licence`, `citation`, `family`, `split`…: what the task says of itself.
        hashes: sha256 of what it was made from: `corpus`, `vocabulary`, `encoder`, `train`, `validation`, `test`.
        training: start, fraction, updates, learning rate, seed…
    """

    task: str
    problem: Problem
    vocabulary: str
    encoder: dict[str, Any]
    length_bp: tuple[int, int]
    prevalence: tuple[float, ...] = ()
    pooling: str = "mean"
    dense: bool = True
    gc: tuple[float, float] | None = None
    weights: tuple[float, ...] | None = None
    thresholds: tuple[float, ...] | None = None
    calibration: Calibration | None = None
    audit: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        numbers = {"prevalence": self.prevalence, "weights": self.weights, "thresholds": self.thresholds}
        wanted = {"thresholds": 1} if self.problem.classes else {}
        for name, values in numbers.items():
            count = wanted.get(name, self.problem.outputs)
            if values and len(values) != count:
                raise InputError(f"{name}: {len(values)} numbers; give {count}")
        if self.calibration is not None and self.calibration.problem != self.problem:
            raise InputError("calibration: of another problem; give that of this head")
        if not 0 < self.length_bp[0] <= self.length_bp[1]:
            raise InputError(f"length_bp {self.length_bp}: give the shortest and the longest")

    @property
    def calibrated(self) -> bool:
        """Whether what the model says is changed before it is answered."""
        return self.calibration is not None or self.weights is not None

    @property
    def calibrator(self) -> Calibration:
        """What turns the model's predictions into answers; without calibration it knows weights and priors alone."""
        return self.calibration or Calibration(self.problem, 0, self.prevalence, self.weights)

    def answers(self, predictions: Predictions, prior: Sequence[float] | None = None) -> Predictions:
        """What is answered where the model says `predictions`: calibrated, where the head is, or under a prior."""
        changed = prior is not None or self.calibrated
        return self.calibrator.probabilities(predictions, prior) if changed else predictions

    @property
    def metric(self) -> str:
        """What promotion compares on validation (R30)."""
        return self.problem.metric

    def measured(self, split: str) -> float | None:
        """The head's `metric` on "validation" or "test"; None where it was not measured."""
        return (self.metrics.get(split) or {}).get(self.metric)

    def scores(self) -> dict[str, float]:
        """SPLIT_METRIC of validation and test, all metrics but those of single labels."""
        found = {split: self.metrics.get(split) or {} for split in ("validation", "test")}
        return {
            f"{split}_{name}": value for split, by in found.items() for name, value in by.items() if "/" not in name
        }

    def summary(self) -> dict[str, Any]:
        """What a run that records the head shows; the whole card of many labels has more than MLflow takes."""
        problem = {"kind": self.problem.kind, "outputs": self.problem.outputs, "stranded": self.problem.stranded}
        names = ("task", "metric", "vocabulary", "pooling", "dense", "length_bp", "encoder", "training")
        return problem | {name: getattr(self, name) for name in names}

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {
            "problem": self.problem.to_json(),
            "calibration": None if self.calibration is None else self.calibration.to_json(),
        }


def read_card(path: Path) -> HeadCard:
    """Read a head's `config.json`, of this format or an older one.

    Raises:
        CorruptArtefact: not JSON, not a card, or written by a newer version.
    """
    value = read_json(path, FORMAT_VERSION, "a head folder has one; save the head again")
    try:
        first = _from_first(value) if value["format_version"] == 1 else value
        return _card(_from_second(first) if value["format_version"] <= 2 else first)
    except (AttributeError, KeyError, TypeError, ValueError, InputError) as error:
        raise CorruptArtefact(f"{path}: not a head's card ({error}); save the head again") from error


def _card(value: Mapping[str, Any]) -> HeadCard:
    shortest, longest = value["length_bp"]
    read: dict[str, Any] = {
        name: tuple(value[name]) for name in ("prevalence", "gc", "weights", "thresholds") if value.get(name)
    }
    given = value.get("calibration")
    read |= {
        "problem": Problem.from_json(value["problem"]),
        "length_bp": (int(shortest), int(longest)),
        "calibration": None if given is None else Calibration.from_json(given),
    }
    return HeadCard(**{**value, **read})


def _from_first(value: Mapping[str, Any]) -> dict[str, Any]:
    """A card of format 1 in the words of format 2."""
    renamed = ("labels", "input_length_bp", "stranded", "prevalence", "metrics")
    labels, length_bp, stranded, prevalence, metrics = (value[name] for name in renamed)
    if len(labels) != 2:
        raise ValueError(f"{len(labels)} labels")
    metric = metrics.get("metric", "mcc")
    found = {split: metrics.get(f"{split}_{metric}") for split in ("validation", "test")}
    kept = {name: metrics[name] for name in ("baselines",) if name in metrics}
    if "test_interval" in metrics:
        kept["interval"] = metrics["test_interval"]
    return {name: entry for name, entry in value.items() if name not in renamed} | {
        "problem": Problem("classification", tuple(labels), bool(stranded), metric).to_json(),
        "length_bp": (length_bp, length_bp),
        "prevalence": (1 - prevalence, prevalence),
        "metrics": kept | {split: {metric: number} for split, number in found.items() if number is not None},
    }


def _from_second(value: Mapping[str, Any]) -> dict[str, Any]:
    """A card of format 2 in the words of this one: such heads decide at one half."""
    return {**value, "thresholds": None, "format_version": FORMAT_VERSION}


def better_baselines(card: HeadCard) -> list[str]:
    """Names of baselines that beat a head on validation (R30: said on the card)."""
    own = card.metrics.get("compared", card.measured("validation"))
    baselines = card.metrics.get("baselines") or {}
    return [] if own is None else [name for name, value in baselines.items() if round(value - own, _DIGITS) > 0]
