"""Cutting contigs into overlapping windows (SPEC A3, R1), as their letters stream by.

Coordinates are 0-based half-open, on the forward strand.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from genomics_fm.errors import InputError, require

EXCLUDED = b"X"
"""What stands in a stream of letters where a base is excluded (R9); a contig is cut there."""
_RUN = re.compile(b"N+|%s+" % EXCLUDED)


@dataclass(frozen=True)
class Recipe:
    """How contigs become windows; stored in the manifest.

    Attributes:
        window_bp: length of a window.
        overlap_bp: bases that two neighbouring windows share.
        split_n_run_bp: a contig is cut at runs of at least this many N.
        min_piece_bp: shorter pieces are dropped and counted.
        min_contig_bp: shorter contigs are dropped and counted (SPEC A5).
        rows_per_block: an Arrow block is full from this many rows on.
    """

    window_bp: int = 131_072
    overlap_bp: int = 100
    split_n_run_bp: int = 50
    min_piece_bp: int = 70
    min_contig_bp: int = 10_000
    rows_per_block: int = 512

    def __post_init__(self) -> None:
        if not 0 <= 2 * self.overlap_bp <= self.window_bp:
            raise InputError(f"overlap_bp {self.overlap_bp}: give 0 to half of window_bp {self.window_bp}")
        for name in ("window_bp", "split_n_run_bp", "min_piece_bp", "min_contig_bp", "rows_per_block"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")


@dataclass(frozen=True)
class Cut:
    """A window.

    Attributes:
        start: of its first base on the contig.
        letters: upper-case A C G T N.
        overlap: how many of its first bases the window before it holds too.
    """

    start: int
    letters: bytes
    overlap: int

    @property
    def end(self) -> int:
        return self.start + len(self.letters)


class Cutter:
    """Cuts one contig after the other and counts, in nucleotides, what it keeps and why it drops the rest."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.counts: Counter[str] = Counter()
        self._n_run = b"N" * recipe.split_n_run_bp

    def cut(self, letters: Iterable[bytes]) -> Iterator[Cut]:
        """Windows of a contig, in order; no more of it is held than a chunk and a window.

        Neighbours within a piece share exactly `overlap_bp`; the last window of a piece may be shorter.

        Args:
            letters: the contig in chunks, upper-case A C G T N, and `EXCLUDED` for what must not come out.
        """
        chunks = iter(letters)
        first = self._long_enough(chunks)
        if first is None:
            return
        place = 0
        piece = _Piece(0)
        for text, ends_piece in self._parts(_chain(first, chunks)):
            if not ends_piece:
                piece.append(text)
                yield from piece.full(self.recipe)
                place += len(text)
                continue
            yield from self._close(piece)
            self.counts[f"dropped_nt: {'excluded' if text[:1] == EXCLUDED else 'run of N'}"] += len(text)
            place += len(text)
            piece = _Piece(place)
        yield from self._close(piece)

    def _long_enough(self, chunks: Iterator[bytes]) -> bytes | None:
        """The contig's beginning, at least `min_contig_bp` long; None when there is not so much."""
        head = b""
        for chunk in chunks:
            head += chunk
            if len(head) >= self.recipe.min_contig_bp:
                return head
        reason = f"contig shorter than {self.recipe.min_contig_bp:,}"
        self.counts[f"dropped_contigs: {reason}"] += 1
        self.counts[f"dropped_nt: {reason}"] += len(head)
        return None

    def _parts(self, chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
        """Stretches of letters (False) and of separators (True); a separator may come in several parts."""
        carried = b""  # N at a chunk's end: whether they cut is known with the next chunk
        cutting = False  # the last thing seen was a run of N long enough to cut, which may go on
        for chunk in chunks:
            text = carried + chunk
            begin = 0
            if cutting and (begin := len(text) - len(text.lstrip(b"N"))):
                yield text[:begin], True
            for start, end in self._separators(text, begin):
                if start > begin:
                    yield text[begin:start], False
                yield text[start:end], True
                begin = end
            kept = text[begin:].rstrip(b"N")
            if kept:
                yield kept, False
            carried = text[begin + len(kept) :]
            cutting = not carried and not kept and ((begin == 0 and cutting) or text.endswith(b"N"))
        if carried:
            yield carried, False

    def _separators(self, text: bytes, begin: int) -> Iterator[tuple[int, int]]:
        """Where the contig is cut; `find` is ten times as fast as a regular expression with both in it."""
        places = {mark: text.find(mark, begin) for mark in (self._n_run, EXCLUDED)}
        while found := {mark: place for mark, place in places.items() if place >= 0}:
            start = min(found.values())
            run = _RUN.match(text, start)
            end = run.end() if run else start + 1
            yield start, end
            places = {mark: place if place >= end else text.find(mark, end) for mark, place in found.items()}

    def _close(self, piece: "_Piece") -> Iterator[Cut]:
        """What is left of a piece: its last window, or nothing when it is too short."""
        if piece.length < self.recipe.min_piece_bp:
            self.counts["dropped_nt: piece shorter than minimum"] += piece.length
            return
        self.counts["nucleotides_kept"] += piece.length
        yield piece.rest()


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


class _Piece:
    """A stretch without separators, of which windows have been given out up to `_start`."""

    def __init__(self, start: int) -> None:
        self.length = 0
        self._start = start
        self._overlap = 0
        self._held: list[bytes] = []
        self._held_bp = 0

    def append(self, text: bytes) -> None:
        self._held.append(text)
        self._held_bp += len(text)
        self.length += len(text)

    def full(self, recipe: Recipe) -> Iterator[Cut]:
        """The windows that are whole and not the piece's last."""
        if self._held_bp <= recipe.window_bp:
            return
        text, begin = b"".join(self._held), 0
        step = recipe.window_bp - recipe.overlap_bp
        while len(text) - begin > recipe.window_bp:
            yield Cut(self._start, text[begin : begin + recipe.window_bp], self._overlap)
            self._start += step
            self._overlap = recipe.overlap_bp
            begin += step
        self._held = [text[begin:]]
        self._held_bp = len(text) - begin

    def rest(self) -> Cut:
        return Cut(self._start, b"".join(self._held), self._overlap)
