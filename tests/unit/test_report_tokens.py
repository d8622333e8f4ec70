import io
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import PathPatch
from rich.console import Console

from genomics_fm.errors import InputError
from genomics_fm.pretraining.mask_rates import hidden_bases
from genomics_fm.pretraining.masking import IGNORE_INDEX
from genomics_fm.report import token_figure
from genomics_fm.report.token_figure import LINE_BP, LOOKS, figure_bytes
from genomics_fm.report.token_text import RULER_STEP, SEEN, bracket, counts, print_tokens, ruler
from genomics_fm.report.token_tracks import (
    MAX_BP,
    SELECTED,
    State,
    Track,
    base_states,
    title,
    token_states,
    track,
    tracks,
)
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.kmer import KmerVocabulary
from genomics_fm.vocabulary.special import MASK_ID, UNK_ID
from tests.corpora import dna, fixed_vocabulary

SEQUENCE = dna(240, 1)
WITH_N = SEQUENCE[:60] + "N" + SEQUENCE[61:120] + "NNN" + SEQUENCE[123:]
V, K, R, M, U = State.VISIBLE, State.KEPT, State.RANDOM, State.MASK, State.UNKNOWN


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return fixed_vocabulary().with_member("six", KmerVocabulary(6)).with_member("nt", KmerVocabulary(1))


def hand_made(states: list[State], intervals: list[tuple[int, int]], bases: int, overlap: int = 1) -> Track:
    document = (("[CLS]", 1), ("[X]", 9), ("[SEP]", 2))
    return Track("x", "made up", overlap, document, np.array(states), np.array(intervals).reshape(-1, 2), bases)


def printed(sequence: str, shown: list[Track], width: int = 100, start: int = 0, colour: bool = False) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, color_system="truecolor" if colour else None)
    print_tokens(console, sequence, shown, start)
    return out.getvalue().splitlines()


def test_a_base_is_as_well_known_as_its_best_token() -> None:
    states = np.array([V, M, M, K, R, U])
    intervals = np.array([[0, 3], [1, 4], [2, 5], [5, 6], [5, 7], [8, 9]])
    assert base_states(states, intervals, 10).tolist() == [V, V, V, M, M, K, R, U, U, U]


def test_a_token_s_state_is_read_off_id_shown_id_and_label() -> None:
    ids, shown = np.array([9, 9, 9, 9, UNK_ID]), np.array([9, 9, MASK_ID, 12, UNK_ID])
    labels = np.array([-100, 9, 9, 9, -100])
    assert token_states(ids, shown, labels).tolist() == [V, K, M, R, U]


@pytest.mark.parametrize("preset", ["default", "paper", "authors"])
@pytest.mark.parametrize("name", ["bpe", "six", "nt"])
def test_bases_can_be_read_exactly_where_a_token_shows_them(ensemble: Ensemble, name: str, preset: str) -> None:
    made = track(ensemble, name, WITH_N, preset, seed=4)
    readable = np.zeros(len(WITH_N), dtype=bool)
    for (begin, end), state in zip(made.intervals_T2.tolist(), made.states_T.tolist(), strict=True):
        if state in (V, K):
            readable[begin:end] = True
    seen = made.seen(WITH_N)
    for base, (letter, shown) in enumerate(zip(WITH_N, seen, strict=True)):
        assert (shown.upper() == letter != "N") == bool(readable[base]), base
        assert shown not in "acgt" or made.base_states[base] == K
    assert made.tokens_that_are(*SELECTED) > 0


@pytest.mark.parametrize("preset", ["default", "authors"])
def test_bases_to_predict_are_those_that_masking_says_it_hid(ensemble: Ensemble, preset: str) -> None:
    made = track(ensemble, "six", WITH_N, preset, seed=4)
    labels = np.where(np.isin(made.states_T, SELECTED), 9, IGNORE_INDEX)
    shown = np.where(made.states_T == U, UNK_ID, 9)
    hidden = hidden_bases(shown, labels, made.intervals_T2)
    assert hidden.sum() == made.bases_that_are(*SELECTED) > 0
    assert (hidden == np.isin(made.base_states, SELECTED)).all()


