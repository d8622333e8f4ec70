"""The source list: which files a corpus is made of, what they are, and how much each weighs (A1, R4).

One row a file. A genome may be several files, one a chromosome: rows that name the same assembly.
"""

import dataclasses
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genomics_fm.corpus.source_rows import Cell, Row, read_rows, refuse_invisible
from genomics_fm.errors import InputError

CLADES = ("Fungi", "Bacteria", "Protozoa", "Mammalian", "Birds", "Reptiles", "Amphibians", "Fish")
"""The paper's categories in its order (A2); Protozoa holds the invertebrates too. A list may name others."""
PHASING = ("yes", "statistical", "no")
REMOTE_SCHEMES = ("https", "http", "s3", "gs")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_REMOTE = re.compile(r"(?:https?|s3|gs)://[^/\s]+/\S+")
_PACKAGE = re.compile(r"package:[A-Za-z_]\w*/[^!]*[^!/](?:!.+)?", re.ASCII)
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}")
_TAXID = re.compile(r"[0-9]{1,10}")
_SHOWN = 200  # letters of a value in a message
_YES_NO = {"yes": True, "true": True, "no": False, "false": False}


@dataclass(frozen=True)
class Source:
    """A file of contigs that belong to one assembly.

    Attributes:
        location: a path, http(s), s3, gs, or `package:NAME/FILE.zip[!MEMBER]`: what `read_genome` takes.
        species: binomial name.
        assembly: name of the assembly; the files of one assembly agree on species, clade, taxid and weight.
        clade: the paper's category (Fungi, Mammalian, …); "" if unknown.
        taxid: of NCBI's taxonomy; 0 if unknown.
        checksum: `sha256:HEX` or `md5:HEX` of the file as it is stored; "" if unknown.
        weight: how often its rows are drawn, relative to other sources' (R4).
        vcf: variants of people of this assembly: path, http(s), s3 or gs; "" for none.
        samples: list of the samples taken from it, with their sex; "" for all.
        phased: how the genotypes were phased: yes, statistical, no; "" without a VCF.
        exclude_contigs: contigs left out, by record name or chromosome.
        keep_organelles: whether mitochondria and plastids stay in.
    """

    location: str
    species: str
    assembly: str = ""
    clade: str = ""
    taxid: int = 0
    checksum: str = ""
    weight: float = 1.0
    vcf: str = ""
    samples: str = ""
    phased: str = ""
    exclude_contigs: tuple[str, ...] = ()
    keep_organelles: bool = False


COLUMNS = tuple(field.name for field in dataclasses.fields(Source))
_REQUIRED = ("location", "species")
_SHARED_BY_AN_ASSEMBLY = ("species", "clade", "taxid", "weight")


def read_sources(location: str) -> list[Source]:
    """Sources of a list in their order.

    Args:
        location: a TSV with a header line, columns in any order, lines that begin with `#` left out; or a YAML list
            of mappings (`.yaml`, `.yml`). Relative paths in it are relative to its folder.

    Raises:
        InputError: anything at all is not as documented, or a local file it names is not there.
    """
    rows = read_rows(location, COLUMNS)
    folder = Path(location).parent
    sources = [_source(row, folder) for row in rows]
    _refuse_duplicates(sources, rows)
    _refuse_contradictions(sources, rows)
    return sources


def to_tsv(sources: Iterable[Source]) -> str:
    """A list that `read_sources` reads back; columns that nobody uses are left out. Paths stay as they are.

    Raises:
        InputError: a value that a TSV cannot hold.
    """
    rows = [{name: _written(name, getattr(source, name)) for name in COLUMNS} for source in sources]
    used = [name for name in COLUMNS if name in _REQUIRED or any(row[name] for row in rows)]
    lines = ["\t".join(used)]
    for number, row in enumerate(rows, 1):
        for name in used:
            _refuse_unwritable(row[name], f"source {number}, {name}")
        lines.append("\t".join(row[name] for name in used))
    return "\n".join(lines) + "\n"


def summarise(location: str) -> str:
    """What a list holds, as a line for people; reads it strictly."""
    sources = read_sources(location)
    genomes = {(source.species, source.assembly) for source in sources}
    clade_of = {source.species: source.clade or "unknown" for source in sources}
    clades = ", ".join(f"{clade} {count:,}" for clade, count in sorted(Counter(clade_of.values()).items()))
    low, high = min(source.weight for source in sources), max(source.weight for source in sources)
    weights = f"weight {low:g}" if low == high else f"weights {low:g} to {high:g}"
    return (
        f"{location}: {len(sources):,} files of {len(genomes):,} genomes, {len(clade_of):,} species by clade: "
        f"{clades}; {sum(bool(source.vcf) for source in sources):,} with variants; "
        f"{sum(bool(source.checksum) for source in sources):,} with checksums; {weights}"
    )


def _source(row: Row, folder: Path) -> Source:
    for name in _REQUIRED:
        if name not in row.cells:
            raise InputError(f"{row.place}: no {name}; every row needs one")
    values: dict[str, Any] = {name: _PARSERS[name](cell, folder) for name, cell in row.cells.items()}
    source = Source(**values)
    if source.vcf and not source.phased:
        raise InputError(f"{row.cells['vcf'].place}: a vcf without phased; add a column phased: {', '.join(PHASING)}")
    for name in ("samples", "phased"):
        if name in values and not source.vcf:
            raise InputError(f"{row.cells[name].place}: {name} without a vcf; name the vcf or leave {name} empty")
    return source


