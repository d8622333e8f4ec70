"""When a head replaces the champion (R30): decided on validation rows alone, never on test.

The lower end of a paired interval must be above 0, over enough independent blocks of rows for an interval to mean
something.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.inference.card import HeadCard, read_card
from genomics_fm.inference.head import load_head, read_validation
from genomics_fm.inference.predicted import Predicted
from genomics_fm.tasks import comparison
from genomics_fm.tasks.bootstrap import FEWEST_BLOCKS
from genomics_fm.tasks.metrics import METRICS
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.rows import Labels, Rows
from genomics_fm.tasks.scoring import mean_of_strands

_ABBREVIATED = ("mcc", "auroc", "auprc")


@dataclass(frozen=True)
class Decision:
    """Whether to promote, and why, in words.

    Attributes:
        promote: the challenger becomes champion.
        why: one sentence for people.
        difference: validation metric of challenger minus champion, None when they were not compared.
        interval: 95 % paired block-bootstrap interval of it.
    """

    promote: bool
    why: str
    difference: float | None = None
    interval: tuple[float, float] | None = None


def validation_score(folder: Path) -> float:
    """A head's metric on its validation rows; of classes and labels at a probability of one half."""
    return read_validation(folder).score(read_card(folder / "config.json").problem)


def validation_hash(card: HeadCard, folder: Path) -> str:
    """The sha256 of the validation rows a card names; heads without one cannot compete."""
    if not card.hashes.get("validation"):
        raise InputError(f"{folder}: its card has no hashes.validation; save the head with it")
    return card.hashes["validation"]


def decide(
    challenger: Path, incumbent: Path | None, rows: Rows | None = None, samples: int = 1000, seed: int = 0
) -> Decision:
    """Compare two head folders by R30.

    Args:
        challenger: the head that wants the alias.
        incumbent: the present champion; None when there is none.
        rows: the challenger's validation rows, to re-score a champion that was chosen on others.
        samples: bootstrap samples.
        seed: of the bootstrap.

    Raises:
        InputError: `rows` are not the challenger's validation rows, or a card lacks their hash.
        CorruptArtefact: two heads name the same validation rows but hold different ones.
    """
    card = read_card(challenger / "config.json")
    wanted = validation_hash(card, challenger)
    known = METRICS[card.problem.kind]
    if card.metric not in known:
        raise InputError(f"{challenger}: metric {card.metric!r}; promotion knows {', '.join(known)}")
    if incumbent is None:
        return Decision(True, "first of its name, so there was no champion to beat")
    other = read_card(incumbent / "config.json")
    for what, mine, theirs in (
        ("task", card.task, other.task),
        ("metric", card.metric, other.metric),
        ("problem", _said(card.problem), _said(other.problem)),
    ):
        if mine != theirs:
            return Decision(False, f"another {what} ({mine}) than the champion's ({theirs}): not comparable")
    ours = read_validation(challenger)
    if validation_hash(other, incumbent) == wanted:
        champions, how = read_validation(incumbent), ""
    elif rows is None:
        return Decision(
            False,
            "the champion was chosen on other validation rows; give these rows (--validation) to re-score it",
        )
    else:
        champions, how = _rescore(incumbent, rows, wanted), " (champion re-scored on these rows)"
    return _compare(card.problem, ours.ordered(), champions.ordered(), samples, seed, how)


def _said(problem: Problem) -> str:
    """The answers that two heads must share to be compared."""
    return f"{problem.kind} of {', '.join(problem.names)}"


def _rescore(incumbent: Path, rows: Rows, wanted: str) -> Predicted:
    if rows.sha256 != wanted:
        raise InputError(
            f"validation rows {rows.sha256[:12]}…: the challenger's are {wanted[:12]}…; give those it was chosen on"
        )
    return Predicted.of(rows, mean_of_strands(load_head(incumbent).strands(rows.sequences)))


def _compare(problem: Problem, ours: Predicted, theirs: Predicted, samples: int, seed: int, how: str) -> Decision:
    differing = {
        "locus": ours.locus != theirs.locus,
        "label": not _equal(ours.labels, theirs.labels),
        "block": not np.array_equal(ours.block, theirs.block),
    }
    for name, differs in differing.items():
        if differs:
            raise CorruptArtefact(
                f"validation.parquet: the two heads name the same rows but differ in {name}; save both again"
            )
    labels, rivals = ours.labels, {"champion": theirs.predictions}
    found = comparison.compare(problem, labels, ours.predictions, rivals, ours.block, samples, seed)["champion"]
    low, high = found.interval
    metric = problem.metric.upper() if problem.metric in _ABBREVIATED else problem.metric
    why = (
        f"validation {metric} {found.value:+.4f} against the champion{how}, 95 % interval {low:+.4f} to {high:+.4f} "
        f"over {found.blocks:,} blocks: {_reason(low, found.blocks)}"
    )
    return Decision(low > 0 and found.blocks >= FEWEST_BLOCKS, why, found.value, found.interval)


def _reason(low: float, blocks: int) -> str:
    if blocks < FEWEST_BLOCKS:
        return f"fewer than {FEWEST_BLOCKS} independent clusters or places decide nothing, so the champion stays"
    return "the lower bound is above 0" if low > 0 else "the lower bound is not above 0"


def _equal(a: Labels, b: Labels) -> bool:
    if a.dtype == object:
        return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
