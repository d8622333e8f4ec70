"""Read any genome file: FASTA or GenBank, told apart by what is in it."""

from collections.abc import Iterator

from genomics_fm.errors import InputError
from genomics_fm.genome import alphabet, fasta, genbank, source
from genomics_fm.genome.records import Contig, ContigStream
from genomics_fm.genome.scanner import END, Scanner


def stream_genome(location: str) -> Iterator[ContigStream]:
    """Stream the contigs of a genome, strictly, in memory that does not grow with a contig.

    Args:
        location: a FASTA or GenBank file, plain or compressed (gzip, block gzip, xz, zstd); or
            `package:NAME/FILE.zip!MEMBER` inside an installed data package, whose code is never imported
            (without `!MEMBER`: all its `.gb` files).

    Yields:
        Contigs in file order, with distinct names. Asking for the next one reads the last to its end.

    Raises:
        InputError: the file cannot be trusted; `file:line:column: what; what to do`. It may come after a
            contig's letters were given, so nothing of a file counts before its end was reached.
        EnvironmentFault: the data package is not installed.
    """
    seen: dict[str, str | int] = {}
    files = source.expand(location)
    for file in files:
        for contig in _read_one(file):
            where: str | int = contig.line if len(files) == 1 else f"{file}:{contig.line}"
            if contig.name in seen:
                first = seen[contig.name]
                raise InputError(
                    f"{file}:{contig.line}: second record named {alphabet.clipped(contig.name)!r} "
                    f"(the first: {first if len(files) > 1 else f'{file}:{first}'}); rename or remove one"
                )
            seen[contig.name] = where
            yield contig


def read_genome(location: str) -> Iterator[Contig]:
    """As `stream_genome`, with one whole contig in memory at a time."""
    for stream in stream_genome(location):
        sequence = b"".join(stream.letters()).decode("ascii")
        yield Contig(
            name=stream.name,
            sequence=sequence,
            location=stream.location,
            line=stream.line,
            chromosome=stream.chromosome,
            organism=stream.organism,
            organelle=stream.organelle,
            features=stream.features,
            soft_masked=stream.soft_masked,
            u_to_t=stream.u_to_t,
            iupac_to_n=stream.iupac_to_n,
        )


def _read_one(location: str) -> Iterator[ContigStream]:
    text = Scanner(location)
    text.skip_blank_lines()
    readers = {ord(">"): fasta.read, ord("L"): genbank.read}
    first = text.peek()
    if first == END:
        raise InputError(f"{location}:1: the file holds only blank lines; give a FASTA or GenBank file")
    if first not in readers:
        raise text.error("text before the first '>name' (FASTA) or LOCUS line (GenBank); check the file", column=1)
    return readers[first](text)
