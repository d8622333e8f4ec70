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
    rest = np.uint64(_WORD_BITS) - bits
    out[:words] = sums[:words]
    if words < sums.size:
        out[words] = sums[words] | sums[0] << bits
    if not bits:
        for word in range(words + 1, sums.size):
            out[word] = sums[word] | sums[word - words]
        return
    for word in range(words + 1, sums.size):
        out[word] = sums[word] | sums[word - words] << bits | sums[word - words - 1] >> rest


@njit(cache=True, nogil=True)
def _holds(sums: np.ndarray, total: int) -> bool:  # pragma: no cover
    return bool(sums[total // _WORD_BITS] >> np.uint64(total % _WORD_BITS) & _ONE)


@njit(cache=True, nogil=True)
def _spell(
    lengths_D: np.ndarray, others_P: np.ndarray, sums_PW: np.ndarray, total: int, chosen_D: np.ndarray
) -> int:  # pragma: no cover
    """Mark documents that add up to `total`, the longest that can be among them; returns how many."""
    count = 0
    for place in range(others_P.size - 1, -1, -1):
        document = others_P[place]
        rest = total - lengths_D[document]
        chosen_D[document] = rest >= 0 and _holds(sums_PW[place], rest)
        if chosen_D[document]:
            total = rest
            count += 1
    return count


@njit(cache=True, nogil=True)
def _choose(
    lengths_D: np.ndarray, others_P: np.ndarray, room: int, slack: int, sums_PW: np.ndarray, chosen_D: np.ndarray
) -> None:  # pragma: no cover
    """Mark documents that fill `room`, for all but fewer than `slack` of its slots if they can.

    Of several ways, the one with the fewest documents. Short documents fit everywhere, so they are kept for rows
    that need them: else half of what waits would soon be of the longest length, and no number of those fills a row.

    Args:
        lengths_D: of all documents.
        others_P: numbers of the documents to choose from, by length.
        room: slots.
        slack: see above.
        sums_PW: memory; its row p becomes what the p shortest can add up to, a bit each.
        chosen_D: changed where it stands for one of them.
    """
    sums_PW[0] = 0
    sums_PW[0, 0] = _ONE
    for place, document in enumerate(others_P):
        _add(sums_PW[place], lengths_D[document], sums_PW[place + 1])
    sums_W = sums_PW[others_P.size]
    least = max(room - slack, -1)
    while not _holds(sums_W, room):
        room -= 1
    best, fewest = room, _spell(lengths_D, others_P, sums_PW, room, chosen_D)
    for total in range(room - 1, least, -1):
        if _holds(sums_W, total):
            count = _spell(lengths_D, others_P, sums_PW, total, chosen_D)
            if count < fewest:
                best, fewest = total, count
    _spell(lengths_D, others_P, sums_PW, best, chosen_D)


@njit(cache=True, nogil=True)
def _insert(lengths_D: np.ndarray, document: int, sorted_P: np.ndarray, count: int) -> None:  # pragma: no cover
    """Add the youngest document to `count` sorted by length; among equals the oldest is last, and chosen first."""
    while count > 0 and lengths_D[sorted_P[count - 1]] >= lengths_D[document]:
        sorted_P[count] = sorted_P[count - 1]
        count -= 1
    sorted_P[count] = document


@njit(cache=True, nogil=True)
def _keep(documents_P: np.ndarray, chosen_D: np.ndarray) -> int:  # pragma: no cover
    """Close up the documents that are not chosen; returns how many."""
    kept = 0
    for document in documents_P:
        documents_P[kept] = document
        kept += not chosen_D[document]
    return kept


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
    waiting_P, sorted_P = np.empty(pool, np.int64), np.empty(pool, np.int64)
    sums_PW = np.empty((pool, row_tokens // _WORD_BITS + 1), np.uint64)
    chosen_D = np.zeros(lengths_D.size, np.bool_)
    waiting = upcoming = packed = rows = 0
    while True:
        while waiting < pool and upcoming < lengths_D.size:
            waiting_P[waiting] = upcoming
            _insert(lengths_D, upcoming, sorted_P, waiting)
            waiting, upcoming = waiting + 1, upcoming + 1
        if waiting < pool:
            return order_D[:packed], ends_D[: rows + 1], waiting_P[:waiting]
        oldest = waiting_P[0]
        chosen_D[oldest] = True
        _keep(sorted_P, chosen_D)
        _choose(lengths_D, sorted_P[:-1], row_tokens - lengths_D[oldest], row_tokens // SLACK, sums_PW, chosen_D)
        for document in waiting_P:
            order_D[packed] = document
            packed += chosen_D[document]
        waiting = _keep(waiting_P, chosen_D)
        _keep(sorted_P[:-1], chosen_D)
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
