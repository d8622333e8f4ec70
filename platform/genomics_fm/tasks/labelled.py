"""Labelled rows as a table, a file of peaks or a published data set gives them: not yet divided into splits."""

from dataclasses import dataclass, field
from typing import Any

from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.rows import Rows


@dataclass(frozen=True)
class Labelled:
    """What was read, and what it asks.

    Attributes:
        rows: in the order read. Rows that share `block` are said by their source not to be independent; where the
            source says nothing, each row has its own.
        problem: the question.
        about: `source`, `licence`, `citation`, `family`, `name`, `counts`, …; what is known.
        split: of each row the split its source puts it in, or None where there is no official split.
    """

    rows: Rows
    problem: Problem
    about: dict[str, Any] = field(default_factory=dict)
    split: list[str] | None = None

    def __post_init__(self) -> None:
        if self.split is not None and len(self.split) != len(self.rows):
            raise ValueError(f"{len(self.split)} splits of {len(self.rows)} rows")
