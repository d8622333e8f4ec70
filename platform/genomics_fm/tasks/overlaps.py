"""Joins rows that share at least half of their k-mers, without comparing all with all.

Rows are bytes of one array; `bounds` says where each begins, one more than there are rows. Groups of joined rows
are kept as a forest: `parent[row]` is a smaller row of the same group, or the row itself.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from genomics_fm.genome.kmers import NO_KMER, canonical, distinct, mixed, roll

ROW_BITS = 22
"""A k-mer of at most 21 letters and its row fit into 64 bits, and are sorted as one number."""
MAXIMUM_K = 21

_ENTRIES_AT_ONCE = 1 << 23  # k-mers sorted at once: 64 MB
_SALTS = 8  # of a pair that shares a third of all its k-mers, 4 % are equal in none of so many least hashes
_SALT = np.uint64(0x9E3779B97F4A7C15)  # odd, so that salted k-mers differ in all bits
_ROW_MASK = np.uint64((1 << ROW_BITS) - 1)
_ROW_SHIFT = np.uint64(ROW_BITS)


@njit(cache=True)
def root(parent: NDArray[np.int64], row: int) -> int:
    """The smallest row of a row's group; shortens the way to it."""
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row


@njit(cache=True)
def unite(parent: NDArray[np.int64], row: int, other: int) -> None:
    """Make two groups one."""
    row, other = root(parent, row), root(parent, other)
    parent[max(row, other)] = min(row, other)


@njit(cache=True)
def _count(
    letters: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    k: int,
    kmers: NDArray[np.uint64],
    counts: NDArray[np.int64],
) -> None:
    """Count the k-mers that fall to each part; `kmers` is room for those of any row."""
    for row in range(bounds.size - 1):
        size = bounds[row + 1] - bounds[row]
        roll(letters[bounds[row] : bounds[row + 1]], k, np.zeros(3, np.uint64), kmers)
        for kmer in kmers[:size]:
            if kmer != NO_KMER:
                counts[mixed(kmer) % np.uint64(counts.size)] += 1


@njit(cache=True)
def _entries(
    letters: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    rows: NDArray[np.int64],
    k: int,
    kmers: NDArray[np.uint64],
    part: int,
    parts: int,
    out: NDArray[np.uint64],
) -> int:
    """Write k-mer and row of what falls to one part; returns how many."""
    count = 0
    for row in rows:
        size = bounds[row + 1] - bounds[row]
        roll(letters[bounds[row] : bounds[row + 1]], k, np.zeros(3, np.uint64), kmers)
        for kmer in kmers[:size]:
            if kmer != NO_KMER and mixed(kmer) % np.uint64(parts) == np.uint64(part):
                out[count] = kmer << _ROW_SHIFT | np.uint64(row)
                count += 1
    return count


@njit(cache=True)
def _group(
    entries: NDArray[np.uint64],
    most: int,
    asks: NDArray[np.bool_],
    kept: NDArray[np.int64],
    common: NDArray[np.int64],
    members: NDArray[np.int32],
    ends: NDArray[np.int64],
) -> tuple[int, int]:
    """Count each row's k-mers in, and write the rows of those that may join some.

    Args:
        entries: sorted.
        most: a k-mer in more rows is common.
        members, ends: receive, k-mer by k-mer, the rows that hold it, and where they end.

    Returns:
        How many of both were written.
    """
    rows = np.empty(entries.size, np.int32)
    written, groups, begin = 0, 0, 0
    while begin < entries.size:
        end, size, asked = begin, 0, False
        while end < entries.size and entries[end] >> _ROW_SHIFT == entries[begin] >> _ROW_SHIFT:
            if end == begin or entries[end] != entries[end - 1]:
                rows[size] = np.int32(entries[end] & _ROW_MASK)
                asked |= asks[rows[size]]
                size += 1
            end += 1
        for row in rows[:size]:
            if size > most:
                common[row] += 1
            else:
                kept[row] += 1
        if 1 < size <= most and asked:
            members[written : written + size] = rows[:size]
            written += size
            ends[groups] = written
            groups += 1
        begin = end
    return written, groups


@dataclass(frozen=True)
class _Index:
    """Which rows share which k-mers.

    Attributes:
        kept, common: of each row, how many distinct k-mers it has that are counted, and that too many rows have.
        members: k-mer by k-mer, the rows that hold it, ascending.
        bounds: where those of each k-mer begin; one more than there are k-mers.
    """

    kept: NDArray[np.int64]
    common: NDArray[np.int64]
    members: NDArray[np.int32]
    bounds: NDArray[np.int64]


