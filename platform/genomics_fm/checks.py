"""What `genomics-fm check` does with a file: tells its kind, reads it strictly, and says what is in it."""

import json
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from genomics_fm.errors import GenomicsFmError, InputError
from genomics_fm.genome import source
from genomics_fm.genome.bed import BedInterval, stream_bed
from genomics_fm.genome.reader import stream_genome
from genomics_fm.genome.records import assembly_sum

if TYPE_CHECKING:
    from genomics_fm.tasks.layout import Layout
    from genomics_fm.tasks.read_data import Data

PROGRESS_SECONDS = 2.0

_GENOME, _VARIANTS, _BED, _SOURCES, _TABLE = "genome", "variants", "BED", "source list", "table of labels"
_HEAD_BYTES = 1 << 14
_NAMES_SHOWN = 3
_COMPRESSED = (".gz", ".bgz", ".bgzf", ".xz", ".zst")
_SUFFIXES = {
    **dict.fromkeys((".vcf", ".bcf"), _VARIANTS),
    **dict.fromkeys((".bed", ".narrowpeak", ".broadpeak"), _BED),
    **dict.fromkeys((".tsv", ".yaml", ".yml"), _SOURCES),
    **dict.fromkeys((".csv", ".parquet"), _TABLE),
}
_BEGINNINGS = {b">": _GENOME, b"LOCUS": _GENOME, b"##fileformat=VCF": _VARIANTS, b"BCF": _VARIANTS, b"PAR1": _TABLE}
_SOURCE_COLUMNS = {b"location", b"species"}
_CONTIG = b"#chrom"  # begins the header of tables that were made of BED; no comment


class Progress:
    """A line on stderr every few seconds of a long check, with the rate."""

    def __init__(self, location: str, unit: str):
        self.location, self.unit = location, unit
        self.done = 0
        self._begun = self._said = time.monotonic()

    def add(self, amount: int) -> None:
        """Count what was read."""
        self.done += amount
        now = time.monotonic()
        if now - self._said >= PROGRESS_SECONDS:
            self._said = now
            rate = self.done / (now - self._begun)
            print(f"check: {self.location}: {self.done:,} {self.unit}, {rate:,.0f}/s", file=sys.stderr, flush=True)


@dataclass
class Genome:
    """What other files are compared with, read when the first of them needs it.

    Attributes:
        location: what `stream_genome` takes.
        lengths: by contig; empty before `load`.
        sha256: of the assembly.
    """

    location: str
    lengths: dict[str, int] = field(default_factory=dict)
    sha256: str = ""

    def load(self) -> None:
        if self.lengths:
            return
        found = []
        progress = Progress(self.location, "nt")
        for contig in stream_genome(self.location):
            for letters in contig.letters():
                progress.add(len(letters))
            found.append((contig.name, contig.length, contig.sha256))
        self.lengths = {name: length for name, length, _ in found}
        self.sha256 = assembly_sum(found).hexdigest()


def check_files(
    locations: Sequence[str],
    genome: str | None,
    debug: bool = False,
    layout: "Layout | None" = None,
    as_json: bool = False,
) -> int:
    """Check one file after the other; what is in them goes to stdout, what is wrong to stderr.

    Args:
        locations: the files.
        genome: the genome that VCF and BED files belong to.
        debug: whether to show tracebacks.
        layout: of tables of labels; the plain one otherwise.
        as_json: a line of JSON a file on stdout: `file`, `ok`, and what was found or the error.

    Returns:
        The exit code: 0, or that of the first error.
    """
    belongs_to = Genome(genome) if genome else None
    looks = [(location, partial(examine, location, belongs_to, layout)) for location in locations]
    codes = [_check(location, look, debug, as_json) for location, look in looks]
    return next(filter(None, codes), 0)


def check_data(data: "Data", debug: bool = False, as_json: bool = False) -> int:
    """Check files that are labelled rows together, as `check_files` does one by one."""
    from genomics_fm.tasks import check, read_data

    name = data.files[0] if len(data.files) == 1 else f"{len(data.files)} files"
    return _check(name, lambda: check.summary(read_data.read(data)), debug, as_json)


def _check(name: str, look: Callable[[], dict[str, Any]], debug: bool, as_json: bool) -> int:
    try:
        found = look()
    except GenomicsFmError as error:
        if debug:
            traceback.print_exc()
        if as_json:
            print(json.dumps({"file": name, "ok": False, "error": str(error)}), flush=True)
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    print(json.dumps({"file": name, "ok": True} | found) if as_json else f"{name}: {_said(found)}", flush=True)
    return 0


def _said(found: dict[str, Any]) -> str:
    if "text" in found:
        return str(found["text"])
    from genomics_fm.tasks import check

    return check.text(found)


def describe(location: str, genome: Genome | None = None, layout: "Layout | None" = None) -> str:
    """What is in a file, for people; raises as `examine`."""
    return _said(examine(location, genome, layout))


