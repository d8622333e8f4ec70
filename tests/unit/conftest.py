import pytest

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.vocabulary.ensemble import Ensemble
from tests.corpora import fixed_vocabulary, small_corpus


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """21 windows of 1,024 nt, to be read only."""
    return small_corpus(tmp_path_factory.mktemp("made-up") / "corpus")


@pytest.fixture(scope="session")
def vocabulary() -> Ensemble:
    """BPE of 55 pieces and 3-mers."""
    return fixed_vocabulary()
