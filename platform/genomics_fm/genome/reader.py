"""Read any genome file: FASTA or GenBank, told apart by what is in it."""

import itertools
from collections.abc import Iterator

from genomics_fm.errors import InputError
from genomics_fm.genome import fasta, genbank, source
from genomics_fm.genome.records import Contig


def read_genome(location: str) -> Iterator[Contig]:
    """Stream the contigs of a genome, strictly.

    Args:
        location: a FASTA or GenBank file, plain or gzip; or `package:NAME/FILE.zip!MEMBER` inside an
            installed data package, whose code is never imported (without `!MEMBER`: all its `.gb` files).

    Yields:
        Contigs in file order, with distinct names.

    Raises:
        InputError: the file cannot be trusted; `file:line: what; what to do`.
        EnvironmentFault: the data package is not installed.
    """
    seen: dict[str, str] = {}
    for single in source.expand(location):
        for contig in _read_one(single):
            where = f"{single}:{contig.line}"
            if contig.name in seen:
                raise InputError(
                    f"{where}: second record named {contig.name!r} (the first: {seen[contig.name]}); "
                    "rename or remove one"
                )
            seen[contig.name] = where
            yield contig


def _read_one(location: str) -> Iterator[Contig]:
    chunks = source.line_chunks(location)
    blank = 0
    for first in chunks:
        start = first.lstrip(b"\n")
        if start:
            break
        blank += len(first)
    else:
        raise InputError(f"{location}:1: the file holds only blank lines; give a FASTA or GenBank file")
    whole = itertools.chain([b"\n" * blank + first], chunks)
    if start.startswith(b">"):
        return fasta.read(whole, location)
    if start.startswith(b"LOCUS"):
        return genbank.read(whole, location)
    if b"\n>" in start:
        return fasta.read(whole, location)  # which names the line that stands before the first header
    line = 1 + blank + len(first) - len(start)
    raise InputError(f"{location}:{line}: neither FASTA ('>name') nor GenBank ('LOCUS'); check the file")
