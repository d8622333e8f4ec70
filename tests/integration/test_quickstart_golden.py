"""The quickstart for seed 0 is golden: genome, windows, vocabulary, segments, masks and packing, then the first losses.

A change that should alter a number says old and new in LOG.md.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.corpus.sample import sample
from genomics_fm.pretraining.stream import Stream
from genomics_fm.tasks.coding import TEST_CHROMOSOMES, VALIDATION_CHROMOSOMES
from genomics_fm.training.loop import Run
from genomics_fm.vocabulary.ensemble import Ensemble
from jobs import vocabulary_members
from jobs.build_corpus import YEAST, source_of
from jobs.quickstart import PRESETS, QuickstartConfig
from tests import corpora

GOLDEN = Path(__file__).parents[1] / "golden" / "quickstart.json"
STREAMS, ROWS = (0, 3), 16


def _vocabulary(config: QuickstartConfig, corpus: Corpus) -> Ensemble:
    asked = config.vocabulary
    drawn = sample(corpus, asked.sample_nt, asked.sample_nt_per_species, asked.seed)
    training = vocabulary_members.train(
        vocabulary_members.planned(asked.members, asked.bpe_size, asked.kmer), drawn.forward + drawn.reverse
    )
    while True:
        try:
            next(training)
        except StopIteration as ended:
            return Ensemble(ended.value)


def _digest(stream: Stream) -> str:
    digest = hashlib.sha256()
    for _ in range(ROWS):
        row = stream.row()
        digest.update(
            row.vocabulary.encode() + row.ids_N.astype("<i4").tobytes() + row.labels_N.astype("<i4").tobytes()
        )
        digest.update(row.segments_D6.astype("<i8").tobytes() + row.lengths_D.astype("<i8").tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Made:
    """What a preset's first stages made, and what they should have made."""

    config: QuickstartConfig
    corpus: Corpus
    vocabulary: Ensemble
    golden: dict[str, Any]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """That of both presets."""
    assert PRESETS["smoke"].recipe == PRESETS["default"].recipe
    held_out = (*TEST_CHROMOSOMES, *VALIDATION_CHROMOSOMES)
    sources = [source_of(location, held_out) for location in YEAST]
    return corpora.build(tmp_path_factory.mktemp("yeast"), sources, PRESETS["default"].recipe)


@pytest.fixture(scope="module", params=["smoke", "default"])
def made(request: pytest.FixtureRequest, corpus: Corpus) -> Made:
    config = PRESETS[request.param]
    return Made(config, corpus, _vocabulary(config, corpus), json.loads(GOLDEN.read_text())[request.param])


def test_the_first_rows_are_golden(made: Made) -> None:
    stream = made.config.training.stream
    assert made.corpus.sha256 == made.golden["corpus_sha256"]
    assert made.vocabulary.size == made.golden["tokens"]
    for number in STREAMS:
        assert _digest(Stream(made.corpus, made.vocabulary, stream, number)) == made.golden["rows"][str(number)]


def test_the_first_losses_are_golden(made: Made, tmp_path: Path) -> None:
    training = dataclasses.replace(made.config.training, checkpoint_steps=1000)
    run = Run(training, made.corpus, made.vocabulary, tmp_path)
    golden = made.golden["losses"]
    assert len(golden) == min(20, training.steps)
    try:
        for losses in golden:
            assert run.advance()["loss"] == pytest.approx(losses, rel=1e-4)
    finally:
        run.ahead.close()
