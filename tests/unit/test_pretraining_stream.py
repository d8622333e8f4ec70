import hashlib
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import InputError
from genomics_fm.pretraining import lane
from genomics_fm.pretraining.lane import Row
from genomics_fm.pretraining.masking import IGNORE_INDEX, MaskingConfig
from genomics_fm.pretraining.segments import Segment, text
from genomics_fm.pretraining.stream import Stream
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.special import CLS_ID, MASK_ID, PAD_ID, SEP_ID, SPECIAL_TOKENS, UNK_ID
from tests.corpora import STREAMS, corpus_of, dna, streams

GOLDEN = Path(__file__).parents[1] / "golden" / "stream_rows.json"


def spelled(row: Row) -> tuple[Any, ...]:
    """Everything about a row, comparable."""
    return row.vocabulary, row.ids_N.tobytes(), row.labels_N.tobytes(), tuple(row.lengths), tuple(row.segments)


def rows_of(stream: Stream, count: int) -> list[Row]:
    return [stream.row() for _ in range(count)]


def digest(row: Row) -> str:
    return hashlib.sha256(repr(spelled(row)).encode()).hexdigest()[:16]


def last_epochs(rows: list[tuple[Any, ...]]) -> dict[str, int]:
    """By vocabulary, the highest epoch among the segments of spelled rows."""
    return {row[0]: max(segment.epoch for segment in row[4]) for row in rows}


def test_the_first_rows_of_seed_0_are_golden(corpus: Corpus, vocabulary: Ensemble) -> None:
    """A change here changes every pretraining: say old and new in LOG.md."""
    found = {}
    for number in (0, 1, 3):
        stream = Stream(corpus, vocabulary, STREAMS, number)
        found[str(number)] = [digest(stream.row()) for _ in range(40)]
    assert found == json.loads(GOLDEN.read_text())


def test_rows_depend_on_seed_and_stream(corpus: Corpus, vocabulary: Ensemble) -> None:
    rows = {
        spelled(Stream(corpus, vocabulary, streams(seed=seed), number).row()) for seed in range(3) for number in (0, 2)
    }
    assert len(rows) == 6


def test_documents_are_cls_prompt_segment_sep(corpus: Corpus, vocabulary: Ensemble) -> None:
    for number in range(4):
        stream = Stream(corpus, vocabulary, STREAMS, number)
        for row in (stream.row() for _ in range(20)):
            assert len(row.ids_N) == len(row.labels_N) == sum(row.lengths) <= STREAMS.row_tokens
            assert len(row.segments) == len(row.lengths)
            end = 0
            for segment, length in zip(row.segments, row.lengths, strict=True):
                start, end = end, end + length
                shown_T, labels_T = row.ids_N[start:end], row.labels_N[start:end]
                assert segment.vocabulary == row.vocabulary
                assert shown_T[:2].tolist() == [CLS_ID, vocabulary.prompt_id(row.vocabulary)] and shown_T[-1] == SEP_ID
                assert (labels_T[[0, 1, -1]] == IGNORE_INDEX).all()
                content_T = vocabulary.encode(
                    row.vocabulary, text(segment, corpus.sequence(segment.window), STREAMS.seed)
                )
                restored_T = np.where(labels_T == IGNORE_INDEX, shown_T, labels_T)[2:-1]
                assert np.array_equal(restored_T, content_T)


def test_only_pieces_of_the_rows_vocabulary_are_hidden_or_shown(corpus: Corpus, vocabulary: Ensemble) -> None:
    config = streams(masking=MaskingConfig(0.4, 5))
    pieces = {name: set(vocabulary.piece_ids(name).tolist()) for name in vocabulary.names}
    assert all(not found & set(range(len(SPECIAL_TOKENS))) for found in pieces.values())
    shown = Counter[str]()
    for number in (0, 1):
        stream = Stream(corpus, vocabulary, config, number)
        for row in (stream.row() for _ in range(60)):
            content_N = row.ids_N[(row.ids_N != CLS_ID) & (row.ids_N != SEP_ID)]
            others = set(content_N.tolist()) - pieces[row.vocabulary]
            assert others == {MASK_ID, vocabulary.prompt_id(row.vocabulary)}
            assert set(row.labels_N.tolist()) - {IGNORE_INDEX} <= pieces[row.vocabulary]
            shown[row.vocabulary] += int((row.ids_N == MASK_ID).sum())
    assert min(shown.values()) > 1_000


def test_a_row_is_well_filled(corpus: Corpus, vocabulary: Ensemble) -> None:
    stream = Stream(corpus, vocabulary, streams(row_tokens=512), 0)
    fill = [len(stream.row().ids_N) / 512 for _ in range(200)]
    assert np.mean(fill) > 0.95 and max(fill) <= 1


