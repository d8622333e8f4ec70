"""Cutting contigs into overlapping windows (SPEC A3, R1). Coordinates are 0-based half-open, forward strand."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from genomics_fm.errors import InputError


@dataclass(frozen=True)
class Recipe:
    """How contigs become windows; stored in the manifest.

    Attributes:
        window_bp: length of a window.
        overlap_bp: bases that two neighbouring windows share.
        split_n_run_bp: a contig is cut at runs of at least this many N.
        min_piece_bp: shorter pieces are dropped and counted.
        rows_per_block: windows in one Arrow block.
    """

    window_bp: int = 131_072
    overlap_bp: int = 100
    split_n_run_bp: int = 50
    min_piece_bp: int = 70
    rows_per_block: int = 512

    def __post_init__(self) -> None:
        if not 0 <= 2 * self.overlap_bp <= self.window_bp:
            raise InputError(f"overlap_bp {self.overlap_bp}: give 0 to half of window_bp {self.window_bp}")
        for name in ("window_bp", "split_n_run_bp", "min_piece_bp", "rows_per_block"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)}: give at least 1")


def pieces(sequence: str, recipe: Recipe) -> Iterator[tuple[int, int]]:
    """Intervals between runs of ≥ `split_n_run_bp` N, empty ones left out; short ones included."""
    start = 0
    for run in re.finditer(f"N{{{recipe.split_n_run_bp},}}", sequence):
        if run.start() > start:
            yield start, run.start()
        start = run.end()
    if start < len(sequence):
        yield start, len(sequence)


def windows(start: int, end: int, recipe: Recipe) -> Iterator[tuple[int, int]]:
    """Windows that cover [start, end), neighbours sharing exactly `overlap_bp`; the last may be shorter."""
    while True:
        stop = min(start + recipe.window_bp, end)
        yield start, stop
        if stop == end:
            return
        start = stop - recipe.overlap_bp
