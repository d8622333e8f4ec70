"""Strict streaming GenBank: LOCUS, VERSION, FEATURES, ORIGIN; one record in memory at a time."""

import re
from collections.abc import Iterable, Iterator

from genomics_fm.errors import InputError
from genomics_fm.genome import alphabet, feature_location
from genomics_fm.genome.fasta import split_before
from genomics_fm.genome.records import Contig, Feature

_LOCUS = re.compile(r"LOCUS +(\S+) +(\d+) (bp|aa)\b")
_NAME = re.compile(r"^(VERSION|ACCESSION) +(\S+)", re.MULTILINE)
_SECTION_END = re.compile(r"\n(?=\S)")
_FEATURE = re.compile(r" {5}(\S+) +(\S[^\n]*(?:\n {21}[^/\s][^\n]*)*)\n")
_QUALIFIER = re.compile(r' {21}/([^\s=]+)(?:=("[^"]*(?:""[^"]*)*"|[^"\n][^\n]*(?:\n {21}[^/\s][^\n]*)*))?[ \t]*\n')
_KEPT = {"gene", "locus_tag", "organism", "chromosome", "organelle"}
_FOLD = re.compile(r"\n {21}")
_BLANKS = re.compile(r"\s+")


class _Record:
    """The text of one record and where it stands, so that every message can name its line."""

    def __init__(self, text: str, line: int, location: str):
        self.text, self.line, self.location = text, line, location

    def error(self, place: int, message: str) -> InputError:
        return InputError(f"{self.location}:{self.line + self.text.count(chr(10), 0, place)}: {message}")


def read(chunks: Iterable[bytes], location: str) -> Iterator[Contig]:
    """Contigs of a GenBank file given as chunks of whole lines.

    Raises:
        InputError: a record without name, sequence or `//`, protein, a length that is not LOCUS's, a
            feature table or letter that cannot be read; with `file:line`.
    """
    for line, record in split_before(chunks, b"LOCUS"):
        if record.startswith(b"LOCUS"):
            yield _contig(_Record(_ascii(record, line, location), line, location))
        elif record.strip():
            raise InputError(f"{location}:{line}: text before the first LOCUS line; remove it")


def _ascii(record: bytes, line: int, location: str) -> str:
    if record.isascii() and b"\0" not in record and b"\r" not in record:
        return record.decode("ascii")
    bad = next(place for place, byte in enumerate(record) if byte in (0, 13) or byte > 126)
    at = line + record.count(b"\n", 0, bad)
    raise InputError(f"{location}:{at}: {alphabet.describe(record[bad])}")


def _contig(record: _Record) -> Contig:
    text = record.text
    locus = _LOCUS.match(text)
    if not locus:
        raise record.error(0, "LOCUS line without name and length; fetch the file again")
    if locus[3] == "aa":
        raise record.error(0, "a protein record (aa); give the nucleotide record (bp)")
    origin, normal = _sequence(record)
    length = int(locus[2])
    if len(normal.sequence) != length:
        raise record.error(0, f"LOCUS says {length:,} bp, ORIGIN holds {len(normal.sequence):,}; fetch the file again")
    features, source = _features(record, origin, length)
    names = dict(reversed(_NAME.findall(text, 0, origin)))  # the first of each wins
    return Contig(
        name=names.get("VERSION") or names.get("ACCESSION") or locus[1],
        sequence=normal.sequence,
        location=record.location,
        line=record.line,
        chromosome=source.get("chromosome", ""),
        organism=source.get("organism", ""),
        organelle="organelle" in source,
        features=features,
        u_to_t=normal.u_to_t,
        iupac_to_n=normal.iupac_to_n,
    )


def _sequence(record: _Record) -> tuple[int, alphabet.Normalised]:
    """(offset of the ORIGIN line, the sequence under it)."""
    text = record.text
    origin = text.find("\nORIGIN") + 1
    if not origin:
        raise record.error(0, "record without ORIGIN (no sequence in it); fetch the full record")
    begin, end = text.index("\n", origin) + 1, text.find("\n//\n", origin) + 1
    if not end:
        raise record.error(len(text) - 1, "record without its closing //; the file is cut short, fetch it again")
    if text[end + 2 :].strip():
        raise record.error(end + 3, "text after //; a record must follow with a LOCUS line")
    block = text[begin:end].encode("ascii")
    bad = alphabet.first_refused(block, also=b" \n0123456789")
    if bad >= 0:
        raise record.error(begin + bad, alphabet.describe(block[bad]))
    letters = block.translate(None, b" \n0123456789")
    if not letters:
        raise record.error(origin, "ORIGIN without letters; fetch the full record")
    return origin, alphabet.normalise(letters, f"{record.location}:{record.line}")


def _features(record: _Record, origin: int, length: int) -> tuple[tuple[Feature, ...], dict[str, str]]:
    """(features in file order, the kept qualifiers of the first `source` feature)."""
    text = record.text
    table = text.find("\nFEATURES", 0, origin) + 1
    if not table:
        return (), {}
    place = text.index("\n", table) + 1
    closing = _SECTION_END.search(text, place - 1)
    end = closing.start() + 1 if closing else origin
    features: list[Feature] = []
    source: dict[str, str] = {}
    while place < end:
        key = _FEATURE.match(text, place, end)
        if not key:
            raise record.error(place, "line of the feature table not understood; mend or remove it")
        qualifiers, after = _qualifiers(record, key.end(), end)
        features.append(_feature(record, key, qualifiers, length))
        if key[1] == "source" and not source:
            source = qualifiers
        place = after
    return tuple(features), source


def _qualifiers(record: _Record, place: int, end: int) -> tuple[dict[str, str], int]:
    """(first value of each kept qualifier, offset of what follows)."""
    found: dict[str, str] = {}
    while match := _QUALIFIER.match(record.text, place, end):
        if match[1] in _KEPT:
            value = _FOLD.sub(" ", match[2] or "").strip()
            found.setdefault(match[1], value.strip('"').replace('""', '"'))
        place = match.end()
    return found, place


def _feature(record: _Record, key: re.Match[str], qualifiers: dict[str, str], length: int) -> Feature:
    try:
        segments, strand = feature_location.parse(_BLANKS.sub("", key[2]), length)
    except ValueError as error:
        raise record.error(key.start(), f"{key[1]}: {error}; mend or remove the feature") from error
    return Feature(key[1], segments, strand, qualifiers.get("gene") or qualifiers.get("locus_tag", ""))
