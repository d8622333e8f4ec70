"""What Markov models say about hidden letters: from those before them, or from all that is visible around them."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from genomics_fm.errors import require
from genomics_fm.training.markov import BASES, Markov, first_of
from genomics_fm.vocabulary.letters import N_CODE


@njit(cache=True, nogil=True)
def _forced(
    codes_L: NDArray[np.int16],
    order: int,
    probability_W: NDArray[np.float32],
    nats_L: NDArray[np.float64],
    best_L: NDArray[np.int16],
) -> None:  # pragma: no cover
    context, letters = 0, 0
    for place in range(codes_L.size):
        context = context & (4**letters - 1)
        first = first_of(letters) + 4 * context
        best_L[place] = np.argmax(probability_W[first : first + 4])
        if codes_L[place] == N_CODE:
            nats_L[place], letters = np.nan, 0
            continue
        nats_L[place] = -np.log(probability_W[first + codes_L[place]])
        context, letters = context << 2 | codes_L[place], min(letters + 1, order)


def teacher_forced(
    markov: Markov, order: int, codes_L: NDArray[np.int16]
) -> tuple[NDArray[np.float64], NDArray[np.int16]]:
    """Each letter from the true ones before it, also from those hidden from an encoder.

    Args:
        markov: of this order or a higher.
        order: letters looked back at, fewer behind an N and at the start.
        codes_L: letters by code.

    Returns:
        −ln p of each letter (NaN for N), and the likeliest letter's code, (L,).
    """
    require(order <= markov.order, "order", order, f"at most {markov.order}")
    nats_L, best_L = np.empty(codes_L.size), np.empty(codes_L.size, np.int16)
    _forced(codes_L, order, markov.probability_W, nats_L, best_L)
    return nats_L, best_L


@njit(cache=True, nogil=True)
def _ahead(
    codes_L: NDArray[np.int16],
    order: int,
    probability_W: NDArray[np.float32],
    alpha_LS: NDArray[np.float64],
) -> None:  # pragma: no cover
    """Row i: how likely each context is before letter i, given what is visible before it."""
    alpha_LS[:] = 0.0
    alpha_LS[0, 0] = 1.0
    for place in range(codes_L.size):
        width, code = min(place, order), codes_L[place]
        states, first = 4 ** min(place + 1, order), first_of(width)
        for context in range(4**width):
            weight = alpha_LS[place, context]
            if weight == 0.0:
                continue
            for x in range(4):
                if code in (N_CODE, x):
                    after = (4 * context + x) % states
                    alpha_LS[place + 1, after] += weight * probability_W[first + 4 * context + x]
        alpha_LS[place + 1] /= alpha_LS[place + 1].sum()


@njit(cache=True, nogil=True)
def _back(
    codes_L: NDArray[np.int16],
    order: int,
    probability_W: NDArray[np.float32],
    alpha_LS: NDArray[np.float64],
    posterior_L4: NDArray[np.float64],
) -> None:  # pragma: no cover
    """The posterior of each letter that is not visible, from the last to the first."""
    beta_S, before_S = np.ones(alpha_LS.shape[1]), np.zeros(alpha_LS.shape[1])
    for place in range(codes_L.size - 1, -1, -1):
        width, code = min(place, order), codes_L[place]
        states, first = 4 ** min(place + 1, order), first_of(width)
        before_S[:] = 0.0
        for context in range(4**width):
            weight = alpha_LS[place, context]
            if weight == 0.0:
                continue  # no visible letters lead here, so nothing ever asks for it
            for x in range(4):
                if code in (N_CODE, x):
                    joint = probability_W[first + 4 * context + x] * beta_S[(4 * context + x) % states]
                    before_S[context] += joint
                    posterior_L4[place, x] += weight * joint
        posterior_L4[place] /= posterior_L4[place].sum()
        beta_S[:] = before_S / before_S.sum()


def posterior(
    markov: Markov, order: int, codes_L: NDArray[np.int16], hidden_L: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Probability of each letter given all that is visible on both sides, (L, 4), by forward-backward: exact.

    Args:
        markov: of this order or a higher.
        order: letters looked back at; time and memory grow with 4**order.
        codes_L: letters by code; an N counts as hidden.
        hidden_L: which are hidden. Visible ones have probability 1.
    """
    require(order <= markov.order, "order", order, f"at most {markov.order}")
    seen_L = np.where(hidden_L, np.int16(N_CODE), codes_L)
    alpha_LS, posterior_L4 = np.empty((codes_L.size + 1, BASES**order)), np.zeros((codes_L.size, BASES))
    _ahead(seen_L, order, markov.probability_W, alpha_LS)
    _back(seen_L, order, markov.probability_W, alpha_LS, posterior_L4)
    return posterior_L4
