import json
import threading
import time
from typing import Any

import pytest

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import InputError
from genomics_fm.pretraining.batches import Batches
from genomics_fm.pretraining.lane import Row
from genomics_fm.pretraining.prefetch import Prefetched
from genomics_fm.vocabulary.ensemble import Ensemble
from tests.corpora import STREAMS

STEPS = 9


def spelled(rows: list[Row]) -> list[Any]:
    return [(row.vocabulary, row.ids_N.tobytes(), row.labels_N.tobytes(), row.lengths, row.segments) for row in rows]


def ahead_of(
    corpus: Corpus,
    vocabulary: Ensemble,
    rank: int = 0,
    world: int = 1,
    first: int = 0,
    depth: int = 2,
    state: Any = None,
) -> Prefetched[list[Any]]:
    batches = Batches(corpus, vocabulary, STREAMS, 6, rank, world)
    if state is not None:
        batches.restore(state)
    return Prefetched(batches, spelled, range(first, STEPS), lambda step: step % 3 == 0, depth)


@pytest.mark.parametrize("depth", [1, 2, 20])
@pytest.mark.parametrize(("rank", "world"), [(0, 1), (1, 2), (2, 8)])
def test_rows_and_states_are_those_of_the_batches(
    corpus: Corpus, vocabulary: Ensemble, depth: int, rank: int, world: int
) -> None:
    ahead = ahead_of(corpus, vocabulary, rank, world, depth=depth)
    plain = Batches(corpus, vocabulary, STREAMS, 6, rank, world)
    for step in range(STEPS):
        found = ahead.take()
        assert found.made == spelled(plain.rows(step))
        assert found.states == (plain.states(step + 1) if step + 1 in (3, 6, 9) else None)
        assert found.dropped_segments == plain.dropped_segments and found.stall >= 0
    ahead.close()


def test_a_state_taken_ahead_goes_on_where_it_says(corpus: Corpus, vocabulary: Ensemble) -> None:
    whole = ahead_of(corpus, vocabulary)
    taken = [whole.take() for _ in range(STEPS)]
    again = ahead_of(corpus, vocabulary, first=6, state=json.loads(json.dumps(taken[5].states)))
    assert [again.take().made for _ in range(3)] == [one.made for one in taken[6:]]


def test_no_more_than_the_depth_is_made_ahead(corpus: Corpus, vocabulary: Ensemble) -> None:
    made: list[int] = []
    batches = Batches(corpus, vocabulary, STREAMS, 4, 0, 1)
    ahead = Prefetched(batches, lambda rows: made.append(len(rows)), range(STEPS), lambda step: False, 3)
    for step in range(STEPS - 3):
        ahead.take()
        until = time.monotonic() + 10
        while len(made) < step + 4 and time.monotonic() < until:
            time.sleep(0.001)
        assert len(made) == step + 4
    ahead.close()


def test_an_error_of_the_thread_is_raised_where_its_step_is_taken(corpus: Corpus, vocabulary: Ensemble) -> None:
    calls: list[int] = []

    def fails_at_the_third(rows: list[Row]) -> int:
        calls.append(len(rows))
        if len(calls) == 3:
            raise InputError("rows: damaged; restore them")
        return len(calls)

    ahead = Prefetched(
        Batches(corpus, vocabulary, STREAMS, 4, 0, 1), fails_at_the_third, range(STEPS), lambda step: False, 2
    )
    assert [ahead.take().made for _ in range(2)] == [1, 2]
    with pytest.raises(InputError, match="rows: damaged"):
        ahead.take()
    ahead.close()


def test_closing_ends_the_thread_and_what_has_not_begun(corpus: Corpus, vocabulary: Ensemble) -> None:
    gate, calls = threading.Event(), []

    def waits(rows: list[Row]) -> None:
        calls.append(len(rows))
        gate.wait(10)

    before = threading.active_count()
    ahead = Prefetched(Batches(corpus, vocabulary, STREAMS, 4, 0, 1), waits, range(STEPS), lambda step: False, 5)
    assert threading.active_count() == before + 1
    threading.Timer(0.05, gate.set).start()
    ahead.close()
    assert len(calls) == 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("rows")]
