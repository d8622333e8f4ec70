"""What a reader yields: contigs with their features."""

from dataclasses import dataclass


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
