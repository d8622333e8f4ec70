"""Local copies of the files a source list names: downloads go on where they broke and are verified at their end."""

import contextlib
import fcntl
import hashlib
import os
import re
import time
import urllib.parse
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

from genomics_fm.artefacts import sha256_bytes
from genomics_fm.errors import EnvironmentFault, InputError, writing
from genomics_fm.genome import remote
from genomics_fm.storage import is_remote

ATTEMPTS = 5
"""Without a byte more than before; then the server is given up."""
BACKOFF_SECONDS = 0.5
"""Before the second attempt; doubled before each further one."""

Report = Callable[[int, int], None]
"""Called with (bytes here, bytes of the whole file or 0) as they come."""

_COPY_BYTES = 1 << 20
_CHECKSUM = re.compile(r"(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})?")
_NOT_FOR_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_KEY_DIGITS, _NAME_LETTERS = 12, 100


def local_copy(location: str, checksum: str, cache: Path, report: Report | None = None) -> Path:
    """A path where the file can be read, fetched when it is remote and not yet in the cache.

    What a broken download left is continued, by this or by another process; several processes may ask at once.

    Args:
        location: a path, file://, http(s)://, s3:// or gs://. A path is returned as it is.
        checksum: `sha256:HEX` or `md5:HEX` of the file's bytes, or "".
        cache: folder for fetched files.
        report: hears of progress.

    Raises:
        InputError: no such file, a wrong address or checksum, or other bytes than the checksum says.
        EnvironmentFault: the server cannot be reached, or the disk is full.
    """
    if not _CHECKSUM.fullmatch(checksum):
        raise InputError(f"{location}: checksum {checksum!r}; write sha256:HEX or md5:HEX in lower case")
    if not is_remote(location):
        path = Path(location.removeprefix("file://"))
        if checksum:
            _verify(path, checksum, location)
        return path
    path = cache / _name(location)
    if not _is_whole(path, checksum, location):
        part = path.with_name(f"{path.name}.part")
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(part) as file:
                if not _is_whole(path, checksum, location):  # nobody brought it while we waited
                    _fetch(location, checksum, part, file, report)
                    part.replace(path)
                part.unlink(missing_ok=True)
                _tag_file(part).unlink(missing_ok=True)
    return path


def _name(location: str) -> str:
    """A file name that is the location's own; its ending stays, by which files are told apart."""
    try:
        address = urllib.parse.urlsplit(location)
    except ValueError as error:
        raise InputError(f"{location}: not an address ({error}); check it") from error
    if not address.netloc:
        raise InputError(f"{location}: not an address; give scheme://host/path")
    name = address.path.rpartition("/")[2]
    return f"{sha256_bytes(location.encode())[:_KEY_DIGITS]}-{_NOT_FOR_NAMES.sub('_', name)[-_NAME_LETTERS:]}"


def _tag_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.tag")


def _is_whole(path: Path, checksum: str, location: str) -> bool:
    """Whether the cache holds the file; what disagrees with the checksum is fetched again."""
    if not path.is_file():
        return False
    with contextlib.suppress(InputError):
        if checksum:
            _verify(path, checksum, location)
        return True
    return False


def _verify(path: Path, checksum: str, location: str) -> None:
    name, _, expected = checksum.partition(":")
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, name).hexdigest()
    except OSError as error:
        raise InputError(f"{location}: {error.strerror or error}; check the path") from error
    if found != expected:
        raise InputError(
            f"{location}: {name} is {found}, not {expected} as the source list says; check the address and the checksum"
        )


@contextlib.contextmanager
def _locked(part: Path) -> Iterator[FileIO]:
    """The partial file, open for appending; other processes that want it wait."""
    while True:
        with part.open("ab", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # Who held the lock before may have renamed or deleted the file we opened.
            if part.exists() and part.stat().st_ino == os.fstat(file.fileno()).st_ino:
                yield file
                return


def _fetch(location: str, checksum: str, part: Path, file: FileIO, report: Report | None) -> None:
    """Bring the partial file to its end and verify it; a wrong one is deleted."""
    for begun_before in (part.stat().st_size > 0, False):
        _download(location, bool(checksum), part, file, report)
        os.fsync(file.fileno())
        if not checksum:
            return
        try:
            _verify(part, checksum, location)
            return
        except InputError:
            file.truncate(0)
            if not begun_before:  # else the old beginning may be what is wrong: once more from the start
                part.unlink()
                _tag_file(part).unlink(missing_ok=True)
                raise


def _download(location: str, checked: bool, part: Path, file: FileIO, report: Report | None) -> None:
    """Append what is missing, over as many connections as it takes."""
    tag_file = _tag_file(part)
    tag = tag_file.read_text() if tag_file.is_file() else ""
    if not tag and not checked:
        file.truncate(0)  # of a version nobody can name
    best, failures = part.stat().st_size, 0
    while True:
        try:
            with remote.open_at(location, part.stat().st_size, tag) as body:
                if body.offset and tag and body.tag not in ("", tag):
                    file.truncate(0)
                    raise remote.Interrupted("the file changed on the server while it was fetched")
                file.truncate(body.offset)
                if body.tag != tag and (body.tag or not body.offset):
                    tag = body.tag
                    tag_file.write_text(tag)
                with writing(part, max(0, body.total_bytes - body.offset)):
                    have = _append(body, file, report)
                if have < body.total_bytes:
                    raise remote.Interrupted(f"cut after {have:,} of {body.total_bytes:,} bytes")
                return
        except remote.Interrupted as error:
            have = part.stat().st_size
            failures = 1 if have > best else failures + 1
            best = max(best, have)
            if failures >= ATTEMPTS:
                raise EnvironmentFault(
                    f"{location}: gave up after {failures} attempts ({error}); check the network, then run again: "
                    f"the download goes on from {have:,} bytes"
                ) from error
            time.sleep(BACKOFF_SECONDS * 2 ** (failures - 1))


def _append(body: remote.Body, file: FileIO, report: Report | None) -> int:
    """Copy a body to the end of the file; the file's bytes then."""
    have = body.offset
    while piece := body.read(_COPY_BYTES):
        left = memoryview(piece)
        while left:
            left = left[file.write(left) :]
        have += len(piece)
        if report:
            report(have, body.total_bytes)
    return have
