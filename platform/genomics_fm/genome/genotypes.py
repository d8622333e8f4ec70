"""Genotypes of all samples at one record, from its text to small arrays."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from genomics_fm.genome.vcf_records import Record

MISSING = -1
"""Code of an allele written `.`."""
ABSENT = -2
"""Code of the second allele of a haploid genotype."""
UNKNOWN = -3
"""Code of the second allele of a genotype written as a single `.`: missing, if the sample is diploid there."""
NO_PHASE_SET = -1
"""Phase set of genotypes that name none; they are one set (VCF 4.2, 1.4.2)."""

_GENOTYPE = b"GT"
_PHASE_SET = b"PS"
_GOOD, _FEW, _MANY, _MALFORMED, _UNKNOWN_ALLELE, _POLYPLOID, _BAD_SET = range(7)
_WRONG = {
    _MALFORMED: "a malformed genotype; write 0|1, 0/1, 1 or ./.",
    _UNKNOWN_ALLELE: "an allele number with no ALT to it; correct the genotype",
    _POLYPLOID: "a genotype of three or more alleles; only haploid and diploid ones are read",
    _BAD_SET: "a phase set that is no number; correct PS",
}
_TAB, _COLON, _BAR, _SLASH, _DOT, _ZERO, _NINE = b"\t:|/.09"
_LARGEST_SET = 2**31 - 1


@dataclass(slots=True)
class Genotypes:
    """What the samples of a VCF carry at a record, in the order of the columns.

    Attributes:
        first: int8, number of an allele or MISSING.
        second: int8, number of an allele, MISSING, ABSENT or UNKNOWN.
        phased: whether the two are told apart (`|`).
        phase_set: int32; None where the record names none.
    """

    first: np.ndarray
    second: np.ndarray
    phased: np.ndarray
    phase_set: np.ndarray | None


def read_genotypes(record: Record, samples: tuple[str, ...]) -> Genotypes:
    """Read the genotypes of all samples.

    Raises:
        InputError: GT is missing, or anything in the columns is malformed.
    """
    keys = record.format.split(b":")
    if keys[0] != _GENOTYPE:
        raise record.refuse("FORMAT does not begin with GT; give a VCF with genotypes")
    field = keys.index(_PHASE_SET) if _PHASE_SET in keys else 0
    first, second = np.empty(len(samples), np.int8), np.empty(len(samples), np.int8)
    phased = np.empty(len(samples), np.bool_)
    phase_set = np.empty(len(samples) if field else 0, np.int32)
    text = np.frombuffer(record.samples, np.uint8)
    status, sample = _parse(text, len(record.alts), field, first, second, phased, phase_set)
    if status in (_FEW, _MANY):
        what = "fewer" if status == _FEW else "more"
        raise record.refuse(f"{what} columns than the header's {len(samples)} samples; is a line cut or a tab lost?")
    if status != _GOOD:
        raise record.refuse(f"sample {samples[sample]}: {_WRONG[status]}")
    return Genotypes(first, second, phased, phase_set if field else None)


@njit(cache=True)
def _parse(
    text: np.ndarray,
    alternatives: int,
    phase_field: int,
    first: np.ndarray,
    second: np.ndarray,
    phased: np.ndarray,
    phase_set: np.ndarray,
) -> tuple[int, int]:
    """Fill the arrays; what is wrong, and at which sample."""
    at = 0
    for sample in range(first.size):
        if at >= text.size:
            return (_FEW if sample == 0 or at > text.size else _MALFORMED), sample
        status, at = _genotype(text, at, alternatives, first, second, phased, sample)
        if status != _GOOD:
            return status, sample
        if phase_field:
            phase_set[sample] = NO_PHASE_SET
        key = 0
        while at < text.size and text[at] != _TAB:
            if text[at] != _COLON:
                at += 1
                continue
            key += 1
            at += 1
            if key == phase_field:
                number, at = _number(text, at)
                if number == _MALFORMED_NUMBER:
                    return _BAD_SET, sample
                phase_set[sample] = number
        at += 1  # the tab, or one past the end
    return (_MANY if at <= text.size else _GOOD), 0


@njit(cache=True)
def _genotype(
    text: np.ndarray,
    at: int,
    alternatives: int,
    first: np.ndarray,
    second: np.ndarray,
    phased: np.ndarray,
    sample: int,
) -> tuple[int, int]:
    """One genotype from `at` on; (what is wrong, where it ends)."""
    alleles, apart = 0, True
    if text[at] in (_BAR, _SLASH):  # VCF 4.4 may write the phase of the first allele
        at += 1
    while True:
        if at >= text.size:
            return _MALFORMED, at
        if text[at] == _DOT:
            allele = MISSING
            at += 1
        elif _ZERO <= text[at] <= _NINE:
            allele = 0
            while at < text.size and _ZERO <= text[at] <= _NINE:
                allele = 10 * allele + text[at] - _ZERO
                at += 1
                if allele > alternatives:
                    return _UNKNOWN_ALLELE, at
        else:
            return _MALFORMED, at
        if alleles == 0:
            first[sample] = allele
            second[sample] = UNKNOWN if allele == MISSING else ABSENT
        elif alleles == 1:
            second[sample] = allele
        else:
            return _POLYPLOID, at
        alleles += 1
        if at < text.size and text[at] in (_BAR, _SLASH):
            apart = apart and text[at] == _BAR
            at += 1
            continue
        phased[sample] = apart
        ended = at == text.size or text[at] in (_TAB, _COLON)
        return (_GOOD if ended else _MALFORMED), at


_MALFORMED_NUMBER = -2


@njit(cache=True)
def _number(text: np.ndarray, at: int) -> tuple[int, int]:
    """A number up to the next key or sample, or NO_PHASE_SET for `.`; (number, where it ends)."""
    begin, number = at, 0
    while at < text.size and text[at] not in (_COLON, _TAB):
        if text[at] == _DOT and at == begin:
            number = NO_PHASE_SET
        elif _ZERO <= text[at] <= _NINE and number >= 0:
            number = 10 * number + text[at] - _ZERO
            if number > _LARGEST_SET:
                return _MALFORMED_NUMBER, at
        else:
            return _MALFORMED_NUMBER, at
        at += 1
    return (number if at > begin else _MALFORMED_NUMBER), at
