"""Which worker takes which row of a global batch, and rows as tensors (R5)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.pretraining.lane import Row
from genomics_fm.pretraining.masking import IGNORE_INDEX
from genomics_fm.pretraining.stream import Stream, StreamConfig
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.special import CLS_ID, SEP_ID


@dataclass(frozen=True)
class MicroBatch:
    """Packed documents of one or more rows.

    Attributes:
        ids_N: shown token ids.
        lengths: tokens of each document.
        select_M: positions to predict.
        labels_M: the tokens there.
        vocabulary_M: number of the vocabulary in the ensemble, for each position to predict.
    """

    ids_N: Tensor
    lengths: list[int]
    select_M: Tensor
    labels_M: Tensor
    vocabulary_M: Tensor


def micro_batch(rows: list[Row], names: tuple[str, ...]) -> MicroBatch:
    """Rows side by side. Without any row: one document of two tokens with nothing to predict, so that a worker
    that is short of rows still takes part in the others' collectives."""
    if not rows:
        nothing = torch.zeros(0, dtype=torch.int64)
        return MicroBatch(torch.tensor([CLS_ID, SEP_ID]), [2], nothing, nothing, nothing)
    labels_N = np.concatenate([row.labels_N for row in rows])
    select_M = np.flatnonzero(labels_N != IGNORE_INDEX)
    ends = np.cumsum([len(row.ids_N) for row in rows])
    selected = np.diff(np.searchsorted(select_M, ends), prepend=0)
    number_M = np.repeat([names.index(row.vocabulary) for row in rows], selected)
    return MicroBatch(
        ids_N=torch.from_numpy(np.concatenate([row.ids_N for row in rows], dtype=np.int64)),
        lengths=np.concatenate([row.lengths_D for row in rows]).tolist(),
        select_M=torch.from_numpy(select_M),
        labels_M=torch.from_numpy(labels_N[select_M].astype(np.int64)),
        vocabulary_M=torch.from_numpy(number_M),
    )


class Batches:
    """One worker's share of the global batches.

    Row i of global batch s is the next row of stream (s·G + i) mod S; worker r of W takes i ≡ r (mod W). The rows
    of a global batch are therefore the same for every W.
    """

    def __init__(
        self, corpus: Corpus, vocabulary: Ensemble, config: StreamConfig, batch_rows: int, rank: int, world: int
    ) -> None:
        self.order = config.order(corpus)
        self.streams = [Stream(corpus, vocabulary, config, number, self.order) for number in range(config.streams)]
        self.batch_rows, self.rank, self.world = batch_rows, rank, world

    @property
    def dropped_segments(self) -> int:
        """Segments left out for too many N, in the streams this worker reads, up to their last refills."""
        return sum(stream.dropped_segments for stream in self.streams)

    def rows(self, step: int) -> list[Row]:
        """This worker's rows of global batch `step`; steps must not go back."""
        first = step * self.batch_rows
        return [self._row(first + i) for i in range(self.rank, self.batch_rows, self.world)]

    def _row(self, number: int) -> Row:
        stream = self.streams[number % len(self.streams)]
        stream.skip(number // len(self.streams) - stream.rows_made)  # rows that other workers took
        return stream.row()

    def states(self, next_step: int) -> dict[str, Any]:
        """States of the streams this worker answers for, as they are before global batch `next_step`.

        The workers' answers together hold every stream once.
        """
        done = next_step * self.batch_rows
        result = {}
        for number in range(self.rank, len(self.streams), self.world):
            stream = self.streams[number]
            stream.skip((done - number + len(self.streams) - 1) // len(self.streams) - stream.rows_made)
            result[str(number)] = stream.state()
        return result

    def restore(self, states: dict[str, Any]) -> None:
        """Put every stream where `states`, merged from all workers, says."""
        for number, state in states.items():
            self.streams[int(number)].restore(state)