def test_tokens_of_the_default_mask_follow_its_rules(ensemble: Ensemble) -> None:
    made = [track(ensemble, "six", SEQUENCE, "default", seed) for seed in range(30)]
    shares = [one.bases_that_are(*SELECTED) / one.bases for one in made]
    assert np.mean(shares) == pytest.approx(0.15, abs=0.01)
    for one in made:
        for first, second in zip(one.states_T[:-1].tolist(), one.states_T[1:].tolist(), strict=True):
            assert first == second or V in (first, second), "two runs touch"
    assert {K, R, M} <= {State(state) for one in made for state in one.states_T.tolist()}


def test_the_authors_mask_leaves_bases_of_a_run_to_be_read(ensemble: Ensemble) -> None:
    made = [track(ensemble, "six", SEQUENCE, "authors", seed) for seed in range(10)]
    assert sum(one.bases_that_are(K) for one in made) > 0.2 * sum(one.bases_that_are(*SELECTED) for one in made)


def test_what_is_unknown_is_counted_by_vocabulary(ensemble: Ensemble) -> None:
    bpe, _, six, nt = tracks(ensemble, (), WITH_N, "default", 0)
    assert [one.tokens_that_are(U) for one in (bpe, six, nt)] == [4, 6 + 8, 4]


def test_a_draw_depends_on_seed_and_vocabulary_alone(ensemble: Ensemble) -> None:
    one, other = (track(ensemble, "bpe", SEQUENCE, "default", seed) for seed in (1, 2))
    assert (one.states_T != other.states_T).any()
    alone = track(fixed_vocabulary(), "bpe", SEQUENCE, "default", 1)
    assert (one.states_T == alone.states_T).all()


def test_what_cannot_be_shown_is_refused(ensemble: Ensemble) -> None:
    for arguments, words in (
        ((ensemble, "bpe", SEQUENCE, "mine", 0), "default, paper, authors"),
        ((ensemble, "bpe", "A" * (MAX_BP + 1), "default", 0), "--start"),
        ((ensemble, "seven", SEQUENCE, "default", 0), "bpe, kmer, six, nt"),
    ):
        with pytest.raises(InputError, match=words):
            track(*arguments)


def test_titles_say_the_kind(ensemble: Ensemble) -> None:
    assert [title(ensemble, name) for name in ensemble.names] == ["BPE 72", "3-mers", "6-mers", "single nt"]


@pytest.mark.parametrize("width", [24, 40, 100, 163])
def test_every_base_is_printed_once_a_line_and_nothing_is_wider_than_the_terminal(
    ensemble: Ensemble, width: int
) -> None:
    shown = tracks(ensemble, (), WITH_N, "default", 3)
    lines = printed(WITH_N, shown, width)
    assert max(map(len, lines)) <= width
    gutter = len(SEEN) + 1
    letters = [line[gutter:] for line in lines if line.strip() and set(line) <= set(" ACGTN")]
    assert "".join(letters) == WITH_N
    seen = [line[gutter:] for line in lines if line.startswith(SEEN)]
    assert "".join(seen[:: len(shown)]) == shown[0].seen(WITH_N)


def test_numbers_stand_over_their_bases() -> None:
    for start, width in ((0, 90), (95, 33), (123_456_780, 90), (5, 3), (1_234_567_890, 40)):
        line = ruler(start, width)
        for label in line.split():
            assert line.index(label) == int(label.replace(",", "")) - start
        assert line.startswith(f"{start:,}")
        assert len(line) <= max(width, len(f"{start:,}"))
    assert len(ruler(0, 90).split()) == 90 // RULER_STEP