def _text(cell: Cell, _folder: Path) -> str:
    return cell.text


def _file(cell: Cell, folder: Path) -> str:
    """A location of one of the kinds we read; a local one becomes a path from where the process runs."""
    if scheme := _SCHEME.match(cell.text):
        if scheme[1] not in REMOTE_SCHEMES:
            raise InputError(f"{cell.place}: {scheme[1]}:// is not read; use {', '.join(REMOTE_SCHEMES)} or a path")
        if not _REMOTE.fullmatch(cell.text):
            raise InputError(
                f"{cell.place}: {cell.text[:_SHOWN]!r} names no file; write {scheme[1]}://HOST/PATH without blanks"
            )
        return cell.text
    if cell.text.startswith("package:"):
        if not _PACKAGE.fullmatch(cell.text):
            raise InputError(f"{cell.place}: not a package location; write package:NAME/FILE.zip or …zip!MEMBER")
        return cell.text
    path = folder / cell.text
    try:
        found, is_file = path.exists(), path.is_file()
        said = "not a file" if found else "no such file"
    except OSError as error:  # a name too long, a folder that may not be entered
        is_file, said = False, (error.strerror or str(error)).lower()
    if not is_file:
        raise InputError(f"{cell.place}: {str(path)[:_SHOWN]}: {said}; check the path (it is relative to the list)")
    return str(path)


def _taxid(cell: Cell, _folder: Path) -> int:
    if not _TAXID.fullmatch(cell.text):
        raise InputError(f"{cell.place}: taxid {cell.text[:_SHOWN]!r} is not a whole number; write NCBI's, like 559292")
    return int(cell.text)


def _weight(cell: Cell, _folder: Path) -> float:
    try:
        weight = float(cell.text) if cell.text.isascii() and "_" not in cell.text else math.nan
    except ValueError:
        weight = math.nan
    if not (math.isfinite(weight) and weight > 0):
        raise InputError(
            f"{cell.place}: weight {cell.text[:_SHOWN]!r} is not a positive finite number; write one, like 1"
        )
    return weight


def _checksum(cell: Cell, _folder: Path) -> str:
    if not _CHECKSUM.fullmatch(cell.text.lower()):
        raise InputError(f"{cell.place}: not a checksum; write sha256: and 64 hex digits, or md5: and 32")
    return cell.text.lower()


def _phased(cell: Cell, _folder: Path) -> str:
    if cell.text not in PHASING:
        raise InputError(f"{cell.place}: phased {cell.text[:_SHOWN]!r}; write one of {', '.join(PHASING)}")
    return cell.text


def _contigs(cell: Cell, _folder: Path) -> tuple[str, ...]:
    names = tuple(name.strip() for name in cell.text.split(","))
    if "" in names or len(set(names)) < len(names):
        raise InputError(f"{cell.place}: an empty or repeated contig name; write NAME,NAME,… each once")
    return names


def _yes_or_no(cell: Cell, _folder: Path) -> bool:
    if cell.text.lower() not in _YES_NO:
        raise InputError(f"{cell.place}: {cell.text[:_SHOWN]!r} is neither yes nor no; write one of them")
    return _YES_NO[cell.text.lower()]


_PARSERS: Mapping[str, Callable[[Cell, Path], Any]] = dict.fromkeys(COLUMNS, _text) | {
    "location": _file,
    "vcf": _file,
    "samples": _file,
    "taxid": _taxid,
    "weight": _weight,
    "checksum": _checksum,
    "phased": _phased,
    "exclude_contigs": _contigs,
    "keep_organelles": _yes_or_no,
}


def _refuse_duplicates(sources: list[Source], rows: list[Row]) -> None:
    seen: dict[str, str] = {}
    for source, row in zip(sources, rows, strict=True):
        remote = _SCHEME.match(source.location) or source.location.startswith("package:")
        name = source.location if remote else os.path.realpath(source.location)
        if name in seen:
            raise InputError(f"{row.place}: the location of {seen[name]} again; keep one of the two rows")
        seen[name] = row.place


def _refuse_contradictions(sources: list[Source], rows: list[Row]) -> None:
    """The files of an assembly agree on what it is, and a species has one clade."""
    first: dict[tuple[str, str], tuple[Source, Row]] = {}
    for source, row in zip(sources, rows, strict=True):
        for kind, name, shared in (
            ("assembly", source.assembly, _SHARED_BY_AN_ASSEMBLY),
            ("species", source.species, ("clade",)),
        ):
            other, other_row = first.setdefault((kind, name), (source, row))
            for what in shared if name else ():
                if (value := getattr(source, what)) != (before := getattr(other, what)):
                    place = row.cells[what].place if what in row.cells else row.place
                    raise InputError(
                        f"{place}: {what} {value!r}, but {other_row.place} has {before!r} for the same {kind} {name}; "
                        "make them agree"
                    )


def _written(name: str, value: Any) -> str:
    if value == Source.__dataclass_fields__[name].default:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _refuse_unwritable(value: str, what: str) -> None:
    refuse_invisible(value, what, 1)
    if value != value.strip() or value.startswith("#"):
        raise InputError(f"{what}: {value!r} begins with # or has blanks around it; a source list cannot hold it")
