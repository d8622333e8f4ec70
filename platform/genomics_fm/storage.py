"""Folders on a local disk or in an object store (`s3://`, `gs://`), behind one small set of verbs."""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow.fs

from genomics_fm.artefacts import json_bytes, parse_json, sealed, sha256_file, unsealed, write_bytes
from genomics_fm.errors import EnvironmentFault, InputError, writing

_SCHEME = re.compile(r"([a-z0-9+]+)://")
_COPY_BYTES = 4 << 20
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


def is_remote(location: str) -> bool:
    """Whether a location is a URI of anything but a local file."""
    scheme = _SCHEME.match(location)
    return scheme is not None and scheme[1] != "file"


class Folder:
    """A folder whose files are written whole or not at all.

    Names may hold slashes. An object store has no rename; there a put is what is whole or not at all.
    """

    def __init__(self, uri: "str | Path | Folder") -> None:
        """Open a folder; it need not exist.

        Args:
            uri: a path, `file://`, `s3://bucket/path` or `gs://bucket/path`; pyarrow's options may follow a `?`
                (`endpoint_override`, `scheme`, `region`). Credentials are taken from the environment.

        Raises:
            InputError: a scheme we do not know, or a URI that cannot be read.
        """
        self.uri: str = uri.uri if isinstance(uri, Folder) else str(uri)
        self.local: Path | None = None
        if not is_remote(self.uri):
            self.local = Path(self.uri.removeprefix("file://")).expanduser()
            return
        try:
            self._fs, self._root = pyarrow.fs.FileSystem.from_uri(self.uri)
        except (ValueError, OSError) as error:
            raise InputError(f"{self.uri}: not a storage address ({error}); give a folder, s3:// or gs://") from error

    def __truediv__(self, name: str) -> "Folder":
        if self.local is not None:
            return Folder(self.local / name)
        address, mark, options = self.uri.partition("?")
        return Folder(f"{address.rstrip('/')}/{name}{mark}{options}")

    def __str__(self) -> str:
        return str(self.local) if self.local is not None else self.uri

    def shown(self, name: str) -> str:
        """A file of this folder, as messages name it."""
        return str(self.local / name) if self.local is not None else f"{self.uri.partition('?')[0]}/{name}"

    def size(self, name: str) -> int | None:
        """Bytes of a file; None when there is none."""
        if self.local is not None:
            path = self.local / name
            return path.stat().st_size if path.is_file() else None
        info = self._remote(name, lambda: self._fs.get_file_info(self._path(name)))
        return int(info.size) if info.type == pyarrow.fs.FileType.File else None

    def exists(self, name: str) -> bool:
        return self.size(name) is not None

    def read(self, name: str) -> bytes:
        """A whole file.

        Raises:
            FileNotFoundError: there is none.
            EnvironmentFault: the store does not answer.
        """
        if self.local is not None:
            return (self.local / name).read_bytes()
        return self._remote(name, self._read_remote, name)

    def _read_remote(self, name: str) -> bytes:
        with self._fs.open_input_file(self._path(name)) as file:
            return file.read()

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Write a file whole or not at all.

        Raises:
            EnvironmentFault: no space, not writable, or the store does not answer.
        """
        if self.local is not None:
            write_bytes(self.local / name, data)
            return
        self._remote(name, self._write_remote, name, data)

    def _write_remote(self, name: str, data: bytes | memoryview) -> None:
        with self._fs.open_output_stream(self._path(name)) as file:
            file.write(data)

    def names(self) -> list[str]:
        """Names of the files directly in this folder, sorted; none when it does not exist."""
        if self.local is not None:
            return sorted(path.name for path in self.local.iterdir() if path.is_file()) if self.local.is_dir() else []
        return self._listed(pyarrow.fs.FileType.File)

    def folders(self) -> list[str]:
        """Names of the folders directly in this one, sorted; none when it does not exist."""
        if self.local is not None:
            return sorted(path.name for path in self.local.iterdir() if path.is_dir()) if self.local.is_dir() else []
        return self._listed(pyarrow.fs.FileType.Directory)

    def _listed(self, kind: Any) -> list[str]:
        selector = pyarrow.fs.FileSelector(self._root, allow_not_found=True)
        infos = self._remote("", lambda: self._fs.get_file_info(selector))
        return sorted(info.base_name for info in infos if info.type == kind)

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""
        if self.local is not None:
            (self.local / name).unlink(missing_ok=True)
            return
        with contextlib.suppress(FileNotFoundError):
            self._remote(name, self._fs.delete_file, self._path(name))

    def remove(self) -> None:
        """Remove the folder itself, if it is there and empty."""
        if self.local is None:
            # pyarrow leaves a mark of a folder whose last file it has deleted.
            if not self.names() and not self.folders():
                with contextlib.suppress(FileNotFoundError):
                    self._remote("", self._fs.delete_dir, self._root)
        else:
            try:
                self.local.rmdir()
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
                    raise

    def is_there(self) -> bool:
        """Whether there is such a folder; in an object store: whether it holds a file."""
        return self.local.is_dir() if self.local is not None else bool(self.names())

    @contextlib.contextmanager
    def alone(self, name: str, owner: str, taken: str) -> Iterator[bool]:
        """Keep others out while the block runs; gives whether that could be done.

        On a disk one process at a time holds the file `name` locked, and a lock falls with its process, however that
        ends. An object store has no locks: who comes in says so first and then looks for others, so that of two that
        come in the same moment none may get in. There one and the same owner may be inside twice, and one that was
        killed keeps other owners out until what it said, a file `name-…`, is deleted.

        Args:
            name: for files for this alone; whoever is inside may delete them.
            owner: who wants in: letters and digits.
            taken: what to tell one who is refused.

        Raises:
            EnvironmentFault: another is inside, or nothing can be written.
        """
        if self.local is None:
            with self._claimed(name, owner, taken):
                yield True
            return
        with writing(self.local / name):
            try:
                file, locked = _lock(self.local / name)
            except BlockingIOError as error:
                raise EnvironmentFault(taken) from error
        with file:
            yield locked

    @contextlib.contextmanager
    def _claimed(self, name: str, owner: str, taken: str) -> Iterator[None]:
        mine = f"{name}-{owner}-{uuid.uuid4().hex}"
        self.write(mine, b"")
        try:
            if any(found.startswith(f"{name}-") and found.split("-")[1] != owner for found in self.names()):
                raise EnvironmentFault(taken)
            yield
        finally:
            with contextlib.suppress(EnvironmentFault):  # the store is away; what ended the block matters more
                self.delete(mine)

    def sha256(self, name: str) -> str:
        """Hash of a file, of which a little at a time is in memory; raises as `read`."""
        if self.local is not None:
            return sha256_file(self.local / name)
        digest = hashlib.sha256()
        with self._remote(name, self._fs.open_input_stream, self._path(name)) as source:
            while chunk := self._remote(name, source.read, _COPY_BYTES):
                digest.update(chunk)
        return digest.hexdigest()

    def fetch(self, name: str, path: Path) -> None:
        """Copy a file to a local path, which is not written atomically.

        Raises:
            FileNotFoundError: there is none.
            EnvironmentFault: the store does not answer.
            OSError: the path cannot be written.
        """
        if self.local is not None:
            shutil.copyfile(self.local / name, path)
            return
        with self._remote(name, self._fs.open_input_stream, self._path(name)) as source, path.open("wb") as file:
            while chunk := self._remote(name, source.read, _COPY_BYTES):
                file.write(chunk)

    def write_json(self, name: str, value: Any) -> None:
        self.write(name, json_bytes(value))

    def write_sealed_json(self, name: str, value: dict[str, Any]) -> None:
        """Write `artefacts.sealed(value)`."""
        self.write_json(name, sealed(value))

    def read_json(self, name: str, format_version: int, absent: str) -> dict[str, Any]:
        """As `artefacts.read_json`."""
        try:
            data = self.read(name)
        except (FileNotFoundError, IsADirectoryError) as error:
            raise InputError(f"{self.shown(name)}: no such file; {absent}") from error
        return parse_json(data, self.shown(name), format_version)

    def read_sealed_json(self, name: str, format_version: int, absent: str) -> dict[str, Any]:
        """As `artefacts.read_sealed_json`."""
        return unsealed(self.read_json(name, format_version, absent), self.shown(name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _remote(self, name: str, call: Any, *arguments: Any) -> Any:
        """Call the store; what it complains about becomes one line."""
        try:
            return call(*arguments)
        except FileNotFoundError:
            raise
        except OSError as error:
            reason = str(error).splitlines()[0]
            raise EnvironmentFault(
                f"{self.shown(name)}: the store refused or did not answer ({reason}); check address and credentials"
            ) from error


def file_at(address: str | Path) -> tuple[Folder, str]:
    """The folder and the name of a file, given by its path or URI."""
    if is_remote(str(address)):
        place, mark, options = str(address).partition("?")
        folder, _, name = place.rpartition("/")
        return Folder(f"{folder}{mark}{options}"), name
    path = Path(str(address).removeprefix("file://")).expanduser()
    return Folder(path.parent), path.name


def _lock(path: Path) -> tuple[BinaryIO, bool]:
    """A file, open and locked, and whether it is: not every file system can.

    Raises:
        BlockingIOError: another process has locked it.
    """
    while True:
        with contextlib.suppress(FileNotFoundError), contextlib.ExitStack() as failed:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = failed.enter_context(path.open("ab"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                locked = True
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                locked = False
            # Who held the lock before may have deleted the file we opened.
            if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                failed.pop_all()
                return file, locked
