"""Which encoder a head starts from: whole ones alone, the newest first, with the corpus it has read."""

import os
import shutil
from pathlib import Path

import pytest

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import new_language_model
from genomics_fm.model.weights import CONFIG, WEIGHTS, save_encoder
from genomics_fm.vocabulary.ensemble import FILE_NAME, Ensemble
from jobs import encoders, launch
from jobs.encoders import corpus_of, newest, opened


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(launch.STORAGE_VARIABLE, str(tmp_path / "runs"))
    return tmp_path / "runs"


def made(folder: Path, vocabulary: Ensemble, written: int, **about: object) -> Path:
    """An encoder's folder, as if written at that second."""
    config = EncoderConfig(vocabulary_size=vocabulary.size, layers=1, width=8, heads=2, ffn_width=8)
    save_encoder(folder, new_language_model(config, written), {"vocabulary_sha256": vocabulary.sha256, **about})
    vocabulary.save(folder / FILE_NAME)
    os.utime(folder / CONFIG, (written, written))
    return folder


def test_the_newest_whole_encoder_is_taken(
    storage: Path, vocabulary: Ensemble, capsys: pytest.CaptureFixture[str]
) -> None:
    assert newest(storage) is None
    older = made(storage / "encoders" / "mine", vocabulary, 100, steps=1_000)
    between = made(storage / "quickstart" / "pretraining-abc", vocabulary, 200)
    last = made(storage / "encoders" / "damaged", vocabulary, 300)
    (storage / "encoders" / "running").mkdir()
    (last / WEIGHTS).write_bytes((last / WEIGHTS).read_bytes()[:-1] + b"x")
    found = newest(storage)
    assert found is not None and found.folder == between and "newest" in found.why
    assert "passed over" in (said := capsys.readouterr().err) and str(last) in said
    shutil.rmtree(between)
    found = encoders.choose("default")
    assert found.folder == older and "1,000 updates" in str(found) and found.sha256[:12] in str(found)


def test_an_encoder_without_its_vocabulary_is_refused(tmp_path: Path, vocabulary: Ensemble) -> None:
    folder = made(tmp_path / "encoder", vocabulary, 1)
    assert opened(folder, "asked for").vocabulary.names == vocabulary.names
    Ensemble({"bpe": vocabulary.members["bpe"]}).save(folder / FILE_NAME)
    with pytest.raises(CorruptArtefact, match="not the vocabulary it was pretrained with"):
        opened(folder, "asked for")
    with pytest.raises(InputError):
        opened(tmp_path / "none", "asked for")


def test_the_corpus_is_found_by_its_hash(storage: Path, corpus: Corpus, vocabulary: Ensemble, tmp_path: Path) -> None:
    known = opened(made(tmp_path / "a", vocabulary, 1, corpus_sha256=corpus.sha256), "")
    assert corpus_of(known) is None
    shutil.copytree(corpus.folder, storage / "corpora" / "mine")
    found = corpus_of(known)
    assert found is not None and found.folder == storage / "corpora" / "mine"
    assert corpus_of(opened(made(tmp_path / "b", vocabulary, 1, corpus_sha256="0" * 64), "")) is None
    assert corpus_of(opened(made(tmp_path / "c", vocabulary, 1), "")) is None
