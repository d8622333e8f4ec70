"""The vocabularies of an ensemble as people write them, and their training with progress."""

import re
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass

from genomics_fm.errors import InputError, require
from genomics_fm.vocabulary.bpe import BpeVocabulary
from genomics_fm.vocabulary.ensemble import check_names
from genomics_fm.vocabulary.kinds import NUMBER_OF, new_member
from genomics_fm.vocabulary.letters import LETTERS
from genomics_fm.vocabulary.member import Member
from genomics_fm.vocabulary.special import SPECIAL_TOKENS
from jobs.progress import rate

BPE = "bpe"
SMALLEST_BPE = len(SPECIAL_TOKENS) + len(LETTERS)
LOOK_SECONDS = 1.0
TEXT_NT = 16_384
"""Longest text BPE learns from: a merge walks through every text that holds its pair, so that training takes six
times as long on texts of 131,072 nt. The few pairs across cuts are not counted."""
_SPEC = re.compile(r"(?:(?P<name>[^=:]+)=)?(?P<kind>[a-z]+)(?::(?P<number>\d+))?")


def planned(specs: Sequence[str], bpe_size: int, kmer: int) -> dict[str, int | Member]:
    """What `[NAME=]KIND[:NUMBER]` asks for, by name: the size of a BPE to train, or the vocabulary itself.

    Args:
        specs: as `bpe`, `kmer:3`, `codon:1`, `fine=bpe:1024`; without a name, kind and number are the name.
        bpe_size: of a BPE without a number, special tokens included.
        kmer: k of k-mers without a number.

    Raises:
        InputError: a spec that cannot be read or built, no spec, or two of one name.
    """
    require(bool(specs), "members", "(none)", "at least one, as bpe or kmer:6")
    found: dict[str, int | Member] = {}
    for spec in specs:
        read = _SPEC.fullmatch(spec)
        if read is None:
            raise InputError(f"--members {spec}: give [NAME=]KIND[:NUMBER], as bpe, kmer:3 or frame=codon:1")
        kind, number = read["kind"], read["number"]
        name = read["name"] or kind + (number or "")
        if name in found:
            raise InputError(f"--members {spec}: {name} is there already; write NAME={spec}")
        default = {BPE: bpe_size, "kmer": kmer}.get(kind)
        found[name] = _planned(kind, default if number is None else int(number))
    check_names(found)
    return found


def _planned(kind: str, number: int | None) -> int | Member:
    if kind == BPE:
        size = number or 0
        require(size >= SMALLEST_BPE, "bpe_size", size, f"at least {SMALLEST_BPE}: special tokens and letters")
        return size
    return new_member(kind, **({} if number is None else {NUMBER_OF.get(kind) or "number": number}))


@dataclass(frozen=True)
class Training:
    """How far the training of a BPE is: nucleotides read, of how many, and seconds of reading and of merging."""

    name: str
    read: int
    nucleotides: int
    reading: float
    merging: float

    def __str__(self) -> str:
        if self.merging:
            return f"[vocabulary] {self.name}: {self.nucleotides:,} nt read, merging for {self.merging:.0f} s"
        share = f"{self.read:,} of {self.nucleotides:,} nt read"
        return f"[vocabulary] {self.name}: {share}: {rate(self.read, self.reading, 'nt')}"


class _Reading:
    """Counts what the trainer takes from `texts`, and when it took the last."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._begun = time.monotonic()
        self._read_all: float | None = None
        self._read = 0
        self._total = sum(map(len, texts))

    def __iter__(self) -> Iterator[str]:
        for text in self._texts:
            yield text
            self._read += len(text)
        self._read_all = time.monotonic()

    def state(self, name: str) -> Training:
        now = time.monotonic()
        merging = 0.0 if self._read_all is None else now - self._read_all
        return Training(name, self._read, self._total, now - self._begun - merging, merging)


def cut(texts: Sequence[str]) -> list[str]:
    """Texts of at most TEXT_NT, in order; shorter ones stay as they are."""
    return [text[place : place + TEXT_NT] for text in texts for place in range(0, len(text), TEXT_NT)]


def train(plan: dict[str, int | Member], texts: Sequence[str]) -> Generator[Training, None, dict[str, Member]]:
    """Train the BPEs of a plan on texts over A C G T; yields how far it is every second, returns the members."""
    members: dict[str, Member] = {}
    for name, member in plan.items():
        if not isinstance(member, int):
            members[name] = member
            continue
        reading = _Reading(cut(texts))
        with ThreadPoolExecutor(1, "bpe") as pool:
            trained = pool.submit(BpeVocabulary.train, reading, member - len(SPECIAL_TOKENS))
            while not wait_for([trained], LOOK_SECONDS).done:
                yield reading.state(name)
            members[name] = trained.result()
    return members
