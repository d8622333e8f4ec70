"""A sample of a corpus for training vocabularies: both strands, without N (R13)."""

import hashlib
from dataclasses import dataclass

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.randomness import key, permuted


@dataclass(frozen=True)
class Sample:
    """Sequences drawn from a corpus.

    Attributes:
        forward: sequences over A C G T, as they stand in the corpus.
        nucleotides: their total length.
        sha256: of the sequences in order.
    """

    forward: list[str]
    nucleotides: int
    sha256: str

    @property
    def reverse(self) -> list[str]:
        """The reverse complement of each."""
        return [reverse_complement(sequence) for sequence in self.forward]


def sample(corpus: Corpus, max_nucleotides: int, max_per_species: int, seed: int) -> Sample:
    """Draw windows without replacement until there are enough nucleotides.

    Args:
        corpus: to draw from.
        max_nucleotides: stop with the window that reaches this many.
        max_per_species: a species contributes no window after the one that reaches this many.
        seed: of the order in which windows are drawn.
    """
    order = key(seed, "vocabulary sample")
    taken: dict[str, int] = {}
    digest, texts, total = hashlib.sha256(), [], 0
    for position in range(len(corpus)):
        window = corpus.window(permuted(position, len(corpus), order))
        if taken.get(window.species, 0) >= max_per_species:
            continue
        for text in window.sequence.split("N"):
            if text:
                digest.update(text.encode("ascii") + b"\n")
                texts.append(text)
        taken[window.species] = taken.get(window.species, 0) + len(window.sequence)
        total += len(window.sequence)
        if total >= max_nucleotides:
            break
    return Sample(texts, sum(map(len, texts)), digest.hexdigest())