def examine(location: str, genome: Genome | None = None, layout: "Layout | None" = None) -> dict[str, Any]:
    """What is in a file, which is then read to its end: `text`, or `tasks.check.summary` of a table of labels.

    Raises:
        InputError: the file cannot be trusted, or does not belong to the genome.
        EnvironmentFault: something it needs is not installed.
    """
    kind = _kind(location, layout)
    if kind == _TABLE:
        from genomics_fm.tasks import check
        from genomics_fm.tasks.layout import PLAIN
        from genomics_fm.tasks.read_table import read_table

        return check.summary(read_table(location, layout or PLAIN, genome.location if genome else None))
    if kind == _VARIANTS:
        from genomics_fm.genome import variants

        return {"text": _without(location, variants.summarise(location, genome.location if genome else None))}
    if kind == _SOURCES:
        from genomics_fm.corpus import sources

        return {"text": _without(location, sources.summarise(location))}
    return {"text": _describe_bed(location, genome) if kind == _BED else _describe_genome(location)}


def _without(location: str, text: str) -> str:
    return text.removeprefix(f"{location}: ")


def _kind(location: str, layout: "Layout | None" = None) -> str:
    """By content where that is plain, else by the file's name, else by the look of the first lines."""
    if location.startswith(source.PACKAGE):
        return _GENOME
    head = source.head(location, _HEAD_BYTES).lstrip()
    for beginning, kind in _BEGINNINGS.items():
        if head.startswith(beginning):
            return kind
    lines = [_fields(line) for line in head.splitlines() if line and not line.startswith((b"track", b"browser"))]
    if lines and lines[0][0] == _CONTIG and set(lines[0]) & _label_columns(layout):
        return _TABLE
    first = next((fields for fields in lines if not fields[0].startswith(b"#")), [b""])
    if set(first) & _label_columns(layout) and not set(first) >= _SOURCE_COLUMNS:
        return _TABLE
    name = location.lower()
    for suffix in _COMPRESSED:
        name = name.removesuffix(suffix)
    for suffix, kind in _SUFFIXES.items():
        if name.endswith(suffix):
            return kind
    if set(first) >= _SOURCE_COLUMNS:
        return _SOURCES
    return _BED if len(first) > 2 and first[1].isdigit() and first[2].isdigit() else _GENOME


def _fields(line: bytes) -> list[bytes]:
    return [field.strip(b' "') for field in line.replace(b",", b"\t").split(b"\t")]


def _label_columns(layout: "Layout | None") -> set[bytes]:
    """Columns that no other kind of file has."""
    return {name.encode() for name in ((layout.sequence, *layout.answers) if layout else ("sequence", "label"))}


def _describe_genome(location: str) -> str:
    counts: Counter[str] = Counter()
    found = []
    progress = Progress(location, "nt")
    for contig in stream_genome(location):
        for letters in contig.letters():
            counts["N"] += int(np.count_nonzero(np.frombuffer(letters, np.uint8) == ord("N")))
            progress.add(len(letters))
        found.append((contig.name, contig.length, contig.sha256))
        counts["soft_masked"] += contig.soft_masked
        counts["u_to_t"] += contig.u_to_t
        counts["iupac_to_n"] += contig.iupac_to_n
        counts["organelles"] += contig.organelle
    return (
        f"{len(found):,} records, {progress.done:,} nt, {counts['N']:,} N "
        f"({counts['iupac_to_n']:,} from ambiguity codes), {counts['soft_masked']:,} soft-masked, "
        f"{counts['u_to_t']:,} U read as T, {counts['organelles']:,} of organelles; "
        f"assembly_sha256: {assembly_sum(found).hexdigest()}"
    )


def _describe_bed(location: str, genome: Genome | None) -> str:
    if genome:
        genome.load()
    contigs: Counter[str] = Counter()
    header: dict[str, str] = {}
    progress = Progress(location, "intervals")
    for interval in stream_bed(location, header):
        if genome:
            _inside(location, interval, genome)
        contigs[interval.contig] += interval.end - interval.start
        progress.add(1)
    sha256 = header.get("assembly_sha256", "")
    if genome and sha256 not in ("", genome.sha256):
        raise InputError(
            f"{location}: its assembly_sha256 is {sha256}, that of {genome.location} is {genome.sha256}; "
            "give the genome it was made for"
        )
    return (
        f"{progress.done:,} intervals on {len(contigs):,} contigs, {contigs.total():,} nt, "
        f"assembly {header.get('assembly') or 'not named'}"
    )


def _inside(location: str, interval: BedInterval, genome: Genome) -> None:
    where = f"{location}:{interval.line}"
    length = genome.lengths.get(interval.contig)
    if length is None:
        names = ", ".join([*list(genome.lengths)[:_NAMES_SHOWN], *["…"] * (len(genome.lengths) > _NAMES_SHOWN)])
        raise InputError(
            f"{where}: no contig {interval.contig!r} in {genome.location}, which has {names}; use the genome's names"
        )
    if interval.end > length:
        raise InputError(
            f"{where}: end {interval.end:,} lies past the end of {interval.contig} ({length:,} nt in "
            f"{genome.location}); give the genome it was made for"
        )
