"""Clusters of overlapping or nearly equal sequences, and splits that divide none of them (SPEC R12)."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genomics_fm import randomness
from genomics_fm.errors import InputError, require
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.tasks import overlaps

K = 21
SHORT_K = 15
SHORT_BP = 100
COMMON_SHARE = 0.01
"""A k-mer in more than this share of the rows is ignored."""
COMMON_AT_LEAST = 10
"""… unless it is in no more than so many rows: in small sets a hundredth is one row, or none."""
LARGEST_SHARE = 0.2


def cluster(sequences: Sequence[str]) -> NDArray[np.int64]:
    """Cluster sequences, either strand.

    Two belong together when half of the shorter one's canonical 21-mers (15-mers, where it is under 100 nt)
    are in the other, or when a chain of such pairs joins them; equal ones always do. K-mers in more than 1 % of
    the rows, and more than 10, are ignored; `overlaps.join` says what becomes of families that large.

    Returns:
        For each sequence the number of its cluster, counted in the order of their first members.

    Raises:
        InputError: more than four million sequences.
    """
    if len(sequences) > 1 << overlaps.ROW_BITS:
        raise InputError(
            f"{len(sequences):,} sequences; give at most {1 << overlaps.ROW_BITS:,}, a sample for instance"
        )
    if not sequences:
        return np.empty(0, np.int64)
    parent = _equal(sequences)
    letters = np.frombuffer("".join(sequences).upper().encode(), np.uint8)
    lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
    bounds = np.append(0, np.cumsum(lengths))
    most = max(COMMON_AT_LEAST, int(COMMON_SHARE * len(sequences)))
    short = lengths < SHORT_BP
    overlaps.join(parent, letters, bounds, ~short, np.zeros_like(short), K, most)
    overlaps.join(parent, letters, bounds, short, ~short, SHORT_K, most)
    roots = [overlaps.root(parent, row) for row in range(len(sequences))]
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)


def _equal(sequences: Sequence[str]) -> NDArray[np.int64]:
    """A forest in which equal sequences, on either strand, are one tree."""
    first: dict[bytes, int] = {}
    parent = np.arange(len(sequences))
    for row, sequence in enumerate(sequences):
        upper = sequence.upper()
        same = hashlib.blake2b(min(upper, reverse_complement(upper)).encode(), digest_size=16).digest()
        parent[row] = first.setdefault(same, row)
    return parent


def split(sequences: Sequence[str], fractions: Sequence[float], seed: int) -> list[NDArray[np.int64]]:
    """Divide sequences so that no cluster is in two parts.

    Args:
        sequences: in an order that counts: it numbers the clusters.
        fractions: of train, validation and test, or any others; they sum to 1.
        seed: of the draw.

    Returns:
        For each fraction the rows of its part, ascending.

    Raises:
        InputError: as `assign`.
    """
    return assign(cluster(sequences), fractions, seed)


def assign(clusters: NDArray[np.int64], fractions: Sequence[float], seed: int) -> list[NDArray[np.int64]]:
    """Divide rows by whole clusters: the largest first, each to the part that is emptiest for its size.

    Raises:
        InputError: fractions that do not sum to 1; a cluster with more than 20 % of the rows; a part that
            stays empty.
    """
    require(
        min(fractions, default=0) >= 0 and abs(sum(fractions) - 1) < 1e-9, "fractions", list(fractions), "shares of 1"
    )
    sizes = np.bincount(clusters)
    largest = int(sizes.max(initial=0))
    if largest > max(1, LARGEST_SHARE * len(clusters)):
        raise InputError(
            f"the largest cluster of similar sequences holds {largest:,} of {len(clusters):,} "
            f"({largest / len(clusters):.0%}, more than {LARGEST_SHARE:.0%}), so no split keeps the like together and "
            "is balanced; hold out by region or species, trim parts that all share, or drop near-duplicates"
        )
    wanted = np.array(fractions) * len(clusters)
    filled = np.zeros(len(fractions))
    part_of = np.empty(len(sizes), np.int64)
    draw = randomness.bits(randomness.key(seed, "split by cluster"), len(sizes))
    for number in np.lexsort((draw, -sizes)).tolist():
        room = wanted - filled
        fits = (room >= sizes[number]) & (wanted > 0)
        emptiest = room / np.maximum(wanted, 1e-9)
        part = int(np.argmax(np.where(fits, emptiest, -np.inf))) if fits.any() else int(np.argmax(room))
        part_of[number] = part
        filled[part] += sizes[number]
    parts = [np.flatnonzero(part_of[clusters] == part) for part in range(len(fractions))]
    for fraction, part_rows in zip(fractions, parts, strict=True):
        if fraction > 0 and not len(part_rows):
            raise InputError(
                f"{len(clusters):,} sequences in {len(sizes):,} clusters: none left for the part of {fraction:g}; "
                "give more sequences, or a larger share"
            )
    return parts
