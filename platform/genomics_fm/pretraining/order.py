"""In which order a vocabulary meets the windows of a corpus, epoch by epoch (R3, R4, R5)."""

from typing import Any

import numpy as np

from genomics_fm.corpus.groups import groups
from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import InputError
from genomics_fm.pretraining.sources import SourceWeights, report
from genomics_fm.randomness import key, permuted


class Order:
    """A permutation of an epoch's visits to windows, for each epoch of each vocabulary.

    A window of a group with rate r is visited ⌊r⌋ or ⌈r⌉ times. Memory grows with blocks and groups, not with windows.
    """

    def __init__(self, corpus: Corpus, sources: SourceWeights, streams: int, seed: int) -> None:
        """Count an epoch's visits.

        Args:
            corpus: whose windows they are.
            sources: how often each comes.
            streams: every stream takes the places that are its number modulo this.
            seed: of the run.

        Raises:
            InputError: there are fewer visits than streams.
        """
        self.corpus, self.streams, self.seed = corpus, streams, seed
        self.groups = groups(corpus)
        self.rates_G = sources.rates(self.groups)
        rows_G = np.array([group.rows for group in self.groups])
        self._visits_G = np.rint(self.rates_G * rows_G).astype(np.int64)
        self._ends_G = np.cumsum(self._visits_G)
        if self.slots < streams:
            raise InputError(
                f"{corpus.storage}: {self.slots} windows are fewer than {streams} streams; "
                "use shorter windows or fewer streams"
            )

    @property
    def slots(self) -> int:
        """Visits in an epoch."""
        return int(self._ends_G[-1])

    def window(self, name: str, epoch: int, place: int) -> tuple[int, int]:
        """Row of the corpus at a place of a vocabulary's epoch, and how often it has come before in the epoch."""
        slot = permuted(place, self.slots, key(self.seed, "order", name, epoch))
        number = int(np.searchsorted(self._ends_G, slot, side="right"))
        group, visits = self.groups[number], int(self._visits_G[number])
        visit, at = divmod(slot - int(self._ends_G[number]) + visits, group.rows)
        if (visit + 1) * group.rows > visits:  # the last pass is not whole: some windows, others in another epoch
            at = permuted(at, group.rows, key(self.seed, "sample", name, epoch, number))
        return group.row(self.corpus, at), visit

    def report(self) -> dict[str, Any]:
        """Shares and rates of all groups, as JSON."""
        return report(self.groups, self.rates_G)
