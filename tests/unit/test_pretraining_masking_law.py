"""How much masking hides and where, by many draws (SPEC D1–D4, R15, U5–U7)."""

from collections import Counter
from itertools import product
from math import sqrt

import numpy as np
import pytest

from genomics_fm.pretraining.mask_rates import measured
from genomics_fm.pretraining.masking import HEAD, IGNORE_INDEX, MASKING, TAIL, MaskingConfig, mask_many
from genomics_fm.pretraining.masking_kernel import _CHOICE
from genomics_fm.randomness import bits, key, uniform
from genomics_fm.randomness_kernels import fold
from genomics_fm.vocabulary.special import MASK_ID
from tests.corpora import dna, fixed_vocabulary
from tests.masks import TOKENS, K, Masked, documents, masked, runs_of

PRESETS = pytest.mark.parametrize("preset", MASKING)
DRAWS = [1_000, pytest.param(20_000, marks=pytest.mark.full)]
QUANTILE_999 = {4: 18.5, 5: 20.5, 9: 27.9}
"""Of chi-squared, by degrees of freedom."""


def lengths(count: int) -> list[int]:
    """Half the longest, the rest uniform from the shortest of 70 bases up (SPEC C3)."""
    shorter = 65 + (uniform(key("lengths"), count) * (TOKENS - 65)).astype(int)
    return np.where(np.arange(count) % 2 == 0, TOKENS, shorter).tolist()


def chi_squared(counts: Counter[object], ways: int) -> float:
    expected = counts.total() / ways
    assert len(counts) == ways
    return sum((count - expected) ** 2 / expected for count in counts.values())


@pytest.mark.parametrize("documents_made", DRAWS)
@PRESETS
def test_presets_hide_what_they_say(preset: str, documents_made: int) -> None:
    rates = masked(lengths(documents_made), MASKING[preset], K).rates(K)
    if preset == "default":  # 15 % of bases: more of them if runs did not hide more at the ends
        assert rates.base_rate == pytest.approx(0.15, rel=0.01)
        assert rates.token_rate == pytest.approx(0.15 * 14 / 9, rel=0.02)
    elif preset == "paper":
        assert rates.token_rate == pytest.approx(0.14, rel=0.01)
        assert rates.base_rate == pytest.approx(0.0233, rel=0.08)  # runs at the ends hide 6 bases instead of 1
    else:
        assert rates.token_rate == pytest.approx(0.297, abs=0.005)


@pytest.mark.parametrize("documents_made", DRAWS)
@PRESETS
def test_tokens_side_by_side_are_selected_one_by_one(preset: str, documents_made: int) -> None:
    made = masked([300] * documents_made, MASKING[preset], 1)
    rates = made.rates(1)
    assert rates.token_rate == rates.base_rate == pytest.approx(0.15, rel=0.01)
    selected_DT = np.array([labels_T != IGNORE_INDEX for _, _, labels_T in made.contents()])
    spread = np.var(selected_DT.sum(axis=1)) / (300 * 0.15 * 0.85)
    assert spread == pytest.approx(1, abs=4 * sqrt(2 / documents_made))  # independent in a document
    together = np.mean(selected_DT[:, 1:] & selected_DT[:, :-1])
    assert together == pytest.approx(0.15**2, rel=0.03)


@pytest.mark.parametrize("documents_made", [1_000, pytest.param(20_000, marks=pytest.mark.full)])
@pytest.mark.parametrize("tokens", [8, 20, 65, TOKENS])
@pytest.mark.parametrize(("rate", "span"), [(0.15, 14), (0.023, 6), (0.3, 20), (0.4, 14)])
@pytest.mark.parametrize("rate_of", ["bases", "tokens"])
def test_rates_are_met_at_every_length_and_span(
    rate_of: str, rate: float, span: int, tokens: int, documents_made: int
) -> None:
    """Whole runs cannot meet a rate in one document; on average over documents they do."""
    config = MaskingConfig(rate, span, kmer_rate_of=rate_of)  # type: ignore[arg-type]
    made = masked([tokens] * documents_made, config, K, tokens)
    rates = made.rates(K)
    runs = sum(len(runs_R2) for runs_R2 in made.runs())
    # Standard error by the runs as if independent, which they are less than.
    tolerance = max(0.004, 4 / sqrt(runs) * sqrt(1 + 5 * (span == K)))
    assert (rates.base_rate if rate_of == "bases" else rates.token_rate) == pytest.approx(rate, rel=tolerance)