def test_tokens_side_by_side_are_brackets_and_overlapping_ones_are_marks() -> None:
    assert [bracket(width) for width in (1, 2, 5)] == ["│", "├┤", "├───┤"]
    lines = printed("ACGTACG", [hand_made([V, M, V], [(0, 3), (3, 4), (4, 7)], 7)])
    assert lines[2:4] == ["x     ├─┤│├─┤", " sees ACG▒ACG"]
    overlapping = hand_made([V, M, R, K, U], [(t, t + 3) for t in range(5)], 7, overlap=3)
    assert printed("ACGTACG", [overlapping])[2:4] == ["x     ·MRKu  ", " sees ACGtacN"]


def test_colour_only_where_the_terminal_has_it(ensemble: Ensemble) -> None:
    shown = tracks(ensemble, (), WITH_N, "default", 3)
    assert "\x1b" not in "".join(printed(WITH_N, shown))
    assert "\x1b[" in "".join(printed(WITH_N, shown, colour=True))


def test_counts_add_up(ensemble: Ensemble) -> None:
    shown = tracks(ensemble, (), WITH_N, "default", 3)
    table = dict(counts(shown))
    for number, one in enumerate(shown):
        fates = [int(fate) for fate in table["mask/random/kept"][number].split("/")]
        assert table["tokens to predict"][number].startswith(f"{sum(fates)} (")
        assert sum(one.tokens_that_are(state) for state in State) == len(one.states_T)
        assert sum(one.bases_that_are(state) for state in State) == one.bases


def test_a_sequence_shorter_than_k_has_no_tokens(ensemble: Ensemble) -> None:
    short = track(ensemble, "six", "ACGT", "default", 0)
    assert (len(short.states_T), short.nt_per_token, short.seen("ACGT")) == (0, "–", "NNNN")
    assert any("[CLS] 1  [SIX]" in line for line in printed("ACGT", [short]))
    assert figure_bytes("ACGT", [short], 0, "short", "png")


def test_the_figure_is_the_same_bytes_and_a_real_file(ensemble: Ensemble) -> None:
    part = WITH_N[40:80]
    shown = tracks(ensemble, ("bpe", "six"), part, "default", 3)
    svg = figure_bytes(part, shown, 7, "costs 5$ & <more>$", "svg")
    assert svg == figure_bytes(part, shown, 7, "costs 5$ & <more>$", "svg")
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert figure_bytes(part, shown, 7, "x", "png").startswith(b"\x89PNG\r\n")


def test_the_figure_draws_every_token_in_the_look_of_its_state(ensemble: Ensemble) -> None:
    sequence = WITH_N[:LINE_BP]
    shown = track(ensemble, "six", sequence, "authors", 5)
    axes = token_figure.token_figure(sequence, [shown], 0, "x").axes[0]
    boxes: Counter[tuple[str, str, str]] = Counter()
    for drawn in axes.collections:
        colours = (drawn.get_facecolor(), drawn.get_edgecolor())
        face, edge = (to_hex(colour[0]) if len(colour) else "none" for colour in colours)
        boxes[face, edge, drawn.get_hatch() or ""] += len(drawn.get_paths())
    for state in State:
        in_legend = 1
        look = LOOKS.get(state, (token_figure.TINTS[0], "none", ""))
        assert boxes[look] - in_legend == shown.tokens_that_are(state), state
    letters = [patch for patch in axes.patches if isinstance(patch, PathPatch)]
    assert len(letters) == 2, "the sequence, and what is left of it"


def test_long_sequences_wrap(ensemble: Ensemble) -> None:
    one, three = (
        token_figure.token_figure(text, tracks(ensemble, ("bpe",), text, "default", 0), 0, "x").get_figheight()
        for text in (SEQUENCE[:LINE_BP], SEQUENCE)
    )
    line = token_figure.RULER + token_figure.SEQUENCE + token_figure.BOX + token_figure.TRACK_GAP + token_figure.GAP
    assert three - one == pytest.approx(2 * line)
