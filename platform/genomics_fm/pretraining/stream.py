"""Streams of packed rows whose content is a function of (seed, stream, row) alone (R2, R3, R5).

A stream owns a fixed share of every epoch's windows, for each vocabulary apart. It keeps a few windows open,
takes their segments in turn, tokenises them, and packs the documents into rows of a fixed number of slots.
Its state is a few integers a window; restoring it gives the rows that would have followed.
"""

from dataclasses import dataclass, field
from typing import Any

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import InputError, require
from genomics_fm.pretraining.lane import Lane, Row
from genomics_fm.pretraining.masking import MaskingConfig
from genomics_fm.pretraining.order import Order
from genomics_fm.pretraining.segments import MIN_SEGMENT_BP, PUBLISHED_MAX_BP
from genomics_fm.pretraining.sources import SourceWeights
from genomics_fm.pretraining.walk import Walk
from genomics_fm.vocabulary.ensemble import Ensemble

MIN_ROW_TOKENS = 8


@dataclass(frozen=True)
class StreamConfig:
    """What the rows are made of.

    For each stream and vocabulary that a worker reads, the letters of 16 windows and the tokens of some 600 documents
    are in memory: 4 to 5 MB with windows of 131,072 nt, whatever the corpus.

    Attributes:
        seed: of all draws.
        streams: S of R5; part of the order, so fixed for a run. Where the number of workers divides it and the rows
            of a global batch, every worker reads its own streams alone; else each also reads, encodes and packs the
            rows that others take, and masks those packed together with one of its own.
        row_tokens: slots in a row.
        pending: documents among which those of a row are chosen, to fill it well.
        cycle: vocabularies of successive rows; [] is every vocabulary once. Equal rows are equal tokens; of BPE and
            6-mers, BPE then gets 83 % of the nucleotides and walks through the corpus five times as often.
        max_segment_bp: longest segment by vocabulary.
        masking: what is hidden.
        sources: how often the windows of each source come.
    """

    seed: int = 0
    streams: int = 8
    row_tokens: int = 1024
    pending: int = 64
    cycle: tuple[str, ...] = ()
    max_segment_bp: dict[str, int] = field(default_factory=lambda: dict(PUBLISHED_MAX_BP))
    masking: MaskingConfig = field(default_factory=MaskingConfig)
    sources: SourceWeights = field(default_factory=SourceWeights)

    def __post_init__(self) -> None:
        for name, least in (("streams", 1), ("row_tokens", MIN_ROW_TOKENS), ("pending", 1)):
            require(getattr(self, name) >= least, name, getattr(self, name), f"at least {least}")

    def order(self, corpus: Corpus) -> Order:
        """In which order windows come."""
        return Order(corpus, self.sources, self.streams, self.seed)


class Stream:
    """Rows of one stream, one after the other."""

    def __init__(
        self, corpus: Corpus, vocabulary: Ensemble, config: StreamConfig, number: int, order: Order | None = None
    ) -> None:
        """A stream at its beginning; `order` is that of the corpus and config, where it has been made already."""
        order = order or config.order(corpus)
        self.number = number
        self.cycle = config.cycle or vocabulary.names
        self.rows_made = 0
        self._lanes: dict[str, Lane] = {}
        for name in sorted(set(self.cycle)):
            max_bp = _checked_max_bp(vocabulary, config, name)
            walk = Walk(corpus, order, config.seed, name, max_bp, number)
            self._lanes[name] = Lane(walk, vocabulary, config.masking, config.row_tokens, config.pending)

    @property
    def dropped_segments(self) -> int:
        """Segments with too many N that had been left out before the last refills."""
        return sum(lane.dropped for lane in self._lanes.values())

    def _next_lane(self) -> Lane:
        """Whose row is next; streams start at different places of the vocabulary cycle."""
        name = self.cycle[(self.rows_made + self.number) % len(self.cycle)]
        self.rows_made += 1
        return self._lanes[name]

    def row(self) -> Row:
        """The next row."""
        return self._next_lane().row()

    def skip(self, rows: int) -> None:
        """Advance without looking at what comes."""
        for _ in range(rows):
            self._next_lane().drop()

    def state(self) -> dict[str, Any]:
        """Everything `restore` needs, as JSON."""
        return {"rows_made": self.rows_made, "lanes": {name: lane.state() for name, lane in self._lanes.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken; corpus, vocabulary and config must be the same."""
        self.rows_made = state["rows_made"]
        for name, lane in self._lanes.items():
            lane.restore(state["lanes"][name])


def _checked_max_bp(vocabulary: Ensemble, config: StreamConfig, name: str) -> int:
    """The longest segment of a vocabulary; refuses what would fail, or leak, at the first row."""
    config.masking.check(vocabulary.member(name).overlap)
    max_bp = config.max_segment_bp.get(name)
    if max_bp is None or max_bp < MIN_SEGMENT_BP:
        raise InputError(f"max_segment_bp of {name!r}: {max_bp}; give {MIN_SEGMENT_BP} up")
    return max_bp