def test_vocabularies_take_turns_and_get_about_equal_tokens(corpus: Corpus, vocabulary: Ensemble) -> None:
    tokens = Counter[str]()
    for number in range(4):
        stream = Stream(corpus, vocabulary, STREAMS, number)
        rows = [stream.row() for _ in range(100)]
        assert [row.vocabulary for row in rows] == [("bpe", "kmer")[(i + number) % 2] for i in range(100)]
        for row in rows:
            tokens[row.vocabulary] += len(row.ids_N) - 3 * len(row.lengths)
    assert tokens["bpe"] / tokens.total() == pytest.approx(0.5, abs=0.03)


def test_a_cycle_sets_the_mixture(corpus: Corpus, vocabulary: Ensemble) -> None:
    stream = Stream(corpus, vocabulary, streams(cycle=("kmer", "bpe", "kmer")), 1)
    assert [stream.row().vocabulary for _ in range(6)] == ["bpe", "kmer", "kmer"] * 2
    stream = Stream(corpus, vocabulary, streams(cycle=("kmer",)), 0)
    assert {stream.row().vocabulary for _ in range(6)} == {"kmer"}


def test_a_state_written_as_json_gives_the_same_next_rows(
    corpus: Corpus, vocabulary: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every row of several epochs of both vocabularies, and of several refills."""
    monkeypatch.setattr(lane, "REFILL_SEGMENTS", 40)
    stream = Stream(corpus, vocabulary, STREAMS, 1)
    states, rows = [], []
    for _ in range(130):
        states.append(json.dumps(stream.state(), sort_keys=True))
        rows.append(spelled(stream.row()))
    assert min(last_epochs(rows).values()) >= 2
    for place in range(127):
        again = Stream(corpus, vocabulary, STREAMS, 1)
        again.restore(json.loads(states[place]))
        assert json.dumps(again.state(), sort_keys=True) == states[place]
        assert [spelled(again.row()) for _ in range(3)] == rows[place : place + 3], place
    long = Stream(corpus, vocabulary, STREAMS, 1)
    long.restore(json.loads(states[10]))
    assert [spelled(long.row()) for _ in range(120)] == rows[10:]


@pytest.mark.parametrize("segments", [1, 7, 3_000])
def test_rows_do_not_depend_on_how_many_are_made_at_a_time(
    corpus: Corpus, vocabulary: Ensemble, monkeypatch: pytest.MonkeyPatch, segments: int
) -> None:
    expected = [spelled(row) for row in rows_of(Stream(corpus, vocabulary, STREAMS, 0), 60)]
    monkeypatch.setattr(lane, "REFILL_SEGMENTS", segments)
    stream = Stream(corpus, vocabulary, STREAMS, 0)
    assert [spelled(row) for row in rows_of(stream, 30)] == expected[:30]
    again = Stream(corpus, vocabulary, STREAMS, 0)
    again.restore(json.loads(json.dumps(stream.state())))
    assert [spelled(row) for row in rows_of(again, 30)] == expected[30:]


def test_a_used_stream_can_be_restored_too(corpus: Corpus, vocabulary: Ensemble) -> None:
    stream, other = (Stream(corpus, vocabulary, STREAMS, 2) for _ in range(2))
    state = json.loads(json.dumps(stream.state()))
    first = [spelled(stream.row()) for _ in range(5)]
    other.skip(23)
    other.restore(state)
    assert [spelled(other.row()) for _ in range(5)] == first


def test_a_state_taken_does_not_change_as_the_stream_goes_on(corpus: Corpus, vocabulary: Ensemble) -> None:
    stream = Stream(corpus, vocabulary, STREAMS, 0)
    stream.skip(4)
    state = stream.state()
    before = json.dumps(state)
    stream.skip(9)
    assert json.dumps(state) == before


def test_skipping_is_making_rows_unseen(corpus: Corpus, vocabulary: Ensemble) -> None:
    one, two = (Stream(corpus, vocabulary, STREAMS, 3) for _ in range(2))
    one.skip(17)
    for _ in range(17):
        two.row()
    assert one.rows_made == two.rows_made == 17
    assert spelled(one.row()) == spelled(two.row())


def walked(corpus: Corpus, vocabulary: Ensemble, rows: int) -> tuple[dict[Any, list[Segment]], dict[str, int]]:
    """Segments of the first epochs over all streams, by vocabulary and epoch; and segments dropped."""
    seen: dict[Any, list[Segment]] = defaultdict(list)
    dropped: dict[str, int] = defaultdict(int)
    for number in range(STREAMS.streams):
        stream = Stream(corpus, vocabulary, STREAMS, number)
        latest: dict[str, int] = {}
        for _ in range(rows):
            for segment in stream.row().segments:
                seen[segment.vocabulary, segment.epoch].append(segment)
                latest[segment.vocabulary] = segment.epoch
        assert min(latest.values()) >= 3  # so that none of epoch 1 still waits
        for name, state in stream.state()["lanes"].items():
            dropped[name] += state["dropped_segments"]
        assert stream.dropped_segments == sum(state["dropped_segments"] for state in stream.state()["lanes"].values())
    return seen, dropped


def test_every_epoch_uses_each_window_once_and_each_base_once(corpus: Corpus, vocabulary: Ensemble) -> None:
    seen, dropped = walked(corpus, vocabulary, 300)
    assert dict(dropped) == {"bpe": 0, "kmer": 0}
    for name in vocabulary.names:
        for epoch in (0, 1):
            assert len(set(seen[name, epoch])) == len(seen[name, epoch])
            depth = {window: np.zeros(len(corpus.sequence(window)), dtype=int) for window in range(len(corpus))}
            for segment in seen[name, epoch]:
                depth[segment.window][segment.start : segment.end] += 1
            assert all((d == 1).all() for d in depth.values())


def test_every_epoch_and_vocabulary_has_its_own_order(corpus: Corpus, vocabulary: Ensemble) -> None:
    stream, shares = Stream(corpus, vocabulary, STREAMS, 0), defaultdict(set)
    for row in (stream.row() for _ in range(140)):
        for segment in row.segments:
            shares[segment.vocabulary, segment.epoch].add(segment.window)
    first = {(name, epoch): frozenset(shares[name, epoch]) for name in vocabulary.names for epoch in (0, 1)}
    assert len(set(first.values())) == 4 and {len(share) for share in first.values()} == {6}


def test_segments_with_too_many_n_are_dropped_and_counted(
    tmp_path: Path, vocabulary: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One stretch of 40 N in each 1,000 nt: only segments of less than 400 nt around it have over 10 % N."""
    monkeypatch.setattr(lane, "REFILL_SEGMENTS", 32)  # what is dropped counts from the next refill on
    sequence = "".join(dna(960, i) + "N" * 40 for i in range(16))
    corpus = corpus_of(tmp_path / "corpus", {"c": sequence})
    seen, dropped = walked(corpus, vocabulary, 300)
    for name in vocabulary.names:
        kept = seen[name, 0]
        shares = [corpus.sequence(s.window).count("N", s.start, s.end) / (s.end - s.start) for s in kept]
        assert 0 < max(shares) <= 0.10
        missing = sum(len(corpus.sequence(row)) for row in range(len(corpus))) - sum(s.end - s.start for s in kept)
        assert missing > 0 and dropped[name] > 0


def test_unknown_tokens_stay_visible_in_rows(tmp_path: Path, vocabulary: Ensemble) -> None:
    corpus = corpus_of(tmp_path / "corpus", {"c": "".join(dna(97, i) + "NNN" for i in range(60))})
    unknown = 0
    for number in (0, 1):
        stream = Stream(corpus, vocabulary, STREAMS, number)
        for row in (stream.row() for _ in range(20)):
            assert not set(row.labels_N.tolist()) & {UNK_ID, CLS_ID, SEP_ID, PAD_ID, MASK_ID}
            restored_N = np.where(row.labels_N == IGNORE_INDEX, row.ids_N, row.labels_N)
            assert np.array_equal(restored_N == UNK_ID, row.ids_N == UNK_ID)
            unknown += int((row.ids_N == UNK_ID).sum())
    assert unknown > 200


def test_a_corpus_of_almost_only_n_ends_with_an_error_instead_of_never(tmp_path: Path, vocabulary: Ensemble) -> None:
    corpus = corpus_of(tmp_path / "corpus", {"c": ("N" * 49 + "A") * 200})
    with pytest.raises(InputError, match="no segment with at most 10% N"):
        Stream(corpus, vocabulary, STREAMS, 0).row()


def test_fewer_windows_than_streams_are_refused(corpus: Corpus, vocabulary: Ensemble) -> None:
    with pytest.raises(InputError, match=r"21 windows are fewer than 22 streams; use shorter windows or fewer"):
        Stream(corpus, vocabulary, streams(streams=22), 0)
    full = streams(streams=21)
    assert {Stream(corpus, vocabulary, full, n).row().segments[0].window for n in range(0, 21, 2)}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cycle": ("bpe", "codon")}, "vocabulary 'codon': not in this ensemble"),
        ({"max_segment_bp": {"bpe": 400}}, "max_segment_bp of 'kmer': None"),
        ({"max_segment_bp": {"bpe": 60, "kmer": 120}}, "max_segment_bp of 'bpe': 60"),
        ({"masking": MaskingConfig(0.15, 2)}, "kmer_span 2: give at least 3, a run of fewer hides no base of 3-mers"),
    ],
)
def test_what_cannot_work_is_refused_at_once(corpus: Corpus, vocabulary: Ensemble, changes: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Stream(corpus, vocabulary, streams(**changes), 0)


def test_a_segment_longer_than_a_row_says_what_to_change(corpus: Corpus, vocabulary: Ensemble) -> None:
    stream = Stream(corpus, vocabulary, streams(row_tokens=100), 0)
    with pytest.raises(InputError, match=r"more than a row's 100; raise row_tokens or lower max_segment_bp"):
        stream.skip(10)
