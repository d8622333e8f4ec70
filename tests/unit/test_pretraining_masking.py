from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from genomics_fm.pretraining.masking import (
    IGNORE_INDEX,
    MaskingConfig,
    apply_mask,
    single_selection,
    span_selection,
)
from genomics_fm.randomness import key
from genomics_fm.vocabulary.kmer import KmerVocabulary
from genomics_fm.vocabulary.special import MASK_ID, SPECIAL_TOKENS, UNK_ID
from tests.corpora import dna

K = 6
TOKENS = 505  # of the longest 6-mer segment
CONFIG = MaskingConfig()
PIECES_V = np.arange(100, 100 + 4**K, dtype=np.int32)  # ids of the active vocabulary


def hidden_bases(start: int, end: int, tokens: int, k: int = K) -> range:
    """R15: bases that no token outside [start, end) covers."""
    return range(0 if start == 0 else start + k - 1, tokens + k - 1 if end == tokens else end)


def encode(sequence: str) -> np.ndarray:
    local_T = KmerVocabulary(K).encode(sequence)
    return np.where(local_T < 0, UNK_ID, PIECES_V[local_T]).astype(np.int32)


@pytest.mark.parametrize("tokens", [65, 100, 505])
@pytest.mark.parametrize("config", [CONFIG, MaskingConfig(0.3, 14), MaskingConfig(0.023, 6), MaskingConfig(0.9, 14)])
def test_runs_are_long_disjoint_and_apart(tokens: int, config: MaskingConfig) -> None:
    for i in range(300):
        runs = span_selection(tokens, K, config, key("runs", i)).tolist()
        assert all(end - start == config.kmer_span >= K for start, end in runs)
        assert all(right[0] - left[1] >= 1 for left, right in pairwise(runs))
        assert not runs or (runs[0][0] >= 0 and runs[-1][1] <= tokens)


def test_a_segment_of_fewer_tokens_than_a_run_is_hidden_whole_or_not_at_all() -> None:
    found = {tuple(map(tuple, span_selection(8, K, CONFIG, key(i)).tolist())) for i in range(100)}
    assert found == {(), ((0, 8),)}


@pytest.mark.parametrize("config", [CONFIG, MaskingConfig(0.023, 6), MaskingConfig(0.3, 20)])
def test_the_share_of_hidden_bases_is_the_mask_rate(config: MaskingConfig) -> None:
    segments = {6: 6_000}.get(config.kmer_span, 3_000)
    hidden = 0
    for i in range(segments):
        runs = span_selection(TOKENS, K, config, key("rate", i)).tolist()
        hidden += sum(len(hidden_bases(start, end, TOKENS)) for start, end in runs)
    rate = hidden / (segments * (TOKENS + K - 1))
    # Runs at an end hide k − 1 bases more there: 0.3 % more in all with runs of 14, 5 % with runs of 6.
    assert rate == pytest.approx(config.mask_rate, rel={6: 0.06}.get(config.kmer_span, 0.01))


def test_every_way_to_place_runs_is_equally_likely() -> None:
    """Two runs of 14 in 31 tokens leave 2 free tokens beside the gap: 6 ways."""
    config = MaskingConfig(mask_rate=2 * 9 / 36)
    ways = Counter(tuple(map(tuple, span_selection(31, K, config, key("ways", i)).tolist())) for i in range(6_000))
    assert len(ways) == 6
    assert sum((n - 1_000) ** 2 / 1_000 for n in ways.values()) < 20.5  # 0.999 quantile, 5 degrees of freedom


def test_tokens_are_selected_one_by_one_at_the_rate() -> None:
    counts = []
    for i in range(1_000):
        runs = single_selection(300, CONFIG, key("single", i))
        assert (runs[:, 1] - runs[:, 0] == 1).all()
        counts.append(len(runs))
    assert np.mean(counts) / 300 == pytest.approx(0.15, rel=0.02)
    assert np.var(counts) == pytest.approx(300 * 0.15 * 0.85, rel=0.2)  # independent draws


