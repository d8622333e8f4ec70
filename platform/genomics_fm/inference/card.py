"""What a head folder says about itself: `config.json` for programs, `README.md` for people."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genomics_fm.artefacts import read_json
from genomics_fm.errors import CorruptArtefact

FORMAT_VERSION = 1
DEFAULT_METRIC = "mcc"


@dataclass(frozen=True)
class HeadCard:
    """All of a head but its weights and its vocabulary.

    Attributes:
        task: the task's name; heads of one task compete for one alias.
        labels: names of class 0 and class 1; probabilities are those of class 1.
        vocabulary: the member of the ensemble this head reads (`bpe`, `kmer`).
        input_length_bp: length of the training sequences; others are scored with a warning.
        stranded: whether the strand carries meaning; unstranded heads average both strands (R20).
        pooling: as `model.heads.SequenceClassifier` takes it.
        encoder: `EncoderConfig` as a dict.
        prevalence: share of class 1 among the training rows (R31).
        metrics: `metric` (what promotion compares), `validation_mcc`, `test_mcc`, and `baselines`, a dict of
            baseline name → validation value.
        hashes: sha256 of what it was made from: `corpus`, `vocabulary`, `encoder`, `train`, `validation`, `test`.
        training: start, fraction, updates, learning rate, seed…
    """

    task: str
    labels: tuple[str, str]
    vocabulary: str
    input_length_bp: int
    stranded: bool
    pooling: str
    encoder: dict[str, Any]
    prevalence: float
    metrics: dict[str, Any] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    @property
    def metric(self) -> str:
        """What promotion compares on validation (R30)."""
        return str(self.metrics.get("metric", DEFAULT_METRIC))

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"labels": list(self.labels)}


def read_card(path: Path) -> HeadCard:
    """Read a head's `config.json`.

    Raises:
        CorruptArtefact: not JSON, not a card, or written by a newer version.
    """
    value = read_json(path, FORMAT_VERSION, "a head folder has one; save the head again")
    try:
        card = HeadCard(**value)
        first, second = card.labels
    except (TypeError, ValueError) as error:
        raise CorruptArtefact(f"{path}: not a head's card ({error}); save the head again") from error
    return dataclasses.replace(card, labels=(str(first), str(second)))


def better_baselines(metrics: dict[str, Any]) -> list[str]:
    """Names of baselines that beat this head on validation (R30: said on the card)."""
    own = metrics.get(f"validation_{metrics.get('metric', DEFAULT_METRIC)}")
    baselines = metrics.get("baselines") or {}
    return [] if own is None else [name for name, value in baselines.items() if value > own]


def _table(values: dict[str, Any]) -> list[str]:
    return [f"| {key} | {value} |" for key, value in sorted(values.items()) if not isinstance(value, dict)]


def model_card(card: HeadCard) -> str:
    """The README of a head folder, in Markdown."""
    strands = "read as given" if card.stranded else "both strands are scored and averaged"
    lines = [
        f"# {card.task}",
        "",
        f"A sequence classifier: `{card.labels[1]}` (class 1) against `{card.labels[0]}` (class 0). "
        "Predicted probabilities are those of class 1.",
        "",
        "**Research use only: not for clinical decisions.** A prediction is a score of a model trained on "
        "the data named below, and says nothing about other species, assays or lengths.",
        "",
        "| | |",
        "| --- | --- |",
        f"| input | {card.input_length_bp} nt; other lengths from 10 to 2,000 nt are scored with a warning |",
        f"| strand | {strands} |",
        f"| vocabulary | {card.vocabulary} |",
        f"| share of class 1 in training | {card.prevalence:.3f} |",
        "",
        *(
            f"**The baseline `{name}` is better than this head on validation.**\n"
            for name in better_baselines(card.metrics)
        ),
        "## Measured",
        "| metric | value |",
        "| --- | --- |",
        *_table(card.metrics),
        *_table({f"baseline {k}, validation": v for k, v in (card.metrics.get("baselines") or {}).items()}),
        "",
        "## Made from (sha256)",
        "| what | hash |",
        "| --- | --- |",
        *_table(card.hashes),
        "",
        "## Training",
        "| setting | value |",
        "| --- | --- |",
        *_table(card.training),
    ]
    return "\n".join(lines) + "\n"
