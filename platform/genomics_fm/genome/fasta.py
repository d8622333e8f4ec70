"""Strict streaming FASTA: no byte is accepted that we do not understand, no contig is held whole."""

import re
from collections.abc import Iterator

from genomics_fm.genome import letters
from genomics_fm.genome.records import ContigStream
from genomics_fm.genome.scanner import END, Scanner

_ORGANELLE_NAMES = {"chrM", "chrMT", "MT", "Mt", "Pt", "chrC", "chrPt"}  # UCSC, Ensembl
_ORGANELLE_WORDS = re.compile(r"\b(mitochondri|chloroplast|plastid|apicoplast|kinetoplast)", re.IGNORECASE)


def read(text: Scanner) -> Iterator[ContigStream]:
    """Contigs of a FASTA file; each is read to its end before the next is given.

    Args:
        text: stands at the first header.

    Raises:
        InputError: a record without name or letters, a byte that is no nucleotide code; `file:line:column`.
    """
    table = letters.table(next_record=b">")
    while text.peek() != END:
        line = text.line
        header = text.text_line()
        name = header[1:].split()[0] if header[1:2].strip() else ""
        if not name:
            raise text.error("header without a name; write '>name' with no space between", line, column=2)
        contig = ContigStream(
            name=name,
            location=text.location,
            line=line,
            runs=text.letters(table),
            organelle=name in _ORGANELLE_NAMES or bool(_ORGANELLE_WORDS.search(header)),
        )
        yield contig
        contig.drain()