def test_no_hidden_base_can_be_recovered_from_what_is_shown() -> None:
    """Whatever stands at a hidden base, the visible ids are the same; and any other base would show."""
    checked = Counter[str]()
    for i in range(30):
        sequence = dna(70 + 4 * i, i)
        ids_T, draw_key = encode(sequence), key("leak", i)
        runs = span_selection(len(ids_T), K, CONFIG, draw_key)
        shown_T, _ = apply_mask(ids_T, runs, PIECES_V, draw_key)
        covered = set()
        for start, end in runs.tolist():
            kept = (shown_T[start:end] == ids_T[start:end]).all()
            covered |= set() if kept else set(hidden_bases(start, end, len(ids_T)))
        for base in range(len(sequence)):
            for letter in set("ACGT") - {sequence[base]}:
                other_T = encode(sequence[:base] + letter + sequence[base + 1 :])
                same = np.array_equal(apply_mask(other_T, runs, PIECES_V, draw_key)[0], shown_T)
                assert same == (base in covered), (i, base)
                checked["hidden" if same else "visible"] += 1
    assert checked["hidden"] > 700 and checked["visible"] > 5_000


@pytest.mark.parametrize("span", [1, 14])
def test_eighty_ten_ten_by_run(span: int) -> None:
    fates = Counter[str]()
    ids_T = encode(dna(TOKENS + K - 1, 0))
    for i in range(4_000 if span == 1 else 1_800):
        draw_key = key("fates", i)
        single, spans = single_selection(60, CONFIG, draw_key), span_selection(TOKENS, K, CONFIG, draw_key)
        runs = single if span == 1 else spans
        shown_T, labels_T = apply_mask(ids_T, runs, PIECES_V, draw_key)
        for start, end in runs.tolist():
            assert np.array_equal(labels_T[start:end], ids_T[start:end])
            masked_T, kept_T = shown_T[start:end] == MASK_ID, shown_T[start:end] == ids_T[start:end]
            assert masked_T.all() or not masked_T.any()  # D4: one fate a run
            assert kept_T.all() or kept_T.sum() <= 1
            fates["mask" if masked_T.all() else "keep" if kept_T.all() else "random"] += 1
    total = sum(fates.values())
    for fate, share in {"mask": 0.8, "random": 0.1, "keep": 0.1}.items():
        assert fates[fate] / total == pytest.approx(share, abs=0.01)


def test_random_tokens_come_from_the_active_vocabulary_and_reach_all_of_it() -> None:
    pieces_V = np.array([7, 11, 13, 500], dtype=np.int32)
    ids_T = np.full(60, 7, dtype=np.int32)
    seen = Counter[int]()
    for i in range(3_000):
        draw_key = key("random", i)
        shown_T, _ = apply_mask(ids_T, single_selection(60, CONFIG, draw_key), pieces_V, draw_key)
        seen.update(shown_T[(shown_T != MASK_ID) & (shown_T != 7)].tolist())
    assert set(seen) == {11, 13, 500}
    assert min(seen.values()) / max(seen.values()) > 0.85


def test_unknown_tokens_are_never_hidden_replaced_or_labels() -> None:
    sequence = dna(200, 0)[:100] + "N" + dna(200, 1)
    ids_T = encode(sequence)
    unknown_T = ids_T == UNK_ID
    assert unknown_T.sum() == K
    hit = 0
    for i in range(300):
        draw_key = key("unknown", i)
        runs = span_selection(len(ids_T), K, MaskingConfig(0.5), draw_key)
        shown_T, labels_T = apply_mask(ids_T, runs, PIECES_V, draw_key)
        assert (shown_T[unknown_T] == UNK_ID).all() and (labels_T[unknown_T] == IGNORE_INDEX).all()
        hit += any(start <= np.flatnonzero(unknown_T)[0] < end for start, end in runs.tolist())
        assert not set(labels_T.tolist()) & set(range(len(SPECIAL_TOKENS)))
    assert hit > 100


def test_what_is_not_selected_is_shown_and_no_label() -> None:
    ids_T = encode(dna(300, 0))
    runs = np.array([[10, 24], [30, 44]])
    shown_T, labels_T = apply_mask(ids_T, runs, PIECES_V, key(0))
    selected_T = np.zeros(len(ids_T), dtype=bool)
    selected_T[10:24] = selected_T[30:44] = True
    assert np.array_equal(shown_T[~selected_T], ids_T[~selected_T])
    assert (labels_T[~selected_T] == IGNORE_INDEX).all()
    assert not np.shares_memory(shown_T, ids_T)


def test_a_rate_of_almost_zero_hides_nothing() -> None:
    nothing = MaskingConfig(mask_rate=1e-12)
    assert span_selection(TOKENS, K, nothing, key(0)).shape == (0, 2)
    assert single_selection(TOKENS, nothing, key(0)).shape == (0, 2)
