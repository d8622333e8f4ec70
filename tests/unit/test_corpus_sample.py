from pathlib import Path

import pytest

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.corpus.sample import sample
from genomics_fm.corpus.sources import Source
from tests.corpora import RECIPE, build, corpus_of, dna, write_fasta

ALL = 10**9


@pytest.fixture(scope="module")
def two_species(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("sample")
    big = write_fasta(folder / "big.fa", {"c": dna(40_000, 0)})
    small = write_fasta(folder / "small.fa", {"c": dna(5_000, 1, "CG")})
    return build(folder / "corpus", [Source(str(big), "Magnus"), Source(str(small), "Parvus")])


def test_everything_is_drawn_once(two_species: Corpus) -> None:
    drawn = sample(two_species, ALL, ALL, seed=0)
    windows = [two_species.sequence(row) for row in range(len(two_species))]
    assert sorted(drawn.forward) == sorted(windows) and drawn.forward != windows
    assert drawn.nucleotides == sum(map(len, windows))


def test_a_smaller_sample_is_the_beginning_of_a_larger_one(two_species: Corpus) -> None:
    whole, part = sample(two_species, ALL, ALL, seed=0), sample(two_species, 10_000, ALL, seed=0)
    assert part.forward == whole.forward[: len(part.forward)]
    assert 10_000 <= part.nucleotides < 10_000 + RECIPE.window_bp


def test_no_species_takes_more_than_its_share(two_species: Corpus) -> None:
    drawn = sample(two_species, ALL, 6_000, seed=0)
    parvus = sum(len(text) for text in drawn.forward if set(text) == {"C", "G"})
    assert 5_000 <= parvus < 6_000  # overlaps counted twice
    assert 6_000 <= drawn.nucleotides - parvus < 6_000 + RECIPE.window_bp


def test_the_hash_is_of_the_sequences(two_species: Corpus) -> None:
    first = sample(two_species, 10_000, ALL, seed=0)
    assert first.sha256 == sample(two_species, 10_000, ALL, seed=0).sha256
    others = [sample(two_species, 10_000, ALL, seed=1), sample(two_species, 20_000, ALL, seed=0)]
    assert len({first.sha256, *(other.sha256 for other in others)}) == 3


def test_texts_are_split_at_n_and_turned(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "corpus", {"c": "A" * 60 + "N" * 3 + "ACC" * 20 + "N" + "G" * 9})
    drawn = sample(corpus, ALL, ALL, seed=0)
    assert drawn.forward == ["A" * 60, "ACC" * 20, "G" * 9]
    assert drawn.reverse == ["T" * 60, "GGT" * 20, "C" * 9]
    assert drawn.nucleotides == 129
