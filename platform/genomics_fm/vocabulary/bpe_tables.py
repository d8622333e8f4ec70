"""Tables that encode BPE exactly without applying merges; `bpe_kernel` reads them."""

import numpy as np

from genomics_fm.vocabulary.bpe_kernel import LETTERS, LONGEST, Tables, encode
from genomics_fm.vocabulary.bpe_neighbours import classes, neighbours

LARGEST = 1 << 15
"""Most pieces: the bits of as many pairs take 128 MiB while tables are built."""
GUESSES = (5, 10)
"""Letters a first guess is made by: few at first, to make the rest with. The last ones take 2 MiB."""
NONE = -1


def build(pieces: list[str], merges: list[tuple[str, str]]) -> Tables | None:
    """Tables of a vocabulary, or None where it has to be encoded by applying merges.

    That is: a merge uses a piece which a later merge makes; a letter of A C G T is missing or there are others; more
    than LARGEST pieces. Merges that never fit and pieces that nothing makes are left out.

    Raises:
        KeyError: a merge's part or whole is no piece.
    """
    rank_of = {piece: rank for rank, piece in enumerate(pieces)}
    steps = np.array([(rank_of[a], rank_of[b], rank_of[a + b]) for a, b in _last_of_each(merges)], np.int32)
    if set("".join(pieces)) != set(LETTERS) or not set(LETTERS) <= set(pieces) or len(pieces) > LARGEST:
        return None
    found = neighbours(len(pieces), [rank_of[letter] for letter in LETTERS], steps.reshape(-1, 3))
    if found is None:
        return None
    made, stays = found
    row, column, bits = classes(made, stays)
    known = {piece: rank for piece, rank in rank_of.items() if made[rank]}
    length = np.array([len(piece) for piece in pieces], np.uint64)
    row = np.append(row, len(bits) - 1)
    guess = np.full(1, LONGEST)
    tables = Tables(
        guess,
        *_trie(known),
        _shorter(known, len(pieces)),
        length,
        row.astype(np.uint64),
        column.astype(np.uint64),
        bits,
    )
    for letters in GUESSES:
        tables = tables._replace(guess=_guesses(tables, letters))
    return tables


def _last_of_each(merges: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Merges in order; one that is listed twice counts where it stands last."""
    last = {merge: place for place, merge in enumerate(merges)}
    return sorted(last, key=last.__getitem__)


def _trie(known: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """`Tables.child` and `Tables.longest`."""
    child, longest = [[NONE] * len(LETTERS)], [NONE]
    for piece in sorted(known, key=len):  # short ones first, so that a new node inherits the longest before it
        node = 0
        for letter in piece:
            code = LETTERS.index(letter)
            if child[node][code] == NONE:
                child[node][code] = len(child)
                child.append([NONE] * len(LETTERS))
                longest.append(longest[node])
            node = child[node][code]
        longest[node] = known[piece]
    return np.array(child, np.int32), np.array(longest, np.int32)


def _shorter(known: dict[str, int], size: int) -> np.ndarray:
    """`Tables.shorter`; NONE for pieces that nothing makes."""
    shorter = np.full(size, NONE, np.int32)
    for piece, rank in known.items():
        found = (known[piece[:end]] for end in range(len(piece) - 1, 0, -1) if piece[:end] in known)
        shorter[rank] = next(found, NONE)
    return shorter


def _guesses(tables: Tables, letters: int) -> np.ndarray:
    """`Tables.guess`: the first piece of every word's own encoding; LONGEST where a piece goes on behind the word."""
    codes = np.arange(4**letters)[:, None] >> 2 * np.arange(letters) & 3
    words = np.frombuffer(LETTERS.encode(), np.uint8)[codes]
    ids, ends = encode(words.ravel(), np.arange(len(words) + 1) * letters, tables)
    first = ids[ends[:-1]]
    node = np.zeros(len(words), np.int64)
    for column in codes.T:
        node = np.where(node == NONE, NONE, tables.child[node, column])
    goes_on = (tables.length[first] == letters) & (tables.child[node] != NONE).any(1) & (node != NONE)
    return np.where(goes_on, LONGEST, first.astype(np.uint16))
