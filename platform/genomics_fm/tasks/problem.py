"""What a task asks of a sequence: which of several classes, which labels, how large, or a class of every base."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from genomics_fm.errors import require

Kind = Literal["classification", "multilabel", "regression", "per-base"]
DEFAULT_METRIC: dict[Kind, str] = {
    "classification": "mcc",
    "multilabel": "auroc",
    "regression": "pearson",
    "per-base": "mcc",
}
UNLABELLED = -100
"""A base without a class; what `torch`'s and our cross entropy leave out."""


@dataclass(frozen=True)
class Problem:
    """A task's question, the same for every model and baseline that answers it.

    Attributes:
        kind: "classification": one class of several; "multilabel": labels that exclude nothing; "regression": one
            or several numbers; "per-base": a class of every base.
        names: of the classes, labels or targets, in the order of a model's outputs. Of two classes the second is
            the positive one.
        stranded: the strand carries meaning: no sequence is reverse-complemented, nowhere (R20).
        metric: what heads are compared by; higher is better.
    """

    kind: Kind
    names: tuple[str, ...]
    stranded: bool = False
    metric: str = ""

    def __post_init__(self) -> None:
        require(self.kind in get_args(Kind), "problem", self.kind, f"one of {', '.join(get_args(Kind))}")
        least = 1 if self.kind in ("multilabel", "regression") else 2
        require(len(self.names) >= least, "names", list(self.names), f"at least {least} of a {self.kind} problem")
        require(len(set(self.names)) == len(self.names), "names", list(self.names), "each name once")
        object.__setattr__(self, "names", tuple(map(str, self.names)))
        object.__setattr__(self, "metric", self.metric or DEFAULT_METRIC[self.kind])

    @property
    def outputs(self) -> int:
        """C: numbers a model gives for a sequence, or for a base."""
        return len(self.names)

    @property
    def binary(self) -> bool:
        return self.kind == "classification" and len(self.names) == 2

    @property
    def classes(self) -> bool:
        """Whether outputs exclude each other, so that their probabilities sum to 1."""
        return self.kind in ("classification", "per-base")

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"names": list(self.names)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Problem":
        """Inverse of `to_json`; raises TypeError, KeyError or InputError for anything else."""
        return cls(value["kind"], tuple(value["names"]), bool(value["stranded"]), str(value["metric"]))
