"""Files and folders this package writes: atomic, hashed, with a format version."""

import hashlib
import json
import os
import uuid
from pathlib import Path
from typing import Any

from genomics_fm.errors import CorruptArtefact, InputError, writing

HASH_CHUNK_BYTES = 1 << 20
_SUM_MODULUS = 1 << 256


def sha256_bytes(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


class ContentSum:
    """A hash of many things that does not depend on their order: the sum of their sha256 modulo 2**256.

    It tells damage and change apart from sameness; it is not meant to withstand someone who forges content.
    """

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0

    def add(self, data: bytes) -> None:
        """Count one thing in."""
        self.count += 1
        self._sum = (self._sum + int.from_bytes(hashlib.sha256(data).digest(), "big")) % _SUM_MODULUS

    def merge(self, other: "ContentSum") -> None:
        """Count in all that `other` has counted."""
        self.count += other.count
        self._sum = (self._sum + other._sum) % _SUM_MODULUS

    def state(self) -> list[Any]:
        """Count and hex sum, for JSON; `ContentSum.of(state)` goes on from there."""
        return [self.count, self.hexdigest()]

    @classmethod
    def of(cls, state: list[Any]) -> "ContentSum":
        made = cls()
        made.count, made._sum = int(state[0]), int(state[1], 16)
        return made

    def hexdigest(self) -> str:
        return f"{self._sum:064x}"


def canonical_json(value: Any) -> bytes:
    """The one spelling of a JSON value: sorted keys, no spaces, so that equal values hash alike."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sha256_json(value: Any) -> str:
    return sha256_bytes(canonical_json(value))


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write a file whole or not at all: a temporary neighbour, flushed, then renamed over `path`."""
    # Not the process id: two machines that share a folder may have the same one.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    with writing(path, len(data)):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def json_bytes(value: Any) -> bytes:
    """JSON as our files hold it: for people to read, and the same bytes for equal values."""
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"


def sealed(value: dict[str, Any]) -> dict[str, Any]:
    """A JSON object with the hash of the rest of it as `sha256`, so that any change to it is noticed."""
    return {**value, "sha256": sha256_json(value)}


def write_json(path: Path, value: Any) -> None:
    write_bytes(path, json_bytes(value))


def write_sealed_json(path: Path, value: dict[str, Any]) -> None:
    """Write `sealed(value)`."""
    write_json(path, sealed(value))


def read_sealed_json(path: Path, format_version: int, absent: str) -> dict[str, Any]:
    """`read_json` of what `write_sealed_json` wrote, checked, without the hash.

    Raises:
        InputError: there is no such file.
        CorruptArtefact: as in `read_json`, or the content does not match its hash.
    """
    return unsealed(read_json(path, format_version, absent), str(path))


def read_json(path: Path, format_version: int, absent: str) -> dict[str, Any]:
    """Read one of our JSON files and check its `format_version`.

    Args:
        path: the file.
        format_version: the newest version this code understands.
        absent: what to do when the file does not exist, for the error's second half.

    Raises:
        InputError: there is no such file.
        CorruptArtefact: it is no JSON object, has no version, or a newer one than we know.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; {absent}")
    return parse_json(path.read_bytes(), str(path), format_version)


def unsealed(value: dict[str, Any], shown: str) -> dict[str, Any]:
    """A sealed object without its hash, which must agree with the rest; `shown` names the file."""
    try:
        found = value.pop("sha256", None) == sha256_json(value)
    except ValueError:  # Infinity or NaN, which we never write
        found = False
    if not found:
        raise CorruptArtefact(f"{shown}: changed since it was written; restore it or make it again")
    return value


def read_json_object(path: Path) -> dict[str, Any]:
    """What another's JSON file holds.

    Raises:
        CorruptArtefact: not a JSON object.
    """
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise CorruptArtefact(f"{path}: not JSON ({error}); restore it") from error
    if not isinstance(value, dict):
        raise CorruptArtefact(f"{path}: not a JSON object; restore it")
    return value


def parse_json(data: bytes, shown: str, format_version: int) -> dict[str, Any]:
    """What one of our JSON files holds, its `format_version` checked; `shown` names it in messages."""
    try:
        value = json.loads(data)
    except (ValueError, UnicodeDecodeError) as error:
        raise CorruptArtefact(f"{shown}: not JSON ({error}); restore it or make it again") from error
    version = value.get("format_version") if isinstance(value, dict) else None
    if not isinstance(version, int):
        raise CorruptArtefact(f"{shown}: no format_version; restore it or make it again")
    if version > format_version:
        raise CorruptArtefact(
            f"{shown}: format_version {version} is newer than {format_version}, the newest this version reads; "
            "upgrade genomics-fm"
        )
    return value


def refuse_input(output: Path, *inputs: str | None) -> None:
    """Refuse to write over a file that is read."""
    for given in inputs:
        if given and output.exists() and Path(given).exists() and output.samefile(given):
            raise InputError(f"{output}: is read, and would be replaced; name another file to write")
