"""Streams of packed rows whose content is a function of (seed, stream, row) alone (R2, R3, R5).

A stream owns a fixed share of every epoch's windows, for each vocabulary apart. It keeps a few windows open,
takes their segments in turn, tokenises them, and packs the documents into rows of a fixed number of slots.
Its state is a few integers a window; restoring it gives the rows that would have followed.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import InputError, require
from genomics_fm.pretraining.masking import (
    IGNORE_INDEX,
    MaskingConfig,
    apply_mask,
    single_selection,
    span_selection,
)
from genomics_fm.pretraining.segments import MAX_N_SHARE, MIN_SEGMENT_BP, PUBLISHED_MAX_BP, Segment, cut, text
from genomics_fm.randomness import key, permuted
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.kmer import KmerVocabulary

MAX_OPEN_WINDOWS = 16
MIN_ROW_TOKENS = 8


@dataclass(frozen=True)
class StreamConfig:
    """What the rows are made of.

    Attributes:
        seed: of all draws.
        streams: S of R5; part of the order, so fixed for a run.
        row_tokens: slots in a row.
        pending: documents a stream holds back to fill rows well.
        cycle: vocabularies of successive rows; [] is every vocabulary once.
        max_segment_bp: longest segment by vocabulary.
        masking: what is hidden.
    """

    seed: int = 0
    streams: int = 8
    row_tokens: int = 1024
    pending: int = 16
    cycle: tuple[str, ...] = ()
    max_segment_bp: dict[str, int] = field(default_factory=lambda: dict(PUBLISHED_MAX_BP))
    masking: MaskingConfig = field(default_factory=MaskingConfig)

    def __post_init__(self) -> None:
        for name, least in (("streams", 1), ("row_tokens", MIN_ROW_TOKENS), ("pending", 1)):
            require(getattr(self, name) >= least, name, getattr(self, name), f"at least {least}")


@dataclass(frozen=True)
class Row:
    """A packed row.

    Attributes:
        vocabulary: of all its documents.
        ids_N: shown token ids, N ≤ row_tokens.
        labels_N: token to predict, or IGNORE_INDEX.
        lengths: tokens of each document.
        segments: where each document comes from.
    """

    vocabulary: str
    ids_N: np.ndarray
    labels_N: np.ndarray
    lengths: list[int]
    segments: list[Segment]


@dataclass
class _Open:
    """A window that is being cut, as it stands in a stream's state."""

    epoch: int
    window: int
    carried: int | None
    taken: int = 0


@dataclass
class _Lane:
    """One vocabulary's walk through the corpus in one stream."""

    epoch: int = 0
    position: int = 0
    carried: int | None = None
    turn: int = 0
    dropped_segments: int = 0
    open: list[_Open] = field(default_factory=list)
    pending: list[Segment] = field(default_factory=list)


