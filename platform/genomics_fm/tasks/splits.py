"""Labelled rows become a task: divided so that no test row is in training, and graded (SPEC R12, R28, R35)."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from genomics_fm import randomness
from genomics_fm.errors import InputError, require
from genomics_fm.tasks import audit, bootstrap, clusters, parts
from genomics_fm.tasks.labelled import Labelled
from genomics_fm.tasks.parts import Places
from genomics_fm.tasks.problem import UNLABELLED
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.task import SPLITS, Task

How = Literal["auto", "official", "contig", "cluster", "blocks"]
FRACTIONS = (0.7, 0.15, 0.15)
"""Of the rows, for train (with calibration), validation and test."""
CALIBRATION_SHARE, CALIBRATION_AT_MOST, CALIBRATION_ROWS = 0.1, 0.15, 100
"""Of the training rows the calibration split takes a tenth, and at least 100 rows; none where that is too much."""
CALIBRATION_SPARE = 1.2
"""So many times more calibration rows are tried where whole units add up to too few."""
DIVISION_VERSION = 2
"""Raised by hand with every change of code after which the same rows are divided, thinned or audited otherwise."""
CHAINED = 0.02
"""Groups that join stretches of a genome to more of the rows than this span it: stretches then say nothing."""

_TRAIN, _VALIDATION, _CALIBRATION, _TEST = range(len(SPLITS))
_NAMES = {
    **dict.fromkeys(("train", "training"), _TRAIN),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development"), _VALIDATION),
    **dict.fromkeys(("calibration", "cal"), _CALIBRATION),
    **dict.fromkeys(("test", "testing", "holdout", "heldout", "held-out"), _TEST),
}
_Parts = NDArray[np.int64]  # (N,) index into SPLITS, or -1 of a row left out


@dataclasses.dataclass
class _Plan:
    """A division under way.

    Attributes:
        how: it is made.
        part: (N,) index into SPLITS, or -1.
        units: (N,) what is not independent: drawn, and later bootstrapped, as a whole.
        ours: parts whose rows we chose, of which none may be in training.
        said: lines for people.
        about: what else is recorded.
    """

    how: str
    part: _Parts
    units: NDArray[np.int64]
    ours: set[int]
    said: list[str] = dataclasses.field(default_factory=list)
    about: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class _Given:
    """What a division is made from; `families` are clusters of like sequences, `told` the source's own groups, if it
    has some, and `groups` both, joined."""

    labelled: Labelled
    fractions: Sequence[float]
    seed: int
    families: NDArray[np.int64]
    told: NDArray[np.int64] | None
    groups: NDArray[np.int64]
    places: Places | None

    @property
    def classes(self) -> NDArray[np.int64] | None:
        """(N,) class ids of a classification, to be balanced."""
        return self.labelled.rows.labels if self.labelled.problem.kind == "classification" else None

    def whole(self, units: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) units joined by the source's groups."""
        return units if self.told is None else parts.joined(units, self.told)

    def near(self, places: Places) -> NDArray[np.int64]:
        """(N,) what is not independent on a genome: stretches of 100 kb, joined by the source's groups; where these
        span it, the groups."""
        stretches = places.numbered(parts.GAP_BP)
        chains = self.whole(stretches)
        chain, *each = (int(np.bincount(units).max()) for units in (chains, stretches, self.groups))
        return chains if chain <= max(CHAINED * len(chains), *each) else self.groups


def divide(
    labelled: Labelled, how: How = "auto", fractions: Sequence[float] = FRACTIONS, seed: int = 0, name: str = ""
) -> Task:
    """Divide labelled rows into train, validation, calibration (where there are enough) and test, and audit them.

    Args:
        labelled: `split` names official splits; loci "CONTIG:START-END:STRAND" place all rows on a genome.
        how: "official" keeps the source's splits; "contig" holds whole contigs out; "blocks" whole stretches of
            5 Mb with gaps of 100 kb between splits; "cluster" whole clusters of like sequences. Groups that the
            rows' `block` names (of more than one row each) are never divided, but by official splits. "auto" is the
            first of these that can be done.
        fractions: of train, validation and test; sum to 1.
        seed: of all draws.
        name: of the task; default: what its source calls it.

    Returns:
        The task. `about["split"]` says how, `about["audit"]` what leaks; `block` of a row is the stretch of 100 kb
        or the cluster it lies in.

    Raises:
        InputError: the rows cannot be divided that way; too few, or of one class; unknown names of splits.
    """
    require(how in get_args(How), "how", how, f"one of {', '.join(get_args(How))}")
    good = len(fractions) == 3 and min(fractions) > 0 and abs(sum(fractions) - 1) < 1e-9
    require(good, "fractions", list(fractions), "three shares above 0 that sum to 1")
    rows = labelled.rows
    if len(rows) < len(SPLITS):
        raise InputError(f"{len(rows)} rows cannot be divided into train, validation and test; give more")
    families = clusters.cluster(rows.sequences)
    named, block = np.unique(rows.block, return_inverse=True)
    told = block if 1 < len(named) < len(rows) else None
    groups = families if told is None else parts.joined(families, told)
    given = _Given(labelled, fractions, seed, families, told, groups, parts.places(rows.locus))
    plan = _planned(given, how)
    _carve(given, plan)
    _drop_leaks(given, plan)
    _check(given, plan)
    return _task(given, plan, name)


