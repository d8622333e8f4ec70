"""A line of a VCF taken apart, strictly, and compared with the genome."""

import re
from dataclasses import dataclass

from genomics_fm.errors import InputError

MAXIMUM_ALTERNATIVES = 125
"""Allele numbers are kept in int8, beside codes for missing and absent ones."""
STAR = b"*"

_FIXED = 8  # columns before FORMAT
_SHOWN = 40
_BASES = re.compile(rb"[ACGTNacgtn]+")
_SYMBOLIC = re.compile(
    rb"<[^<>\s]+>"  # <DEL>
    rb"|[ACGTNacgtn.]*[\[\]][^\[\]\s]+:\d+[\[\]][ACGTNacgtn.]*"  # break ends, G]17:198982]
    rb"|\.[ACGTNacgtn]+|[ACGTNacgtn]+\."  # single break ends
)
_END = re.compile(rb"(?:^|;)END=([0-9]+)(?:;|$)")
_SPELLINGS = {"M": "MT"}


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a VCF.

    Attributes:
        contig: as the VCF spells it.
        start: of REF, 0-based.
        ref: upper-case ACGTN.
        alts: upper-case ACGTN, or `*`, or symbolic as written (`<DEL>`, break ends).
        stop: end of REF; of a symbolic allele its END where that is given and further.
        where: `file:line`, or `file: contig:position` where the line is not known.
        format: keys of the genotype columns; empty without them.
        samples: the genotype columns.
    """

    contig: str
    start: int
    ref: bytes
    alts: tuple[bytes, ...]
    stop: int
    where: str
    format: bytes
    samples: bytes

    @property
    def end(self) -> int:
        """End of REF, exclusive."""
        return self.start + len(self.ref)

    def refuse(self, message: str) -> InputError:
        """An error about this record: `file:line: contig:position: message`."""
        return _refused(self.where, self.contig, self.start, message)


def _refused(where: str, contig: str, start: int, message: str) -> InputError:
    place = f"{contig}:{start + 1}"
    return InputError(f"{where}: {message}" if where.endswith(place) else f"{where}: {place}: {message}")


def is_symbolic(alt: bytes) -> bool:
    """Whether an allele of a `Record` is written without its bases."""
    return alt != STAR and not alt.isalpha()


def spelling(contig: str) -> str:
    """A contig's name without what UCSC and Ensembl spell differently: `chr20` is `20`, `chrM` is `MT`."""
    bare = contig[3:] if contig[:3].lower() == "chr" and len(contig) > 3 else contig
    return _SPELLINGS.get(bare, bare)


def parse_record(line: bytes, number: int, location: str, with_genotypes: bool) -> Record:
    """Take a line apart.

    Args:
        line: without its end.
        number: of the line; 0 if not known.
        location: the file.
        with_genotypes: whether the header names samples.

    Raises:
        InputError: a column that is missing or malformed.
    """
    where = f"{location}:{number}" if number else location
    if line.startswith(b"#") or not line.strip():
        raise InputError(f"{where}: a {'header' if line.strip() else 'blank'} line among the records; remove it")
    columns = line.split(b"\t", _FIXED + 1)
    expected = _FIXED + 2 if with_genotypes else _FIXED
    if len(columns) < expected or (len(columns) > expected and not with_genotypes):
        raise InputError(f"{where}: {len(columns)} columns, the header has more or fewer; separate them by tabs")
    name, position, _, ref, alt, _, _, info = columns[:_FIXED]
    if not position.isdigit() or not name.isascii() or not name.decode("ascii").isprintable() or not name.strip():
        raise InputError(f"{where}: contig {_text(name)}, position {_text(position)}; give a name and a whole number")
    contig, start = name.decode("ascii"), int(position) - 1
    if not number:
        where = f"{location}: {contig}:{start + 1}"
    if start < 0:
        raise _refused(where, contig, start, "a position outside the contig; they count from 1")
    ref, alts = _alleles(ref, alt, where, contig, start)
    stop = start + len(ref)
    if any(map(is_symbolic, alts)) and (end := _END.search(info)):
        stop = max(stop, int(end[1]))
    return Record(contig, start, ref, alts, stop, where, *(columns[_FIXED:] if with_genotypes else (b"", b"")))


def _text(column: bytes) -> str:
    return repr(column[:_SHOWN].decode("ascii", "replace"))


def _alleles(ref: bytes, alt: bytes, where: str, contig: str, start: int) -> tuple[bytes, tuple[bytes, ...]]:
    if not _BASES.fullmatch(ref):
        raise _refused(where, contig, start, f"REF {_text(ref)} holds more than the letters ACGTN; correct it")
    ref = ref.upper()
    if alt == b".":
        return ref, ()
    alts = []
    for one in alt.split(b","):
        if _BASES.fullmatch(one):
            one = one.upper()
        elif one != STAR and not _SYMBOLIC.fullmatch(one):
            raise _refused(where, contig, start, f"ALT {_text(one)} is not ACGTN, * or symbolic; correct it")
        if one == ref:
            raise _refused(where, contig, start, f"ALT {_text(one)} equals REF; remove it")
        alts.append(one)
    if len(alts) > MAXIMUM_ALTERNATIVES:
        what = f"{len(alts)} ALT alleles, at most {MAXIMUM_ALTERNATIVES} are read; split them with `bcftools norm -m -`"
        raise _refused(where, contig, start, what)
    return ref, tuple(alts)


def check_reference(record: Record, letters: bytes, begin: int) -> None:
    """Compare REF with the part of it that `letters`, the genome from `begin` on, covers.

    N in the genome agrees with everything: other ambiguity codes are read as N (R11), where a VCF has a base.

    Raises:
        InputError: they differ.
    """
    low, high = max(record.start, begin), min(record.end, begin + len(letters))
    if low >= high:
        return
    here, said = letters[low - begin : high - begin], record.ref[low - record.start : high - record.start]
    if here != said and any(base not in (other, ord("N")) for base, other in zip(here, said, strict=True)):
        raise record.refuse(
            f"REF {_text(record.ref)} is not the genome's {_text(here)}; "
            "give the genome the variants were called on, or mend REF with `bcftools norm -c s`"
        )
