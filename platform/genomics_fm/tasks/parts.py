"""Rows divided by whole contigs, stretches of a genome or clusters, so that what is alike stays together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genomics_fm import randomness

BLOCK_BP = 5_000_000
"""Stretches of one contig that are divided as a whole (R35)."""
GAP_BP = 100_000
"""Between two such stretches of different splits no row is kept (R35); rows nearer than this are not independent."""
LEAST_CONTIGS = 3
LEAST_ROWS_A_CONTIG = 10
"""Fewer on average, and contigs are transcripts or scaffolds, which say nothing about what is alike."""
TRIES, TRIES_AT_MOST_UNITS = 200, 200_000
"""Random divisions of which the best balanced is taken; fewer of very many units, which are balanced anyway."""
OVERFULL, UNDERFULL = 1.25, 0.5
"""A held-out part may have so much of its share, and must have so much."""
LARGEST_OF_PART = 0.2
"""A group with more of a carved part's rows than this stays where it is."""

LOCUS = re.compile(r"(.+):(\d+)-(\d+):([+.-](?:#\d+)?)")
"""As `Rows.locus`: contig, start, end, and strand with the line of its table where other rows lie at the same place."""


@dataclass(frozen=True)
class Places:
    """Where rows lie: 0-based half-open on the forward strand.

    Attributes:
        names: of the contigs, sorted.
        contig: (N,) index into `names`.
        start, end: (N,).
    """

    names: tuple[str, ...]
    contig: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]

    def numbered(self, size: int) -> NDArray[np.int64]:
        """(N,) number of the stretch of `size` nt that holds a row's middle, the same for all rows of it."""
        pairs = np.stack([self.contig, (self.start + self.end) // 2 // size])
        return np.unique(pairs, axis=1, return_inverse=True)[1].reshape(-1)


def places(locus: Sequence[str]) -> Places | None:
    """Where rows lie on a genome, or None unless all of them say so, and lie on few contigs."""
    found = [LOCUS.fullmatch(one) for one in locus]
    matches = [match for match in found if match]
    if not matches or len(matches) < len(found):
        return None
    contig, start, end = zip(*(match.group(1, 2, 3) for match in matches), strict=True)
    names, numbers = np.unique(contig, return_inverse=True)
    if len(found) < LEAST_ROWS_A_CONTIG * len(names):
        return None
    return Places(tuple(map(str, names)), numbers, np.array(start, np.int64), np.array(end, np.int64))


def joined(groups: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) groups such that rows of one group, or of one of `others`, are together; numbered by first row."""
    label = groups.copy()
    while True:
        least = label
        for ids in (groups, others):
            smallest = np.full(int(ids.max(initial=0)) + 1, len(label) + int(label.max(initial=0)), np.int64)
            np.minimum.at(smallest, ids, least)
            least = smallest[ids]
        if np.array_equal(least, label):
            return np.unique(label, return_inverse=True)[1].astype(np.int64)
        label = least


def by_whole(
    units: NDArray[np.int64], fractions: Sequence[float], seed: int, classes: NDArray[np.int64] | None
) -> NDArray[np.int64] | None:
    """Divide rows by whole units, few and large: the best of many random divisions.

    Args:
        units: (N,) what must stay together.
        fractions: of train, validation and test.
        seed: of the draws.
        classes: (N,) class ids; the divisions' shares of each are balanced too.

    Returns:
        (N,) 0, 1 or 2: train, validation, test; None where no division comes near the fractions, or leaves one of
        the parts with a single class.
    """
    units = np.unique(units, return_inverse=True)[1]
    table = _class_table(units, classes)
    sizes, wanted = table.sum(1), np.asarray(fractions) * len(units)
    best, least = None, np.inf
    for attempt in range(max(1, min(TRIES, TRIES_AT_MOST_UNITS // len(sizes)))):
        part = _filled(sizes, wanted, randomness.key(seed, "split by whole units", attempt))
        rows = np.stack([table[part == number].sum(0) for number in range(3)])
        worse = _imbalance(rows, wanted)
        if worse < least:
            best, least = part, worse
    return None if best is None else best[units]


def _class_table(units: NDArray[np.int64], classes: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Rows of each class in each unit: (units, classes)."""
    ids = np.zeros(len(units), np.int64) if classes is None else classes
    width = int(ids.max(initial=0)) + 1
    return np.bincount(units * width + ids, minlength=(int(units.max(initial=0)) + 1) * width).reshape(-1, width)


def _filled(sizes: NDArray[np.int64], wanted: NDArray[np.float64], key: int) -> NDArray[np.int64]:
    """Of each unit its part: units in random order go where they fit, test and validation first."""
    part, filled = np.zeros(len(sizes), np.int64), np.zeros(3)
    for unit in np.argsort(randomness.bits(key, len(sizes))).tolist():
        for number in (2, 1):
            if filled[number] < wanted[number] and filled[number] + sizes[unit] <= OVERFULL * wanted[number]:
                part[unit] = number
                break
        filled[part[unit]] += sizes[unit]
    return part


def _imbalance(rows: NDArray[np.int64], wanted: NDArray[np.float64]) -> float:
    """How far a division (parts, classes) is from what is wanted; infinite where it cannot be used."""
    total = rows.sum(1)
    several = rows.shape[1] == 1 or ((rows > 0).sum(1) > 1).all()
    if (total < np.maximum(1, UNDERFULL * wanted)).any() or not several:
        return np.inf
    shares = rows / total[:, None] - rows.sum(0) / rows.sum()
    return float(np.abs(total / wanted - 1).sum() + np.abs(shares).sum())


def in_gaps(found: Places, part: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(N,) rows nearer than half a gap to the border between two blocks of different parts."""
    block = (found.start + found.end) // 2 // BLOCK_BP
    owner = dict(zip(zip(found.contig.tolist(), block.tolist(), strict=True), part.tolist(), strict=True))
    near = np.zeros(len(part), np.bool_)
    for (contig, number), mine in owner.items():
        for step, border in ((-1, number * BLOCK_BP), (1, (number + 1) * BLOCK_BP)):
            if owner.get((contig, number + step), mine) != mine:
                rows = (found.contig == contig) & (block == number)
                near |= rows & (found.end > border - GAP_BP // 2) & (found.start < border + GAP_BP // 2)
    return near


def carved(
    units: NDArray[np.int64], among: NDArray[np.bool_], rows: int, key: int, classes: NDArray[np.int64] | None
) -> NDArray[np.bool_]:
    """(N,) about so many of the rows `among`, whole units drawn at random; large ones stay.

    Args:
        units: (N,) what must stay together.
        among: (N,) rows that may be taken; of a unit all of them are, or none.
        rows: wanted.
        key: of the draw.
        classes: (N,) class ids; of a few draws the one with the most classes is taken.
    """
    sizes = np.bincount(units[among], minlength=int(units.max(initial=0)) + 1)
    allowed = np.flatnonzero((sizes > 0) & (sizes <= max(1, int(LARGEST_OF_PART * rows))))
    best, most = np.zeros(len(units), np.bool_), -1
    for attempt in range(TRIES if classes is not None else 1):
        order = allowed[np.argsort(randomness.bits(randomness.key(key, attempt), len(allowed)))]
        taken = among & np.isin(units, order[np.cumsum(sizes[order]) <= rows])
        kinds = 1 if classes is None else len(np.unique(classes[taken]))
        if kinds > most:
            best, most = taken, kinds
        if classes is None or most == len(np.unique(classes[among])):
            break
    return best
