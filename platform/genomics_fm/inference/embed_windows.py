"""A genome file as windows of tokenised sequences: checked to its end first, then read while the model computes."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from genomics_fm.genome.reader import read_genome, stream_genome
from genomics_fm.genome.records import Contig
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.letters import letters_of

WINDOW_LETTERS = 1 << 17
"""Letters after which a window ends: enough sequences to batch like lengths, little enough to lose by a kill."""
WINDOW_SEQUENCES = 1 << 13
Made = TypeVar("Made")


@dataclass(frozen=True)
class Scan:
    """What a whole file holds.

    Attributes:
        sequences: records.
        letters: nucleotides of all.
        longest: nucleotides of the longest.
        sha256: of names and letters in file order, whatever the compression, wrapping or case.
    """

    sequences: int
    letters: int
    longest: int
    sha256: str


@dataclass(frozen=True)
class Window:
    """Some successive sequences of a file.

    Attributes:
        names: of the sequences.
        texts: their letters, upper case A C G T N.
        offsets_S: where each sequence's letters begin when they are laid end to end, and the end, (S + 1,).
        ids_T: their tokens, one sequence after the other, no special tokens.
        ends_S: where each sequence's tokens begin, and the end of the last, (S + 1,).
    """

    names: list[str]
    texts: list[str]
    offsets_S: np.ndarray
    ids_T: np.ndarray
    ends_S: np.ndarray


def scan(source: str) -> Scan:
    """Read a file to its end, strictly, so that a bad record is named before anything is computed.

    Raises:
        InputError: as `stream_genome`.
    """
    digest = hashlib.sha256()
    sequences = letters = longest = 0
    for contig in stream_genome(source):
        contig.drain()
        digest.update(f"{contig.name}\t{contig.length}\t{contig.sha256}\n".encode())
        sequences, letters, longest = sequences + 1, letters + contig.length, max(longest, contig.length)
    return Scan(sequences, letters, longest, digest.hexdigest())


def windows(source: str, vocabulary: Ensemble, name: str, skip: int = 0) -> Iterator[Window]:
    """Windows of a file, the same for every call.

    Args:
        source: as `read_genome` takes it.
        vocabulary: the ensemble.
        name: which of its vocabularies reads.
        skip: windows not to tokenise; they come without tokens.
    """
    for number, contigs in enumerate(_groups(source)):
        texts = [contig.sequence for contig in contigs]
        offsets_S = np.cumsum([0, *map(len, texts)])
        ids_T, ends_S = np.empty(0, np.int32), np.zeros(len(texts) + 1, np.int64)
        if number >= skip:
            letters_L = letters_of("".join(texts)).copy()  # the kernels are compiled for letters that may change
            ids_T, ends_S = vocabulary.encode_many(name, letters_L, offsets_S)
        yield Window([contig.name for contig in contigs], texts, offsets_S, ids_T, ends_S)


def _groups(source: str) -> Iterator[list[Contig]]:
    """Records of a file in order; a group ends with the record that fills it."""
    group: list[Contig] = []
    letters = 0
    for contig in read_genome(source):
        group.append(contig)
        letters += len(contig.sequence)
        if letters >= WINDOW_LETTERS or len(group) == WINDOW_SEQUENCES:
            yield group
            group, letters = [], 0
    if group:
        yield group


def ahead(items: Iterator[Made]) -> Iterator[Made]:
    """The same items, the next one made by a thread while the last is used."""
    end = object()
    with ThreadPoolExecutor(1, "windows") as executor:
        coming = executor.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = executor.submit(next, items, end)
            yield item  # type: ignore[misc]
