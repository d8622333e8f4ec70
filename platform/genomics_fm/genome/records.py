"""What a reader yields: contigs, as streams of letters or whole, with their features; the sum of an assembly."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from genomics_fm.artefacts import ContentSum
from genomics_fm.errors import InputError
from genomics_fm.genome import alphabet
from genomics_fm.genome.letters import Run


@dataclass(frozen=True)
class Feature:
    """One annotated feature.

    Attributes:
        kind: the feature key as GenBank spells it ("CDS", "gene", "source").
        segments: 0-based half-open intervals on the forward strand; in the order of transcription on
            strand +1, in the opposite order on strand -1 (both ascend, unless an origin is crossed).
        strand: +1 or -1; that of the first transcribed segment where a feature mixes both.
        name: gene name, else locus tag, else "".
    """

    kind: str
    segments: tuple[tuple[int, int], ...]
    strand: int
    name: str


@dataclass(frozen=True)
class Contig:
    """One sequence of a genome, in upper-case ACGTN.

    Attributes:
        location: the file it was read from (a path, or `package:…!member`).
        line: where its header or LOCUS line stands in that file, from 1.
        chromosome: "" where the file does not say; FASTA never does.
        organelle: the record is a mitochondrion's or a plastid's.
        soft_masked: lower-case letters in FASTA; 0 for GenBank, which is always lower case.
        u_to_t: letters U read as T.
        iupac_to_n: ambiguity codes read as N.
    """

    name: str
    sequence: str
    location: str
    line: int = 1
    chromosome: str = ""
    organism: str = ""
    organelle: bool = False
    features: tuple[Feature, ...] = ()
    soft_masked: int = 0
    u_to_t: int = 0
    iupac_to_n: int = 0


class ContigStream:
    """A contig whose letters are read as they are asked for, until the reader is asked for the next contig.

    Attributes:
        name, location, line, chromosome, organism, organelle, features: as in `Contig`.
        length: letters given so far; like the three counts of `Contig` complete once `letters` has ended.
    """

    def __init__(
        self,
        name: str,
        location: str,
        line: int,
        runs: Iterator[Run],
        chromosome: str = "",
        organism: str = "",
        organelle: bool = False,
        features: tuple[Feature, ...] = (),
    ):
        """Make it from its letters to come; `runs` may refuse them on the way."""
        self.name, self.location, self.line = name, location, line
        self.chromosome, self.organism, self.organelle, self.features = chromosome, organism, organelle, features
        self.length = self.soft_masked = self.u_to_t = self.iupac_to_n = 0
        self._runs = runs
        self._digest = hashlib.sha256()

    def letters(self) -> Iterator[bytes]:
        """The letters not yet given, upper-case ACGTN, in pieces of a MiB or so.

        Raises:
            InputError: a byte that is no nucleotide code; at the end, an empty contig or one with more than 10 %
                ambiguity codes (R11).
        """
        for run in self._runs:
            self.length += len(run.letters)
            self.soft_masked += run.soft_masked
            self.u_to_t += run.u_to_t
            self.iupac_to_n += run.iupac_to_n
            self._digest.update(run.letters)
            yield run.letters
        where = f"{self.location}:{self.line}"
        if not self.length:
            raise InputError(
                f"{where}: record {alphabet.clipped(self.name)!r} is empty; add its sequence or remove its header"
            )
        alphabet.refuse_ambiguous(self.iupac_to_n, self.length, where)

    def drain(self) -> None:
        """Read, and so check, what is left."""
        for _ in self.letters():
            pass

    @property
    def sha256(self) -> str:
        """Of the letters given so far, in hexadecimal."""
        return self._digest.hexdigest()


def assembly_sum(contigs: Iterable[tuple[str, int, str]]) -> ContentSum:
    """The sum over (name, length, sha256 of the letters) of contigs; its digest is the *assembly sha256*.

    It is the same for any encoding, wrapping and compression of the files, in any order, split in any way.
    """
    found = ContentSum()
    for name, length, sha256 in contigs:
        found.add(f"{name}\t{length}\t{sha256}".encode())
    return found