def _planned(given: _Given, how: How) -> _Plan:
    if how == "official" or (how == "auto" and given.labelled.split is not None):
        plan = _official(given, strict=how == "official")
        if plan:
            return plan
    if how in ("contig", "blocks", "auto") and given.places is not None:
        for size, one in ((None, "contig"), (parts.BLOCK_BP, "blocks")):
            plan = _by_place(given, given.places, one, size) if how in (one, "auto") else None
            if plan:
                return plan
    if how in ("contig", "blocks"):
        unplaced = "the rows' loci do not say where they lie on a few contigs"
        lack = unplaced if given.places is None else "no such division is balanced"
        if given.places is not None and given.told is not None:
            lack = f"groups of rows span {'contigs' if how == 'contig' else 'blocks'}, or {lack}"
        raise InputError(f"split by {how}: {lack}; split by cluster")
    part = clusters.assign(given.groups, given.fractions, given.seed)
    of = np.full(len(given.groups), _TRAIN, np.int64)
    of[part[1]], of[part[2]] = _VALIDATION, _TEST
    return _Plan("cluster", of, given.groups, {_VALIDATION, _CALIBRATION, _TEST})


def _official(given: _Given, strict: bool) -> _Plan | None:
    """The source's splits; None, or an error if they must be kept, where it names no test rows."""
    names = given.labelled.split
    if names is None:
        raise InputError("split official: the source names no splits; add a column `split`, or split another way")
    unknown = sorted({name for name in names if name.strip().lower() not in _NAMES})
    if unknown:
        raise InputError(f"split {unknown[0]!r} is not known; write one of {', '.join(_NAMES)}")
    part = np.array([_NAMES[name.strip().lower()] for name in names])
    if not (part == _TEST).any() or (part == _TEST).all():
        if strict:
            raise InputError("split official: needs rows of test, and others; split another way")
        return None
    units = given.groups if given.places is None else given.near(given.places)
    plan = _Plan(audit.OFFICIAL, part, units, set())
    if not (part == _TRAIN).any():
        part[part == _VALIDATION] = _TRAIN
        plan.said.append("no official training rows: the official validation rows are trained on")
    return plan


def _by_place(given: _Given, places: Places, how: str, size: int | None) -> _Plan | None:
    """Whole contigs or blocks held out, or None where that cannot be balanced."""
    if size is None and len(places.names) < parts.LEAST_CONTIGS:
        return None
    units = given.whole(places.contig if size is None else places.numbered(size))
    found = parts.by_whole(units, given.fractions, given.seed, given.classes)
    if found is None:
        return None
    part = np.array([_TRAIN, _VALIDATION, _TEST])[found]
    plan = _Plan(how, part, given.near(places), {_VALIDATION, _CALIBRATION, _TEST})
    plan.about["held_out"] = {SPLITS[one]: _names(places, part == one, size) for one in (_VALIDATION, _TEST)}
    if size is not None:
        gone = parts.in_gaps(places, part)
        part[gone] = -1
        plan.about["dropped_in_gaps"] = int(gone.sum())
    return plan


def _names(places: Places, rows: NDArray[np.bool_], size: int | None) -> list[str]:
    """Contigs, or blocks as CONTIG:START-END, that hold rows."""
    if size is None:
        return [places.names[number] for number in np.unique(places.contig[rows])]
    starts = (places.start + places.end)[rows] // 2 // size * size
    found = sorted(set(zip(places.contig[rows].tolist(), starts.tolist(), strict=True)))
    return [f"{places.names[contig]}:{start}-{start + size}" for contig, start in found]


def _carve(given: _Given, plan: _Plan) -> None:
    """Take validation rows, where there are none, and calibration rows, where there are enough, from training."""
    train, validation, _ = given.fractions
    for one, share in ((_VALIDATION, validation / (train + validation)), (_CALIBRATION, CALIBRATION_SHARE)):
        total = int((plan.part == _TRAIN).sum())
        wanted = max(round(share * total), CALIBRATION_ROWS if one == _CALIBRATION else 1)
        few = one == _CALIBRATION and wanted > CALIBRATION_AT_MOST * total
        if few or (plan.part == one).any():
            continue
        key = randomness.key(given.seed, "carve", SPLITS[one])
        taken = parts.carved(plan.units, plan.part == _TRAIN, wanted, key, given.classes)
        if one == _CALIBRATION and taken.sum() < CALIBRATION_ROWS:
            more = round(CALIBRATION_SPARE * wanted)
            taken = parts.carved(plan.units, plan.part == _TRAIN, more, key, given.classes)
            if taken.sum() < CALIBRATION_ROWS:
                continue
        plan.part[taken] = one
        plan.ours.add(one)
        if one == _VALIDATION:
            plan.said.append("no official validation rows: drawn from training")


