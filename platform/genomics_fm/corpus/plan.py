"""What is asked of a corpus: sources, how they are cut, and the identity of all of it."""

import dataclasses
import functools
import importlib.metadata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genomics_fm.artefacts import sha256_file, sha256_json
from genomics_fm.corpus.exclusion import MARGIN_BP, Exclusion
from genomics_fm.corpus.sources import Source
from genomics_fm.corpus.windows import Recipe
from genomics_fm.errors import InputError, require
from genomics_fm.genome import source as files
from genomics_fm.genome.haplotypes import HaplotypeRecipe
from genomics_fm.storage import is_remote


@dataclass(frozen=True)
class Plan:
    """What becomes of the sources. With what they hold, it decides every row of a corpus.

    Attributes:
        recipe: how contigs become windows.
        haplotypes: how variants become haplotypes (R10).
        exclude: BED files of what must not be in the corpus (R9), as `genomics-fm locate` writes them.
        exclude_margin_bp: left out on both sides of an interval as well.
        exclude_sequences: FASTA files whose sequences must not be in it, wherever they stand (R9).
        max_similarity: assemblies with an identity (ANI) above it to an earlier one are left out; 1 keeps all (R12).
    """

    recipe: Recipe = field(default_factory=Recipe)
    haplotypes: HaplotypeRecipe = field(default_factory=HaplotypeRecipe)
    exclude: tuple[str, ...] = ()
    exclude_margin_bp: int = MARGIN_BP
    exclude_sequences: tuple[str, ...] = ()
    max_similarity: float = 1.0

    def __post_init__(self) -> None:
        require(self.exclude_margin_bp >= 0, "exclude_margin_bp", self.exclude_margin_bp, "0 or more")
        require(0.5 <= self.max_similarity <= 1, "max_similarity", self.max_similarity, "an identity of 0.5 to 1")

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Plan":
        """What `dataclasses.asdict` made of a plan."""
        known = {**values, "recipe": Recipe(**values["recipe"]), "haplotypes": HaplotypeRecipe(**values["haplotypes"])}
        return cls(**{**known, **{name: tuple(values[name]) for name in ("exclude", "exclude_sequences")}})

    def identity(self) -> dict[str, Any]:
        """The plan, with files replaced by what they hold.

        Raises:
            InputError: one of them cannot be trusted.
        """
        return {
            "recipe": dataclasses.asdict(self.recipe),
            "haplotypes": dataclasses.asdict(self.haplotypes),
            "exclusion": {**self.exclusion().identity(), "margin_bp": self.exclude_margin_bp},
            "max_similarity": self.max_similarity,
        }

    def exclusion(self) -> Exclusion:
        """What is left out, read from its files; once in a process, unless they change."""
        stamps = sha256_json([stamp(at) for at in (*self.exclude, *self.exclude_sequences)])
        return _exclusion(self.exclude, self.exclude_sequences, self.exclude_margin_bp, stamps)


@functools.lru_cache(maxsize=1)
def _exclusion(beds: tuple[str, ...], sequences: tuple[str, ...], margin_bp: int, _stamps: str) -> Exclusion:
    return Exclusion.load(beds, sequences, margin_bp)


@dataclass(frozen=True)
class Unit:
    """What one worker does in one go: one file of one source.

    Attributes:
        number: the source's place in the list.
        file: the file's place among those of its location.
        location: of the single file.
        source: the source.
        shares_vcf: other units take haplotypes from the same VCF, so this file need not have all its contigs.
    """

    number: int
    file: int
    location: str
    source: Source
    shares_vcf: bool = False

    @property
    def name(self) -> str:
        return f"{self.number:05d}-{self.file:05d}"

    def identity(self, plan: dict[str, Any]) -> str:
        """Hash of all that decides the unit's rows; files count by name, size and time, so that it costs nothing.

        Args:
            plan: `Plan.identity()`.
        """
        about = {**dataclasses.asdict(self.source), "location": stamp(self.location)}
        about |= {name: stamp(getattr(self.source, name)) for name in ("vcf", "samples")}
        return sha256_json([about, self.name, plan])


def units(sources: list[Source]) -> list[Unit]:
    """Every file of every source, in order.

    Raises:
        InputError: there is no source, or an archive without genomes.
        EnvironmentFault: a data package is not installed.
    """
    if not sources:
        raise InputError("no source given; name a list with --sources or files with --genomes")
    found = [
        Unit(number, file, location, source)
        for number, source in enumerate(sources)
        for file, location in enumerate(files.expand(source.location))
    ]
    readers = Counter(unit.source.vcf for unit in found)
    return [
        dataclasses.replace(unit, shares_vcf=bool(unit.source.vcf) and readers[unit.source.vcf] > 1) for unit in found
    ]


def stamp(location: str) -> list[Any]:
    """What tells quickly whether a location still holds the same: size and time, version, or address."""
    if not location or is_remote(location):
        return [location]
    if location.startswith(files.PACKAGE):
        return [content_sum(location), location.rpartition("!")[2]]
    try:
        about = Path(location).stat()
    except OSError as error:
        raise _absent(location, error) from error
    return [about.st_size, about.st_mtime_ns]


def size_of(location: str) -> int:
    """Bytes of a local file; 0 where only reading would tell."""
    return 0 if is_remote(location) or location.startswith(files.PACKAGE) else int(stamp(location)[0])


def content_sum(location: str) -> str:
    """What a location holds: the hash of a file, or the version of the package that carries it.

    Raises:
        InputError: no such file, or not readable.
    """
    if location.startswith(files.PACKAGE):
        package = location.removeprefix(files.PACKAGE).split("/")[0]
        try:
            return f"{package} {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            return package  # unpacked by hand; the reader says so when it is not there at all
    if not location or is_remote(location):
        return location
    try:
        return sha256_file(Path(location))
    except OSError as error:
        raise _absent(location, error) from error


def _absent(location: str, error: OSError) -> InputError:
    return InputError(f"{location}: {(error.strerror or str(error)).lower()}; check the path")


def request_identity(sources: list[Source], plan: Plan) -> str:
    """Hash of everything that decides a corpus: what the sources hold, not where they lie, and the plan."""
    described = []
    for source in sources:
        held = {name: content_sum(getattr(source, name)) for name in ("location", "vcf", "samples")}
        member = source.location.rpartition("!")[2] if "!" in source.location else ""
        described.append({**dataclasses.asdict(source), **held, "member": member})
    return sha256_json([described, plan.identity()])


def quick_identity(work: list[Unit], plan: Plan) -> str:
    """As `request_identity`, files told by size and time: enough to see at once that nothing has changed."""
    asked = plan.identity()
    return sha256_json([unit.identity(asked) for unit in work])
