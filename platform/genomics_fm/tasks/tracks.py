"""Windows of a genome with a label a track: which of many BED files covers their centre (as DeepSEA's, SPEC H7)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genomics_fm import randomness
from genomics_fm.errors import InputError, require
from genomics_fm.genome.bed import BedInterval, stream_bed
from genomics_fm.genome.records import Contig
from genomics_fm.tasks.labelled import Labelled
from genomics_fm.tasks.layout import PLAIN, Layout
from genomics_fm.tasks.places import Genome
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.read_table import origin, settled
from genomics_fm.tasks.rows import Rows

COVERED = 0.5
"""Share of a window's centre that a track's intervals cover at least, together, where its label is 1."""

_N = ord("N")
_COUNTS = ("windows", "with_n", "with_a_label", "without_a_label", "without_a_label_left_out")


@dataclass(frozen=True)
class Grid:
    """Where windows lie.

    Attributes:
        window_bp: length of a row's sequence.
        centre_bp: length of its middle, which decides its labels; the first centre begins at base 0.
        step_bp: from one centre to the next; less than `centre_bp` makes centres overlap.
    """

    window_bp: int = 1_000
    centre_bp: int = 200
    step_bp: int = 200

    def __post_init__(self) -> None:
        require(self.centre_bp >= 1, "centre_bp", self.centre_bp, "at least 1")
        require(self.step_bp >= 1, "step_bp", self.step_bp, "at least 1")
        flank = self.window_bp - self.centre_bp
        require(
            flank >= 0 and flank % 2 == 0, "window_bp", self.window_bp, "centre_bp and an even number of bases more"
        )

    def starts(self, length: int) -> NDArray[np.int64]:
        """Of the centres whose windows lie within a contig."""
        flank = (self.window_bp - self.centre_bp) // 2
        centres = np.arange(0, length, self.step_bp)
        return centres[(centres >= flank) & (centres + self.centre_bp + flank <= length)]


DEEPSEA = Grid()
"""Windows of 1,000 nt every 200, labelled by their middle 200."""


@dataclass
class _Found:
    """Windows while they are collected."""

    sequences: list[str] = field(default_factory=list)
    labels: list[NDArray[np.float32]] = field(default_factory=list)
    locus: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTS, 0))

    def count(self, name: str, number: int) -> None:
        self.counts[name] += int(number)


_Intervals = dict[str, list[BedInterval]]


def read_tracks(
    files: Mapping[str, str],
    genome: str,
    grid: Grid = DEEPSEA,
    seed: int = 0,
    layout: Layout = PLAIN,
) -> Labelled:
    """Windows on a grid, with the label 1 of every track that covers at least half of a window's centre.

    Kept are, of each contig that any track names, all windows with at least one label, and as many without, drawn by
    the seed (or all, where there are fewer). Windows that hold an N or reach past a contig's end are left out.

    Args:
        files: {name of a label: BED or narrowPeak file}; of labels in that order.
        genome: FASTA or GenBank.
        grid: of the windows.
        seed: of the draw.
        layout: `metric` and `conflicts` count; tracks have no strand.

    Raises:
        InputError: a line that is no interval, outside of its contig or on none of the genome's; a stranded layout;
            no window with a label.
    """
    if layout.stranded:
        raise InputError("tracks have no strand; leave --stranded away")
    tracks = [_read(location) for location in files.values()]
    sequences, found = Genome(genome), _Found()
    for contig in sequences.contigs():
        mine = [_of_contig(track, sequences, contig) for track in tracks]
        if any(mine):
            for location, intervals in zip(files.values(), mine, strict=True):
                _refuse_outside(location, contig, intervals)
            _collect(contig, mine, grid, randomness.key(seed, "windows without a label", contig.name), found)
    for location, track in zip(files.values(), tracks, strict=True):
        for name, left in track.items():
            raise sequences.no_contig(f"{location}:{left[0].line}", name)
    if not found.counts["with_a_label"]:
        raise InputError(f"{genome}: no window whose centre a track covers; give other tracks or a smaller centre")
    problem = Problem("multilabel", tuple(files), False, layout.metric)
    rows = Rows(found.sequences, np.concatenate(found.labels), found.locus, np.arange(len(found.sequences)))
    about = {
        **origin(*files.values()),
        "genome": {"file": Path(genome).name, "assembly_sha256": sequences.sha256},
        "counts": found.counts,
        "windows": {"window_bp": grid.window_bp, "centre_bp": grid.centre_bp, "step_bp": grid.step_bp, "seed": seed},
    }
    return settled(Labelled(rows, problem, about), layout)


def _read(location: str) -> _Intervals:
    """Intervals by contig."""
    found: _Intervals = {}
    for interval in stream_bed(location, {}):
        found.setdefault(interval.contig, []).append(interval)
    return found


def _of_contig(track: _Intervals, genome: Genome, contig: Contig) -> list[BedInterval]:
    """A track's intervals on a contig, taken out of it."""
    names = [name for name in track if genome.own_name(contig.name, name)]
    return [interval for name in names for interval in track.pop(name)]


def _refuse_outside(location: str, contig: Contig, intervals: list[BedInterval]) -> None:
    for interval in intervals:
        if interval.end > len(contig.sequence):
            raise InputError(
                f"{location}:{interval.line}: end {interval.end:,} lies past the end of {contig.name} "
                f"({len(contig.sequence):,} nt); give the genome it was made for"
            )


def covered(intervals: list[BedInterval], starts: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Bases of each [start, start + size) that lie in any interval; those in several count once."""
    if not intervals:
        return np.zeros(len(starts), np.int64)
    edges = np.array(sorted((interval.start, interval.end) for interval in intervals), np.int64)
    reach = np.maximum.accumulate(edges[:, 1])
    begins = np.append(True, edges[1:, 0] > reach[:-1])
    first, last = edges[begins, 0], reach[np.append(np.flatnonzero(begins)[1:] - 1, len(edges) - 1)]
    before = np.append(0, np.cumsum(last - first))

    def up_to(places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Covered bases left of each place."""
        number = np.searchsorted(first, places, "right")
        past = np.where(number > 0, np.maximum(0, last[number - 1] - places), 0)
        return before[number] - past

    return up_to(starts + size) - up_to(starts)


def _collect(contig: Contig, tracks: list[list[BedInterval]], grid: Grid, key: int, found: _Found) -> None:
    """Add the windows of a contig."""
    centres = grid.starts(len(contig.sequence))
    first = centres - (grid.window_bp - grid.centre_bp) // 2
    unknown = np.append(0, np.cumsum(np.frombuffer(contig.sequence.encode(), np.uint8) == _N, dtype=np.int32))
    known = unknown[first + grid.window_bp] == unknown[first]
    found.count("windows", len(centres))
    found.count("with_n", np.sum(~known))
    centres, first = centres[known], first[known]
    least = COVERED * grid.centre_bp
    labels = np.stack([covered(track, centres, grid.centre_bp) >= least for track in tracks], axis=1)
    some = labels.any(1)
    without = np.flatnonzero(~some)
    drawn = without[np.argsort(randomness.bits(key, len(without)), kind="stable")[: int(some.sum())]]
    kept = np.sort(np.append(np.flatnonzero(some), drawn))
    found.count("with_a_label", some.sum())
    found.count("without_a_label", len(drawn))
    found.count("without_a_label_left_out", len(without) - len(drawn))
    found.labels.append(labels[kept].astype(np.float32))
    for start in first[kept].tolist():
        found.sequences.append(contig.sequence[start : start + grid.window_bp])
        found.locus.append(f"{contig.name}:{start}-{start + grid.window_bp}:+")
