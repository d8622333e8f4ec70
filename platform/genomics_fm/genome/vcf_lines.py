"""From a VCF or BCF file to its header and the lines of its records, whole or by contig.

Text is read here and not by htslib, whose parser mends, warns and carries on where we must refuse; BCF is turned into
lines by pysam. Whatever reads them further sees one kind of line.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pysam

from genomics_fm.errors import InputError
from genomics_fm.genome import compressed, vcf_index

CHUNK_BYTES = 1 << 20
MAXIMUM_LINE_BYTES = 1 << 28  # a line of 500,000 samples with 500 bytes each; what is longer is no VCF

_HEAD_BYTES = 18
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")  # SAM specification, 4.1.2
_COLUMNS = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]
_CONTIG = re.compile(r"##contig=<(?:.*,)?ID=([^,>]+)")
_LENGTH = re.compile(r"[<,]length=([0-9]+)[,>]")


@dataclass(frozen=True)
class Header:
    """What the header of a VCF says.

    Attributes:
        samples: in the order of their columns; without any there are no genotypes.
        lengths: of the contigs whose length is given.
    """

    samples: tuple[str, ...]
    lengths: dict[str, int]


class VcfLines:
    """The lines of a VCF (plain, gzip, block gzip) or BCF.

    Attributes:
        location: the file.
        index: the index beside it; "" without one.
        header: parsed.
    """

    def __init__(self, location: str) -> None:
        """Open a file and read its header.

        Raises:
            InputError: missing, empty, cut short, or no VCF or BCF.
        """
        self.location = location
        self._binary = _is_bcf(location)
        self.index = vcf_index.find(location)
        if self._binary:
            with _Bcf(location) as file:
                lines = str(file.header).splitlines()
            self.header = parse_header(enumerate(lines, 1), location)
        else:
            self.header = parse_header(_decoded(_text_lines(location), location), location)
        if self.index and not vcf_index.check_to_the_end(location, self.index) and next(self.all(), None):
            raise InputError(f"{self.index}: knows no record of {location}; {vcf_index.NEW_INDEX}")

    def all(self) -> Iterator[tuple[int, bytes]]:
        """(number of the line, or in a BCF of the record; line without its end), records only."""
        if self._binary:
            with _Bcf(self.location) as file:
                yield from file.lines(None)
            return
        lines = _text_lines(self.location)
        for _, line in lines:
            if line.startswith(b"#CHROM"):
                break
        yield from lines

    def contigs(self) -> list[str]:
        """Contigs that have records, of a file with an index."""
        if not self._binary:
            with self._tabix() as file:
                return list(file.contigs)
        with _Bcf(self.location) as file:
            return [name for name in file.header.contigs if next(file.lines(name), None)]

    def of(self, contig: str) -> Iterator[tuple[int, bytes]]:
        """Lines of one of `contigs()`, by the index; their numbers are not known (0)."""
        if self._binary:
            with _Bcf(self.location) as file:
                yield from ((0, line) for _, line in file.lines(contig))
            return
        with self._tabix() as file:
            try:
                for line in file.fetch(contig):
                    yield 0, line.encode("latin-1")
            except (OSError, ValueError) as error:
                what = f"contig {contig} cannot be read ({error})"
                raise InputError(f"{self.location}: {what}; {vcf_index.NEW_INDEX}") from error

    def _tabix(self) -> pysam.TabixFile:
        pysam.set_verbosity(0)
        try:
            return pysam.TabixFile(self.location, index=self.index, encoding="latin-1")
        except (OSError, ValueError) as error:
            raise InputError(f"{self.index}: the index cannot be read ({error}); {vcf_index.NEW_INDEX}") from error


class _Bcf:
    """A BCF opened by pysam; what goes wrong becomes one line, and nothing is printed."""

    def __init__(self, location: str) -> None:
        pysam.set_verbosity(0)  # htslib prints what it also raises
        self._location = location
        try:
            self._file = pysam.VariantFile(location)
        except (OSError, ValueError, NotImplementedError) as error:  # the last: gzip that is not in blocks
            raise InputError(f"{location}: no BCF that can be opened ({error}); fetch the file again") from error
        self.header = self._file.header

    def __enter__(self) -> "_Bcf":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._file.close()
        except OSError:
            return  # htslib tells of the damage a second time; it has been told

    def lines(self, contig: str | None) -> Iterator[tuple[int, bytes]]:
        number = 0
        try:
            for record in self._file if contig is None else self._file.fetch(contig):
                number += 1
                yield number, str(record).rstrip("\n").encode()
        except (OSError, ValueError) as error:
            where = f"{self._location}:{number + 1}" if contig is None else f"{self._location}: contig {contig}"
            raise InputError(f"{where}: record cannot be read ({error}); fetch the file, or index it, again") from error


def _is_bcf(location: str) -> bool:
    """Whether a file that exists and is not cut short is a BCF."""
    path = Path(location)
    if not path.is_file():
        raise InputError(f"{location}: no such file; check the path")
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        if not head:
            raise InputError(f"{location}:1: the file is empty; give a VCF or BCF file")
        if head.startswith(b"BCF"):
            raise InputError(f"{location}: BCF without compression has no checksums; write it with `bcftools view -Ob`")
        if compressed.kind(head) != "gzip":
            return False
        if head[12:14] == b"BC":
            file.seek(-min(len(_BGZF_END), path.stat().st_size), 2)
            if file.read() != _BGZF_END:
                raise InputError(f"{location}: block gzip without its end mark; the file is cut short, fetch it again")
    return next(_chunks(location), b"").startswith(b"BCF")


def _chunks(location: str) -> Iterator[bytes]:
    try:
        with Path(location).open("rb") as file:
            how = compressed.kind(file.read(_HEAD_BYTES))
            file.seek(0)
            yield from compressed.chunks(file, how, CHUNK_BYTES) if how else iter(lambda: file.read(CHUNK_BYTES), b"")
    except compressed.Damaged as error:
        raise InputError(f"{location}: {error}") from error
    except OSError as error:
        raise InputError(f"{location}: {error.strerror or error}; check the file") from error


def _text_lines(location: str) -> Iterator[tuple[int, bytes]]:
    """Numbered lines without their ends (LF or CRLF); the last one may lack it."""
    number, pending, size = 0, list[bytes](), 0
    for chunk in _chunks(location):
        first, *others = chunk.split(b"\n")
        pending.append(first)
        size += len(first)
        if size > MAXIMUM_LINE_BYTES:
            raise InputError(
                f"{location}:{number + 1}: a line over {MAXIMUM_LINE_BYTES:,} bytes; no VCF, check the file"
            )
        if not others:
            continue
        others.insert(0, b"".join(pending))
        pending = [others.pop()]
        size = len(pending[0])
        for line in others:
            number += 1
            yield number, line.removesuffix(b"\r")
    if size:
        yield number + 1, b"".join(pending).removesuffix(b"\r")


def _decoded(lines: Iterator[tuple[int, bytes]], location: str) -> Iterator[tuple[int, str]]:
    for number, line in lines:
        if b"\0" in line:
            raise InputError(f"{location}:{number}: NUL byte; the file is damaged, fetch it again")
        if b"\r" in line:
            raise InputError(f"{location}:{number}: a lone carriage return; convert the line ends to LF")
        yield number, line.decode("utf-8", "replace")


def parse_header(lines: Iterator[tuple[int, str]], location: str) -> Header:
    """Read up to the line `#CHROM`.

    Raises:
        InputError: not a header of VCF 4, or one with wrong columns or a sample named twice.
    """
    lengths: dict[str, int] = {}
    number = 0
    for number, line in lines:
        where = f"{location}:{number}"
        if number == 1 and not line.startswith("##fileformat=VCFv4"):
            raise InputError(f"{where}: begins with {line[:20]!r}, not '##fileformat=VCFv4'; give a VCF or BCF file")
        if line.startswith("#CHROM"):
            return Header(_samples(line.split("\t"), where), lengths)
        if not line.startswith("##"):
            raise InputError(f"{where}: {line[:40]!r} stands before the line '#CHROM'; the header must end with it")
        if (name := _CONTIG.match(line)) and (length := _LENGTH.search(line)):
            lengths[name[1]] = int(length[1])
    raise InputError(f"{location}:{number}: the header has no line '#CHROM'; the file is cut short or no VCF")


def _samples(columns: list[str], where: str) -> tuple[str, ...]:
    if columns[:8] != _COLUMNS or (len(columns) > 8 and columns[8] != "FORMAT"):
        raise InputError(f"{where}: the columns are not {' '.join(_COLUMNS)} [FORMAT …], separated by tabs; mend them")
    samples = tuple(columns[9:])
    seen: set[str] = set()
    for sample in samples:
        if not sample or sample in seen:
            what = f"sample {sample!r} stands twice" if sample else "a sample without a name"
            raise InputError(f"{where}: {what}; rename it with `bcftools reheader`")
        seen.add(sample)
    return samples