@pytest.mark.parametrize("rate_of", ["bases", "tokens"])
def test_a_rate_that_runs_with_gaps_cannot_reach_is_filled_to_the_last(rate_of: str) -> None:
    made = masked([104] * 20, MaskingConfig(0.99, 14, kmer_rate_of=rate_of), K)  # type: ignore[arg-type]
    assert all(runs_R2[:, 0].tolist() == list(range(0, 104, 15)) for runs_R2 in made.runs())


@pytest.mark.parametrize(("tokens", "runs", "ways"), [(31, 2, 6), (18, 1, 5), (46, 3, 10)])
def test_every_way_to_place_runs_is_equally_likely(tokens: int, runs: int, ways: int) -> None:
    """Two runs of 14 in 31 tokens leave 2 free tokens beside the gap: 6 ways."""
    config = MaskingConfig(kmer_rate=runs * 14 / tokens, kmer_rate_of="tokens")
    placed = Counter(tuple(runs_R2[:, 0]) for runs_R2 in masked([tokens] * 500 * ways, config, K, 7).runs())
    assert all(len(starts) == runs for starts in placed)
    assert chi_squared(placed, ways) < QUANTILE_999[ways - 1]


def test_many_runs_are_spread_evenly() -> None:
    """In a long document every place away from the ends is hidden equally often."""
    made = masked([20_000] * 200, MaskingConfig(), K)
    hidden_T = np.mean([labels_T != IGNORE_INDEX for _, _, labels_T in made.contents()], axis=0)
    tenths = hidden_T.reshape(10, -1).mean(axis=1)
    assert tenths == pytest.approx(np.full(10, 0.2334), rel=0.04)
    assert len(made.runs()[0]) == pytest.approx(0.15 * 20_005 / 9, abs=1)


def test_published_centres_are_widened_to_six_before_and_seven_after() -> None:
    made = masked([TOKENS, 65, 3] * 100, MASKING["authors"], K)
    for draw_key, (ids_T, _, labels_T) in zip(bits(key("masked", 0), 300).tolist(), made.contents(), strict=True):
        selected_T = np.zeros(len(ids_T), dtype=bool)
        for centre in np.flatnonzero(uniform(fold(np.uint64(draw_key), _CHOICE), len(ids_T)) < 0.15 / 6).tolist():
            selected_T[max(centre - 6, 0) : centre + 8] = True
        assert np.array_equal(labels_T != IGNORE_INDEX, selected_T)


def fates(made: Masked, by_token: bool) -> Counter[str]:
    """What became of every run, or of every token in one."""
    found = Counter[str]()
    for (ids_T, shown_T, _), runs_R2 in zip(made.contents(), made.runs(), strict=True):
        for start, end in runs_R2.tolist():
            for begin in range(start, end) if by_token else [start]:
                stop = begin + 1 if by_token else end
                masked_T, kept_T = shown_T[begin:stop] == MASK_ID, shown_T[begin:stop] == ids_T[begin:stop]
                assert masked_T.all() or not masked_T.any()
                assert kept_T.all() or kept_T.sum() <= 1
                found["mask" if masked_T.all() else "keep" if kept_T.all() else "random"] += 1
    return found


