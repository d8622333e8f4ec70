"""How alike two genomes are, from a few thousand hashes of each (SPEC R12).

FracMinHash: of the canonical 31-mers of a genome those are kept whose hash is below a threshold, so a sketch is
the same whatever the order, strand or split of the contigs, and sketches can be merged.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from genomics_fm.errors import CorruptArtefact, require
from genomics_fm.genome.kmers import HASHES, Scan, distinct

K = 31
SCALED = 1000
"""One k-mer in so many is kept while the genome is small."""
MAXIMUM_HASHES = 4096
"""Above it the threshold is halved, and halved again: a large genome keeps 2,048 to 4,096."""
MINIMUM_HASHES = 10
"""A genome with fewer hashes under a pair's threshold is too small beside the other one to be judged."""
FORMAT_VERSION = 1

_MAGIC = b"GFMsketc"
_HEAD = struct.Struct("<8sIIIIQ")  # magic, format version, k, scaled, halvings, hashes
_SUM_BYTES = 32
_COMPACT_AT = 4 * MAXIMUM_HASHES


def _threshold(halvings: int) -> int:
    return HASHES // SCALED >> halvings


def _below(hashes: NDArray[np.uint64], threshold: int) -> NDArray[np.uint64]:
    """Of ascending hashes those below a threshold."""
    return hashes[: np.searchsorted(hashes, np.uint64(threshold))]


class Sketch:
    """The hashes kept of one genome; starts empty."""

    def __init__(self) -> None:
        self._halvings = 0
        self._hashes: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._new: list[NDArray[np.uint64]] = []
        self._new_size = 0

    @property
    def hashes(self) -> NDArray[np.uint64]:
        """What is kept, ascending, at most MAXIMUM_HASHES."""
        self._compact()
        return self._hashes

    @property
    def halvings(self) -> int:
        """How often the threshold was halved."""
        self._compact()
        return self._halvings

    @property
    def threshold(self) -> int:
        """Hashes below it are kept, all of them."""
        return _threshold(self.halvings)

    def watch(self, letters: Iterable[bytes]) -> Iterator[bytes]:
        """Take in a contig, given as chunks of ACGTN (anything else counts as N), while passing it on."""
        scan = Scan(K)
        for chunk in letters:
            self._take(scan.hashes_below(chunk, _threshold(self._halvings)))
            yield chunk

    def update(self, letters: Iterable[bytes]) -> None:
        """Take in a contig, given as chunks."""
        for _ in self.watch(letters):
            pass

    def merge(self, other: "Sketch") -> None:
        """Take in all that `other` has taken in."""
        self._halvings = max(self._halvings, other.halvings)
        self._take(other.hashes)

    def _take(self, hashes: NDArray[np.uint64]) -> None:
        self._new.append(hashes)
        self._new_size += len(hashes)
        if self._new_size > _COMPACT_AT or len(self._new) > _COMPACT_AT:
            self._compact()

    def _compact(self) -> None:
        """Sort in what is new. When this happens does not matter: a part too large for a threshold shows that
        the whole is."""
        if not self._new:
            return
        self._hashes = distinct(np.concatenate([self._hashes, *self._new]))
        self._new, self._new_size = [], 0
        self._hashes = _below(self._hashes, _threshold(self._halvings))
        while len(self._hashes) > MAXIMUM_HASHES:
            self._halvings += 1
            self._hashes = _below(self._hashes, _threshold(self._halvings))

    def to_bytes(self) -> bytes:
        """At most 33 KB, equal for equal sketches."""
        hashes = self.hashes
        head = _HEAD.pack(_MAGIC, FORMAT_VERSION, K, SCALED, self.halvings, len(hashes))
        data = head + hashes.astype("<u8").tobytes()
        return data + hashlib.sha256(data).digest()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Sketch":
        """What `to_bytes` wrote.

        Raises:
            CorruptArtefact: damaged, or of a newer format.
        """
        if len(data) < _HEAD.size + _SUM_BYTES or data[:8] != _MAGIC:
            raise CorruptArtefact(f"a sketch of {len(data):,} bytes: not one of ours; make it again")
        _, version, k, scaled, halvings, count = _HEAD.unpack_from(data)
        if version > FORMAT_VERSION:
            raise CorruptArtefact(
                f"a sketch: format_version {version} is newer than {FORMAT_VERSION}, the newest this version reads; "
                "upgrade genomics-fm"
            )
        body, digest = data[:-_SUM_BYTES], data[-_SUM_BYTES:]
        if hashlib.sha256(body).digest() != digest or len(body) != _HEAD.size + 8 * count or (k, scaled) != (K, SCALED):
            raise CorruptArtefact("a sketch: changed since it was written; make it again")
        made = cls()
        made._halvings = halvings
        made._hashes = np.frombuffer(body, "<u8", offset=_HEAD.size).astype(np.uint64)
        return made


