"""Alternative alleles trimmed, and how far each may be shifted to the left (SPEC R10)."""

import numpy as np
from numba import njit

from genomics_fm.genome.vcf_records import STAR, Record, is_symbolic

EDIT, NO_BASES, SYMBOLIC = range(3)
"""Kinds: bases to change; `*`, whose deletion stands in another record; without bases."""

ALLELE = np.dtype(
    [
        ("start", np.int64),  # of the bases it replaces, as written and trimmed
        ("end", np.int64),
        ("shift", np.int64),  # how far to the left it may begin, seen by the reference alone
        ("edits", np.int64),  # where its own bases begin in the pool
        ("added", np.int64),  # how many they are
        ("site", np.int32),
        ("number", np.int8),  # as genotypes name it
        ("kind", np.int8),
    ],
    align=True,
)
_N = ord("N")
_LAST = 1 << 62  # the end `*` is sorted by: behind a deletion that begins with it


class Allele:
    """One alternative allele of a record, trimmed.

    Attributes:
        start, end: of the reference bases it replaces, empty for a pure insertion.
        shift: bases it may be moved to the left without changing the sequence.
        number: as genotypes name it.
        kind: EDIT, NO_BASES or SYMBOLIC.
        bases: that stand there instead.
    """

    __slots__ = ("bases", "end", "kind", "number", "shift", "start")

    def __init__(self, start: int, end: int, shift: int, number: int, kind: int, bases: bytes) -> None:
        self.start, self.end, self.shift = start, end, shift
        self.number, self.kind, self.bases = number, kind, bases

    @property
    def is_snv(self) -> bool:
        return self.kind == EDIT and len(self.bases) == 1 == self.end - self.start

    def inside(self, start: int, end: int) -> bool:
        """Whether what it changes lies wholly inside an interval; a symbolic one: partly.

        An insertion belongs to the base before it; one before an interval's first base is inside only at a contig's
        beginning.
        """
        if self.kind == SYMBOLIC:
            return self.start < end and self.end > start
        if self.kind == NO_BASES:
            return start <= self.start < end
        return start <= self.start and self.end <= end and (self.end > start or start == 0)

    def sort_key(self) -> tuple[int, int]:
        return self.start, _LAST if self.kind == NO_BASES else self.end


def alleles_of(record: Record, known: np.ndarray, origin: int) -> list[Allele]:
    """The alternative alleles of a record.

    Args:
        record: REF equals the genome.
        known: uint8 letters of the genome, as far as they are known.
        origin: where `known` begins; nothing is shifted beyond it.
    """
    alleles = []
    for number, alt in enumerate(record.alts, 1):
        if is_symbolic(alt):
            alleles.append(Allele(record.start, record.stop, 0, number, SYMBOLIC, b""))
        elif alt == STAR:
            alleles.append(Allele(record.start, record.end, 0, number, NO_BASES, b""))
        else:
            start, end, bases = trimmed(record.start, record.ref, alt)
            shift = 0
            if (start == end or not bases) and end - origin <= known.size:
                shift = int(_shift(known, start - origin, end - origin, np.frombuffer(bases, np.uint8)))
            alleles.append(Allele(start, end, shift, number, EDIT, bases))
    return alleles


def trimmed(start: int, ref: bytes, alt: bytes) -> tuple[int, int, bytes]:
    """What differs between REF and ALT: (start, end, bases), after the common end and then the common beginning."""
    tail = _common(ref[::-1], alt[::-1])
    ref, alt = ref[: len(ref) - tail], alt[: len(alt) - tail]
    head = _common(ref, alt)
    return start + head, start + len(ref), alt[head:]


def _common(one: bytes, other: bytes) -> int:
    """Length of the common beginning."""
    shortest = min(len(one), len(other))
    return next((place for place in range(shortest) if one[place] != other[place]), shortest)


@njit(cache=True)
def _shift(known: np.ndarray, start: int, end: int, bases: np.ndarray) -> int:
    """Steps to the left that leave a pure insertion or deletion the same sequence; N equals nothing.

    An insertion keeps a base before it, as a VCF writes it.
    """
    steps = 0
    least = 0 if start < end else 1
    while start - 1 - steps >= least:
        before = known[start - 1 - steps]
        last = known[end - 1 - steps] if start < end else bases[bases.size - 1 - steps % bases.size]
        if before != last or before == _N:
            break
        steps += 1
    return steps


def as_array(alleles: list[tuple[int, Allele]]) -> tuple[np.ndarray, np.ndarray]:
    """(site, allele) pairs as an array of ALLELE, in the order they are applied, and the pool of their bases."""
    ordered = sorted(alleles, key=lambda pair: pair[1].sort_key())  # stable: then by the order of the file
    rows, pool = [], bytearray()
    for site, one in ordered:
        rows.append((one.start, one.end, one.shift, len(pool), len(one.bases), site, one.number, one.kind))
        pool += one.bases
    return np.array(rows, ALLELE), np.frombuffer(bytes(pool), np.uint8)
