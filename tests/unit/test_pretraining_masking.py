"""What masking never does, whatever is drawn (R14, R15, U5, U6)."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_fm.artefacts import sha256_json
from genomics_fm.errors import InputError
from genomics_fm.pretraining.mask_rates import hidden_bases
from genomics_fm.pretraining.masking import HEAD, IGNORE_INDEX, MASKING, TAIL, MaskingConfig, mask, mask_many
from genomics_fm.randomness import key
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.kmer import KmerVocabulary
from genomics_fm.vocabulary.special import CLS_ID, MASK_ID, SEP_ID, SPECIAL_TOKENS, UNK_ID
from tests.corpora import dna
from tests.masks import PIECES_V, PROMPT_ID, TOKENS, K, documents, masked, runs_of

KMERS = Ensemble({"kmer": KmerVocabulary(K)})
KINDS = pytest.mark.parametrize("overlap", [1, K])
PRESETS = pytest.mark.parametrize("preset", MASKING)


@settings(max_examples=100, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 80), max_size=5),
    overlap=st.integers(1, 7),
    span=st.integers(7, 30),
    rate=st.floats(1e-6, 0.999),
    rate_of=st.sampled_from(["bases", "tokens", "centres"]),
    fate_by=st.sampled_from(["run", "token"]),
    seed=st.integers(0, 1_000),
)
def test_what_holds_for_every_config(
    lengths: list[int], overlap: int, span: int, rate: float, rate_of: str, fate_by: str, seed: int
) -> None:
    config = MaskingConfig(rate, span, None, rate_of, fate_by)  # type: ignore[arg-type]
    made = masked(lengths, config, overlap, seed)
    selected_N = made.labels_N != IGNORE_INDEX
    assert np.array_equal(made.labels_N[selected_N], made.ids_N[selected_N])
    assert np.array_equal(made.shown_N[~selected_N], made.ids_N[~selected_N])
    assert np.isin(made.shown_N[selected_N], [MASK_ID, *PIECES_V]).all()
    for first, end in zip(made.offsets_D[:-1], made.offsets_D[1:], strict=True):
        assert not selected_N[first : first + HEAD].any() and not selected_N[end - TAIL : end].any()
    for runs_R2, length in zip(made.runs(), lengths, strict=True):
        if overlap > 1 and rate_of != "centres":
            assert (np.diff(runs_R2) == min(span, length)).all()  # runs that touched would be longer


@KINDS
@PRESETS
def test_a_document_is_masked_the_same_alone_and_among_others(preset: str, overlap: int) -> None:
    lengths = [300, 0, 7, 1, 505, 14, 65]
    ids_N, offsets_D = documents(lengths)
    keys_D = np.array([key("alone", number) for number in range(len(lengths))], dtype=np.uint64)
    shown_N = ids_N.copy()
    labels_N = mask_many(shown_N, offsets_D, keys_D, overlap, PIECES_V, MASKING[preset])
    assert labels_N.dtype == shown_N.dtype == np.int32
    for (begin, end), draw_key in zip(pairwise(offsets_D), keys_D, strict=True):
        before_T = ids_N[begin:end].copy()
        shown_T, labels_T = mask(before_T, int(draw_key), overlap, PIECES_V, MASKING[preset])
        assert np.array_equal(shown_T, shown_N[begin:end]) and np.array_equal(labels_T, labels_N[begin:end])
        assert np.array_equal(before_T, ids_N[begin:end])


def test_no_documents_have_no_labels() -> None:
    nothing_N, keys_D = np.empty(0, dtype=np.int32), np.empty(0, dtype=np.uint64)
    assert mask_many(nothing_N, np.zeros(1, dtype=np.int64), keys_D, K, PIECES_V, MaskingConfig()).size == 0


@KINDS
@PRESETS
def test_prompts_and_special_tokens_are_never_hidden(preset: str, overlap: int) -> None:
    """The published code hides prompts in 18 % of k-mer documents (D5)."""
    made = masked([65, 300, 505] * 50, MASKING[preset], overlap)
    starts_D = made.offsets_D[:-1]
    assert (made.shown_N[starts_D] == CLS_ID).all() and (made.shown_N[starts_D + 1] == PROMPT_ID).all()
    assert (made.shown_N[made.offsets_D[1:] - 1] == SEP_ID).all()
    assert not np.isin(made.labels_N, [*range(len(SPECIAL_TOKENS)), PROMPT_ID]).any()
    assert sum(len(runs_R2) for runs_R2 in made.runs()) > 150


@PRESETS
@pytest.mark.parametrize("letters", ["ACGT", "ACGTACGTACGTACGTACGTACGTN"])
def test_only_the_published_code_shows_hidden_bases(preset: str, letters: str) -> None:
    """Whatever stands at a hidden base, the visible ids are the same; and another base that is not hidden shows."""
    checked = Counter[str]()
    for i in range(16):
        sequence, draw_key = dna(70 + 5 * i, i, letters), key("leak", i)
        document_T = KMERS.document("kmer", sequence)
        shown_T, labels_T = mask(document_T, draw_key, K, PIECES_V, MASKING[preset])
        hidden_L, known_L = not_shown(document_T, shown_T, labels_T), covered_by_pieces(document_T)
        for base in np.flatnonzero(known_L).tolist():
            for letter in set("ACGT") - {sequence[base]}:
                other_T = KMERS.document("kmer", sequence[:base] + letter + sequence[base + 1 :])
                same = np.array_equal(mask(other_T, draw_key, K, PIECES_V, MASKING[preset])[0], shown_T)
                checked[f"{'hidden' if hidden_L[base] else 'visible'}, {'same' if same else 'shown'}"] += 1
    assert checked["visible, same"] == 0 and checked["visible, shown"] > 3_000
    assert checked["hidden, same"] > {"default": 500, "paper": 50, "authors": 300}[preset]
    shown = checked["hidden, shown"]
    assert shown > 300 if preset == "authors" else shown == 0


def not_shown(document_T: np.ndarray, shown_T: np.ndarray, labels_T: np.ndarray) -> np.ndarray:
    """Bases that selected tokens alone cover, but for runs kept as a whole."""
    labels_T = labels_T.copy()
    for start, end in runs_of(labels_T != IGNORE_INDEX):
        if np.array_equal(shown_T[start:end], document_T[start:end]):
            labels_T[start:end] = IGNORE_INDEX
    content = slice(HEAD, -TAIL)
    return hidden_bases(shown_T[content], labels_T[content], KMERS.intervals("kmer", document_T[content]))


def covered_by_pieces(document_T: np.ndarray) -> np.ndarray:
    known_T = document_T[HEAD:-TAIL] != UNK_ID
    return np.convolve(known_T, np.ones(K)) > 0


@PRESETS
def test_in_the_published_code_most_runs_keep_a_token_that_tells_its_neighbours(preset: str) -> None:
    """1 − 0.9**14 = 77 % of runs of 14 hold an unchanged token (D4); a run of ours is kept whole or not at all."""
    made = masked([TOKENS] * 1_000, MASKING[preset], K)
    kept = Counter[bool]()
    for (ids_T, shown_T, _), runs_R2 in zip(made.contents(), made.runs(), strict=True):
        for start, end in runs_R2.tolist():
            unchanged_T = ids_T[start:end] == shown_T[start:end]
            if not unchanged_T.all() and end - start == MASKING[preset].kmer_span:
                kept[unchanged_T.any() and (shown_T[start:end] == MASK_ID).any()] += 1
    leaking = kept[True] / kept.total()
    assert leaking == pytest.approx(0.77 if preset == "authors" else 0.0, abs=0.02)


@KINDS
@PRESETS
def test_unknown_tokens_are_never_selected_replaced_or_labels(preset: str, overlap: int) -> None:
    ids_N, offsets_D = documents([300] * 300)
    unknown_N = np.arange(len(ids_N)) % 303 == 100
    ids_N[unknown_N] = UNK_ID
    shown_N, keys_D = ids_N.copy(), np.arange(300).astype(np.uint64)
    labels_N = mask_many(shown_N, offsets_D, keys_D, overlap, PIECES_V, MASKING[preset])
    assert np.array_equal(shown_N == UNK_ID, unknown_N)
    assert (labels_N[unknown_N] == IGNORE_INDEX).all()
    beside = (labels_N[99::303] != IGNORE_INDEX) & (labels_N[101::303] != IGNORE_INDEX)
    assert beside.sum() > 0  # some were inside a run


def test_an_unknown_token_inside_a_run_hides_nothing() -> None:
    shown_T, labels_T = np.full(20, MASK_ID), np.arange(100, 120)
    intervals_T2 = np.stack([np.arange(20), np.arange(20) + 3], axis=1)
    shown_T[:5], labels_T[:5] = 200, IGNORE_INDEX  # visible pieces on bases 0 to 6
    shown_T[10:13], labels_T[10:13] = UNK_ID, IGNORE_INDEX  # an N at base 12
    assert np.flatnonzero(hidden_bases(shown_T, labels_T, intervals_T2)).tolist() == [*range(7, 12), *range(13, 22)]


def test_a_document_shorter_than_a_run_is_hidden_whole_or_not_at_all() -> None:
    runs = Counter(tuple(map(tuple, runs_R2)) for runs_R2 in masked([8] * 2_000, MaskingConfig(), K).runs())
    assert set(runs) == {(), ((0, 8),)}
    assert runs[((0, 8),)] / 2_000 == pytest.approx(0.15, abs=0.03)


@KINDS
def test_a_rate_of_almost_zero_hides_nothing(overlap: int) -> None:
    assert (masked([TOKENS] * 50, MaskingConfig(1e-12), overlap).labels_N == IGNORE_INDEX).all()


def test_runs_too_short_to_hide_a_base_are_refused() -> None:
    config = MaskingConfig(kmer_span=5)
    assert (mask(documents([50])[0], 1, 1, PIECES_V, config)[1] != IGNORE_INDEX).any()
    with pytest.raises(InputError, match=r"^kmer_span 5: give at least 6, a run of fewer hides no base of 6-mers$"):
        mask(documents([50])[0], 1, K, PIECES_V, config)


def test_golden_masks() -> None:
    """What a recorded run hid can be made again: these may never change."""
    ids_N, offsets_D = documents([505, 65, 8])
    keys_D = np.array([key(0, "mask", "kmer", 0, 0, number) for number in range(3)], dtype=np.uint64)
    digests = {}
    for name, config in MASKING.items():
        for overlap in (1, K):
            shown_N = ids_N.copy()
            labels_N = mask_many(shown_N, offsets_D, keys_D, overlap, PIECES_V, config)
            digests[f"{name} {overlap}"] = sha256_json([shown_N.tolist(), labels_N.tolist()])[:16]
    assert digests == GOLDEN


GOLDEN = {
    "default 1": "3556f04046e32fe1",
    "default 6": "e3224973efe504c9",
    "paper 1": "3556f04046e32fe1",
    "paper 6": "cfa5a79b712e08ff",
    "authors 1": "3556f04046e32fe1",
    "authors 6": "f3c81211116969d1",
}
