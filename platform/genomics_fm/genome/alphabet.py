"""The letters of a genome: what is accepted, what is changed and what is refused (SPEC R11)."""

from dataclasses import dataclass

from genomics_fm.errors import InputError

MAXIMUM_AMBIGUOUS = 0.10  # R11: a record with more letters outside ACGTN than this is no genome

IUPAC = b"RYSWKMBDHV"  # two- and three-base codes, read as N
MAXIMUM_SHOWN = 240
"""Letters of a name or value in a message, which is to stay one line."""

_FIRST_PRINTABLE, _DELETE = 0x20, 0x7F
_KNOWN = b"ACGTUN"
_ACCEPTED = _KNOWN + _KNOWN.lower() + IUPAC + IUPAC.lower()
_UPPER = bytes(range(ord("A"), ord("Z") + 1))
NORMAL = bytes.maketrans(_ACCEPTED, 2 * b"ACGTTN" + 2 * b"N" * len(IUPAC))
_COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


@dataclass(frozen=True)
class Normalised:
    """A sequence in upper-case ACGTN, and how many of its letters were changed to get there."""

    sequence: str
    lower: int
    u_to_t: int
    iupac_to_n: int


def reverse_complement(sequence: str) -> str:
    """The other strand of an upper-case ACGTN sequence, read 5' to 3'."""
    return sequence.translate(_COMPLEMENT)[::-1]


def first_refused(letters: bytes, also: bytes = b"") -> int:
    """Offset of the first byte that is no accepted letter and not in `also`; -1 when there is none."""
    refused = letters.translate(None, _ACCEPTED + also)
    return letters.index(refused[:1]) if refused else -1


def clipped(text: str) -> str:
    """A text for a message, its middle left out where it is very long."""
    half = MAXIMUM_SHOWN // 2
    return text if len(text) <= MAXIMUM_SHOWN else f"{text[:half]} … {text[-half:]}"


def describe(byte: int) -> str:
    """Say in words what is wrong with a refused byte, and what to do about it."""
    if byte == 0:
        return "NUL byte; the file is damaged, fetch it again"
    if byte > _DELETE:
        return f"non-ASCII byte 0x{byte:02x}; save the file as plain ASCII"
    if byte == ord("\r"):
        return "line end unlike the first one of the file (LF, CRLF or CR); convert all line ends to LF"
    if byte < _FIRST_PRINTABLE or byte == _DELETE:
        return f"control character 0x{byte:02x}; remove it"
    letter = chr(byte)
    if letter.isalpha() or letter == "*":
        return f"letter {letter!r} is no nucleotide code (protein?); give a nucleotide sequence"
    return f"character {letter!r} in a sequence; only letters may stand there, remove it"


def refuse_ambiguous(iupac: int, length: int, where: str) -> None:
    """Refuse a record of which more than 10 % are ambiguity codes; `where` is its `file:line`."""
    if iupac > MAXIMUM_AMBIGUOUS * length:
        raise InputError(
            f"{where}: {iupac:,} of {length:,} letters are outside ACGTN (protein?); "
            "give a nucleotide sequence with at most 10 % ambiguity codes"
        )


def normalise(letters: bytes, where: str) -> Normalised:
    """Upper-case a sequence, turn U into T and the other IUPAC codes into N.

    Args:
        letters: the sequence without line ends.
        where: `file:line`, for messages.

    Raises:
        InputError: a byte that is no nucleotide code, or more than 10 % of the letters outside ACGTN.
    """
    bad = first_refused(letters)
    if bad >= 0:
        raise InputError(f"{where}: {describe(letters[bad])}")
    iupac = len(letters.translate(None, _KNOWN + _KNOWN.lower()))
    refuse_ambiguous(iupac, len(letters), where)
    return Normalised(
        sequence=letters.translate(NORMAL).decode("ascii"),
        lower=len(letters.translate(None, _UPPER)),
        u_to_t=letters.count(b"U") + letters.count(b"u"),
        iupac_to_n=iupac,
    )
