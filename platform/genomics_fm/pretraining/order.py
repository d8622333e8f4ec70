"""In which order a vocabulary meets the windows of a corpus, epoch by epoch (R3, R5)."""

from dataclasses import dataclass

from genomics_fm.randomness import key, permuted


@dataclass(frozen=True)
class Order:
    """A permutation of the windows for each epoch of each vocabulary, in memory that does not grow with them.

    Attributes:
        slots: visits to windows in an epoch.
        streams: every stream takes the places that are its number modulo this.
        seed: of the run.
    """

    slots: int
    streams: int
    seed: int

    def window(self, name: str, epoch: int, place: int) -> tuple[int, int]:
        """Row of the corpus at a place of an epoch, and how often it has come before in the epoch."""
        return permuted(place, self.slots, key(self.seed, "order", name, epoch)), 0
