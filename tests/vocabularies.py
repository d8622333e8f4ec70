"""An ensemble of every kind of vocabulary, and sequences to read with it."""

from collections.abc import Iterator

from genomics_fm.vocabulary.blocks import BlockVocabulary, CodonVocabulary
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.kmer import KmerVocabulary
from tests.corpora import dna, fixed_vocabulary

CLEAN, DIRTY = "ACGT", "ACGT" * 10 + "N"


def every_kind() -> Ensemble:
    """BPE, two k-mers, single nucleotides, blocks, and the codons of three frames."""
    added = {
        "single": KmerVocabulary(1),
        "kmer5": KmerVocabulary(5),
        "block": BlockVocabulary(4),
        **{f"codon{frame}": CodonVocabulary(frame) for frame in range(3)},
    }
    ensemble = fixed_vocabulary()
    for name, member in added.items():
        ensemble = ensemble.with_member(name, member)
    return ensemble


def sequences(count: int, letters: str, longest: int = 120) -> Iterator[str]:
    """Sequences of every length up to `longest`, in turn."""
    for seed in range(count):
        yield dna(seed % (longest + 1), seed, letters)
