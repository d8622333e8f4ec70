"""What a trial is: everything that decides its numbers beside encoder, vocabulary and task."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from genomics_fm.errors import InputError, require
from genomics_fm.model.heads import Pooling
from genomics_fm.training.optimizer import OptimizerConfig

Start = Literal["pretrained", "scratch"]
How = Literal["full", "lora", "probe"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["fp32", "bf16"]
SCORED_IN: Precision = "fp32"
"""What every head is scored, calibrated and, where nothing else is asked for, served in, however it was trained."""
_CHOICES = {"start": Start, "how": How, "device": Device, "precision": Precision, "pooling": Pooling}
_LEAST = {
    "updates": 1, "batch_rows": 1, "batch_tokens": 1, "cap": 2, "threads": 1, "seed": 0, "evaluations": 0,
    "evaluation_rows": 1, "patience": 0, "pos_weight": 0, "lora_rank": 1,
}  # fmt: skip


def _finetuning_optimizer() -> OptimizerConfig:
    return OptimizerConfig(learning_rate=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, warmup_steps=6)


@dataclass(frozen=True)
class TrialConfig:
    """One arm of a comparison.

    Attributes:
        vocabulary: which of the ensemble's vocabularies reads the sequences.
        start: from pretrained weights, or from the same architecture's initialisation.
        how: "full": every weight is trained; "lora": adapters of the encoder (`model.lora`) and the head, merged at
            the end; "probe": the encoder stays as it is, and a linear model of its pooled states is fitted exactly.
        fraction: share of the (capped) training rows whose labels are used.
        seed: of the subset, the initialisation and the order.
        updates: at most; without early stopping the same in every arm (R23). A probe has none.
        batch_rows: sequences an update.
        batch_tokens: an update's sequences are computed in packed parts of at most so many tokens, or one sequence;
            it bounds memory, and changes numbers by rounding alone.
        cap: most training rows at fraction 1; fraction 1 is seen at least once when updates·batch_rows ≥ cap.
        pooling: of the head; per-base heads have none.
        evaluations: how often validation is scored in the course of the updates, evenly; the best weights are kept.
            0: never, the last are kept, and nothing is said about convergence.
        evaluation_rows: validation rows of each, stratified, as `fractions.evaluated` draws them.
        patience: evaluations without a better one after which training stops; 0: it never does.
        class_weights: every class has the same say in the loss, however many rows it has.
        pos_weight: weight of a positive of a label ("multilabel" alone; 8 is DeepSEA's); 0: negatives for each
            positive, of each label.
        lora_rank: of the adapters of "lora".
        precision: bf16 trains in it, or reads a probe's states in it, and keeps weights in float32; see `SCORED_IN`.
        device: "auto": CUDA where there is some.
        threads: torch threads.
        optimizer: AdamW; its learning rate is chosen once and frozen.
    """

    vocabulary: str = "bpe"
    start: Start = "pretrained"
    how: How = "full"
    fraction: float = 1.0
    seed: int = 0
    updates: int = 64
    batch_rows: int = 32
    batch_tokens: int = 16_384
    cap: int = 2048
    pooling: Pooling = "mean"
    evaluations: int = 0
    evaluation_rows: int = 2048
    patience: int = 0
    class_weights: bool = False
    pos_weight: float = 1.0
    lora_rank: int = 8
    precision: Precision = "fp32"
    device: Device = "auto"
    threads: int = 1
    optimizer: OptimizerConfig = field(default_factory=_finetuning_optimizer)

    def __post_init__(self) -> None:
        require(0 < self.fraction <= 1, "fraction", self.fraction, "a share above 0, at most 1")
        for name, least in _LEAST.items():
            require(getattr(self, name) >= least, name, getattr(self, name), f"at least {least}")
        for name, choices in _CHOICES.items():
            require(getattr(self, name) in get_args(choices), name, getattr(self, name), " or ".join(get_args(choices)))
        require(self.evaluations <= self.updates, "evaluations", self.evaluations, "at most as many as updates")
        require(not self.patience or self.evaluations > 0, "patience", self.patience, "0, or evaluations as well")

    @property
    def name(self) -> str:
        """Of the arm: `pretrained bpe`, `pretrained bpe probe`."""
        return f"{self.start} {self.vocabulary}" + ("" if self.how == "full" else f" {self.how}")

    @classmethod
    def from_json(cls, value: Mapping[str, Any], where: str) -> "TrialConfig":
        """The config of a JSON object's fields, `optimizer` an object too; what is absent has its default.

        Raises:
            InputError: an unknown field, or a value of another type or out of range; names `where`.
        """
        given = dict(value)
        if "optimizer" in given:
            given["optimizer"] = _checked(_finetuning_optimizer(), given["optimizer"], f"{where}: optimizer")
        return _checked(cls(), given, where)


def _checked(default: Any, given: Any, where: str) -> Any:
    """A dataclass with some fields given, each of the type of its default."""
    if not isinstance(given, Mapping):
        raise InputError(f"{where}: not an object; give fields and values")
    values = {entry.name: getattr(default, entry.name) for entry in fields(default)}
    for name, value in given.items():
        if name not in values:
            raise InputError(f"{where}: unknown field {name!r}; give one of {', '.join(values)}")
        wanted = type(values[name])
        if wanted is float and type(value) is int:
            value = float(value)
        if wanted is tuple and isinstance(value, list):
            value = tuple(value)
        if type(value) is not wanted:
            raise InputError(f"{where}: {name} {value!r}: give a value of type {wanted.__name__}")
        values[name] = value
    try:
        return type(default)(**values)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
