"""CIGARs of haplotypes against the reference, with the operations `=` equal, `X` other base, `I` added, `D` gone.

`edits` are the bases of the `X` and `I` operations in order, so that reference, CIGAR and edits give the haplotype.
An empty CIGAR is the reference itself.
"""

import re

import numpy as np
from numba import njit

from genomics_fm.errors import CorruptArtefact

_OPERATION = re.compile(r"([0-9]+)([=XID])")
_SHOWN = 40  # characters of a CIGAR in a message
_EQUAL, _OTHER, _ADDED, _GONE = (ord(letter) for letter in "=XID")
_MISFIT = -1


def operations(cigar: str) -> list[tuple[int, str]]:
    """(length, operation) pairs.

    Raises:
        CorruptArtefact: anything else stands in it.
    """
    found = [(int(length), operation) for length, operation in _OPERATION.findall(cigar)]
    if "".join(f"{length}{operation}" for length, operation in found) != cigar:
        raise CorruptArtefact(f"cigar {cigar[:_SHOWN]!r}: not a CIGAR of = X I D; build the corpus again")
    return found


def apply(reference: bytes, cigar: str, edits: bytes) -> bytes:
    """The haplotype's sequence.

    Args:
        reference: the row's interval of the reference.
        cigar: aligns the haplotype to exactly this interval.
        edits: bases of the X and I operations.

    Raises:
        CorruptArtefact: the three do not fit together.
    """
    if not cigar and not edits:
        return reference
    out = np.empty(len(reference) + len(edits), np.uint8)
    length = _apply(_bytes(reference), _bytes(cigar.encode()), _bytes(edits), out)
    if length == _MISFIT:
        raise CorruptArtefact(
            f"cigar {cigar[:_SHOWN]!r}: does not fit {len(reference)} reference bases and {len(edits)} edits; "
            "build the corpus again"
        )
    return out[:length].tobytes()


def _bytes(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)


@njit(cache=True)
def _apply(reference: np.ndarray, cigar: np.ndarray, edits: np.ndarray, out: np.ndarray) -> int:
    at = taken = written = count = 0  # at: in the reference; taken: of the edits
    digits = False
    for letter in cigar:
        if 48 <= letter <= 57:
            count = 10 * count + letter - 48
            digits = True
            if count > reference.size + edits.size:
                return _MISFIT
            continue
        from_reference = letter == _EQUAL
        from_edits = letter in (_OTHER, _ADDED)
        passes = from_reference or letter in (_OTHER, _GONE)
        if not digits or not (passes or from_edits):
            return _MISFIT
        if (passes and at + count > reference.size) or (from_edits and taken + count > edits.size):
            return _MISFIT
        if from_reference:
            out[written : written + count] = reference[at : at + count]
        elif from_edits:
            out[written : written + count] = edits[taken : taken + count]
            taken += count
        if passes:
            at += count
        if from_reference or from_edits:
            written += count
        count, digits = 0, False
    if digits or at != reference.size or taken != edits.size:
        return _MISFIT
    return written


def to_reference(cigar: str, start: int, position: int) -> int:
    """Reference coordinate of a haplotype's base; an added base lies at the base before the insertion.

    Args:
        cigar: of the row.
        start: where the row begins on the reference.
        position: 0-based in the haplotype's sequence.

    Raises:
        ValueError: the haplotype has no such position.
    """
    if not cigar:
        return start + position
    at = passed = 0
    for length, operation in operations(cigar):
        if operation != "D":
            if passed <= position < passed + length:
                return start + at - 1 if operation == "I" else start + at + position - passed
            passed += length
        if operation != "I":
            at += length
    raise ValueError(f"position {position} of a haplotype of {passed} nt")


def from_reference(cigar: str, start: int, position: int) -> int:
    """Place in the haplotype's sequence of a reference coordinate; a deleted base lies at the base before it.

    Raises:
        ValueError: the coordinate is outside the row.
    """
    if not cigar:
        return position - start
    at, passed = start, 0
    for length, operation in operations(cigar):
        if operation != "I":
            if at <= position < at + length:
                return passed - 1 if operation == "D" else passed + position - at
            at += length
        if operation != "D":
            passed += length
    raise ValueError(f"coordinate {position} of a row [{start}, {at})")
