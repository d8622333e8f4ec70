"""A sequence as models of each vocabulary would see it: its tokens on base coordinates, one draw of the mask."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np

from genomics_fm.errors import InputError
from genomics_fm.pretraining.masking import HEAD, IGNORE_INDEX, MASKING, TAIL, mask
from genomics_fm.randomness import key
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.special import MASK_ID, UNK_ID

MAX_BP = 5_000
"""More than this is no longer looked at; a training segment has at most 2,300."""


class State(IntEnum):
    """What the model is told about a token, or by all tokens over a base; the smallest of them counts for a base."""

    VISIBLE = 0
    KEPT = 1
    """To be predicted, and left as it is."""
    RANDOM = 2
    """To be predicted, and replaced by another piece."""
    MASK = 3
    """To be predicted, and replaced by [MASK]."""
    UNKNOWN = 4
    """A token that is no piece, or a base under no known token."""


SIGNS = {State.RANDOM: "?", State.MASK: "▒", State.UNKNOWN: "N"}
SELECTED = (State.KEPT, State.RANDOM, State.MASK)


@dataclass(frozen=True)
class Track:
    """One vocabulary's reading of a sequence.

    Attributes:
        name: of the vocabulary in the ensemble.
        title: what kind it is, for people.
        overlap: tokens that cover a base.
        document: CLS, prompt, tokens, SEP as strings with their ids, before masking.
        states_T: a `State` for each token.
        intervals_T2: half-open, from the sequence's start.
        bases: length of the sequence.
    """

    name: str
    title: str
    overlap: int
    document: tuple[tuple[str, int], ...]
    states_T: np.ndarray
    intervals_T2: np.ndarray
    bases: int

    @cached_property
    def base_states(self) -> np.ndarray:
        """A `State` for each base, (bases,)."""
        return base_states(self.states_T, self.intervals_T2, self.bases)

    def seen(self, sequence: str) -> str:
        """The sequence with a sign of `SIGNS` for each base that cannot be read; lower case is left as it is."""
        letters = np.array(list(sequence), dtype="<U1")
        kept_L = self.base_states == State.KEPT
        letters[kept_L] = np.char.lower(letters[kept_L])
        for state, sign in SIGNS.items():
            letters[self.base_states == state] = sign
        return "".join(letters.tolist())

    @property
    def nt_per_token(self) -> str:
        """For people; a sequence shorter than k has no k-mers."""
        return f"{self.bases / len(self.states_T):.2f}" if len(self.states_T) else "–"

    def tokens_that_are(self, *states: State) -> int:
        return int(np.isin(self.states_T, states).sum())

    def bases_that_are(self, *states: State) -> int:
        return int(np.isin(self.base_states, states).sum())


def base_states(states_T: np.ndarray, intervals_T2: np.ndarray, bases: int) -> np.ndarray:
    """What is known of each base: that of its best covering token, `UNKNOWN` where no token covers it; (bases,)."""
    best_L = np.full(bases, State.UNKNOWN, dtype=np.int8)
    for state in sorted(State, reverse=True):
        edges = np.zeros(bases + 1, dtype=np.int64)
        np.add.at(edges, intervals_T2[states_T == state, 0], 1)
        np.add.at(edges, intervals_T2[states_T == state, 1], -1)
        best_L[np.cumsum(edges[:-1]) > 0] = state
    return best_L


def token_states(ids_T: np.ndarray, shown_T: np.ndarray, labels_T: np.ndarray) -> np.ndarray:
    """A `State` for each content token, from its id, the id shown in its place, and its label."""
    selected_T = labels_T != IGNORE_INDEX
    states_T = np.where(ids_T == UNK_ID, State.UNKNOWN, State.VISIBLE).astype(np.int8)
    states_T[selected_T] = State.RANDOM
    states_T[selected_T & (shown_T == ids_T)] = State.KEPT
    states_T[selected_T & (shown_T == MASK_ID)] = State.MASK
    return states_T


def track(ensemble: Ensemble, name: str, sequence: str, preset: str, seed: int) -> Track:
    """Read a sequence in one vocabulary and draw its mask; the draw depends on seed and vocabulary alone.

    Raises:
        InputError: no such vocabulary or preset, or more than `MAX_BP` nucleotides.
    """
    if preset not in MASKING:
        raise InputError(f"preset {preset!r}: unknown; choose one of {', '.join(MASKING)}")
    if len(sequence) > MAX_BP:
        raise InputError(f"{len(sequence):,} nt are too many to look at; give --start and --end up to {MAX_BP:,} apart")
    member = ensemble.member(name)
    document_N = ensemble.document(name, sequence)
    content = slice(HEAD, len(document_N) - TAIL)
    ids_T = document_N[content]
    draw_key = key(seed, "mask", name)
    shown_N, labels_N = mask(document_N, draw_key, member.overlap, ensemble.piece_ids(name), MASKING[preset])
    return Track(
        name=name,
        title=title(ensemble, name),
        overlap=member.overlap,
        document=tuple((ensemble.tokens[token], int(token)) for token in document_N),
        states_T=token_states(ids_T, shown_N[content], labels_N[content]),
        intervals_T2=ensemble.intervals(name, ids_T),
        bases=len(sequence),
    )


def tracks(ensemble: Ensemble, names: Sequence[str], sequence: str, preset: str, seed: int) -> list[Track]:
    """`track` of each vocabulary named; of all in the ensemble when none is."""
    return [track(ensemble, name, sequence, preset, seed) for name in names or ensemble.names]


def title(ensemble: Ensemble, name: str) -> str:
    """A vocabulary's kind and size as people say it: `6-mers`, `BPE of 4,091`."""
    member = ensemble.member(name)
    value = member.to_json()
    match member.kind:
        case "bpe":
            return f"BPE {len(member.pieces):,}"
        case "kmer":
            return "single nt" if value["k"] == 1 else f"{value['k']}-mers"
        case "block":
            return f"blocks of {value['k']}"
        case "codon":
            return f"codons, frame {value['frame']}"
        case kind:
            return kind
