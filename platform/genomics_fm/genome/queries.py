"""Short sequences prepared to be searched for in genomes, letter for letter, on both strands."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from genomics_fm.errors import InputError
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.genome.kmers import MAXIMUM_K, NO_KMER, Scan, Table, canonical, mixed, table
from genomics_fm.genome.records import Contig

MINIMUM_BP = 15
"""Shorter sequences stand in a genome by chance."""
STRANDS = "+-"

_HITS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Queries:
    """Sequences to search for. Each is one or two *targets*: itself, and its reverse complement if that differs.

    Of each query one k-mer, its seed, is looked up; where it is found the targets with that seed are compared.

    Attributes:
        names: of the queries.
        k: length of the seeds; that of the shortest query, at most 31.
        seeds: canonical k-mers.
        longest: length of the longest query.
        starts: where the targets of each of `seeds.kmers` begin; one more than there are seeds.
        query, strand: of each target; strand indexes STRANDS.
        seed_end: of each target, offset of its seed's last letter.
        begins: where each target begins in `text`; one more than there are targets.
        text: the targets' letters, one after the other.
    """

    names: tuple[str, ...]
    k: int
    seeds: Table
    longest: int
    starts: NDArray[np.int64]
    query: NDArray[np.int64]
    strand: NDArray[np.int64]
    seed_end: NDArray[np.int64]
    begins: NDArray[np.int64]
    text: NDArray[np.uint8]


def prepare(records: Iterable[Contig]) -> Queries:
    """Choose the seeds of at least one record.

    Raises:
        InputError: a sequence shorter than MINIMUM_BP, or without a run of k known nucleotides.
    """
    kept = list(records)
    for record in kept:
        if len(record.sequence) < MINIMUM_BP:
            raise InputError(
                f"{record.location}:{record.line}: {record.name!r} has {len(record.sequence)} nt; "
                f"give at least {MINIMUM_BP}, shorter ones stand in a genome by chance"
            )
    lengths = [len(record.sequence) for record in kept]
    k = min([MAXIMUM_K, *lengths])
    seeds, seed_ends = _rarest(kept, k)
    targets = []
    for number, (record, seed, seed_end) in enumerate(zip(kept, seeds, seed_ends, strict=True)):
        turned = reverse_complement(record.sequence)
        targets.append((seed, number, 0, seed_end, record.sequence))
        if turned != record.sequence:
            targets.append((seed, number, 1, len(turned) - 1 - seed_end + k - 1, turned))
    targets.sort(key=lambda target: target[0])
    known = table(np.array(seeds, np.uint64))
    seed_of = np.array([target[0] for target in targets], np.uint64)
    return Queries(
        names=tuple(record.name for record in kept),
        k=k,
        seeds=known,
        longest=max(lengths),
        starts=np.append(np.searchsorted(seed_of, known.kmers), len(targets)),
        query=np.array([target[1] for target in targets], np.int64),
        strand=np.array([target[2] for target in targets], np.int64),
        seed_end=np.array([target[3] for target in targets], np.int64),
        begins=np.cumsum([0, *(len(target[4]) for target in targets)]),
        text=np.frombuffer("".join(target[4] for target in targets).encode(), np.uint8),
    )


def _rarest(records: list[Contig], k: int) -> tuple[list[int], list[int]]:
    """Of each record its canonical k-mer that is rarest in all of them, and the offset of that one's last letter.

    So a primer that many share is no seed, nor is a repeat inside one; among equals a hash decides, which keeps
    clear of k-mers like AAAAA… that genomes are full of.
    """
    kmers = canonical("N".join(record.sequence for record in records).encode(), k)
    lengths = [len(record.sequence) + 1 for record in records]
    begins = np.cumsum([0, *lengths])[:-1]
    owner = np.repeat(np.arange(len(records)), lengths)[: len(kmers)]
    places = np.flatnonzero(kmers != NO_KMER)
    kmers, owner = kmers[places], owner[places]
    _, number, count = np.unique(kmers, return_inverse=True, return_counts=True)
    order = np.lexsort((mixed(kmers), count[number], owner))
    found, first = np.unique(owner[order], return_index=True)
    missing = np.setdiff1d(np.arange(len(records)), found)
    if len(missing):
        record = records[missing[0]]
        raise InputError(
            f"{record.location}:{record.line}: {record.name!r} has no {k} known nucleotides in a row; "
            "cut it at its N, or take it out"
        )
    chosen = order[first]
    return kmers[chosen].tolist(), (places[chosen] - begins).tolist()


@njit(cache=True)
def _compare(
    letters: NDArray[np.uint8],
    ends: NDArray[np.int64],
    seeds: NDArray[np.int32],
    begin: int,
    starts: NDArray[np.int64],
    seed_end: NDArray[np.int64],
    begins: NDArray[np.int64],
    text: NDArray[np.uint8],
    places: NDArray[np.int64],
    targets: NDArray[np.int64],
) -> tuple[int, int]:
    """Compare targets with `letters` where their seeds were found, from number `begin` on, while there is room.

    Returns:
        (number of the first one not looked at; how many places and targets were written).
    """
    count = 0
    for number in range(begin, ends.size):
        first, stop = starts[seeds[number]], starts[seeds[number] + 1]
        if count + stop - first > places.size:
            return number, count
        for target in range(first, stop):
            place = ends[number] - seed_end[target]
            length = begins[target + 1] - begins[target]
            if place < 0 or place + length > letters.size:
                continue
            same = 0
            while same < length and letters[place + same] == text[begins[target] + same]:
                same += 1
            if same == length:
                places[count], targets[count] = place, target
                count += 1
    return ends.size, count


class Search:
    """A search along one contig, whose letters come in chunks of any size."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._scan = Scan(queries.k)
        self._letters = b""
        self._start = 0  # of `_letters` on the contig
        self._ends: NDArray[np.int64] = np.empty(0, np.int64)
        self._seeds: NDArray[np.int32] = np.empty(0, np.int32)

    def take(self, letters: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where (first letter, on the contig) which targets were found that nothing later can change."""
        ends, seeds = self._scan.found(letters, self._queries.seeds)
        seen = self._start + len(self._letters)
        self._ends = np.concatenate([self._ends, ends + seen])
        self._seeds = np.concatenate([self._seeds, seeds])
        self._letters += letters
        ready = int(np.searchsorted(self._ends, seen + len(letters) - self._queries.longest))
        found = self._compared(ready)
        keep = 2 * self._queries.longest  # a target with a seed that waits reaches so far back
        if len(self._letters) > keep:
            self._start += len(self._letters) - keep
            self._letters = self._letters[-keep:]
        return found

    def finish(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rest; the contig has ended."""
        return self._compared(len(self._ends))

    def _compared(self, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        queries = self._queries
        ends, self._ends = self._ends[:count] - self._start, self._ends[count:]
        seeds, self._seeds = self._seeds[:count], self._seeds[count:]
        letters = np.frombuffer(self._letters, np.uint8)
        room = max(_HITS_AT_ONCE, int(np.diff(queries.starts).max(initial=0)))
        found: list[NDArray[np.int64]] = []
        begin = 0
        while begin < len(ends):
            out = np.empty((2, room), np.int64)
            begin, written = _compare(
                letters, ends, seeds, begin, queries.starts, queries.seed_end, queries.begins, queries.text, *out
            )
            found.append(out[:, :written].copy())
        places, targets = np.concatenate([np.empty((2, 0), np.int64), *found], axis=1)
        return places + self._start, targets
