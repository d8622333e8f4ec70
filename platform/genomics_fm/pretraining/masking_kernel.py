"""Placing what is hidden and hiding it, document after document, in time that grows with the tokens.

Tokens are counted from the document's first content token; runs are half-open intervals of them.
"""

import numpy as np
from numba import njit

from genomics_fm.randomness_kernels import fold, unit
from genomics_fm.vocabulary.special import MASK_ID, UNK_ID

MASK_SHARE, RANDOM_SHARE = 0.8, 0.1
"""Of what is selected, 80 % becomes [MASK], 10 % a random piece, and the rest stays (SPEC D1)."""
_CHANGED_SHARE = MASK_SHARE + RANDOM_SHARE

SINGLE, BASES, TOKENS, CENTRES = range(4)
"""What a rate is a share of; SINGLE: tokens, chosen one by one."""

_CHOICE, _COUNT, _PLACE, _FATE, _PIECE = range(5)
"""What a document's draws are for, folded into its key."""


@njit(cache=True, nogil=True)
def hide(
    ids_N: np.ndarray,
    labels_N: np.ndarray,
    first_D: np.ndarray,
    last_D: np.ndarray,
    keys_D: np.ndarray,
    pieces_V: np.ndarray,
    rate_of: int,
    rate: float,
    span: int,
    overlap: int,
    fate_by_token: bool,
) -> None:  # pragma: no cover
    """Hide a part of every document's content [first, last): ids and the labels of what is selected change."""
    longest = 0
    for document in range(first_D.size):
        longest = max(longest, last_D[document] - first_D[document])
    places_T, runs_R2 = np.empty(longest, np.int64), np.empty((longest, 2), np.int64)
    chosen_T, draws_2T = np.zeros(longest + 1, np.bool_), np.empty((2, longest))
    for document in range(first_D.size):
        first, last, key = first_D[document], last_D[document], keys_D[document]
        if last <= first:
            continue
        ids_T, labels_T = ids_N[first:last], labels_N[first:last]
        places = runs = 0
        if rate_of == SINGLE:
            places = _singles(last - first, rate, key, chosen_T, places_T)
        elif rate_of == CENTRES:
            centres = _singles(last - first, rate, key, chosen_T, places_T)
            runs = _dilated(places_T[:centres], last - first, span, runs_R2)
        else:
            runs = _disjoint(last - first, span, overlap, rate_of == BASES, rate, key, chosen_T, runs_R2)
        if fate_by_token and rate_of != SINGLE:
            places = _tokens_of(runs_R2[:runs], places_T)
        if fate_by_token or rate_of == SINGLE:
            _replace_tokens(ids_T, labels_T, places_T[:places], key, pieces_V, draws_2T)
        else:
            _replace_runs(ids_T, labels_T, runs_R2[:runs], key, pieces_V)


@njit(cache=True, nogil=True)
def _singles(
    tokens: int, rate: float, key: np.uint64, chosen_T: np.ndarray, places_T: np.ndarray
) -> int:  # pragma: no cover
    """Choose each token with probability `rate`; how many places there are."""
    choice, places = fold(key, _CHOICE), 0
    for token in range(tokens):  # a loop of its own: only so is it turned into vector instructions
        chosen_T[token] = unit(choice, token) < rate
    for token in range(tokens):
        places_T[places] = token
        places += chosen_T[token]
    return places