class Stream:
    """Rows of one stream, one after the other."""

    def __init__(self, corpus: Corpus, vocabulary: Ensemble, config: StreamConfig, number: int) -> None:
        if len(corpus) < config.streams:
            raise InputError(
                f"{corpus.folder}: {len(corpus)} windows are fewer than {config.streams} streams; "
                "use shorter windows or fewer streams"
            )
        self.corpus, self.vocabulary, self.config, self.number = corpus, vocabulary, config, number
        self.cycle = config.cycle or vocabulary.names
        for name in self.cycle:
            self._check(name)
        self.rows_made = 0
        self._lanes = {name: _Lane() for name in sorted(set(self.cycle))}
        self._open_windows = min(MAX_OPEN_WINDOWS, max(1, len(corpus) // config.streams))
        self._cuts: dict[tuple[str, int, int], tuple[list[tuple[int, int]], int]] = {}
        self._documents: dict[Segment, np.ndarray] = {}

    def _check(self, name: str) -> None:
        """Refuse what would fail, or leak, at the first row."""
        member, config = self.vocabulary.member(name), self.config
        if config.max_segment_bp.get(name, 0) < MIN_SEGMENT_BP:
            raise InputError(f"max_segment_bp of {name!r}: {config.max_segment_bp.get(name)}; give {MIN_SEGMENT_BP} up")
        if isinstance(member, KmerVocabulary) and config.masking.kmer_span < member.k:
            raise InputError(
                f"kmer_span {config.masking.kmer_span}: hides no base of {member.k}-mers; give at least {member.k}"
            )

    def row(self) -> Row:
        """The next row; streams start at different places of the vocabulary cycle."""
        name = self.cycle[(self.rows_made + self.number) % len(self.cycle)]
        self.rows_made += 1
        lane = self._lanes[name]
        segments: list[Segment] = []
        left = self.config.row_tokens
        while True:
            while len(lane.pending) < self.config.pending:
                lane.pending.append(self._next_segment(name, lane))
            fitting = [s for s in lane.pending if len(self._document(s)) <= left]
            if not fitting:
                break
            # The oldest goes first, so that none waits for ever; then the longest that fits.
            chosen = lane.pending[0] if not segments else max(fitting, key=lambda s: len(self._document(s)))
            lane.pending.remove(chosen)
            segments.append(chosen)
            left -= len(self._document(chosen))
        return self._masked(name, segments)

    def skip(self, rows: int) -> None:
        """Advance without looking at what comes."""
        for _ in range(rows):
            self.row()

    def state(self) -> dict[str, Any]:
        """Everything `restore` needs, as JSON."""
        return {"rows_made": self.rows_made, "lanes": {name: asdict(lane) for name, lane in self._lanes.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken; corpus, vocabulary and config must be the same."""
        self.rows_made = state["rows_made"]
        for name, saved in state["lanes"].items():
            lane = _Lane(**{k: v for k, v in saved.items() if k not in ("open", "pending")})
            lane.open = [_Open(**window) for window in saved["open"]]
            lane.pending = [Segment(**segment) for segment in saved["pending"]]
            self._lanes[name] = lane
        self._cuts.clear()
        self._documents.clear()

    def _next_segment(self, name: str, lane: _Lane) -> Segment:
        """The next segment of the open windows in turn, opening new ones as they run out."""
        last_epoch = lane.epoch + 2  # by then the stream has been through a whole epoch's windows
        while lane.epoch <= last_epoch:
            while len(lane.open) < self._open_windows:
                self._open_next(name, lane)
            lane.turn %= len(lane.open)
            window = lane.open[lane.turn]
            intervals, _ = self._cut(name, window)
            if window.taken == len(intervals):
                del self._cuts[name, window.epoch, window.window]
                lane.open.pop(lane.turn)
                self._open_next(name, lane, at=lane.turn)
                continue
            start, end = intervals[window.taken]
            segment = Segment(name, window.epoch, window.window, window.taken, start, end)
            window.taken += 1
            lane.turn += 1
            sequence = self.corpus.sequence(window.window)
            if sequence.count("N", start, end) <= MAX_N_SHARE * (end - start):
                return segment
            lane.dropped_segments += 1
        raise InputError(
            f"{self.corpus.folder}: no segment with at most {MAX_N_SHARE:.0%} N in a whole epoch of stream "
            f"{self.number}; leave out the sources that are mostly N"
        )

    def _open_next(self, name: str, lane: _Lane, at: int | None = None) -> None:
        """Open the stream's next window of the vocabulary's permutation of the corpus."""
        position = self.number + lane.position * self.config.streams
        if position >= len(self.corpus):
            lane.epoch, lane.position = lane.epoch + 1, 0
            position = self.number
        lane.position += 1
        order = key(self.config.seed, "order", name, lane.epoch)
        window = _Open(lane.epoch, permuted(position, len(self.corpus), order), lane.carried)
        lane.open.insert(len(lane.open) if at is None else at, window)
        _, lane.carried = self._cut(name, window)

    def _cut(self, name: str, window: _Open) -> tuple[list[tuple[int, int]], int]:
        """Intervals of a window's segments and the draw it hands on; cut once, kept while the window is open."""
        place = (name, window.epoch, window.window)
        if place not in self._cuts:
            self._cuts[place] = cut(
                len(self.corpus.sequence(window.window)),
                self.config.seed,
                name,
                window.epoch,
                window.window,
                self.config.max_segment_bp[name],
                window.carried,
            )
        return self._cuts[place]

    def _document(self, segment: Segment) -> np.ndarray:
        if segment not in self._documents:
            nucleotides = text(segment, self.corpus.sequence(segment.window), self.config.seed)
            document = self.vocabulary.document(segment.vocabulary, nucleotides)
            if len(document) > self.config.row_tokens:
                raise InputError(
                    f"segment of {segment.end - segment.start} nt: {len(document)} tokens are more than a row's "
                    f"{self.config.row_tokens}; raise row_tokens or lower max_segment_bp"
                )
            self._documents[segment] = document
        return self._documents[segment]

    def _masked(self, name: str, segments: list[Segment]) -> Row:
        member = self.vocabulary.member(name)
        pieces_V, masking = self.vocabulary.piece_ids(name), self.config.masking
        shown, labels = [], []
        for segment in segments:
            document = self._documents.pop(segment)
            content_T = document[2:-1]
            draw_key = segment.key(self.config.seed, "mask")
            if isinstance(member, KmerVocabulary):
                runs_R2 = span_selection(len(content_T), member.k, masking, draw_key)
            else:
                runs_R2 = single_selection(len(content_T), masking, draw_key)
            shown_T, labels_T = apply_mask(content_T, runs_R2, pieces_V, draw_key)
            shown += [document[:2], shown_T, document[-1:]]
            labels.append(np.pad(labels_T, (2, 1), constant_values=IGNORE_INDEX))
        lengths = [len(part) for part in labels]
        return Row(name, np.concatenate(shown), np.concatenate(labels), lengths, segments)
