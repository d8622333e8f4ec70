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
NUMBER_OF = {SINGLE: None, "kmer": "k", "block": "k", "codon": "frame"}
"""The kinds that need no training, and what the number of each is called."""


def new_member(kind: str, **numbers: int) -> Member:
    """A vocabulary that needs no training: `new_member("codon", frame=2)`.

    Raises:
        InputError: an unknown kind, a number that is missing, not wanted or out of range.
    """
    if kind not in NUMBER_OF:
        raise InputError(f"kind {kind!r}: unknown, or needs training; choose one of {', '.join(NUMBER_OF)}")
    wanted = NUMBER_OF[kind]
    for name in numbers:
        if name != wanted:
            raise InputError(f"kind {kind}: has no {name}; leave it out")
    if wanted is None:
        return KmerVocabulary(1)
    if wanted not in numbers:
        raise InputError(f"kind {kind}: no {wanted} given; give one")
    makers: dict[str, Callable[[int], Member]] = {
        "kmer": KmerVocabulary,
        "block": BlockVocabulary,
        "codon": CodonVocabulary,
    }
    return makers[kind](numbers[wanted])


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
