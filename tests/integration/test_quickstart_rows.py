"""The quickstart's rows for seed 0 are golden: genome, windows, vocabulary, segments, masks and packing together."""

import hashlib
import json
from pathlib import Path

import pytest

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.corpus.sample import sample
from genomics_fm.pretraining.stream import Stream
from genomics_fm.tasks.coding import TEST_CHROMOSOMES, VALIDATION_CHROMOSOMES
from genomics_fm.vocabulary.ensemble import Ensemble
from jobs import vocabulary_members
from jobs.build_corpus import YEAST, source_of
from jobs.quickstart import PRESETS, QuickstartConfig
from tests import corpora

GOLDEN = Path(__file__).parents[1] / "golden" / "quickstart_rows.json"
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


@pytest.mark.parametrize("preset", ["smoke", pytest.param("default", marks=pytest.mark.full)])
def test_the_first_rows_of_the_quickstart_are_golden(preset: str, tmp_path: Path) -> None:
    """A change here changes what the quickstart trains on: say old and new in LOG.md."""
    config = PRESETS[preset]
    held_out = (*TEST_CHROMOSOMES, *VALIDATION_CHROMOSOMES)
    corpus = corpora.build(tmp_path, [source_of(location, held_out) for location in YEAST], config.recipe)
    vocabulary = _vocabulary(config, corpus)
    found = {
        "corpus_sha256": corpus.sha256,
        "tokens": vocabulary.size,
        "rows": {
            str(number): _digest(Stream(corpus, vocabulary, config.training.stream, number)) for number in STREAMS
        },
    }
    assert found == json.loads(GOLDEN.read_text())[preset]
