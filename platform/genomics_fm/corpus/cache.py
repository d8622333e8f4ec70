"""A bounded local cache of blocks that lie in an object store."""

import contextlib
import os
import time
import uuid
from pathlib import Path
from typing import Any

from genomics_fm.artefacts import sha256_file
from genomics_fm.errors import CorruptArtefact, writing
from genomics_fm.storage import Folder

CACHE_VARIABLE = "GENOMICS_FM_CACHE"
DEFAULT_BYTES = 64 << 30
STALE_SECONDS = 86_400
"""Nobody has been fetching one block for so long."""


def cache_folder() -> Path:
    """Where what was fetched is kept: `$GENOMICS_FM_CACHE`, else `~/.cache/genomics-fm`."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "genomics-fm")


class BlockCache:
    """Blocks by their sha256. Processes may share it: a file appears whole, and one in use stays mapped."""

    def __init__(self, folder: Path | None = None, max_bytes: int = DEFAULT_BYTES) -> None:
        self._folder = (folder or cache_folder()) / "blocks"
        self._max_bytes = max_bytes
        self._checked: set[str] = set()

    def path(self, storage: Folder, entry: dict[str, Any]) -> Path:
        """A block as a local file, fetched when it is not there, its hash checked once in this process.

        Args:
            storage: the corpus.
            entry: the block's in the manifest.

        Raises:
            CorruptArtefact: gone from the store, or not what the manifest says.
        """
        digest = entry["sha256"]
        path = self._folder / f"{digest}.arrow"
        with contextlib.suppress(FileNotFoundError):  # never fetched, or another process evicts it just now
            os.utime(path)
            whole = path.stat().st_size == entry["bytes"]
            if whole and (digest in self._checked or sha256_file(path) == digest):
                self._checked.add(digest)
                return path
        self._fetch(storage, entry, path)
        self._checked.add(digest)
        self._evict(keep=path)
        return path

    def _fetch(self, storage: Folder, entry: dict[str, Any], path: Path) -> None:
        shown = storage.shown(entry["file"])
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        with writing(path, entry["bytes"]):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                storage.fetch(entry["file"], temporary)
                if sha256_file(temporary) != entry["sha256"]:
                    raise CorruptArtefact(f"{shown}: does not match its sha256 in the manifest; restore or rebuild it")
                temporary.replace(path)
            except FileNotFoundError as error:
                raise CorruptArtefact(
                    f"{shown}: the manifest lists this block, but it is gone; restore or rebuild it"
                ) from error
            finally:
                temporary.unlink(missing_ok=True)

    def _evict(self, keep: Path) -> None:
        """Delete what killed processes left, and the blocks unused for longest while there is more than `max_bytes`."""
        for path in self._folder.glob(".*.tmp"):
            with contextlib.suppress(FileNotFoundError):  # another process has just made a block of it
                if time.time() - path.stat().st_mtime > STALE_SECONDS:
                    path.unlink()
        found = []
        for path in self._folder.glob("*.arrow"):
            with contextlib.suppress(FileNotFoundError):  # another process may evict too
                about = path.stat()
                found.append((about.st_mtime, about.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self._max_bytes or path == keep:
                return
            total -= size
            path.unlink(missing_ok=True)
