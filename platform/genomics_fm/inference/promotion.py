"""When a head replaces the champion (R30): decided on validation rows alone, never on test."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.inference.card import HeadCard, read_card
from genomics_fm.inference.head import DECISION, load_head, read_validation
from genomics_fm.tasks import bootstrap
from genomics_fm.tasks.metrics import mcc
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.results import of_two
from genomics_fm.tasks.rows import Rows

METRICS = ("mcc",)
_PROBLEM = Problem("classification", ("0", "1"))


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
    """A head's MCC on its validation rows at a probability of one half."""
    columns = read_validation(folder)
    return mcc(columns["label"], _predicted(columns["probability"]))


def _predicted(probability: np.ndarray) -> np.ndarray:
    return (probability >= DECISION).astype(np.int64)


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
    if card.metric not in METRICS:
        raise InputError(f"{challenger}: metric {card.metric!r}; promotion knows {', '.join(METRICS)}")
    if incumbent is None:
        return Decision(True, "first of its name, so there was no champion to beat")
    other = read_card(incumbent / "config.json")
    for what, ours, theirs in (("task", card.task, other.task), ("metric", card.metric, other.metric)):
        if ours != theirs:
            return Decision(False, f"another {what} ({ours}) than the champion's ({theirs}): not comparable")
    columns = read_validation(challenger)
    if validation_hash(other, incumbent) == wanted:
        theirs_columns, how = read_validation(incumbent), ""
    elif rows is None:
        return Decision(
            False,
            "the champion was chosen on other validation rows; give these rows (--validation) to re-score it",
        )
    else:
        theirs_columns, how = _rescore(incumbent, rows, wanted), " (champion re-scored on these rows)"
    return _compare(columns, theirs_columns, samples, seed, how)


def _rescore(incumbent: Path, rows: Rows, wanted: str) -> dict[str, np.ndarray]:
    if rows.sha256 != wanted:
        raise InputError(
            f"validation rows {rows.sha256[:12]}…: the challenger's are {wanted[:12]}…; give those it was chosen on"
        )
    predictions = load_head(incumbent).predict(rows.sequences)
    return {
        "locus": np.array(rows.locus),
        "block": rows.block,
        "label": rows.labels,
        "probability": np.array([p.probability for p in predictions]),
    }


def _compare(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray], samples: int, seed: int, how: str) -> Decision:
    a, b = np.argsort(ours["locus"], kind="stable"), np.argsort(theirs["locus"], kind="stable")
    for name in ("locus", "label", "block"):
        if not np.array_equal(ours[name][a], theirs[name][b]):
            raise CorruptArtefact(
                f"validation.parquet: the two heads name the same rows but differ in {name}; save both again"
            )
    labels, blocks = ours["label"][a], ours["block"][a]
    a_N2, b_N2 = of_two(ours["probability"][a]), of_two(theirs["probability"][b])
    difference, low, high = bootstrap.difference(_PROBLEM, "mcc", labels, a_N2, b_N2, blocks, samples, seed)
    verdict = "the lower bound is above 0" if low > 0 else "the lower bound is not above 0"
    why = (
        f"validation MCC {difference:+.4f} against the champion{how}, 95 % interval {low:+.4f} to {high:+.4f} "
        f"over {len(np.unique(blocks)):,} blocks: {verdict}"
    )
    return Decision(low > 0, why, difference, (low, high))
