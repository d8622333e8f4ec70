"""What the test rows of a task have in common with what a model learns from (SPEC R28).

A  the same sequence, or half of its 21-mers (15-mers under 100 nt), in ONE training row, on either strand. Rows that
   we drew from official training rows for validation or calibration count as training rows, as the publisher has them.
B  half of its 31-mers somewhere in the pretraining corpus: seen without its label.
C  joined to training rows by a chain of similar sequences (R12), but not as near as A.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.tasks import clusters, containment, rows
from genomics_fm.tasks.task import Task

SEEN_K = 31
SHOWN = 5
"""Examples that the verdict names."""
OFFICIAL = "official"
"""`about["split"]["how"]` of a split that the publisher made."""

CARVED = "carved"
"""`about["split"]["carved"]`: splits drawn from the official training rows."""

_REPORT_ROWS = 1 << 14


@dataclass(frozen=True)
class Audit:
    """The grades of a task's test rows.

    Attributes:
        official: the split is the publisher's, and is kept whatever it leaks.
        near: (T,) of each test row a training row that makes it grade A, or -1; those of `learnt` are counted.
        seen: (T,) whether grade B, or None where no corpus was looked at.
        homolog: (T,) whether grade C.
        examples: a few pairs of loci, test and training, of grade A.
        corpus: sha256 of the pretraining corpus that was looked at, or "".
    """

    official: bool
    near: NDArray[np.int64]
    seen: NDArray[np.bool_] | None
    homolog: NDArray[np.bool_]
    examples: tuple[tuple[str, str], ...] = ()
    corpus: str = ""

    @property
    def rows(self) -> int:
        return len(self.near)

    @property
    def clean(self) -> NDArray[np.int64]:
        """Test rows that are not grade A, ascending."""
        return np.flatnonzero(self.near < 0)

    @property
    def counts(self) -> dict[str, int | None]:
        """Test rows of each grade; a row of grade B may be A or C too."""
        seen = None if self.seen is None else int(self.seen.sum())
        return {"A": self.rows - len(self.clean), "B": seen, "C": int(self.homolog.sum())}

    @property
    def grade(self) -> str:
        """The worst that occurs: "A", "B", "C" or "none"."""
        return next((grade for grade, count in self.counts.items() if count), "none")

    @property
    def verdict(self) -> str:
        """One line for people."""
        found, of = self.counts, f"of {self.rows:,} test rows"
        if self.official and found["A"]:
            said = [f"official split leaks: {found['A']:,} {of} are in the training rows"]
        elif found["A"]:
            said = [f"invalid, re-split: {found['A']:,} {of} are in the training rows"]
        else:
            said = [f"none {of} is in the training rows"]
        if found["B"] is None:
            said.append("pretraining data not looked at")
        elif found["B"]:
            said.append(f"transductive: {found['B']:,} were seen, unlabelled, in pretraining")
        if found["C"]:
            said.append(f"{found['C']:,} have a more distant relative in training")
        return "; ".join(said)

    def to_json(self) -> dict[str, Any]:
        """`grade`, `verdict`, `counts`, `rows`, `rows_in_train` (indices), `examples`, `corpus`."""
        return {
            "grade": self.grade,
            "verdict": self.verdict,
            "counts": self.counts,
            "rows": self.rows,
            "rows_in_train": np.flatnonzero(self.near >= 0).tolist(),
            "examples": [list(pair) for pair in self.examples],
            "corpus": self.corpus,
        }


def audit(
    task: Task,
    corpus: Corpus | None = None,
    report: Callable[[int, int], None] | None = None,
    family: NDArray[np.int64] | None = None,
    near: NDArray[np.int64] | None = None,
) -> Audit:
    """Grade every test row.

    Args:
        task: its splits, and `about["split"]["how"]`.
        corpus: what the encoder was pretrained on; None where that is unknown, or nothing.
        report: receives (windows of the corpus read, all of them).
        family: the clusters of `learnt` rows followed by those of the test rows, where they are known.
        near: what `leaks` gives for the test rows, where that is known.

    Raises:
        CorruptArtefact: the corpus is damaged.
    """
    train, test = rows.concatenate([task.splits[split] for split in learnt(task.about)]), task.test
    if near is None:
        near = leaks(test.sequences, train.sequences)
    if family is None:
        family = clusters.cluster([*train.sequences, *test.sequences])
    homolog = np.isin(family[len(train) :], family[: len(train)]) & (near < 0)
    pairs = [(test.locus[row], train.locus[near[row]]) for row in np.flatnonzero(near >= 0)[:SHOWN]]
    return Audit(
        official=task.about.get("split", {}).get("how") == OFFICIAL,
        near=near,
        seen=None if corpus is None else _seen(test.sequences, corpus, report),
        homolog=homolog,
        examples=tuple(pairs),
        corpus="" if corpus is None else corpus.sha256,
    )


def learnt(about: Mapping[str, Any]) -> list[str]:
    """Names of the splits whose rows the publisher, or our division, has for training, "train" first."""
    return ["train", *about.get("split", {}).get(CARVED, [])]


def audited(task: Task, corpus: Corpus | None = None, report: Callable[[int, int], None] | None = None) -> Task:
    """The task with `about["audit"]` as `Audit.to_json` says it."""
    return dataclasses.replace(task, about=task.about | {"audit": audit(task, corpus, report).to_json()})


def clean_rows(task: Task) -> NDArray[np.int64]:
    """Test rows that the audit stored in `about` does not grade A, ascending; all of them without an audit."""
    return np.setdiff1d(np.arange(len(task.test)), task.about.get("audit", {}).get("rows_in_train", []))


def leaks(held: list[str], train: list[str]) -> NDArray[np.int64]:
    """Of each held-out sequence a training row that makes it grade A, or -1: (N,)."""
    near = np.full(len(held), -1, np.int64)
    short = np.fromiter((len(sequence) < clusters.SHORT_BP for sequence in held), np.bool_, len(held))
    for some, k in ((np.flatnonzero(short), clusters.SHORT_K), (np.flatnonzero(~short), clusters.K)):
        if len(some):
            near[some] = containment.in_one([held[row] for row in some], train, k)
    return near


def _seen(sequences: list[str], corpus: Corpus, report: Callable[[int, int], None] | None) -> NDArray[np.bool_]:
    def letters() -> Iterator[bytes]:
        for row in range(len(corpus)):
            yield corpus.letters(row).tobytes()
            if report and (row + 1) % _REPORT_ROWS == 0:
                report(row + 1, len(corpus))

    shares = containment.in_many(sequences, letters, SEEN_K)
    return np.nan_to_num(shares) >= containment.HALF
