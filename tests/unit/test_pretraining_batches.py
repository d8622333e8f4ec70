import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.pretraining.batches import Batches, micro_batch
from genomics_fm.pretraining.lane import Row
from genomics_fm.pretraining.masking import IGNORE_INDEX
from genomics_fm.pretraining.walk import MAX_OPEN_WINDOWS
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.special import CLS_ID, SEP_ID
from tests.corpora import RECIPE, STREAMS, corpus_of, dna, streams

torch.set_num_threads(1)
STEPS = 8


def spelled(row: Row) -> tuple[Any, ...]:
    return row.vocabulary, row.ids_N.tobytes(), row.labels_N.tobytes(), tuple(row.lengths), tuple(row.segments)


def workers(
    corpus: Corpus, vocabulary: Ensemble, rows: int, world: int, states: dict[str, Any] | None = None
) -> list[Batches]:
    found = [Batches(corpus, vocabulary, STREAMS, rows, rank, world) for rank in range(world)]
    for batches in found if states is not None else []:
        batches.restore(states or {})
    return found


def global_batch(found: list[Batches], step: int, rows: int) -> list[tuple[Any, ...]]:
    """Rows of all workers, put back into the order of the batch."""
    shares = [[spelled(row) for row in batches.rows(step)] for batches in found]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    return [shares[i % len(found)][i // len(found)] for i in range(rows)]


@pytest.mark.parametrize("rows", [4, 6, 3])
def test_a_global_batch_is_the_same_for_any_number_of_workers(corpus: Corpus, vocabulary: Ensemble, rows: int) -> None:
    """R5, with as many rows as streams, with more, and with fewer (the streams drift through the workers)."""
    alone = workers(corpus, vocabulary, rows, 1)
    expected = [global_batch(alone, step, rows) for step in range(STEPS)]
    for world in (2, 3, 8):
        found = workers(corpus, vocabulary, rows, world)
        assert [global_batch(found, step, rows) for step in range(STEPS)] == expected, world
    assert len({row for batch in expected for row in batch}) == rows * STEPS


@pytest.mark.parametrize("rows", [4, 3])
def test_states_of_any_number_of_workers_go_on_with_any_other(corpus: Corpus, vocabulary: Ensemble, rows: int) -> None:
    alone = workers(corpus, vocabulary, rows, 1)
    expected = [global_batch(alone, step, rows) for step in range(STEPS)]
    for before, after in ((1, 2), (2, 1), (2, 3), (3, 8), (8, 1)):
        found = workers(corpus, vocabulary, rows, before)
        assert [global_batch(found, step, rows) for step in range(3)] == expected[:3]
        states: dict[str, Any] = {}
        for batches in found:
            part = json.loads(json.dumps(batches.states(3)))
            assert not set(part) & set(states)  # no stream is answered for twice
            states |= part
        assert set(states) == {str(number) for number in range(STREAMS.streams)}
        resumed = workers(corpus, vocabulary, rows, after, states)
        assert [global_batch(resumed, step, rows) for step in range(3, STEPS)] == expected[3:], (before, after)


def test_taking_states_does_not_disturb_a_run(corpus: Corpus, vocabulary: Ensemble) -> None:
    alone = workers(corpus, vocabulary, 6, 1)
    expected = [global_batch(alone, step, 6) for step in range(STEPS)]
    pair = workers(corpus, vocabulary, 6, 2)
    for step in range(STEPS):
        assert global_batch(pair, step, 6) == expected[step]
        for batches in pair:
            batches.states(step + 1)


def test_rows_come_from_the_streams_in_turn(corpus: Corpus, vocabulary: Ensemble) -> None:
    batches = Batches(corpus, vocabulary, streams(streams=5), 3, 0, 1)
    own = [Batches(corpus, vocabulary, streams(streams=5), 5, 0, 1).streams[n] for n in range(5)]
    for step in range(6):
        for i, row in enumerate(batches.rows(step)):
            assert spelled(row) == spelled(own[(step * 3 + i) % 5].row())


def test_a_global_batch_mixes_the_windows_of_its_streams(tmp_path: Path, vocabulary: Ensemble) -> None:
    """R5: rows of one window in a global batch are at most twice what an even share would be."""
    contigs = {str(number): dna(400_000, number) for number in range(5)}
    corpus = corpus_of(tmp_path / "corpus", contigs, dataclasses.replace(RECIPE, window_bp=16_384))
    config = streams(streams=4, row_tokens=2_048, max_segment_bp={"bpe": 500, "kmer": 500})
    batches = Batches(corpus, vocabulary, config, 64, 0, 1)
    assert len(corpus) > 1.5 * 4 * MAX_OPEN_WINDOWS
    for step in range(6):
        rows = batches.rows(step)
        for name in vocabulary.names:
            found = [segment.window for row in rows if row.vocabulary == name for segment in row.segments]
            expected = len(found) / (4 * MAX_OPEN_WINDOWS)
            assert max(Counter(found).values()) <= 2 * expected, step


def test_tensors_of_a_micro_batch(corpus: Corpus, vocabulary: Ensemble) -> None:
    rows = Batches(corpus, vocabulary, STREAMS, 4, 0, 1).rows(0)
    batch = micro_batch(rows, vocabulary.names)
    assert batch.ids_N.tolist() == [token for row in rows for token in row.ids_N.tolist()]
    assert batch.lengths == [length for row in rows for length in row.lengths] and sum(batch.lengths) == len(
        batch.ids_N
    )
    labels = [token for row in rows for token in row.labels_N.tolist()]
    names = [vocabulary.names.index(row.vocabulary) for row in rows for _ in row.ids_N]
    chosen = [i for i, token in enumerate(labels) if token != IGNORE_INDEX]
    assert batch.select_M.tolist() == chosen
    assert batch.labels_M.tolist() == [labels[i] for i in chosen]
    assert batch.vocabulary_M.tolist() == [names[i] for i in chosen] and set(batch.vocabulary_M.tolist()) == {0, 1}
    assert {t.dtype for t in (batch.ids_N, batch.select_M, batch.labels_M, batch.vocabulary_M)} == {torch.int64}


def test_a_worker_without_rows_has_something_to_put_through_the_model(vocabulary: Ensemble) -> None:
    batch = micro_batch([], vocabulary.names)
    assert batch.ids_N.tolist() == [CLS_ID, SEP_ID] and batch.lengths == [2]
    assert len(batch.select_M) == len(batch.labels_M) == len(batch.vocabulary_M) == 0
