"""Which stretches of held-out genomes an encoder is evaluated on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genomics_fm.errors import InputError, require
from genomics_fm.genome.reader import read_genome
from genomics_fm.pretraining.segments import MAX_N_SHARE, MIN_SEGMENT_BP
from genomics_fm.randomness import key, uniform


@dataclass(frozen=True)
class Stretch:
    """A stretch of one contig, forward strand.

    Attributes:
        source: the organism, where the file names it; else the file, without its endings.
        contig: name of the record.
        start: 0-based.
        sequence: upper case, A C G T N.
    """

    source: str
    contig: str
    start: int
    sequence: str


@dataclass(frozen=True)
class HeldOut:
    """A file, or some contigs of it, that an encoder is not trained on.

    Attributes:
        file: FASTA or GenBank, as `read_genome` takes it.
        source: what it is called; "" for the organism the file names, else the file's name.
        contigs: which alone are held out, by record name or chromosome; all when empty.
    """

    file: str
    source: str = ""
    contigs: frozenset[str] = frozenset()

    @classmethod
    def of(cls, given: str) -> "HeldOut":
        """From `FILE` or `NAME=FILE`."""
        name, mark, file = given.partition("=")
        return cls(file, name) if mark and "/" not in name else cls(given)


def stretches_of(
    file: str, count: int, length: int, seed: int, source: str = "", contigs: frozenset[str] = frozenset()
) -> list[Stretch]:
    """Draw stretches of one file, without overlap, each tile of each contig equally likely.

    A tile's draw depends on seed, contig and place alone, so that other contigs change no draw.

    Args:
        file: FASTA or GenBank, as `read_genome` takes it.
        count: stretches; all there are when they are fewer.
        length: of a tile, in nucleotides; the last of a contig is shorter, and left out below 70 nt. A tile of more
            than 10 % N is left out too.
        seed: of the draws.
        source, contigs: as of `HeldOut`.

    Returns:
        In the order of the file.

    Raises:
        InputError: nothing is left, or the strict reader refuses the file.
    """
    require(count >= 1, "segments", count, "at least 1")
    require(length >= MIN_SEGMENT_BP, "segment_bp", length, f"at least {MIN_SEGMENT_BP}")
    kept: list[tuple[float, int, Stretch]] = []
    order = 0
    for contig in read_genome(file):
        if contigs and not contigs & {contig.name, contig.chromosome}:
            continue
        tiles = -(-len(contig.sequence) // length)
        draw_D = uniform(key(seed, "evaluation segments", contig.name), tiles)
        called = source or contig.organism or _stem(file)
        limit = max(draw for draw, _, _ in kept) if len(kept) == count else 1.0
        for tile in np.flatnonzero(draw_D < limit).tolist():
            text = contig.sequence[tile * length : (tile + 1) * length]
            if len(text) >= MIN_SEGMENT_BP and text.count("N") <= MAX_N_SHARE * len(text):
                kept.append((draw_D[tile], order, Stretch(called, contig.name, tile * length, text)))
                order += 1
        kept = sorted(kept, key=lambda entry: entry[0])[:count]
    if not kept:
        raise InputError(f"{file}: no stretch of {MIN_SEGMENT_BP} nt or more with few N; give another file")
    return [stretch for _, _, stretch in sorted(kept, key=lambda entry: entry[1])]


def _stem(file: str) -> str:
    return Path(file).name.split(".")[0] or file


def stretches_of_all(files: Sequence[str | HeldOut], count: int, length: int, seed: int) -> list[Stretch]:
    """`stretches_of` every file.

    Raises:
        InputError: two files hold a contig of the same name under the same source.
    """
    given = [HeldOut(one) if isinstance(one, str) else one for one in files]
    found = [
        stretch for one in given for stretch in stretches_of(one.file, count, length, seed, one.source, one.contigs)
    ]
    places = [(stretch.source, stretch.contig, stretch.start) for stretch in found]
    if len(set(places)) < len(places):
        twice = next(place for place in places if places.count(place) > 1)
        raise InputError(f"{twice[0]}, contig {twice[1]}: in two of the files; give each once, under its own name")
    return found
