"""What unit tests share. They load much and keep it: the garbage collector need not look through it again and again."""

import gc

import pytest

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.vocabulary.ensemble import Ensemble
from tests.corpora import fixed_vocabulary, small_corpus


def pytest_configure() -> None:
    gc.disable()


def pytest_collection_finish() -> None:
    """What is loaded by now lives as long as the tests."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """21 windows of 1,024 nt, to be read only."""
    return small_corpus(tmp_path_factory.mktemp("made-up") / "corpus")


@pytest.fixture(scope="session")
def vocabulary() -> Ensemble:
    """BPE of 55 pieces and 3-mers."""
    return fixed_vocabulary()
