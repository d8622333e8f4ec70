"""Which sequences a head accepts, and what is said about those it accepts with a reservation (R11)."""

from dataclasses import dataclass

from genomics_fm.errors import InputError
from genomics_fm.genome.alphabet import normalise

MIN_LENGTH_BP = 10
MAX_LENGTH_BP = 2_000
"""Longest sequence of a head that was trained on shorter ones."""
MAX_STRETCH = 4
"""Times the longest training sequence that a head accepts, where that is more than `MAX_LENGTH_BP`."""
MANY_UNKNOWN = 0.1
"""Share of N above which a prediction carries a warning."""


@dataclass(frozen=True)
class Prepared:
    """A sequence in upper case A C G T N, with what was said about it."""

    sequence: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Familiar:
    """What a head was trained on, as its card says.

    Attributes:
        length_bp: shortest and longest sequence.
        gc: shares of G and C that 99.8 % of the sequences lie between; None: not known.
    """

    length_bp: tuple[int, int]
    gc: tuple[float, float] | None = None

    @property
    def most_bp(self) -> int:
        """The longest sequence that is scored."""
        return longest_accepted(self.length_bp)

    def check_length(self, length_bp: int, where: str) -> None:
        """Refuse a sequence that is too short or too long to score.

        Raises:
            InputError: fewer than `MIN_LENGTH_BP` or more than `most_bp` letters.
        """
        if not MIN_LENGTH_BP <= length_bp <= self.most_bp:
            raise InputError(f"{where}: {length_bp:,} nt; give sequences of {MIN_LENGTH_BP} to {self.most_bp:,} nt")

    def reservations(self, sequence: str, u_to_t: int = 0, iupac_to_n: int = 0) -> tuple[str, ...]:
        """Warnings about a normalised sequence: its length, its composition, what was changed, what is unknown."""
        warnings = []
        shortest, longest = self.length_bp
        if not shortest <= len(sequence) <= longest:
            trained = f"{longest:,}" if shortest == longest else f"{shortest:,} to {longest:,}"
            warnings.append(f"{len(sequence):,} nt; the head was trained on {trained} nt")
        share = gc_share(sequence)
        if self.gc is not None and share is not None and not self.gc[0] <= share <= self.gc[1]:
            warnings.append(f"{share:.1%} G+C; nearly all training sequences have {self.gc[0]:.1%} to {self.gc[1]:.1%}")
        unknown = sequence.count("N")
        if unknown > MANY_UNKNOWN * len(sequence):
            warnings.append(f"{unknown / len(sequence):.0%} of the letters are N")
        if u_to_t:
            warnings.append(f"{u_to_t:,} U read as T")
        if iupac_to_n:
            warnings.append(f"{iupac_to_n:,} ambiguity codes read as N")
        return tuple(warnings)

    def prepare(self, text: str, where: str) -> Prepared:
        """Normalise one sequence by R11 and collect its warnings.

        Args:
            text: letters in either case.
            where: names the sequence in errors.

        Raises:
            InputError: too short, too long, or letters R11 refuses.
        """
        self.check_length(len(text), where)
        try:
            letters = text.encode("ascii")
        except UnicodeEncodeError as error:
            raise InputError(f"{where}: letters outside ASCII; give nucleotides (A C G T N)") from error
        result = normalise(letters, where)
        return Prepared(result.sequence, self.reservations(result.sequence, result.u_to_t, result.iupac_to_n))


def longest_accepted(length_bp: tuple[int, int]) -> int:
    """Letters of the longest sequence that a head trained on such lengths scores."""
    return max(MAX_LENGTH_BP, MAX_STRETCH * length_bp[1])


def gc_share(sequence: str) -> float | None:
    """Share of G and C among the A, C, G and T of an upper-case sequence; None where it has none of them."""
    strong = sequence.count("G") + sequence.count("C")
    known = strong + sequence.count("A") + sequence.count("T")
    return strong / known if known else None