@njit(cache=True, nogil=True)
def _dilated(centres_R: np.ndarray, tokens: int, span: int, runs_R2: np.ndarray) -> int:  # pragma: no cover
    """Widen centres to `span` tokens as published, 6 before and 7 after for 14, and merge those that touch."""
    runs = 0
    for centre in centres_R:
        start, end = max(centre - (span - 1) // 2, 0), min(centre + span // 2 + 1, tokens)
        if runs and start <= runs_R2[runs - 1, 1]:
            runs_R2[runs - 1, 1] = end
        else:
            runs_R2[runs, 0], runs_R2[runs, 1] = start, end
            runs += 1
    return runs


@njit(cache=True, nogil=True)
def _hidden(runs: int, tokens: int, span: int, overlap: int, of_bases: bool) -> float:  # pragma: no cover
    """Bases, or tokens, that so many disjoint runs select on average over all ways to place them.

    A run hides span − overlap + 1 bases, and overlap − 1 more at each end of the document that it touches (R15).
    A line of runs and of tokens that are neither run nor gap has tokens + 1 − runs · span entries, and each end
    of it is a run with probability runs / entries.
    """
    if not of_bases:
        return runs * span
    return runs * (span - overlap + 1 + 2 * (overlap - 1) / (tokens + 1 - runs * span))


@njit(cache=True, nogil=True)
def _count(tokens: int, span: int, overlap: int, of_bases: bool, rate: float, draw: float) -> int:  # pragma: no cover
    """How many runs: the two numbers on either side of the rate, so often that it is met on average."""
    wanted = rate * (tokens + overlap - 1 if of_bases else tokens)
    most, runs = (tokens + 1) // (span + 1), 0
    while runs < most and _hidden(runs + 1, tokens, span, overlap, of_bases) <= wanted:
        runs += 1
    if runs == most:
        return runs
    below = _hidden(runs, tokens, span, overlap, of_bases)
    above = _hidden(runs + 1, tokens, span, overlap, of_bases)
    return runs + int(draw * (above - below) < wanted - below)


@njit(cache=True, nogil=True)
def _disjoint(
    tokens: int,
    span: int,
    overlap: int,
    of_bases: bool,
    rate: float,
    key: np.uint64,
    chosen_T: np.ndarray,
    runs_R2: np.ndarray,
) -> int:  # pragma: no cover
    """Place runs with a gap of at least one token, every way equally likely; how many there are.

    `chosen_T` is all False before and after. A document shorter than a run is one run or none.
    """
    span = min(span, tokens)
    runs = _count(tokens, span, overlap, of_bases, rate, unit(fold(key, _COUNT), 0))
    # Runs and free tokens in a line: which entries are runs is drawn without replacement (Floyd's algorithm).
    entries, place = tokens + 1 - runs * span, fold(key, _PLACE)
    places_R = runs_R2[:runs, 0]
    for number in range(runs):
        newest = entries - runs + number
        chosen = int(unit(place, number) * (newest + 1))
        chosen = newest if chosen_T[chosen] else chosen
        chosen_T[chosen] = True
        places_R[number] = chosen
    for number in range(runs):
        chosen_T[places_R[number]] = False
    places_R.sort()
    for number in range(runs):
        runs_R2[number, 0] += number * span
        runs_R2[number, 1] = runs_R2[number, 0] + span
    return runs


@njit(cache=True, nogil=True)
def _tokens_of(runs_R2: np.ndarray, places_T: np.ndarray) -> int:  # pragma: no cover
    places = 0
    for number in range(runs_R2.shape[0]):
        for token in range(runs_R2[number, 0], runs_R2[number, 1]):
            places_T[places] = token
            places += 1
    return places


@njit(cache=True, nogil=True)
def _replace_tokens(
    ids_T: np.ndarray,
    labels_T: np.ndarray,
    places_R: np.ndarray,
    key: np.uint64,
    pieces_V: np.ndarray,
    draws_2T: np.ndarray,
) -> None:  # pragma: no cover
    """Label tokens and replace each by a fate of its own; an [UNK] stays as it is (R14)."""
    fates, pieces = fold(key, _FATE), fold(key, _PIECE)
    fate_R, piece_R = draws_2T[0], draws_2T[1]
    for number in range(places_R.size):  # vector instructions, as in _singles
        fate_R[number] = unit(fates, places_R[number])
    for number in range(places_R.size):
        piece_R[number] = unit(pieces, places_R[number]) * pieces_V.size
    for number in range(places_R.size):
        token, fate = places_R[number], fate_R[number]
        was, piece = ids_T[token], pieces_V[int(piece_R[number])]
        shown = np.int32(MASK_ID) if fate < MASK_SHARE else (piece if fate < _CHANGED_SHARE else was)
        labels_T[token] = labels_T[token] if was == UNK_ID else was
        ids_T[token] = was if was == UNK_ID else shown


@njit(cache=True, nogil=True)
def _replace_runs(
    ids_T: np.ndarray, labels_T: np.ndarray, runs_R2: np.ndarray, key: np.uint64, pieces_V: np.ndarray
) -> None:  # pragma: no cover
    """Label runs and replace all tokens of each by one fate; an [UNK] stays as it is (R14)."""
    fates, pieces = fold(key, _FATE), fold(key, _PIECE)
    for number in range(runs_R2.shape[0]):
        start, stop = runs_R2[number, 0], runs_R2[number, 1]
        fate = unit(fates, start)
        for token in range(start, stop):
            if ids_T[token] == UNK_ID:
                continue
            labels_T[token] = ids_T[token]
            if fate < MASK_SHARE:
                ids_T[token] = MASK_ID
            elif fate < _CHANGED_SHARE:
                ids_T[token] = pieces_V[int(unit(pieces, token) * pieces_V.size)]
