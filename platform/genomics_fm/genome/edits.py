"""What a haplotype changes in a window, as CIGAR and edits: all haplotypes of a window in one compiled loop.

Alleles are applied from left to right (SPEC R10). Each is shifted to the left as far as the reference allows, but not
past an allele applied before it on the same haplotype, which would change the sequence.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from genomics_fm.genome.alleles import EDIT, SYMBOLIC

APPLIED, CONFLICT, BORDER, COVERED, UNCOVERED, WITHOUT_BASES, LENGTH = range(7)
"""Columns of the counts: alleles applied; skipped for one applied before; shifted out of the window; `*` whose
deletion was applied; `*` whose deletion was not; symbolic ones; and the haplotype's length in nt."""
COLUMNS = 7

_EQUAL, _OTHER, _ADDED, _GONE = b"=XID"
_LONGEST_OPERATION = 12  # a letter and the digits of a length below 10**11
_ZERO = ord("0")
_IN_CONFLICT, _OUTSIDE = -1, -2
_WRITTEN, _OPERATION, _RUN = range(3)


class Edited(NamedTuple):
    """Haplotypes in the order asked for; texts are joined, `*_ends` say where each ends.

    Attributes:
        cigars: ASCII.
        edits: bases.
        counts_HC: by the columns above.
    """

    cigars: np.ndarray
    cigar_ends: np.ndarray
    edits: np.ndarray
    edit_ends: np.ndarray
    counts_HC: np.ndarray


@njit(cache=True)
def edit_haplotypes(
    carried_HR: np.ndarray, alleles: np.ndarray, pool: np.ndarray, reference: np.ndarray, start: int
) -> Edited:
    """Apply to every haplotype the alleles it carries.

    Args:
        carried_HR: int8, number of the allele each haplotype carries at each site.
        alleles: of ALLELE, sorted; EDITs lie inside the window.
        pool: their bases.
        reference: letters of the window.
        start: where the window begins.
    """
    haplotypes = carried_HR.shape[0]
    most_operations, most_edits = _bounds(carried_HR, alleles)
    cigars = np.empty(most_operations * _LONGEST_OPERATION, np.uint8)
    edits = np.empty(most_edits, np.uint8)
    cigar_ends = np.zeros(haplotypes, np.int64)
    edit_ends = np.zeros(haplotypes, np.int64)
    counts_HC = np.zeros((haplotypes, COLUMNS), np.int64)
    pen = np.zeros(3, np.int64)
    used = 0
    for haplotype in range(haplotypes):
        counts = counts_HC[haplotype]
        at = last_end = gone_until = start
        last_insertion = start - 1
        for allele in alleles:
            if carried_HR[haplotype, allele.site] != allele.number:
                continue
            if allele.kind == SYMBOLIC:
                counts[WITHOUT_BASES] += 1
                continue
            if allele.kind != EDIT:
                counts[COVERED if gone_until > allele.start else UNCOVERED] += 1
                continue
            begin = _placed(allele, start, last_end, last_insertion)
            if begin < 0:
                counts[CONFLICT if begin == _IN_CONFLICT else BORDER] += 1
                continue
            counts[APPLIED] += 1
            _push(cigars, pen, _EQUAL, begin - at)
            used = _change(allele, begin, start, pool, reference, cigars, edits, used, pen)
            at = last_end = begin + allele.end - allele.start
            if allele.start == allele.end:
                last_insertion = begin
            if allele.end - allele.start > allele.added:
                gone_until = max(gone_until, allele.end)
            counts[LENGTH] += allele.added - (allele.end - allele.start)
        _push(cigars, pen, _EQUAL, start + reference.size - at)
        _flush(cigars, pen)
        counts[LENGTH] += reference.size
        cigar_ends[haplotype], edit_ends[haplotype] = pen[_WRITTEN], used
    return Edited(cigars[: pen[_WRITTEN]], cigar_ends, edits[:used], edit_ends, counts_HC)


@njit(cache=True)
def _bounds(carried_HR: np.ndarray, alleles: np.ndarray) -> tuple[int, int]:
    """The most operations and edited bases that the haplotypes together can need."""
    operations, edits = carried_HR.shape[0], 0
    for haplotype in range(carried_HR.shape[0]):
        for allele in alleles:
            if allele.kind == EDIT and carried_HR[haplotype, allele.site] == allele.number:
                operations += min(allele.added, allele.end - allele.start) + 3
                edits += allele.added
    return operations, edits


@njit(cache=True)
def _placed(allele: np.record, start: int, last_end: int, last_insertion: int) -> int:
    """Where an allele begins on a haplotype, shifted to the left; or _IN_CONFLICT, or _OUTSIDE the window."""
    inserts = allele.start == allele.end
    if allele.start < last_end or (inserts and allele.start == last_insertion):
        return _IN_CONFLICT
    begin = allele.start - allele.shift
    if last_end > start:
        begin = max(begin, last_end)
    if inserts and begin == last_insertion:
        begin += 1
    if begin < start or (inserts and begin == start > 0):
        return _OUTSIDE
    return begin


@njit(cache=True)
def _change(
    allele: np.record,
    begin: int,
    start: int,
    pool: np.ndarray,
    reference: np.ndarray,
    cigars: np.ndarray,
    edits: np.ndarray,
    used: int,
    pen: np.ndarray,
) -> int:
    """Write one allele that begins at `begin`; how many edits there are then."""
    gone, added = allele.end - allele.start, allele.added
    both = min(gone, added)
    for place in range(both):
        base = pool[allele.edits + place]
        if base == reference[begin - start + place]:
            _push(cigars, pen, _EQUAL, 1)
            continue
        _push(cigars, pen, _OTHER, 1)
        edits[used] = base
        used += 1
    steps = allele.start - begin  # a shifted insertion is turned round by as much
    for place in range(both, added):
        edits[used] = pool[allele.edits + (place - steps) % added]
        used += 1
    _push(cigars, pen, _ADDED, added - both)
    _push(cigars, pen, _GONE, gone - both)
    return used


@njit(cache=True)
def _push(cigars: np.ndarray, pen: np.ndarray, operation: int, length: int) -> None:
    """Add to the CIGAR; equal operations in a row become one."""
    if length == 0:
        return
    if operation != pen[_OPERATION]:
        _flush(cigars, pen)
        pen[_OPERATION] = operation
    pen[_RUN] += length


@njit(cache=True)
def _flush(cigars: np.ndarray, pen: np.ndarray) -> None:
    """Write the operation under way."""
    number, digits = pen[_RUN], 0
    while number > 0:
        number //= 10
        digits += 1
    number, at = pen[_RUN], pen[_WRITTEN]
    for place in range(digits):
        cigars[at + digits - 1 - place] = _ZERO + number % 10
        number //= 10
    if digits:
        cigars[at + digits] = pen[_OPERATION]
        pen[_WRITTEN] += digits + 1
    pen[_OPERATION], pen[_RUN] = 0, 0
