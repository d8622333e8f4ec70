"""Tables that encode BPE exactly without applying merges; `bpe_kernel` reads them."""

import numpy as np

from genomics_fm.vocabulary.bpe_kernel import AHEAD, LETTERS, NO_PIECE, Tables
from genomics_fm.vocabulary.bpe_neighbours import classes, neighbours
from genomics_fm.vocabulary.bpe_tries import tries

LARGEST = 1 << 14
"""Most pieces: the bits of as many pairs take 32 MiB while tables are built."""
NONE = -1


def build(pieces: list[str], merges: list[tuple[str, str]]) -> Tables | None:
    """Tables of a vocabulary, or None where it has to be encoded by applying merges.

    That is: a merge uses a piece which a later merge makes; a letter of A C G T is missing or there are others; more
    than LARGEST pieces. Merges that never fit and pieces that nothing makes are left out.

    Raises:
        KeyError: a merge's part or whole is no piece.
    """
    rank_of = {piece: rank for rank, piece in enumerate(pieces)}
    steps = [(rank_of[left], rank_of[right], rank_of[left + right]) for left, right in _last_of_each(merges)]
    if not set(LETTERS) <= set(pieces) or set("".join(pieces)) - set(LETTERS) or len(pieces) > LARGEST:
        return None
    letters = [rank_of[letter] for letter in LETTERS]
    found = neighbours(len(pieces), letters, np.array(steps, np.int32).reshape(-1, 3))
    if found is None:
        return None
    known = {piece: rank for piece, rank in rank_of.items() if found[0][rank]}
    row, column, stays = (part.astype(kind) for part, kind in zip(classes(*found), "HHQ", strict=True))
    child, longest, own = _trie(known)
    short = _short(known)
    chosen = tries(child, own, short, row, column, stays)
    lengths = np.array([len(piece) for piece in pieces], np.uint64)
    return Tables(chosen, short, child, longest, _shorter(known, len(pieces)), lengths, row, column, stays)


def _last_of_each(merges: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Merges in order; one that is listed twice counts where it stands last."""
    last = {merge: place for place, merge in enumerate(merges)}
    return sorted(last, key=last.__getitem__)


def _code(letters: str) -> int:
    return sum(LETTERS.index(letter) << 2 * place for place, letter in enumerate(letters))


def _short(known: dict[str, int]) -> np.ndarray:
    """`Tables.piece`."""
    short = np.full(2 * 4**AHEAD, NO_PIECE)
    for piece, rank in known.items():
        if len(piece) <= AHEAD:
            short[4 ** len(piece) + _code(piece)] = rank
    return short


def _trie(known: dict[str, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`Tables.child`, `Tables.longest`, and the piece that each node is, or NONE; children stand after parents."""
    child, longest, own = [[NONE] * len(LETTERS)], [NONE], [NONE]
    for piece in sorted(known, key=len):  # short ones first, so that a new node inherits a final `longest`
        node = 0
        for letter in piece:
            code = LETTERS.index(letter)
            if child[node][code] == NONE:
                child[node][code] = len(child)
                child.append([NONE] * len(LETTERS))
                longest.append(longest[node])
                own.append(NONE)
            node = child[node][code]
        longest[node] = own[node] = known[piece]
    return np.array(child, np.int32), np.array(longest, np.int32), np.array(own, np.int32)


def _shorter(known: dict[str, int], size: int) -> np.ndarray:
    """`Tables.shorter`; NONE for pieces that nothing makes."""
    shorter = np.full(size, NONE, np.int32)
    for piece, rank in known.items():
        found = (known[piece[:end]] for end in range(len(piece) - 1, 0, -1) if piece[:end] in known)
        shorter[rank] = next(found, NONE)
    return shorter
