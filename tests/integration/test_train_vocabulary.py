"""`jobs.train_vocabulary`: deterministic, on both strands, with hashes of what it saw."""

from pathlib import Path

import pytest

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.corpus.sources import Source
from genomics_fm.corpus.windows import Recipe
from genomics_fm.vocabulary.ensemble import Ensemble
from jobs.train_vocabulary import STRAND_GAP, TrainVocabularyConfig, run
from tests.commands import command, write_genome
from tests.corpora import build

YEAST = Path(__file__).parents[3] / "shared" / "data" / "genomes" / "yeast_S288C.fa.gz"


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


def test_members_are_chosen_and_training_says_how_far_it_is(
    corpus: Corpus, local_ray: None, capsys: pytest.CaptureFixture[str]
) -> None:
    members = ("bpe:300", "fine=bpe:600", "single", "block:3", "codon:0", "codon:1", "codon:2")
    result = run(TrainVocabularyConfig(corpus=str(corpus.folder), members=members, sample_nt=40_000))
    ensemble = Ensemble.load(corpus.folder / "vocabulary.json")
    assert ensemble.names == ("bpe300", "fine", *members[2:3], "block3", "codon0", "codon1", "codon2")
    assert result["pieces"] == {name: len(member.pieces) for name, member in ensemble.members.items()}
    assert result["nt_per_token"]["single"] == {"forward": 1.0, "reverse": 1.0}
    assert result["nt_per_token"]["fine"]["forward"] > result["nt_per_token"]["bpe300"]["forward"] > 3
    assert "[vocabulary] bpe:300, fine=bpe:600, single" in capsys.readouterr().err


@pytest.mark.skipif(not YEAST.is_file(), reason="needs ../shared/data")
def test_on_yeast_two_trainings_agree_and_so_do_the_strands(
    tmp_path: Path, local_ray: None, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = build(tmp_path / "corpus", [Source(str(YEAST), "Saccharomyces cerevisiae")], Recipe(window_bp=16_384))
    config = TrainVocabularyConfig(corpus=str(corpus.folder), bpe_size=1024, sample_nt=600_000)
    first, second = run(config), run(config, tmp_path / "second.json")
    assert first["sha256"] == second["sha256"]
    strands = first["nt_per_token"]["bpe"]
    assert 4 < strands["forward"] == pytest.approx(strands["reverse"], rel=STRAND_GAP)
    assert "nt read" in capsys.readouterr().err


def test_members_that_cannot_be_made_end_with_one_line(corpus: Corpus) -> None:
    ended = command("jobs.train_vocabulary", "--corpus", str(corpus.folder), "--members", "bpe", "kmer:99")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "k 99: give 1 to 12" in ended.err


def test_a_folder_that_is_no_corpus_is_refused_with_the_command_that_builds_one(tmp_path: Path) -> None:
    ended = command("jobs.train_vocabulary", "--corpus", str(tmp_path))
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "python -m jobs.build_corpus" in ended.err
