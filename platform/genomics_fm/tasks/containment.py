"""Which sequences are, for at least half of their k-mers, inside ONE other sequence, or anywhere in many (SPEC R28).

Exact, and bounded in memory: the sequences asked about are indexed, a slice of them at a time, and the others pass
by. Two sequences that share half of one's k-mers share one of its rarest half; so only those pairs are compared.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.genome.kmers import Scan, Table, canonical, table

HALF = 0.5
"""A sequence with this share of its k-mers in another one is in it."""

_KMERS_AT_ONCE = 1 << 23  # of the sequences asked about: 64 bytes each in the table
_LETTERS_AT_ONCE = 1 << 23  # of the sequences that pass by


def in_one(asked: Sequence[str], others: Sequence[str], k: int) -> NDArray[np.int64]:
    """For each sequence one of `others` that is equal to it or holds half of its k-mers, on either strand.

    Args:
        asked: upper case; one without a k-mer is found only by being equal.
        others: upper case.
        k: at most 31.

    Returns:
        (N,) an index into `others`, that of an equal one where there is one; -1 where none is so near.
    """
    found = _equal(asked, others)
    rows = np.flatnonzero(found < 0)

    def of(some: NDArray[np.int64]) -> list[str]:
        return [asked[row] for row in some.tolist()]

    parts = _slices(of(rows))
    if len(parts) > 1:  # most are in nothing: those that may be are looked at together
        rows = np.concatenate([rows[part][_may_be(of(rows[part]), others, k)] for part in parts])
        parts = _slices(of(rows))
    for part in parts:
        found[rows[part]] = _near(of(rows[part]), others, k)
    return found


def in_many(asked: Sequence[str], others: Callable[[], Iterable[bytes]], k: int) -> NDArray[np.float64]:
    """For each sequence the share of its k-mers that occur in any of `others`, on either strand.

    Args:
        asked: upper case.
        others: gives them, each ASCII; called once for every few million letters of `asked`.
        k: at most 31.

    Returns:
        (N,) shares; NaN of a sequence without a k-mer.
    """
    shares = np.full(len(asked), np.nan)
    for rows in _slices(asked):
        wanted, places, starts = _indexed([asked[row] for row in rows], k)
        present = np.zeros(len(wanted.kmers), np.bool_)
        for letters in others():
            present[Scan(k).found(letters, wanted)[1]] = True
        total = np.diff(starts)
        inside = np.diff(np.append(0, np.cumsum(present[places]))[starts])
        shares[rows] = np.where(total > 0, inside / np.maximum(total, 1), np.nan)
    return shares


def _either_strand(sequence: str) -> str:
    return min(sequence, reverse_complement(sequence))


def _equal(asked: Sequence[str], others: Sequence[str]) -> NDArray[np.int64]:
    first: dict[int, list[int]] = {}  # by hash: the letters of all would be held twice
    for row, other in enumerate(others):
        first.setdefault(hash(_either_strand(other)), []).append(row)
    found = np.full(len(asked), -1, np.int64)
    for row, sequence in enumerate(asked):
        same = _either_strand(sequence)
        equal = (at for at in first.get(hash(same), ()) if _either_strand(others[at]) == same)
        found[row] = next(equal, -1)
    return found


def _slices(asked: Sequence[str]) -> list[NDArray[np.int64]]:
    """Rows, in order, so many at a time that their k-mers fit into one table."""
    part = np.cumsum([len(sequence) for sequence in asked]) // _KMERS_AT_ONCE
    return np.split(np.arange(len(asked)), np.flatnonzero(np.diff(part)) + 1) if len(asked) else []


def _indexed(asked: Sequence[str], k: int) -> tuple[Table, NDArray[np.int64], NDArray[np.int64]]:
    """(table of all k-mers; each sequence's distinct ones as places in it, ascending; where each begins, one more)."""
    letters = "N".join(asked).encode()
    wanted = table(canonical(letters, k))
    at, hits = Scan(k).found(letters, wanted)
    ends = np.cumsum([len(sequence) + 1 for sequence in asked])
    width = max(1, len(wanted.kmers))
    pairs = np.searchsorted(ends, at, "right") * width + hits
    pairs.sort()
    owner, places = np.divmod(pairs[np.diff(pairs, prepend=-1) > 0], width)
    return wanted, places, np.append(0, np.cumsum(np.bincount(owner, minlength=len(asked))))


def _passing(others: Sequence[str]) -> Iterator[tuple[int, bytes, NDArray[np.int64]]]:
    """Some sequences at a time: (number of the first, all of them divided by N, where each ends)."""
    first, letters = 0, 0
    for row, other in enumerate(others):
        letters += len(other) + 1
        if letters >= _LETTERS_AT_ONCE or row + 1 == len(others):
            some = others[first : row + 1]
            ends = np.cumsum([len(one) + 1 for one in some])
            yield first, "N".join(some).encode(), ends
            first, letters = row + 1, 0


def _seen(wanted: Table, others: Sequence[str], k: int) -> NDArray[np.int64]:
    """How often each k-mer of a table occurs in `others`."""
    seen = np.zeros(len(wanted.kmers), np.int64)
    for _, letters, _ in _passing(others):
        seen += np.bincount(Scan(k).found(letters, wanted)[1], minlength=len(seen))
    return seen


def _may_be(asked: Sequence[str], others: Sequence[str], k: int) -> NDArray[np.bool_]:
    """Whether half of a sequence's k-mers are in all of `others` together."""
    wanted, places, starts = _indexed(asked, k)
    inside = np.append(0, np.cumsum(_seen(wanted, others, k)[places] > 0))
    return 2 * np.diff(inside[starts]) >= np.maximum(1, np.diff(starts))


def _near(asked: Sequence[str], others: Sequence[str], k: int) -> NDArray[np.int64]:
    """For each sequence the first of `others` that holds half of its k-mers, or -1."""
    wanted, places, starts = _indexed(asked, k)
    seen = _seen(wanted, others, k)
    by_kmer, kmer_starts = _rare_ones(places, starts, seen)
    found = np.full(len(asked), -1, np.int64)
    held = np.full(len(seen), -1, np.int64)
    if len(by_kmer):
        for first, letters, ends in _passing(others):
            at, hits = Scan(k).found(letters, wanted)
            _compare(hits, np.searchsorted(ends, at, "right"), first, places, starts, by_kmer, kmer_starts, held, found)
    return found


def _rare_ones(
    places: NDArray[np.int64], starts: NDArray[np.int64], seen: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """K-mer by k-mer the sequences of which it is one of the rarest half and one, and where those of each begin.

    A sequence that lacks so many of its k-mers shares less than half of them; so one is left out where that many
    are seen nowhere.
    """
    total = np.diff(starts)
    owner = np.repeat(np.arange(len(total)), total)
    order = np.lexsort((seen[places], owner))
    rank = np.arange(len(places)) - np.repeat(starts[:-1], total)
    rare = order[rank <= np.repeat(total // 2, total)]
    rare = rare[seen[places[rare]] > 0]
    by_kmer = rare[np.argsort(places[rare], kind="stable")]
    counts = np.bincount(places[by_kmer], minlength=len(seen))
    return owner[by_kmer], np.append(0, np.cumsum(counts))


@njit(cache=True)
def _compare(
    hits: NDArray[np.int32],
    rows: NDArray[np.int64],
    first: int,
    places: NDArray[np.int64],
    starts: NDArray[np.int64],
    by_kmer: NDArray[np.int64],
    kmer_starts: NDArray[np.int64],
    held: NDArray[np.int64],
    found: NDArray[np.int64],
) -> None:
    """Compare passing sequences with those asked about that share a rare k-mer; write into `found`.

    Args:
        hits: (H,) k-mers of the passing ones that are in the table, as places in it.
        rows: (H,) which of the passing ones each is of, ascending.
        first: number of the first passing one.
        places, starts: k-mers of those asked about.
        by_kmer, kmer_starts: as `_rare_ones` gives them.
        held: of each k-mer the number of the last passing sequence that holds it.
        found: of each asked about the one that holds half of it, or -1.
    """
    compared = np.full(found.size, -1, np.int64)
    begin = 0
    while begin < hits.size:
        end = begin
        number = first + rows[begin]
        while end < hits.size and rows[end] == rows[begin]:
            held[hits[end]] = number
            end += 1
        for kmer in hits[begin:end]:
            for asked in by_kmer[kmer_starts[kmer] : kmer_starts[kmer + 1]]:
                if found[asked] >= 0 or compared[asked] == number:
                    continue
                compared[asked] = number
                shared = 0
                for place in places[starts[asked] : starts[asked + 1]]:
                    shared += held[place] == number
                if 2 * shared >= starts[asked + 1] - starts[asked]:
                    found[asked] = number
        begin = end
