"""Find sequences in genomes, letter for letter and on both strands, and write where as BED (SPEC R9)."""

import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from genomics_fm.artefacts import ContentSum
from genomics_fm.errors import InputError, writing
from genomics_fm.genome.queries import STRANDS, Queries, Search, prepare
from genomics_fm.genome.reader import read_genome, stream_genome
from genomics_fm.genome.records import ContigStream, assembly_sum

PROGRESS_SECONDS = 5.0

_COMPRESSED = (".gz", ".bgz", ".xz", ".zst", ".zip")
_NO_SUM = "0" * 64

Report = Callable[[str, int, float], None]
"""Told the assembly, nucleotides searched and seconds."""


@dataclass(frozen=True)
class Located:
    """What came out of one assembly.

    Attributes:
        counts: of each query, how often it stands there, on both strands together.
        nucleotides: searched.
    """

    names: tuple[str, ...]
    counts: NDArray[np.int64]
    assembly: str
    assembly_sha256: str
    output: Path
    nucleotides: int
    seconds: float

    def __str__(self) -> str:
        """A line for people."""
        absent = [name for name, count in zip(self.names, self.counts.tolist(), strict=True) if not count]
        some = f" ({', '.join(absent[:3])}{', …' if len(absent) > 3 else ''})" if absent else ""
        return (
            f"{self.output}: {self.assembly}: {np.sum(self.counts > 0):,} of {len(self.names):,} sequences found, "
            f"{np.sum(self.counts > 1):,} of them more than once, {len(absent):,} not{some}; "
            f"{self.counts.sum():,} places in {self.nucleotides:,} nt, {self.seconds:.1f} s "
            f"({self.nucleotides / max(self.seconds, 1e-9) / 1e6:,.0f} MB/s)"
        )


def locate(
    sequences: str,
    genomes: Sequence[str],
    outputs: Sequence[str],
    assemblies: Sequence[str] = (),
    report: Report | None = None,
) -> Iterator[Located]:
    """Search genomes for all records of a file, one pass a genome, and write one BED6 file an assembly.

    Overlapping occurrences all count. A sequence that is its own reverse complement stands once a place, on +.
    N matches N alone. Lines are sorted by start within a contig, contigs as they come.

    Args:
        sequences: what to find; at least 15 nt each.
        genomes: files for `stream_genome`. With one output they are the files of one assembly, else each is one.
        outputs: BED files, one an assembly; written whole or not at all.
        assemblies: their names; without, that of the genome's file.
        report: called every few seconds.

    Raises:
        InputError: a file that cannot be trusted, or numbers of outputs and names that do not go together.
    """
    if len(outputs) not in (1, len(genomes)):
        raise InputError(f"{len(genomes)} genomes, {len(outputs)} outputs; give one for each, or one for all together")
    files = [list(genomes)] if len(outputs) == 1 else [[genome] for genome in genomes]
    if not assemblies:
        if any(len(group) > 1 for group in files):
            raise InputError(f"{len(genomes)} files of one assembly; name it with --assembly")
        assemblies = [stem(group[0]) for group in files]
    if len(assemblies) != len(outputs):
        raise InputError(f"{len(outputs)} outputs, {len(assemblies)} names of assemblies; give one for each")
    for assembly in assemblies:
        if not assembly.isprintable() or assembly != assembly.strip() or not assembly:
            raise InputError(f"assembly {assembly!r}: give a name without line ends or spaces around it")
    if repeated := {output for output in outputs if list(outputs).count(output) > 1}:
        raise InputError(f"{repeated.pop()}: given for two outputs; name another file")
    queries = prepare(read_genome(sequences))
    for group, assembly, output in zip(files, assemblies, outputs, strict=True):
        yield _locate(queries, group, assembly, Path(output), report)


def print_progress(assembly: str, nucleotides: int, seconds: float) -> None:
    """One line on stderr with the rate."""
    rate = nucleotides / max(seconds, 1e-9) / 1e6
    print(f"locate: {assembly}: {nucleotides:,} nt, {rate:,.0f} MB/s", file=sys.stderr, flush=True)


def stem(location: str) -> str:
    """The name of a file without folder, compression and kind: `a/b.1.fa.gz` is b.1."""
    name = location.rpartition("!")[2].rpartition("/")[2]
    for compressed in _COMPRESSED:
        name = name.removesuffix(compressed)
    return name.rpartition(".")[0] or name


def _locate(queries: Queries, files: list[str], assembly: str, output: Path, report: Report | None) -> Located:
    counts = np.zeros(len(queries.names), np.int64)
    letters = ContentSum()
    nucleotides, started = 0, time.monotonic()
    told = started
    temporary = output.with_name(f".{output.name}.{uuid.uuid4().hex}.tmp")  # two may write to one place
    head = f"# assembly: {assembly}\n# assembly_sha256: "
    try:
        with writing(output):
            output.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("w", encoding="utf-8") as bed:
                bed.write(f"{head}{_NO_SUM}\n")
                for contig in _contigs(files):
                    for chunk in _search(queries, contig, counts, bed):
                        nucleotides += chunk
                        if report and time.monotonic() - told >= PROGRESS_SECONDS:
                            told = time.monotonic()
                            report(assembly, nucleotides, told - started)
                    letters.merge(assembly_sum([(contig.name, contig.length, contig.sha256)]))
                bed.seek(len(head.encode()))
                bed.write(letters.hexdigest())
            temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)
    seconds = time.monotonic() - started
    return Located(queries.names, counts, assembly, letters.hexdigest(), output, nucleotides, seconds)


def _contigs(files: list[str]) -> Iterator[ContigStream]:
    """Contigs of an assembly, whose names must differ between its files too."""
    seen: dict[str, str] = {}
    for file in files:
        for contig in stream_genome(file):
            where = f"{contig.location}:{contig.line}"
            if contig.name in seen:
                raise InputError(
                    f"{where}: second record named {contig.name!r} (the first: {seen[contig.name]}); "
                    "give each file of the assembly once"
                )
            seen[contig.name] = where
            yield contig


def _search(queries: Queries, contig: ContigStream, counts: NDArray[np.int64], bed: IO[str]) -> Iterator[int]:
    """Search one contig and write its lines; yields the length of each chunk once it was searched."""
    search = Search(queries)
    found = []
    for chunk in contig.letters():
        found.append(search.take(chunk))
        yield len(chunk)
    found.append(search.finish())
    starts, targets = (np.concatenate(part) for part in zip(*found, strict=True))
    query, strand = queries.query[targets], queries.strand[targets]
    ends = starts + np.diff(queries.begins)[targets]
    counts += np.bincount(query, minlength=len(counts))
    order = np.lexsort((strand, query, ends, starts))
    columns = (column[order].tolist() for column in (starts, ends, query, strand))
    bed.writelines(
        f"{contig.name}\t{start}\t{end}\t{queries.names[number]}\t0\t{STRANDS[side]}\n"
        for start, end, number, side in zip(*columns, strict=True)
    )
