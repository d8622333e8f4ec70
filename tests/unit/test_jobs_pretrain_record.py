"""What a driver keeps of a pretraining, and whom it keeps out."""

import re
from pathlib import Path

import pytest

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import EnvironmentFault, InputError
from genomics_fm.storage import Folder
from genomics_fm.training.config import identity
from genomics_fm.vocabulary.ensemble import Ensemble
from jobs import launch, pretrain_record
from jobs.pretrain import DRIVER, PretrainConfig, run
from tests.runs import RUN, advance, run_of


@pytest.fixture
def begun(corpus: Corpus, vocabulary: Ensemble, tmp_path: Path) -> Folder:
    """The folder of a run that has a checkpoint and is not finished."""
    folder = Folder(tmp_path / "run")
    advance(run_of(tmp_path / "run", corpus), 3)
    pretrain_record.keep(folder, PretrainConfig(training=RUN), vocabulary, about_of(corpus, vocabulary))
    return folder


def about_of(corpus: Corpus, vocabulary: Ensemble) -> dict[str, str]:
    return identity(RUN, corpus.sha256, vocabulary.sha256)


def test_a_run_of_another_config_is_refused_before_anything_is_started(
    begun: Folder, corpus: Corpus, vocabulary: Ensemble
) -> None:
    about = about_of(corpus, vocabulary)
    pretrain_record.refuse_another(begun, about)
    line = f"{begun}: holds a run of another corpus_sha256; use another --name"
    with pytest.raises(InputError, match=re.escape(line)):
        pretrain_record.refuse_another(begun, about | {"corpus_sha256": "0"})
    assert begun.read_sealed_json(pretrain_record.RECORD, 1, "")["hashes"] == about


def test_before_the_first_checkpoint_another_config_may_take_the_place(
    corpus: Corpus, vocabulary: Ensemble, tmp_path: Path
) -> None:
    about = about_of(corpus, vocabulary)
    pretrain_record.keep(Folder(tmp_path), PretrainConfig(training=RUN), vocabulary, about)
    pretrain_record.refuse_another(Folder(tmp_path), about | {"training_sha256": "0"})


def test_a_second_driver_of_a_run_is_refused(
    begun: Folder, corpus: Corpus, vocabulary: Ensemble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary.save(tmp_path / "vocabulary.json")
    config = PretrainConfig(
        corpus=str(corpus.folder), vocabulary=str(tmp_path / "vocabulary.json"), training=RUN, tracking="none"
    )
    monkeypatch.setattr(launch, "connect", lambda: pytest.fail("it started"))
    with (
        begun.alone(DRIVER, "driver", ""),
        pytest.raises(EnvironmentFault, match="another process trains this run; --watch run shows it"),
    ):
        run(config, tmp_path / "run")