def containment(a: Sketch, b: Sketch) -> float:
    """Share of `a`'s 31-mers that are in `b`, estimated; 0 when `a` has no hash below the common threshold."""
    common = min(a.threshold, b.threshold)
    mine, other = _below(a.hashes, common), _below(b.hashes, common)
    return len(np.intersect1d(mine, other, assume_unique=True)) / max(len(mine), 1)


def identity(containment: float) -> float:
    """Average nucleotide identity, where differences are substitutions spread at random: c ** (1 / 31)."""
    return containment ** (1 / K)


def ani(a: Sketch, b: Sketch) -> float:
    """Identity of the smaller genome to its like in the larger; 0 when they share nothing."""
    return identity(max(containment(a, b), containment(b, a)))


class Pair(NamedTuple):
    """Two assemblies that are alike.

    Attributes:
        a: name of the one that stands earlier in the list.
        b: name of the other.
        ani: estimated identity of what the smaller one holds.
        containment: share of the smaller one's 31-mers that the other has too.
    """

    a: str
    b: str
    ani: float
    containment: float


def near_identical(sketches: Sequence[tuple[str, Sketch]], min_ani: float) -> list[Pair]:
    """All pairs of at least `min_ani` (above 0, at most 1), by position in the list.

    A pair with fewer than MINIMUM_HASHES in either genome under their common threshold is left out, so a phage
    is compared with bacteria, not with a mammal. Takes about 40 bytes a hash.
    """
    require(0 < min_ani <= 1, "min_ani", min_ani, "an identity above 0, at most 1")
    index = _Index.of([sketch for _, sketch in sketches])
    halvings = np.array([sketch.halvings for _, sketch in sketches], np.int64)
    sizes = _sizes([sketch for _, sketch in sketches], int(halvings.max(initial=0)))
    pairs = []
    for first, (name, _) in enumerate(sketches):
        shared = index.shared_with(first)
        others = np.flatnonzero(shared)
        common = np.maximum(halvings[first], halvings[others])
        smaller = np.minimum(sizes[first, common], sizes[others, common])
        share = shared[others] / np.maximum(smaller, 1)
        alike = (smaller >= MINIMUM_HASHES) & (share ** (1 / K) >= min_ani)
        for other, contained in zip(others[alike].tolist(), share[alike].tolist(), strict=True):
            pairs.append(Pair(name, sketches[other][0], identity(contained), contained))
    return pairs


def _sizes(sketches: Sequence[Sketch], most: int) -> NDArray[np.int64]:
    """How many hashes each sketch has below the threshold of 0 … `most` halvings: (sketches, most + 1)."""
    limits = np.array([_threshold(halvings) for halvings in range(most + 1)], np.uint64)
    sizes = np.array([np.searchsorted(sketch.hashes, limits) for sketch in sketches], np.int64)
    return sizes.reshape(len(sketches), most + 1)


@dataclass(frozen=True)
class _Index:
    """Which sketches hold each hash.

    Attributes:
        bounds: where each sketch begins in `hash_of`; one more than there are sketches.
        hash_of: sketch by sketch, number of each of its hashes.
        starts: where each hash begins in `owners`; one more than there are hashes.
        owners: hash by hash, the sketches that hold it, ascending.
    """

    bounds: NDArray[np.int64]
    hash_of: NDArray[np.int32]
    starts: NDArray[np.int64]
    owners: NDArray[np.int32]

    @classmethod
    def of(cls, sketches: Sequence[Sketch]) -> "_Index":
        bounds = np.cumsum([0, *(len(sketch.hashes) for sketch in sketches)])
        hashes = np.concatenate([np.empty(0, np.uint64), *(sketch.hashes for sketch in sketches)])
        order = np.argsort(hashes, kind="stable").astype(np.int32)  # stable, so that owners ascend
        hashes = hashes[order]
        first = np.ones(len(hashes), np.bool_)
        first[1:] = hashes[1:] != hashes[:-1]
        hash_of = np.empty(len(hashes), np.int32)
        hash_of[order] = np.cumsum(first, dtype=np.int32) - 1
        owner = np.repeat(np.arange(len(sketches), dtype=np.int32), np.diff(bounds))
        return cls(bounds, hash_of, np.append(np.flatnonzero(first), len(hashes)), owner[order])

    def shared_with(self, first: int) -> NDArray[np.int32]:
        """Of each sketch that stands after `first`, how many hashes it shares with it; 0 for the others."""
        shared = np.zeros(len(self.bounds) - 1, np.int32)
        mine = self.hash_of[self.bounds[first] : self.bounds[first + 1]]
        _count_shared(mine, self.starts, self.owners, first, shared)
        return shared


@njit(cache=True)
def _count_shared(
    mine: NDArray[np.int32],
    starts: NDArray[np.int64],
    owners: NDArray[np.int32],
    first: int,
    shared: NDArray[np.int32],
) -> None:
    for number in mine:
        place = starts[number + 1] - 1
        while owners[place] > first:  # `first` itself is among them
            shared[owners[place]] += 1
            place -= 1
