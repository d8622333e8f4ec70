"""Which sequences a head accepts, and what is said about those it accepts with a reservation (R11)."""

from dataclasses import dataclass

from genomics_fm.errors import InputError
from genomics_fm.genome.alphabet import normalise

MIN_LENGTH_BP = 10
MAX_LENGTH_BP = 2_000
MANY_UNKNOWN = 0.1
"""Share of N above which a prediction carries a warning."""


@dataclass(frozen=True)
class Prepared:
    """A sequence in upper case A C G T N, with what was said about it."""

    sequence: str
    warnings: tuple[str, ...]


def check_length(length_bp: int, where: str) -> None:
    """Refuse a sequence that is too short or too long to score.

    Raises:
        InputError: fewer than `MIN_LENGTH_BP` or more than `MAX_LENGTH_BP` letters.
    """
    if not MIN_LENGTH_BP <= length_bp <= MAX_LENGTH_BP:
        raise InputError(f"{where}: {length_bp:,} nt; give sequences of {MIN_LENGTH_BP} to {MAX_LENGTH_BP:,} nt")


def reservations(sequence: str, u_to_t: int, iupac_to_n: int, input_length_bp: int) -> tuple[str, ...]:
    """Warnings about a normalised sequence: its length, what was changed in it, how much is unknown."""
    warnings = []
    if len(sequence) != input_length_bp:
        warnings.append(f"{len(sequence):,} nt; the head was trained on {input_length_bp:,} nt")
    unknown = sequence.count("N")
    if unknown > MANY_UNKNOWN * len(sequence):
        warnings.append(f"{unknown / len(sequence):.0%} of the letters are N")
    if u_to_t:
        warnings.append(f"{u_to_t:,} U read as T")
    if iupac_to_n:
        warnings.append(f"{iupac_to_n:,} ambiguity codes read as N")
    return tuple(warnings)


def prepare(text: str, input_length_bp: int, where: str) -> Prepared:
    """Normalise one sequence by R11 and collect its warnings.

    Args:
        text: letters in either case.
        input_length_bp: the length the head was trained on.
        where: names the sequence in errors.

    Raises:
        InputError: too short, too long, or letters R11 refuses.
    """
    check_length(len(text), where)
    try:
        letters = text.encode("ascii")
    except UnicodeEncodeError as error:
        raise InputError(f"{where}: letters outside ASCII; give nucleotides (A C G T N)") from error
    result = normalise(letters, where)
    warnings = reservations(result.sequence, result.u_to_t, result.iupac_to_n, input_length_bp)
    return Prepared(result.sequence, warnings)
