"""Strict streaming GenBank: LOCUS, VERSION, FEATURES, ORIGIN; the annotation of one record in memory at a time."""

import re
from collections.abc import Iterator

import numpy as np

from genomics_fm.errors import InputError
from genomics_fm.genome import alphabet, feature_location, letters
from genomics_fm.genome.records import ContigStream, Feature
from genomics_fm.genome.scanner import END, Scanner

MAX_ANNOTATION_BYTES = 256 << 20
"""Of one record; that of human chromosome 1 has about 140 MB."""

_TEXT = bytes(range(0x20, 0x7F)) + b"\t\n"
_LOCUS = re.compile(r"LOCUS +(\S+) +(\d{1,15}) (bp|aa)\b")
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
        line = self.line + self.text.count("\n", 0, place)
        return InputError(f"{self.location}:{line}: {alphabet.clipped(message)}")


def read(text: Scanner) -> Iterator[ContigStream]:
    """Contigs of a GenBank file; each is read to its end before the next is given.

    Args:
        text: stands at the first LOCUS line.

    Raises:
        InputError: a record without name, sequence or `//`, protein, a length that is not LOCUS's, a
            feature table or letter that cannot be read; with `file:line`.
    """
    table = letters.table(next_record=b"/L", skipped=b" 0123456789")
    while text.peek() != END:
        contig = _contig(text, _annotation(text), table)
        yield contig
        contig.drain()


def _annotation(text: Scanner) -> _Record:
    """The lines before ORIGIN; the scanner then stands below that line."""
    begun = text.line
    record = bytearray()
    while text.peek() != END:
        line = text.read_line()
        if line.startswith(b"ORIGIN"):
            break
        if not record and not line.startswith(b"LOCUS"):
            raise text.error("no LOCUS line where a record must begin; remove the line", begun)
        if record and line.startswith((b"LOCUS", b"//")):
            raise text.error("record without ORIGIN (no sequence in it); fetch the full record", begun)
        record += line + b"\n"
        if len(record) > MAX_ANNOTATION_BYTES:
            raise text.error(f"more than {MAX_ANNOTATION_BYTES:,} bytes without ORIGIN; give the sequence as FASTA")
    else:
        raise text.error("the file ends within a record; it is cut short, fetch it again")
    if record.translate(None, _TEXT):
        for number, line in enumerate(bytes(record).split(b"\n"), begun):
            text.checked(line, number)
    return _Record(record.decode("ascii"), begun, text.location)


def _contig(text: Scanner, record: _Record, table: np.ndarray) -> ContigStream:
    locus = _LOCUS.match(record.text)
    if not locus:
        raise record.error(0, "LOCUS line without name and length; fetch the file again")
    if locus[3] == "aa":
        raise record.error(0, "a protein record (aa); give the nucleotide record (bp)")
    length = int(locus[2])
    features, source = _features(record, length)
    names = dict(reversed(_NAME.findall(record.text)))  # the first of each wins
    return ContigStream(
        name=names.get("VERSION") or names.get("ACCESSION") or locus[1],
        location=record.location,
        line=record.line,
        runs=_runs(text, record, length, table),
        chromosome=source.get("chromosome", ""),
        organism=source.get("organism", ""),
        organelle="organelle" in source,
        features=features,
    )


def _runs(text: Scanner, record: _Record, length: int, table: np.ndarray) -> Iterator[letters.Run]:
    """The letters below ORIGIN up to //, which are always lower case; then what LOCUS promised is checked."""
    found = 0
    for run in text.letters(table):
        found += len(run.letters)
        yield run._replace(soft_masked=0)
    line = text.line
    if text.read_line().rstrip() != b"//":
        raise text.error("record without its closing //; the file is cut short, fetch it again", line)
    text.skip_blank_lines()
    if text.peek() not in (END, ord("L")):
        raise text.error("text after //; a record must follow with a LOCUS line, remove the text")
    if found != length:
        raise record.error(0, f"LOCUS says {length:,} bp, ORIGIN holds {found:,}; fetch the file again")


def _features(record: _Record, length: int) -> tuple[tuple[Feature, ...], dict[str, str]]:
    """(features in file order, the kept qualifiers of the first `source` feature)."""
    text = record.text
    table = text.find("\nFEATURES") + 1
    if not table:
        return (), {}
    place = text.index("\n", table) + 1
    closing = _SECTION_END.search(text, place - 1)
    end = closing.start() + 1 if closing else len(text)
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
