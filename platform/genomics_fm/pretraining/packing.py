"""Which documents share a row, so that hardly a slot stays empty."""

import numpy as np
from numba import njit

_WORD_BITS = 64
_ONE = np.uint64(1)
SLACK = 256
"""A row may leave one slot in so many empty for the sake of later rows: below 0.4 %."""


@njit(cache=True, nogil=True)
def _add(sums: np.ndarray, length: int, out: np.ndarray) -> None:  # pragma: no cover
    """Bit s of `out`: s, or s − length, is in `sums`."""
    words, bits = length // _WORD_BITS, np.uint64(length % _WORD_BITS)
    out[:] = sums
    for word in range(words, sums.size):
        out[word] |= sums[word - words] << bits
        if bits and word > words:
            out[word] |= sums[word - words - 1] >> (np.uint64(_WORD_BITS) - bits)


@njit(cache=True, nogil=True)
def _holds(sums: np.ndarray, total: int) -> bool:  # pragma: no cover
    return bool(sums[total // _WORD_BITS] >> np.uint64(total % _WORD_BITS) & _ONE)


@njit(cache=True, nogil=True)
def _shortest_first(lengths_P: np.ndarray, sorted_P: np.ndarray) -> None:  # pragma: no cover
    """Places of the documents by length, older ones last; the oldest of all keeps the first place."""
    for place in range(lengths_P.size):
        at = place
        while at > 1 and lengths_P[sorted_P[at - 1]] >= lengths_P[place]:
            sorted_P[at] = sorted_P[at - 1]
            at -= 1
        sorted_P[at] = place


@njit(cache=True, nogil=True)
def _spell(
    lengths_P: np.ndarray, sorted_P: np.ndarray, sums_PW: np.ndarray, total: int, chosen_P: np.ndarray
) -> int:  # pragma: no cover
    """Mark documents that add up to `total`, the longest that can be among them; returns how many."""
    chosen_P[:] = False
    count = 0
    for place in range(lengths_P.size - 1, 0, -1):
        length = lengths_P[sorted_P[place]]
        if length <= total and _holds(sums_PW[place - 1], total - length):
            chosen_P[sorted_P[place]] = True
            total -= length
            count += 1
    return count


@njit(cache=True, nogil=True)
def _choose(
    lengths_P: np.ndarray, row_tokens: int, sorted_P: np.ndarray, sums_PW: np.ndarray, chosen_P: np.ndarray
) -> None:  # pragma: no cover
    """Mark the oldest document and those of the others that fill the row, for all but `SLACK` at most if they can.

    Of several ways, the one with the fewest documents. Short documents fit everywhere, so they are kept for rows
    that need them: else half of what waits would soon be of the longest length, and no number of those fills a row.
    """
    _shortest_first(lengths_P, sorted_P)
    sums_PW[0] = 0
    sums_PW[0, 0] = _ONE  # row p of the table: what the p shortest beside the oldest can add up to
    last = lengths_P.size - 1
    for place in range(1, lengths_P.size):
        _add(sums_PW[place - 1], lengths_P[sorted_P[place]], sums_PW[place])
    room = row_tokens - lengths_P[0]
    while not _holds(sums_PW[last], room):
        room -= 1
    best, fewest = room, _spell(lengths_P, sorted_P, sums_PW, room, chosen_P)
    for total in range(room - 1, row_tokens - lengths_P[0] - row_tokens // SLACK, -1):
        if total >= 0 and _holds(sums_PW[last], total):
            count = _spell(lengths_P, sorted_P, sums_PW, total, chosen_P)
            if count < fewest:
                best, fewest = total, count
    _spell(lengths_P, sorted_P, sums_PW, best, chosen_P)
    chosen_P[0] = True


@njit(cache=True, nogil=True)
def pack(
    lengths_D: np.ndarray, row_tokens: int, pool: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # pragma: no cover
    """Put documents into rows.

    A row holds the oldest document that waits, so that none waits for ever, and those of the `pool` oldest that fill
    it best. Rows are made while as many wait: so the rows are the same however many documents come at a time.

    Args:
        lengths_D: of the documents, in the order in which they came; none exceeds `row_tokens`.
        row_tokens: slots in a row.
        pool: at least 1.

    Returns:
        Numbers of the documents row by row, (O,); where in them each row begins, and the end of the last, (R + 1,);
        and the numbers of those that wait on, in order.
    """
    order_D, ends_D = np.empty(lengths_D.size, np.int64), np.zeros(lengths_D.size + 1, np.int64)
    waiting_P, waiting_lengths_P = np.empty(pool, np.int64), np.empty(pool, np.int64)
    sums_PW = np.empty((pool, row_tokens // _WORD_BITS + 1), np.uint64)
    chosen_P, sorted_P = np.zeros(pool, np.bool_), np.zeros(pool, np.int64)
    waiting = upcoming = packed = rows = 0
    while True:
        while waiting < pool and upcoming < lengths_D.size:
            waiting_P[waiting], waiting_lengths_P[waiting] = upcoming, lengths_D[upcoming]
            waiting, upcoming = waiting + 1, upcoming + 1
        if waiting < pool:
            return order_D[:packed], ends_D[: rows + 1], waiting_P[:waiting]
        _choose(waiting_lengths_P, row_tokens, sorted_P, sums_PW, chosen_P)
        waiting = 0
        for place in range(pool):
            if chosen_P[place]:
                order_D[packed] = waiting_P[place]
                packed += 1
            else:
                waiting_P[waiting], waiting_lengths_P[waiting] = waiting_P[place], waiting_lengths_P[place]
                waiting += 1
        rows += 1
        ends_D[rows] = packed


@njit(cache=True, nogil=True)
def gather(
    ids_T: np.ndarray, offsets_D: np.ndarray, order_O: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:  # pragma: no cover
    """Some documents in another order: their tokens and where each begins, and the end of the last."""
    offsets_O = np.zeros(order_O.size + 1, np.int64)
    for place, document in enumerate(order_O):
        offsets_O[place + 1] = offsets_O[place] + offsets_D[document + 1] - offsets_D[document]
    gathered_T = np.empty(offsets_O[-1], ids_T.dtype)
    for place, document in enumerate(order_O):
        gathered_T[offsets_O[place] : offsets_O[place + 1]] = ids_T[offsets_D[document] : offsets_D[document + 1]]
    return gathered_T, offsets_O


@njit(cache=True, nogil=True)
def wrap(
    ids_T: np.ndarray, offsets_D: np.ndarray, head: np.ndarray, tail: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:  # pragma: no cover
    """Sequences as documents: `head`, the sequence's tokens, `tail`; and where each begins, and the end of the last."""
    more = head.size + tail.size
    ends_D = offsets_D + more * np.arange(offsets_D.size)
    out_T = np.empty(ends_D[-1], ids_T.dtype)
    for document in range(offsets_D.size - 1):
        begin, end = ends_D[document], ends_D[document + 1]
        out_T[begin : begin + head.size] = head
        out_T[begin + head.size : end - tail.size] = ids_T[offsets_D[document] : offsets_D[document + 1]]
        out_T[end - tail.size : end] = tail
    return out_T, ends_D
