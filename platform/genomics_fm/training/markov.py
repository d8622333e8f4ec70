"""Markov models of DNA of every order up to one: the baseline that a pretrained encoder stands beside (R17).

They are counted on both strands. The probability of a letter x after the context c, of j letters, is

    p(x | c) = (n(c, x) + s_j · p(x | c without its first letter)) / (n(c) + s_j)

from order 0, which is smoothed with 1/4, upwards. s_j is the one of `STRENGTHS` that makes the counted letters most
likely when each is left out of its own count.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import InputError, require
from genomics_fm.vocabulary.letters import LETTERS, N_CODE, write_codes

BASES = len(LETTERS)
MAXIMUM_ORDER = 12
"""4**13 counts and probabilities are 0.7 GB."""
STRENGTHS = tuple(4.0**power for power in range(7))


@dataclass(frozen=True)
class Markov:
    """Smoothed models of orders 0 … `order`.

    Attributes:
        order: the highest.
        probability_W: float32, all orders one after the other: see `conditional`.
        strengths: s_j of each order.
        nucleotides: counted, on one strand.
    """

    order: int
    probability_W: NDArray[np.float32]
    strengths: tuple[float, ...]
    nucleotides: int

    def conditional(self, order: int) -> NDArray[np.float32]:
        """p(x | c), (4**order, 4); contexts by rank, their first letter first."""
        first, last = first_of(order), first_of(order + 1)
        return self.probability_W[first:last].reshape(-1, BASES)


@njit(cache=True, nogil=True)
def first_of(order: int) -> int:  # pragma: no cover
    """Where the probabilities of an order begin: 4 + 16 + … are before."""
    return (4 ** (order + 1) - 4) // 3


@njit(cache=True, nogil=True)
def _count(codes_L: NDArray[np.int16], order: int, counts_W: NDArray[np.uint32]) -> int:  # pragma: no cover
    """Count the words of order + 1 letters without N; returns how many there are."""
    word, letters, words, mask = 0, 0, 0, 4 ** (order + 1) - 1
    for code in codes_L:
        letters = letters + 1 if code != N_CODE else 0
        word = ((word << 2) | max(code, 0)) & mask
        if letters > order:
            counts_W[word] += np.uint32(1)
            words += 1
    return words


@njit(cache=True, nogil=True)
def _both_strands(counts_W: NDArray[np.uint32], letters: int) -> NDArray[np.uint32]:  # pragma: no cover
    """Counts of words and of their reverse complements together."""
    both_W = np.empty_like(counts_W)
    for word in range(counts_W.size):
        left, turned = word, 0
        for _ in range(letters):
            turned = turned << 2 | (3 - (left & 3))
            left >>= 2
        both_W[word] = counts_W[word] + counts_W[turned]
    return both_W


@njit(cache=True, nogil=True)
def _left_out(counts_W: NDArray, lower_W: NDArray[np.float32], strength: float) -> float:  # pragma: no cover
    """Log likelihood of the counted letters, each left out of its own count, but not of the lower order's."""
    total = 0.0
    for context in range(counts_W.size // 4):
        after = counts_W[4 * context : 4 * context + 4].astype(np.float64)
        number = after.sum()
        if number == 0:
            continue
        below = 4 * context % lower_W.size
        for x in range(4):
            if after[x] > 0:
                left = (after[x] - 1 + strength * lower_W[below + x]) / (number - 1 + strength)
                total += after[x] * np.log(left)
    return total


@njit(cache=True, nogil=True)
def _smooth(
    counts_W: NDArray, lower_W: NDArray[np.float32], strength: float, out_W: NDArray[np.float32]
) -> None:  # pragma: no cover
    for context in range(counts_W.size // 4):
        after = counts_W[4 * context : 4 * context + 4].astype(np.float64)
        number = after.sum()
        below = 4 * context % lower_W.size
        for x in range(4):
            out_W[4 * context + x] = (after[x] + strength * lower_W[below + x]) / (number + strength)


def count_markov(stretches: Iterable[NDArray[np.uint8]], order: int) -> Markov:
    """Models from sequences, of which only one is held in memory; beside it 8 bytes a word of order + 1 letters.

    Args:
        stretches: uint8 ASCII; words do not reach from one into the next, nor over an N.
        order: the highest, of letters before the one that is predicted.

    Raises:
        InputError: there is no word to count.
    """
    require(0 <= order <= MAXIMUM_ORDER, "order", order, f"0 to {MAXIMUM_ORDER}")
    counts_W, nucleotides = np.zeros(BASES ** (order + 1), np.uint32), 0
    for letters_L in stretches:
        codes_L = np.empty(letters_L.size, np.int16)
        write_codes(letters_L, codes_L)
        nucleotides += _count(codes_L, order, counts_W)
    if not nucleotides:
        raise InputError(f"order {order}: nowhere {order + 1} letters without N to count; give more sequence")
    by_order = [_both_strands(counts_W, order + 1)]
    while len(by_order) <= order:
        by_order.append(by_order[-1].reshape(BASES, -1).sum(0, dtype=np.int64))
    probability_W = np.empty(first_of(order + 1), np.float32)
    lower_W, strengths = np.full(BASES, 1 / BASES, np.float32), []
    for number, counts in enumerate(reversed(by_order)):
        strengths.append(max(STRENGTHS, key=lambda strength: _left_out(counts, lower_W, strength)))
        out_W = probability_W[first_of(number) : first_of(number + 1)]
        _smooth(counts, lower_W, strengths[-1], out_W)
        lower_W = out_W
    return Markov(order, probability_W, tuple(strengths), nucleotides)


def reference_letters(
    corpus: Corpus, context: int, report: Callable[[int, int], None] | None = None, every: int = 1
) -> Iterator[NDArray[np.uint8]]:
    """What a corpus holds of its references, every letter once: no haplotypes, and no overlap twice.

    Args:
        corpus: to read.
        context: letters that are given once more where a window goes on from the one before.
        report: receives the blocks read and all blocks.
        every: of how many blocks one is read.
    """
    place, done = ("", ""), 0
    for number in range(0, len(corpus.blocks), every):
        first = corpus.first_row(number)
        for row in np.flatnonzero(~corpus.haplotypes(number)) + first:
            window = corpus.window(int(row))
            goes_on = place == (window.assembly, window.contig) and window.start <= done < window.end
            place, letters_L = (window.assembly, window.contig), np.frombuffer(window.sequence.encode(), np.uint8)
            yield letters_L[max(done - window.start - context, 0) :] if goes_on else letters_L
            done = window.end
        if report:
            report(number + 1, len(corpus.blocks))
