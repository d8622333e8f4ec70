"""The people of a sample list, and where their sex decides how many haplotypes they have."""

import re
from dataclasses import dataclass
from pathlib import Path

from genomics_fm.errors import InputError
from genomics_fm.genome.vcf_records import spelling

SEXES = {"M": "M", "F": "F", ".": ""}
BOTH, X, X_BORDER, Y = "both", "X", "X border", "Y"
"""Where a window lies: two haplotypes for all; X outside PAR; across PAR's border on X; Y."""

PSEUDOAUTOSOMAL_X = {
    # 0-based half-open. Genome Reference Consortium, ncbi.nlm.nih.gov/grc/human: regions PAR#1 and PAR#2.
    "GRCh37": ((60_000, 2_699_520), (154_931_043, 155_260_560)),
    "GRCh38": ((10_000, 2_781_479), (155_701_382, 156_030_895)),
}
_ALIASES = {"hg19": "GRCh37", "b37": "GRCh37", "hs37d5": "GRCh37", "hg38": "GRCh38", "hs38": "GRCh38"}
_PATCH = re.compile(r"\.p\d+$")
_TITLE = "sample"


@dataclass(frozen=True)
class Sample:
    """One line of a sample list: `sample<TAB>sex[<TAB>population]`.

    Attributes:
        sex: M, F, or "" if not known.
        where: `file:line`.
    """

    name: str
    sex: str
    population: str
    where: str


def read_samples(location: str) -> list[Sample]:
    """Read a sample list; a first line that begins with `sample`, and lines after `#`, are no samples.

    Raises:
        InputError: a line that is malformed, or a sample named twice.
    """
    try:
        lines = Path(location).read_text(encoding="ascii").splitlines()
    except OSError as error:
        raise InputError(f"{location}: {error.strerror or error}; check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{location}: non-ASCII byte at {error.start}; save the file as plain ASCII") from error
    samples: dict[str, Sample] = {}
    for number, line in enumerate(lines, 1):
        if line.startswith("#") or not line.strip() or (number == 1 and line.split("\t")[0] == _TITLE):
            continue
        sample = _sample(line, f"{location}:{number}")
        if sample.name in samples:
            raise InputError(f"{sample.where}: sample {sample.name!r} stands twice; remove one")
        samples[sample.name] = sample
    if not samples:
        raise InputError(f"{location}:1: no sample in the list; write lines of sample<TAB>sex")
    return list(samples.values())


def _sample(line: str, where: str) -> Sample:
    columns = line.split("\t")
    if len(columns) not in (2, 3) or not columns[0].strip():
        raise InputError(f"{where}: {len(columns)} columns; write sample<TAB>sex[<TAB>population]")
    if columns[1] not in SEXES:
        raise InputError(f"{where}: sex {columns[1][:20]!r}; write M, F or . if it is not known")
    return Sample(columns[0], SEXES[columns[1]], "".join(columns[2:]), where)


def choose(location: str, names: tuple[str, ...], vcf: str) -> list[Sample]:
    """The samples to take from a VCF: those of a list, in its order, or all of them.

    Args:
        location: of the list; "" for all.
        names: of the VCF.
        vcf: its location, for messages.

    Raises:
        InputError: the VCF has no samples, or lacks one of the list.
    """
    if not names:
        raise InputError(f"{vcf}: no samples, so no genotypes; give a VCF with genotypes")
    if not location:
        return [Sample(name, "", "", vcf) for name in names]
    chosen = read_samples(location)
    for sample in chosen:
        if sample.name not in names:
            raise InputError(f"{sample.where}: sample {sample.name!r} is not in {vcf}; remove it from the list")
    return chosen


def human_assembly(assembly: str) -> str:
    """`GRCh37` or `GRCh38` by any of its names; "" for anything else."""
    name = _PATCH.sub("", assembly)
    name = _ALIASES.get(name, name)
    return name if name in PSEUDOAUTOSOMAL_X else ""


def sex_region(assembly: str, contig: str, start: int, end: int) -> str:
    """Where an interval lies: BOTH, X, X_BORDER or Y; always BOTH outside the human assemblies."""
    human, name = human_assembly(assembly), spelling(contig)
    if not human or name not in ("X", "Y"):
        return BOTH
    if name == "Y":
        return Y
    overlaps = [max(0, min(end, high) - max(start, low)) for low, high in PSEUDOAUTOSOMAL_X[human]]
    if not any(overlaps):
        return X
    return BOTH if max(overlaps) == end - start else X_BORDER