def _index(
    letters: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    rows: NDArray[np.int64],
    asks: NDArray[np.bool_],
    k: int,
    most: int,
) -> _Index:
    """Index k-mers part by part, so that not all of them are held at once; only shared ones stay."""
    kept, common = np.zeros((2, len(bounds) - 1), np.int64)
    kmers = np.empty(np.diff(bounds).max(), np.uint64)
    counts = np.zeros(-(-len(letters) // _ENTRIES_AT_ONCE), np.int64)
    _count(letters, bounds, k, kmers, counts)
    members, ends, before = [np.empty(0, np.int32)], [np.zeros(1, np.int64)], 0
    for part, size in enumerate(counts.tolist()):
        entries = np.empty(size, np.uint64)
        entries = entries[: _entries(letters, bounds, rows, k, kmers, part, len(counts), entries)]
        entries.sort()
        some, stops = np.empty(len(entries), np.int32), np.empty(len(entries) // 2, np.int64)
        written, groups = _group(entries, most, asks, kept, common, some, stops)
        members.append(some[:written].copy())
        ends.append(stops[:groups] + before)
        before += written
    return _Index(kept, common, np.concatenate(members), np.concatenate(ends))


@njit(cache=True)
def _transposed(
    members: NDArray[np.int32], bounds: NDArray[np.int64], starts: NDArray[np.int64], out: NDArray[np.int32]
) -> None:
    """Write the k-mers of each row, `starts` saying where; it is used up."""
    for group in range(bounds.size - 1):
        for row in members[bounds[group] : bounds[group + 1]]:
            out[starts[row]] = group
            starts[row] += 1


@njit(cache=True)
def _join(
    parent: NDArray[np.int64],
    lengths: NDArray[np.int64],
    rows: NDArray[np.int64],
    asks: NDArray[np.bool_],
    kept: NDArray[np.int64],
    members: NDArray[np.int32],
    bounds: NDArray[np.int64],
    groups_of: NDArray[np.int32],
    stops: NDArray[np.int64],
) -> None:
    """Join every row that asks, which `rows` lists, with those it shares half of the shorter one's k-mers with."""
    shared = np.zeros(asks.size, np.int64)
    touched = np.empty(asks.size, np.int64)
    done = np.zeros(bounds.size, np.bool_)  # k-mers whose rows are of one group: they can join no more
    for row in rows:
        mine, count = root(parent, row), 0
        for group in groups_of[stops[row - 1] if row else 0 : stops[row]]:
            if done[group]:
                continue
            done[group] = True
            for other in members[bounds[group] : bounds[group + 1]]:
                if other == row or (asks[other] and other < row) or root(parent, other) == mine:
                    continue
                done[group] = False
                if not shared[other]:
                    touched[count] = other
                    count += 1
                shared[other] += 1
        for other in touched[:count]:
            least = min(kept[row], kept[other])
            if lengths[row] != lengths[other]:
                least = kept[row] if lengths[row] < lengths[other] else kept[other]
            if 2 * shared[other] >= least:
                unite(parent, row, other)
            shared[other] = 0


@njit(cache=True)
def _least_hashes(kmers: NDArray[np.uint64], least: NDArray[np.uint64]) -> None:
    """Of some k-mers the least hash with each salt."""
    least[:] = NO_KMER
    for kmer in kmers:
        for salt in range(least.size):
            least[salt] = min(least[salt], mixed(kmer + np.uint64(salt) * _SALT))


def _join_families(
    parent: NDArray[np.int64], letters: NDArray[np.uint8], bounds: NDArray[np.int64], rows: NDArray[np.int64], k: int
) -> None:
    """Join each row with the first one of equal least hash, where they share half of all k-mers of one."""

    def of(row: int) -> NDArray[np.uint64]:
        return distinct(canonical(letters[bounds[row] : bounds[row + 1]].tobytes(), k))

    least = np.empty((len(rows), _SALTS), np.uint64)
    for number, row in enumerate(rows.tolist()):
        _least_hashes(of(row), least[number])
    for hashes in least.T:
        first, known = -1, np.empty(0, np.uint64)
        order = np.argsort(hashes, kind="stable")
        for number, begins in zip(order.tolist(), np.diff(hashes[order], prepend=NO_KMER) != 0, strict=True):
            row = int(rows[number])
            if begins or first < 0:
                first, known = row, of(row)
            elif root(parent, row) != root(parent, first):
                mine = of(row)
                shared = len(np.intersect1d(known, mine, assume_unique=True))
                if 2 * shared >= min(len(known), len(mine)):
                    unite(parent, row, first)


def join(
    parent: NDArray[np.int64],
    letters: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    asks: NDArray[np.bool_],
    others: NDArray[np.bool_],
    k: int,
    most: int,
) -> None:
    """Unite rows in `parent`.

    K-mers that more than `most` rows have are ignored, so that a repeat joins nothing. But rows most of whose
    k-mers are such are members of a family, and are compared with all their k-mers: each with a few others
    that agree in a least hash, so that some members may be missed, but not a family.

    Args:
        parent: the forest.
        letters: ASCII.
        bounds: of the rows.
        asks: rows to be joined with one another and with `others`.
        others: rows that are not joined with one another.
        k: at most MAXIMUM_K.
        most: rows.
    """
    if not asks.any():
        return
    rows = np.flatnonzero(asks | others)
    index = _index(letters, bounds, rows, asks, k, most)
    stops = np.cumsum(np.bincount(index.members, minlength=len(asks)))
    groups_of = np.empty(len(index.members), np.int32)
    _transposed(index.members, index.bounds, np.append(0, stops[:-1]), groups_of)
    lengths = np.diff(bounds)
    _join(parent, lengths, np.flatnonzero(asks), asks, index.kept, index.members, index.bounds, groups_of, stops)
    _join_families(parent, letters, bounds, np.flatnonzero(asks & (index.common > index.kept)), k)
