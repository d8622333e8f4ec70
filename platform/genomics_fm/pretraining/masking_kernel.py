"""Placing what is hidden and hiding it, document after document, in time that grows with the tokens.

Tokens are counted from the document's first content token; runs are half-open intervals of them.
"""

import numpy as np
from numba import njit

from genomics_fm.randomness_kernels import fold, unit
from genomics_fm.vocabulary.special import MASK_ID, UNK_ID

MASK_SHARE, RANDOM_SHARE = 0.8, 0.1
"""Of what is selected, 80 % becomes [MASK], 10 % a random piece, and the rest stays (SPEC D1)."""

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
    runs_R2, chosen_T = np.empty((longest, 2), np.int64), np.zeros(longest + 1, np.bool_)
    for document in range(first_D.size):
        first, last, key = first_D[document], last_D[document], keys_D[document]
        if last <= first:
            continue
        if rate_of == SINGLE:
            runs = _singles(last - first, rate, key, chosen_T, runs_R2)
        elif rate_of == CENTRES:
            centres = _singles(last - first, rate, key, chosen_T, runs_R2)
            runs = _dilated(runs_R2, centres, last - first, span)
        else:
            runs = _disjoint(last - first, span, overlap, rate_of == BASES, rate, key, chosen_T, runs_R2)
        _replace(ids_N[first:last], labels_N[first:last], runs_R2[:runs], key, pieces_V, fate_by_token)


@njit(cache=True, nogil=True)
def _singles(
    tokens: int, rate: float, key: np.uint64, chosen_T: np.ndarray, runs_R2: np.ndarray
) -> int:  # pragma: no cover
    """Choose each token with probability `rate`; how many runs of one token there are."""
    choice, runs = fold(key, _CHOICE), 0
    for token in range(tokens):  # a loop of its own: only so is it turned into vector instructions
        chosen_T[token] = unit(choice, token) < rate
    for token in range(tokens):
        runs_R2[runs, 0], runs_R2[runs, 1] = token, token + 1
        runs += chosen_T[token]
        chosen_T[token] = False
    return runs


@njit(cache=True, nogil=True)
def _dilated(runs_R2: np.ndarray, centres: int, tokens: int, span: int) -> int:  # pragma: no cover
    """Widen centres to `span` tokens as published, 6 before and 7 after for 14, and merge those that touch."""
    runs = 0
    for number in range(centres):
        centre = runs_R2[number, 0]
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
def _replace(
    ids_T: np.ndarray,
    labels_T: np.ndarray,
    runs_R2: np.ndarray,
    key: np.uint64,
    pieces_V: np.ndarray,
    fate_by_token: bool,
) -> None:  # pragma: no cover
    """Label the selected tokens and replace each run, or each of its tokens, by its fate; [UNK] stays (R14)."""
    fates, pieces = fold(key, _FATE), fold(key, _PIECE)
    for number in range(runs_R2.shape[0]):
        begin, stop = runs_R2[number, 0], runs_R2[number, 1]
        while begin < stop:
            end = begin + 1 if fate_by_token else stop
            fate = unit(fates, begin)
            for token in range(begin, end):
                if ids_T[token] == UNK_ID:
                    continue
                labels_T[token] = ids_T[token]
                if fate < MASK_SHARE:
                    ids_T[token] = MASK_ID
                elif fate < MASK_SHARE + RANDOM_SHARE:
                    ids_T[token] = pieces_V[int(unit(pieces, token) * pieces_V.size)]
            begin = end
