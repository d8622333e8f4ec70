"""`jobs.train_vocabulary`: deterministic, on both strands, with hashes of what it saw."""

from pathlib import Path

import pytest

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.corpus.sources import Source
from genomics_fm.corpus.windows import Recipe
from genomics_fm.vocabulary.ensemble import Ensemble
from jobs.train_vocabulary import TrainVocabularyConfig, run
from tests.commands import command, write_genome
from tests.corpora import build


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    source = Source(str(write_genome(tmp_path / "genome.fa")), "made up")
    return build(tmp_path / "corpus", [source], Recipe(window_bp=8_192))


def test_the_ensemble_is_trained_on_both_strands_and_knows_its_sample(corpus: Corpus, local_ray: None) -> None:
    config = TrainVocabularyConfig(corpus=str(corpus.folder), bpe_size=300, kmer=4, sample_nt=40_000)
    first, second = run(config), run(config, corpus.folder / "second.json")
    assert first["sha256"] == second["sha256"]
    ensemble = Ensemble.load(corpus.folder / "vocabulary.json")
    assert ensemble.sha256 == first["sha256"]
    assert ensemble.size == first["size"] == 5 + 295 + 2 + 256 - first["shared_pieces"]
    assert ensemble.training["corpus_sha256"] == corpus.sha256
    assert 40_000 <= ensemble.training["sample_nucleotides"] < 50_000
    strands = first["nt_per_token"]["bpe"]
    assert strands["forward"] == pytest.approx(strands["reverse"], rel=0.005)


def test_a_folder_that_is_no_corpus_is_refused_with_the_command_that_builds_one(tmp_path: Path) -> None:
    ended = command("jobs.train_vocabulary", "--corpus", str(tmp_path))
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "python -m jobs.build_corpus" in ended.err