@pytest.mark.parametrize("documents_made", [1_500, pytest.param(20_000, marks=pytest.mark.full)])
@pytest.mark.parametrize(("preset", "overlap"), product(MASKING, [1, K]))
def test_eighty_ten_ten(preset: str, overlap: int, documents_made: int) -> None:
    """By run in ours, by token where tokens stand side by side and in the published code (D4, U7)."""
    by_token = overlap == 1 or preset == "authors"
    found = fates(masked([60 if by_token else TOKENS] * documents_made, MASKING[preset], overlap), by_token)
    for fate, share in {"mask": 0.8, "random": 0.1, "keep": 0.1}.items():
        assert found[fate] / found.total() == pytest.approx(share, abs=0.01)


def test_random_tokens_come_from_the_active_vocabulary_and_reach_all_of_it() -> None:
    pieces_V = np.array([7, 11, 13, 500], dtype=np.int32)
    ids_N, offsets_D = documents([TOKENS] * 500)
    for overlap in (1, K):
        shown_N = ids_N.copy()
        labels_N = mask_many(shown_N, offsets_D, bits(key("pieces"), 500), overlap, pieces_V, MaskingConfig())
        replaced_N = shown_N[(labels_N != IGNORE_INDEX) & (shown_N != MASK_ID) & (shown_N != ids_N)]
        counts = Counter(replaced_N.tolist())
        assert set(counts) == set(pieces_V.tolist())
        expected = counts.total() / 4
        assert sum((n - expected) ** 2 / expected for n in counts.values()) < 16.3  # 3 degrees of freedom


def test_the_fate_of_a_run_does_not_depend_on_its_place() -> None:
    """One run of 14 in 20 tokens: 7 places, each masked as often as any other."""
    made = masked([20] * 14_000, MaskingConfig(kmer_rate=0.7, kmer_rate_of="tokens"), K)
    places, hidden = Counter[int](), Counter[int]()
    for (_, shown_T, _), runs_R2 in zip(made.contents(), made.runs(), strict=True):
        start = int(runs_R2[0, 0])
        places[start] += 1
        hidden[start] += int(shown_T[start] == MASK_ID)
    assert set(places) == set(range(7))
    for start, count in places.items():
        assert hidden[start] / count == pytest.approx(0.8, abs=0.04)


def test_centres_whose_runs_touch_share_one_fate() -> None:
    """R15: overlapping runs merge, then one fate for every maximal run."""
    config = MaskingConfig(kmer_rate=0.1, kmer_rate_of="centres")
    made = masked([TOKENS] * 200, config, K)
    assert max(np.diff(runs_R2).max(initial=0) for runs_R2 in made.runs()) > 3 * config.kmer_span
    assert fates(made, by_token=False)["mask"] > 1_000


def test_rates_of_pieces_of_many_lengths() -> None:
    """BPE: 15 % of tokens are 15 % of bases too, since pieces are selected whatever their length."""
    ensemble = fixed_vocabulary()
    contents = [ensemble.document("bpe", dna(400, seed)) for seed in range(300)]
    ids_N, offsets_D = np.concatenate(contents), np.cumsum([0, *map(len, contents)])
    intervals_C2 = np.concatenate([ensemble.intervals("bpe", document_T[HEAD:-TAIL]) for document_T in contents])
    keys_D, pieces_V = bits(key("bpe"), 300), ensemble.piece_ids("bpe")
    labels_N = mask_many(ids_N, offsets_D, keys_D, 1, pieces_V, MaskingConfig())
    rates = measured(ids_N, labels_N, offsets_D, intervals_C2)
    assert rates.bases == 300 * 400 and rates.tokens == len(ids_N) - 300 * (HEAD + TAIL)
    assert rates.selected == np.count_nonzero(labels_N != IGNORE_INDEX)
    assert rates.masked == np.count_nonzero(ids_N == MASK_ID)
    assert rates.hidden == sum(len(ensemble.tokens[token]) for token in labels_N[labels_N != IGNORE_INDEX])
    assert rates.base_rate == pytest.approx(0.15, rel=0.03)


def test_runs_are_read_off_labels() -> None:
    assert runs_of(np.array([True, True, False, True])).tolist() == [[0, 2], [3, 4]]