def _drop_leaks(given: _Given, plan: _Plan) -> None:
    """Leave out rows that we hold out and that are in training: repeats, which no cluster keeps together."""
    sequences = given.labelled.rows.sequences
    held = np.flatnonzero(np.isin(plan.part, list(plan.ours)))
    if not len(held):
        return
    train = [sequences[row] for row in np.flatnonzero(plan.part == _TRAIN)]
    gone = held[audit.leaks([sequences[row] for row in held], train) >= 0]
    plan.part[gone] = -1
    plan.about["dropped_like_training"] = plan.about.get("dropped_like_training", 0) + len(gone)
    spare = plan.part == _CALIBRATION
    if _CALIBRATION in plan.ours and 0 < spare.sum() < CALIBRATION_ROWS:  # too few are left: training, then
        plan.part[spare] = _TRAIN
        _drop_leaks(given, plan)


def _check(given: _Given, plan: _Plan) -> None:
    """Each split has rows, and of a classification two classes; says which others it lacks."""
    problem, labels = given.labelled.problem, given.labelled.rows.labels
    for one in (_TRAIN, _VALIDATION, _TEST):
        here = plan.part == one
        if not here.any():
            raise InputError(
                f"split by {plan.how}: no rows are left for {SPLITS[one]} (groups of like rows are too large, or all "
                "are in training); give more rows, or split another way"
            )
        if one == _TRAIN:
            _check_measured(given, plan)
        else:
            _say_unmeasured(given, plan, one)
        if problem.kind != "classification":
            continue
        lack = sorted(set(range(problem.outputs)) - set(labels[here].tolist()))
        if len(lack) > problem.outputs - 2:
            raise InputError(f"split by {plan.how}: {SPLITS[one]} has rows of one class only; give more rows of all")
        if lack:
            names = ", ".join(problem.names[number] for number in lack)
            plan.said.append(f"{SPLITS[one]} has no rows of: {names}")


def _say_unmeasured(given: _Given, plan: _Plan, one: int) -> None:
    """Say which labels or targets no row of a part measures: nothing can be said of them there."""
    problem = given.labelled.problem
    if problem.classes or problem.kind == "per-base":
        return
    unknown = np.isnan(given.labelled.rows.labels[plan.part == one]).all(0)
    if unknown.any():
        lack = ", ".join(problem.names[column] for column in np.flatnonzero(unknown))
        plan.said.append(f"{SPLITS[one]} has no value of: {lack}")


def _check_measured(given: _Given, plan: _Plan) -> None:
    """Training rows measure every label and target, or a class of some base."""
    problem, labels = given.labelled.problem, given.labelled.rows.labels[plan.part == _TRAIN]
    if problem.kind == "per-base" and all((classes == UNLABELLED).all() for classes in labels):
        raise InputError(f"split by {plan.how}: no base of train has a class; split another way")
    if problem.classes:
        return
    lack = ", ".join(problem.names[column] for column in np.flatnonzero(np.isnan(labels).all(0)))
    if lack:
        raise InputError(
            f"split by {plan.how}: no row of train has a value of: {lack}; leave that out, or split another way"
        )


def _task(given: _Given, plan: _Plan, name: str) -> Task:
    labelled = given.labelled
    rows = dataclasses.replace(labelled.rows, block=np.unique(plan.units, return_inverse=True)[1].astype(np.int64))
    index = {SPLITS[one]: np.flatnonzero(plan.part == one) for one in range(len(SPLITS))}
    splits: dict[str, Rows] = {split: rows.take(of) for split, of in index.items() if len(of)}
    carved = [SPLITS[one] for one in sorted(plan.ours) if plan.how == audit.OFFICIAL and SPLITS[one] in splits]
    sizes = np.bincount(given.families)
    blocks = len(np.unique(splits["test"].block))
    if blocks < bootstrap.FEWEST_BLOCKS:
        plan.said.append(f"test has {blocks} independent blocks of rows: too few to claim anything from an interval")
    described = {
        "how": plan.how,
        "seed": given.seed,
        "fractions": list(given.fractions),
        "rows": {split: len(of) for split, of in splits.items()},
        "clusters": {"number": len(sizes), "largest": int(sizes.max())},
        "blocks": {split: len(np.unique(of.block)) for split, of in splits.items()},
        "said": plan.said,
        audit.CARVED: carved,
    }
    about = labelled.about | {"split": described | plan.about}
    task = Task(name or str(labelled.about.get("name") or "task"), labelled.problem, splits, about)
    families = np.concatenate([given.families[index[split]] for split in (*audit.learnt(about), "test")])
    clean = np.full(len(index["test"]), -1, np.int64) if _TEST in plan.ours else None  # as `_drop_leaks` left them
    graded = audit.audit(task, family=families, near=clean)
    return dataclasses.replace(task, about=about | {"audit": graded.to_json()})
