"""What must not enter a corpus: intervals of an assembly, and sequences wherever they occur (SPEC R9).

Excluded nucleotides become X, at which windows are cut; nothing moves, so coordinates stay those of the genome.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomics_fm.artefacts import sha256_bytes, sha256_json
from genomics_fm.corpus.places import K, Places, Span
from genomics_fm.corpus.windows import EXCLUDED
from genomics_fm.errors import InputError, require
from genomics_fm.genome.bed import Bed, read_bed
from genomics_fm.genome.kmers import NO_KMER, Table, canonical, table
from genomics_fm.genome.reader import read_genome

MARGIN_BP = 2300
"""The longest segment of pretraining: none of them reaches from what is kept into what is excluded."""
MAXIMUM_PLACE_BP = 2300
"""Long excluded sequences are recognised piece by piece, each no longer than a segment of pretraining."""
BY_INTERVAL = "excluded_nt: interval"
BY_SEQUENCE = "excluded_nt: sequence"
PLACES = "excluded_places: sequence"

_SUM_CURE = "make it with `genomics-fm locate`, or write what `genomics-fm check GENOME` prints"


@dataclass
class _Regions:
    """What BED files exclude of one assembly.

    Attributes:
        sums: `file` and the assembly_sha256 it names.
        spans: by contig, intervals with their margins, merged and ascending; ends may lie past the contig's end.
        last: by contig, the greatest end of an interval without margin, and its `file:line`.
    """

    sums: list[tuple[str, str]] = field(default_factory=list)
    spans: dict[str, list[Span]] = field(default_factory=dict)
    last: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, location: str, bed: Bed, margin_bp: int) -> None:
        self.sums.append((location, bed.assembly_sha256))
        for interval in bed.intervals:
            span = max(0, interval.start - margin_bp), interval.end + margin_bp
            self.spans.setdefault(interval.contig, []).append(span)
            here = interval.end, f"{location}:{interval.line}"
            self.last[interval.contig] = max(self.last.get(interval.contig, here), here)
        self.spans = {contig: _merged(spans) for contig, spans in self.spans.items()}


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


@dataclass(frozen=True)
class Exclusion:
    """What is excluded, read once; make one with `load`.

    Attributes:
        regions: by assembly.
        wanted: canonical 31-mers of the excluded sequences; None when there are none.
        place_bp: length of a place: that of the shortest excluded sequence, at most MAXIMUM_PLACE_BP.
    """

    regions: Mapping[str, _Regions]
    wanted: Table | None
    place_bp: int

    @classmethod
    def load(cls, beds: Sequence[str], sequences: Sequence[str], margin_bp: int = MARGIN_BP) -> "Exclusion":
        """Read BED files and FASTA files of excluded sequences.

        Args:
            beds: each names its assembly and the assembly's sum in header lines.
            sequences: files for `read_genome`. A *place* is any stretch as long as the shortest sequence (at
                most MAXIMUM_PLACE_BP); it is excluded where more than half of its 31-mers, on either strand, are
                31-mers of these sequences. N breaks 31-mers on both sides.
            margin_bp: excluded on both sides of an interval; sequences have none.

        Raises:
            InputError: a file that cannot be trusted, a BED without its header, a sequence too short or too
                broken by N to be recognised.
        """
        require(margin_bp >= 0, "margin_bp", margin_bp, "0 or more")
        regions: dict[str, _Regions] = {}
        for location in beds:
            bed = read_bed(location)
            if not bed.assembly or not bed.assembly_sha256:
                raise InputError(f"{location}:1: no '# assembly: NAME' and '# assembly_sha256: HEX' lines; {_SUM_CURE}")
            regions.setdefault(bed.assembly, _Regions()).add(location, bed, margin_bp)
        if not sequences:
            return cls(regions, None, 0)
        shortest, kmers = MAXIMUM_PLACE_BP, []
        for location in sequences:
            for length, found in _kmers_of(location):
                shortest = min(shortest, length)
                kmers.append(found)
        return cls(regions, table(np.concatenate(kmers)), shortest)

    def identity(self) -> dict[str, Any]:
        """What a corpus built with it depends on, as JSON: contents, no paths."""
        return {
            "intervals": {
                assembly: {"assembly_sha256": sorted({s for _, s in one.sums}), "spans": sha256_json(one.spans)}
                for assembly, one in sorted(self.regions.items())
            },
            "sequences": {
                "k": K,
                "place_bp": self.place_bp,
                "kmers": sha256_bytes(self.wanted.kmers.astype("<u8").tobytes()) if self.wanted else "",
            },
        }

    def of(self, assembly: str) -> "Masker":
        """A masker for the contigs of one assembly, or of one of its files."""
        return Masker(self, assembly)

    def unused(self, assemblies: Collection[str]) -> None:
        """Refuse a BED whose assembly is none of `assemblies`."""
        for assembly, regions in self.regions.items():
            if assembly not in assemblies:
                known = ", ".join(sorted(filter(None, assemblies))[:10]) or "none that is named"
                raise InputError(
                    f"{regions.sums[0][0]}: assembly {assembly!r} is in no source (they have {known}); "
                    "correct its '# assembly:' line or the source list"
                )

    def check(self, assembly: str, assembly_sha256: str, seen: Collection[str]) -> None:
        """Refuse BEDs of this assembly that were made for other letters, or name a contig it does not have.

        Args:
            assembly: its name.
            assembly_sha256: of all its files together.
            seen: `Masker.seen` of all its files together.
        """
        regions = self.regions.get(assembly, _Regions())
        for location, named in regions.sums:
            if named != assembly_sha256:
                raise InputError(
                    f"{location}: made for an {assembly} with assembly_sha256 {named}, but the source has "
                    f"{assembly_sha256}; {_SUM_CURE}"
                )
        for contig, (_, where) in regions.last.items():
            if contig not in seen:
                raise InputError(
                    f"{where}: {assembly} has no contig {contig!r}; "
                    "use the genome's own names, as `genomics-fm locate` does"
                )


def _kmers_of(location: str) -> Iterator[tuple[int, NDArray[np.uint64]]]:
    """Length and canonical 31-mers of each record."""
    for record in read_genome(location):
        where, length = f"{location}:{record.line}", len(record.sequence)
        if length < K:
            raise InputError(
                f"{where}: {record.name!r} has {length} nt, too few to be recognised; give at least {K}, "
                "or exclude its intervals (`genomics-fm locate`)"
            )
        kmers = canonical(record.sequence.encode(), K)
        kmers = kmers[kmers != NO_KMER]
        if 2 * len(kmers) <= length - K + 1:
            raise InputError(f"{where}: N breaks half of the {K}-mers of {record.name!r}; cut it at its N")
        yield length, kmers


class Masker:
    """Masks the contigs of one assembly.

    Attributes:
        counts: nucleotides (N among them) by reason; one excluded by both counts as interval. "excluded_places"
            counts maximal runs of places that touch or overlap, wherever intervals lie.
        seen: contigs met that have excluded intervals.
    """

    def __init__(self, exclusion: Exclusion, assembly: str) -> None:
        self.counts: Counter[str] = Counter()
        self.seen: set[str] = set()
        self._exclusion = exclusion
        self._assembly = assembly
        self._regions = exclusion.regions.get(assembly, _Regions())

    def mask(self, contig: str, letters: Iterable[bytes]) -> Iterator[bytes]:
        """The same letters, X for those that are excluded.

        Args:
            contig: its name.
            letters: chunks of ACGTN of any size. A letter is passed on once no later one can exclude it; so up
                to a place's length stays behind.

        Raises:
            InputError: an interval ends past the contig's end; after all letters were given.
        """
        self.meet(contig)
        regions, wanted = self._regions, self._exclusion.wanted
        by_interval = deque(regions.spans.get(contig, ()))
        places = Places(wanted, self._exclusion.place_bp) if wanted else None
        held, start = b"", 0
        for chunk in letters:
            held = held + chunk if held else chunk
            ready = len(held)
            if places:
                places.take(chunk)
                ready -= self._exclusion.place_bp - 1
            if ready > 0:
                yield self._masked(held[:ready], start, by_interval, places)
                held, start = held[ready:], start + ready
        if places:
            places.finish()
            self.counts[PLACES] += places.count
        if held:
            yield self._masked(held, start, by_interval, places)
        length = start + len(held)
        end, where = regions.last.get(contig, (0, ""))
        if end > length:
            raise InputError(
                f"{where}: ends at {end:,}, past the end of {contig} ({length:,} nt); "
                "is the BED of this assembly, 0-based and half-open?"
            )

    def meet(self, contig: str) -> None:
        """Take note of a contig of the assembly; for one that is not masked because all of it is left out."""
        if contig in self._regions.spans:
            self.seen.add(contig)

    def finish(self, assembly_sha256: str) -> None:
        """`Exclusion.check`, for an assembly that is a single file."""
        self._exclusion.check(self._assembly, assembly_sha256, self.seen)

    def _masked(self, letters: bytes, start: int, by_interval: deque[Span], places: Places | None) -> bytes:
        sources = [(BY_INTERVAL, by_interval), (BY_SEQUENCE, places.spans if places else deque())]
        if not any(spans and spans[0][0] < start + len(letters) for _, spans in sources):
            return letters
        masked = bytearray(letters)
        for reason, spans in sources:
            for first, last in _within(spans, start, start + len(letters)):
                self.counts[reason] += last - first - masked.count(EXCLUDED, first, last)
                masked[first:last] = EXCLUDED * (last - first)
        return bytes(masked)


def _within(spans: deque[Span], start: int, end: int) -> Iterator[Span]:
    """What of ascending spans lies in [start, end), relative to start; those that end there are taken away."""
    while spans and spans[0][0] < end:
        yield max(spans[0][0], start) - start, min(spans[0][1], end) - start
        if spans[0][1] > end:
            return
        spans.popleft()
