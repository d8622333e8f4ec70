"""Opening a remote file at an offset: http(s) by Range, object stores through pyarrow."""

import contextlib
import http.client
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import pyarrow.fs

from genomics_fm import __version__
from genomics_fm.errors import EnvironmentFault, InputError

TIMEOUT_SECONDS = 60.0
"""Without a byte; then the connection counts as cut."""

_WEB = ("http://", "https://")
_STORES = ("s3://", "gs://")
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+/(\d+|\*)|\*/(\d+))")
_RANGE_REFUSED = 416
_WORTH_ANOTHER_TRY = {408, 425, 429, 500, 502, 503, 504}


class Interrupted(Exception):  # noqa: N818  (a state, which another try may mend)
    """The connection could not be made, or broke."""


@dataclass(frozen=True)
class Body:
    """The content of a remote file from an offset on.

    Attributes:
        offset: where it begins: the offset asked for, or 0 when the file has changed or cannot be entered there.
        total_bytes: of the whole file; 0 when the server does not say.
        tag: of this version of the file; "" when the server gives none.
        read: at most that many bytes, b"" at the end or where the connection broke; raises `Interrupted`.
    """

    offset: int
    total_bytes: int
    tag: str
    read: Callable[[int], bytes]


@contextlib.contextmanager
def open_at(location: str, offset: int, tag: str) -> Iterator[Body]:
    """Open a remote file.

    Args:
        location: http(s)://, s3:// or gs://.
        offset: where to begin if the file still is the version named by `tag`.
        tag: from an earlier `Body`; "" to trust that nothing changed.

    Raises:
        Interrupted: no connection, or a server that is not well at the moment.
        InputError: the address is wrong.
        EnvironmentFault: the server's certificate is not trusted here.
    """
    if location.startswith(_STORES):
        with _open_store(location, offset, tag) as body:
            yield body
    elif location.startswith(_WEB):
        with _open_web(location, offset, tag) as body:
            yield body
    else:
        raise InputError(f"{location}: cannot be fetched; give http(s)://, s3://, gs:// or a local file")


@contextlib.contextmanager
def _interruptions() -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise Interrupted(_one_line(error)) from error


def _one_line(error: Exception) -> str:
    return " ".join((str(error) or repr(error)).split())


@contextlib.contextmanager
def _open_web(location: str, offset: int, tag: str) -> Iterator[Body]:
    answer = _request(location, offset, tag)
    begin, total = _extent(answer)
    if begin not in (0, offset):  # not what was asked for
        answer.close()
        answer = _request(location, 0, "")
        begin, total = _extent(answer)

    def read(size: int) -> bytes:
        with _interruptions():
            return b"" if answer.status == _RANGE_REFUSED else answer.read(size)

    etag, date = (answer.headers.get(name) or "" for name in ("ETag", "Last-Modified"))
    with contextlib.closing(answer):
        yield Body(begin, total, etag if etag.startswith('"') else date, read)  # a weak ETag cannot be asked for


def _extent(answer: http.client.HTTPResponse) -> tuple[int, int]:
    """(offset of the answer's first byte, bytes of the whole file or 0); offset -1 where it cannot be understood."""
    if answer.status == http.client.OK:
        return 0, answer.length or 0
    found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range") or "")
    if not found:
        return -1, 0
    begin, total, length = found.groups()
    if length:
        return int(length), int(length)  # 416: nothing is left after the offset, if that is the whole length
    return int(begin), int(total) if total != "*" else int(begin) + (answer.length or 0)


def _request(location: str, offset: int, tag: str) -> http.client.HTTPResponse:
    """The answer to a GET, of status 200, 206 or 416."""
    headers = {"User-Agent": f"genomics-fm/{__version__}", "Accept-Encoding": "identity"}
    if offset:
        headers |= {"Range": f"bytes={offset}-"} | ({"If-Range": tag} if tag else {})
    try:
        return urllib.request.urlopen(urllib.request.Request(location, headers=headers), timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == _RANGE_REFUSED and offset:
            return cast(http.client.HTTPResponse, error)
        error.close()
        if error.code in _WORTH_ANOTHER_TRY:
            raise Interrupted(f"HTTP {error.code} {error.reason}") from error
        raise InputError(f"{location}: HTTP {error.code} {error.reason}; check the address") from error
    except (ValueError, http.client.InvalidURL) as error:
        raise InputError(f"{location}: not an address ({error}); check it") from error
    except (OSError, http.client.HTTPException) as error:
        if isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError):
            raise EnvironmentFault(f"{location}: {error}; mend the certificates of this machine") from error
        raise Interrupted(_one_line(error)) from error


@contextlib.contextmanager
def _open_store(location: str, offset: int, tag: str) -> Iterator[Body]:
    try:
        files, path = pyarrow.fs.FileSystem.from_uri(location)
    except ValueError as error:
        raise InputError(f"{location}: not a storage address ({error}); check it") from error
    with _interruptions():
        info = files.get_file_info(path)
        if info.type != pyarrow.fs.FileType.File:
            raise InputError(f"{location}: no such object; check the address")
        now = f"{info.size} {info.mtime_ns}"
        file = files.open_input_file(path)
    begin = offset if tag in ("", now) and offset <= info.size else 0
    with contextlib.closing(file):

        def read(size: int) -> bytes:
            with _interruptions():
                return file.read(size)

        with _interruptions():
            file.seek(begin)
        yield Body(begin, info.size, now, read)
