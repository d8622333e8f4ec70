"""One pretraining that nothing happens to; those that something happens to must equal it."""

from pathlib import Path

import pytest

from tests.pretrainings import STEPS, Outcome, Pretraining, make_corpus


@pytest.fixture(scope="session")
def pretraining_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("pretraining_corpus"))


@pytest.fixture(scope="session")
def undisturbed(pretraining_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    with Pretraining(pretraining_corpus, tmp_path_factory.mktemp("undisturbed") / "runs", STEPS) as run:
        run.start()
        assert run.end(None) == 0, run.log.read_text()
        assert run.starts() == [0]
        return run.outcome()


@pytest.fixture
def pretraining(pretraining_corpus: Path, tmp_path: Path) -> Pretraining:
    """The run of `undisturbed`, not started yet."""
    return Pretraining(pretraining_corpus, tmp_path / "runs", STEPS, "--max-failures=20")
