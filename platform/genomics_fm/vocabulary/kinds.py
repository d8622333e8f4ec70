"""The kinds of vocabularies: made from JSON, and from what people ask for."""

from collections.abc import Callable
from typing import Any

from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.vocabulary.blocks import BlockVocabulary, CodonVocabulary
from genomics_fm.vocabulary.bpe import BpeVocabulary
from genomics_fm.vocabulary.kmer import KmerVocabulary
from genomics_fm.vocabulary.member import Member

SINGLE = "single"
"""What people call k-mers of one letter."""
KINDS = ("kmer", SINGLE, "block", "codon")
"""Those that need no training."""


def new_member(kind: str, number: int | None) -> Member:
    """A vocabulary that needs no training.

    Args:
        kind: one of KINDS.
        number: k of `kmer` and `block`, frame of `codon`; None for `single`.

    Raises:
        InputError: an unknown kind, a number that is missing, not wanted or out of range.
    """
    if kind not in KINDS:
        raise InputError(f"kind {kind!r}: there is none; choose one of {', '.join(KINDS)}")
    if kind == SINGLE:
        if number not in (None, 1):
            raise InputError(f"kind single: its words have one letter, not {number}; leave the number out")
        return KmerVocabulary(1)
    if number is None:
        raise InputError(f"kind {kind}: no {'frame' if kind == 'codon' else 'k'} given; say which")
    made: dict[str, Callable[[int], Member]] = {
        "kmer": KmerVocabulary,
        "block": BlockVocabulary,
        "codon": CodonVocabulary,
    }
    return made[kind](number)


def member_from_json(value: dict[str, Any], where: str) -> Member:
    """What `Member.to_json` wrote.

    Raises:
        CorruptArtefact: a kind or a number that this version does not know; `where` names the file.
        KeyError, TypeError, ValueError: not what it wrote.
    """
    try:
        match value.get("kind"):
            case "bpe":
                return BpeVocabulary.from_json(value)
            case "kmer":
                return KmerVocabulary(int(value["k"]))
            case "block":
                return BlockVocabulary(int(value["k"]))
            case "codon":
                return CodonVocabulary(int(value["frame"]))
            case kind:
                raise CorruptArtefact(f"{where}: unknown kind of vocabulary {kind!r}; upgrade genomics-fm")
    except InputError as error:
        raise CorruptArtefact(f"{where}: {error}; restore it or train it again") from error
