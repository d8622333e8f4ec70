"""What can go wrong, and the exit code each kind ends a command with.

| exit code | class            | meaning                                                        |
| --------- | ---------------- | -------------------------------------------------------------- |
| 2         | InputError       | the user's input or command is wrong; the message says the cure |
| 3         | CorruptArtefact  | something we wrote no longer agrees with its own hashes         |
| 4         | EnvironmentFault | the machine: a full disk, a port in use, a missing dependency   |
"""

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

_FULL = {errno.ENOSPC: "disk full", errno.EDQUOT: "disk full (your quota)"}
_NOT_WRITABLE = (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)


class GenomicsFmError(Exception):
    """Base of the errors that end a command with one clear line: `where: what is wrong; what to do`."""

    exit_code = 1


class InputError(GenomicsFmError):
    """The input or the command is wrong, and the user can mend it."""

    exit_code = 2


class CorruptArtefact(GenomicsFmError):  # noqa: N818  (the glossary's name)
    """An artefact disagrees with its manifest, or has a format this version cannot read."""

    exit_code = 3


class EnvironmentFault(GenomicsFmError):  # noqa: N818  (the glossary's name)
    """The machine cannot do what was asked: no space, port in use, missing package."""

    exit_code = 4


def from_exit_code(exit_code: int, message: str) -> GenomicsFmError:
    """The error a command would have ended with; for errors that cross a border as data."""
    kinds = {kind.exit_code: kind for kind in (InputError, CorruptArtefact, EnvironmentFault)}
    return kinds.get(exit_code, GenomicsFmError)(message)


def require(holds: bool, name: str, value: object, give: str) -> None:
    """Refuse a config's value that is out of range, in the words `name value: give ...`."""
    if not holds:
        raise InputError(f"{name} {value}: give {give}")


@contextlib.contextmanager
def writing(path: os.PathLike[str] | str, needed_bytes: int = 0) -> Iterator[None]:
    """Turn a full disk or an unwritable place into one `EnvironmentFault` that names path and space.

    Args:
        path: what is written; neither it nor its folder need exist.
        needed_bytes: its size, where that is known beforehand.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise EnvironmentFault(
                f"{path}: {_FULL[error.errno]}: {_space(path, needed_bytes)}; free some space or choose another folder"
            ) from error
        if error.errno in _NOT_WRITABLE:
            raise EnvironmentFault(f"{path}: not writable; choose another folder") from error
        raise


def _space(path: os.PathLike[str] | str, needed_bytes: int) -> str:
    """`4,096 bytes needed, 0 free`, measured on the disk where a path is or would be."""
    needed = [f"{needed_bytes:,} bytes needed"] if needed_bytes else []
    place = Path(path).absolute()
    for folder in (place, *place.parents):
        with contextlib.suppress(OSError):
            disk = os.statvfs(folder)
            files = [] if disk.f_favail or not disk.f_files else ["no more files allowed"]
            return ", ".join([*needed, f"{disk.f_bavail * disk.f_frsize:,} {'' if needed else 'bytes '}free", *files])
    return ", ".join([*needed, "free space unknown"])


@contextlib.contextmanager
def one_line_errors(debug: bool = False) -> Iterator[None]:
    """End the process with one line on stderr and the documented exit code; a traceback only with `debug`."""
    try:
        yield
    except (GenomicsFmError, KeyboardInterrupt) as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, KeyboardInterrupt):
            sys.exit(130)
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if debug or error.errno not in _FULL:
            raise
        place = error.filename or "standard output, or a file a library writes"
        print(f"error: {place}: {_FULL[error.errno]}; free some space or choose another folder", file=sys.stderr)
        sys.exit(EnvironmentFault.exit_code)
