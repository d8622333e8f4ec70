"""Peaks of a genome against its background: for each peak one stretch like it that no peak overlaps (SPEC U15, L6)."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from genomics_fm import randomness
from genomics_fm.errors import InputError
from genomics_fm.genome.bed import BedInterval, stream_bed
from genomics_fm.genome.records import Contig
from genomics_fm.tasks.background import letters_of, matches
from genomics_fm.tasks.labelled import Labelled
from genomics_fm.tasks.layout import PLAIN, Layout
from genomics_fm.tasks.places import Genome
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.read_table import origin, settled, taken
from genomics_fm.tasks.repeats import repeats
from genomics_fm.tasks.rows import Rows

CLASSES = ("background", "peak")


@dataclass
class _Pairs:
    """Peaks and their matches, while they are collected."""

    sequences: list[str] = field(default_factory=list)
    locus: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, contig: Contig, start: int, end: int) -> None:
        self.sequences.append(contig.sequence[start:end])
        self.locus.append(f"{contig.name}:{start}-{end}:+")


def read_peaks(
    location: str, genome: str, seed: int = 0, window_bp: int | None = None, layout: Layout = PLAIN
) -> Labelled:
    """Rows of class "peak" from a BED or narrowPeak file, and as many of class "background" drawn from the genome.

    Each background stretch lies on its peak's contig, is as long, differs in GC by less than 1 % of the length,
    holds no N, and overlaps neither a peak nor another background stretch. A peak without such a match, with an N, or
    that stands in the file before, is left out and counted (`without_match`, `with_n`, `repeated`); so are pairs with
    a sequence that is a peak here and background there, as in a repeat (`pairs_contradicting`). Classes are equal.
    The two of a pair stand one after the other.

    Args:
        location: of the peaks.
        genome: FASTA or GenBank.
        seed: of the draw.
        window_bp: length of every row, around the middle of its peak; the whole peaks otherwise.
        layout: `metric` and `conflicts` count; peaks have no strand.

    Raises:
        InputError: a line that is no interval, outside of its contig or on none of the genome's; a stranded layout;
            no peak with a match.
    """
    if layout.stranded:
        raise InputError(f"{location}: peaks have no strand; leave --stranded away")
    intervals: dict[str, list[BedInterval]] = {}
    for interval in stream_bed(location, {}):
        intervals.setdefault(interval.contig, []).append(interval)
    if not intervals:
        raise InputError(f"{location}: no intervals; give a BED file with some")
    pairs, sequences = _Pairs(), Genome(genome)
    for contig in sequences.contigs():
        names = [name for name in intervals if sequences.own_name(contig.name, name)]
        if peaks := [peak for name in names for peak in intervals.pop(name)]:
            _pair(location, contig, peaks, window_bp, seed, pairs)
    for name, left in intervals.items():
        raise sequences.no_contig(f"{location}:{left[0].line}", name)
    if not pairs.sequences:
        raise InputError(
            f"{location}: no peak with a match in {genome} ({_said(pairs.counts)}); give a genome with more background"
        )
    problem = Problem("classification", CLASSES, False, layout.metric)
    labels = np.arange(len(pairs.sequences), dtype=np.int64) % 2
    rows = Rows(pairs.sequences, labels, pairs.locus, np.arange(len(labels)))
    about = {
        **origin(location),
        "genome": {"file": Path(genome).name, "assembly_sha256": sequences.sha256},
        "counts": dict(pairs.counts),
        "background": {"seed": seed, "window_bp": window_bp},
    }
    whole = Labelled(rows, problem, about)
    return settled(_without_contradictions(whole) if layout.conflicts == "drop" else whole, layout)


def _without_contradictions(labelled: Labelled) -> Labelled:
    """Pairs of whose rows none contradicts another, so that classes stay equal."""
    wrong = repeats(labelled.rows.sequences, labelled.rows.labels, labelled.problem).conflicting
    pairs = wrong.reshape(-1, 2).any(1)
    labelled.about["counts"]["pairs_contradicting"] = int(pairs.sum())
    return taken(labelled, np.flatnonzero(np.repeat(~pairs, 2)))


def _said(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in counts.items())


def _pair(
    location: str, contig: Contig, peaks: list[BedInterval], window_bp: int | None, seed: int, pairs: _Pairs
) -> None:
    """Add the peaks of a contig that have a match, each after its match."""
    length = len(contig.sequence)
    for peak in peaks:
        if peak.end > length:
            raise InputError(
                f"{location}:{peak.line}: end {peak.end:,} lies past the end of {contig.name} ({length:,} nt); "
                "give the genome it was made for"
            )
    whole = sorted({(peak.start, peak.end) for peak in peaks})
    windows = sorted({_window(start, end, window_bp) for start, end in whole})
    inside = [(start, end) for start, end in windows if start >= 0 and end <= length]
    known = [(start, end) for start, end in inside if "N" not in contig.sequence[start:end]]
    key = randomness.key(seed, "background of peaks", contig.name)
    found = matches(letters_of(contig.sequence, [*whole, *windows]), known, key)
    for (start, end), match in zip(known, found, strict=True):
        if match >= 0:
            pairs.add(contig, match, match + end - start)
            pairs.add(contig, start, end)
    pairs.counts.update(
        peaks=len(peaks),
        repeated=len(peaks) - len(windows),
        past_an_end=len(windows) - len(inside),
        with_n=len(inside) - len(known),
        without_match=found.count(-1),
    )


def _window(start: int, end: int, window_bp: int | None) -> tuple[int, int]:
    """The stretch of a row: the peak, or so many bases around its middle."""
    if window_bp is None:
        return start, end
    first = (start + end - window_bp) // 2
    return first, first + window_bp
