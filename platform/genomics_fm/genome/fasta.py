"""Strict streaming FASTA: one contig in memory at a time, no byte accepted that we do not understand."""

import re
from collections.abc import Iterable, Iterator

from genomics_fm.errors import InputError
from genomics_fm.genome import alphabet
from genomics_fm.genome.records import Contig

_ORGANELLE_NAMES = {"chrM", "chrMT", "MT", "Mt", "Pt", "chrC", "chrPt"}  # UCSC, Ensembl
_ORGANELLE_WORDS = re.compile(r"\b(mitochondri|chloroplast|plastid|apicoplast|kinetoplast)", re.IGNORECASE)


def split_before(chunks: Iterable[bytes], mark: bytes) -> Iterator[tuple[int, bytes]]:
    """Cut chunks of whole lines into records that begin with a line starting with `mark`.

    Yields:
        (number of the record's first line, counted from 1; the record with its line ends). What stands
        before the first mark is a record too.
    """
    inner = b"\n" + mark
    parts: list[bytes] = []
    line = 1
    for chunk in chunks:
        begin = 0
        cut = 0 if chunk.startswith(mark) else chunk.find(inner) + 1 or -1
        while cut >= 0:
            parts.append(chunk[begin:cut])
            if record := b"".join(parts):
                yield line, record
                line += record.count(b"\n")
            parts, begin = [], cut
            cut = chunk.find(inner, begin) + 1 or -1
        parts.append(chunk[begin:])
    if record := b"".join(parts):
        yield line, record


def read(chunks: Iterable[bytes], location: str) -> Iterator[Contig]:
    """Contigs of a FASTA file given as chunks of whole lines.

    Raises:
        InputError: text before the first header, a record without name or letters, a byte that is no
            nucleotide code; with `file:line`.
    """
    for line, record in split_before(chunks, b">"):
        if record.startswith(b">"):
            yield _contig(record, line, location)
        elif record.strip():
            raise InputError(f"{location}:{line}: text before the first header; begin with a line '>name'")


def _contig(record: bytes, line: int, location: str) -> Contig:
    end = record.index(b"\n")
    title = _title(record[1:end], f"{location}:{line}")
    name = title.split()[0] if title and not title[0].isspace() else ""
    if not name:
        raise InputError(f"{location}:{line}: header without a name; write '>name' with no space between")
    body = record[end + 1 :]
    bad = alphabet.first_refused(body, also=b"\n")
    if bad >= 0:
        at = line + 1 + body.count(b"\n", 0, bad)
        raise InputError(f"{location}:{at}: {alphabet.describe(body[bad])}")
    letters = body.translate(None, b"\n")
    if not letters:
        raise InputError(f"{location}:{line}: record {name!r} is empty; remove its header or add its sequence")
    normal = alphabet.normalise(letters, f"{location}:{line}")
    return Contig(
        name=name,
        sequence=normal.sequence,
        location=location,
        line=line,
        organelle=name in _ORGANELLE_NAMES or bool(_ORGANELLE_WORDS.search(title)),
        soft_masked=normal.lower,
        u_to_t=normal.u_to_t,
        iupac_to_n=normal.iupac_to_n,
    )


def _title(header: bytes, where: str) -> str:
    for byte in header:
        if byte > 126 or (byte < 32 and byte != ord("\t")):
            raise InputError(f"{where}: in the header: {alphabet.describe(byte)}")
    return header.decode("ascii")
