"""The run of `undisturbed`, for something to happen to it."""

from pathlib import Path

import pytest

from tests.pretrainings import STEPS, Pretraining


@pytest.fixture
def pretraining(pretraining_corpus: Path, tmp_path: Path) -> Pretraining:
    """Not started yet."""
    return Pretraining(pretraining_corpus, tmp_path / "runs", STEPS)
