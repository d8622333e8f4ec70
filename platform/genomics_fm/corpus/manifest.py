"""A corpus read back: the manifest, and windows by row number. Nothing is read before its hash has been checked."""

import bisect
import contextlib
import errno
import itertools
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from genomics_fm.artefacts import sha256_file
from genomics_fm.corpus.blocks import Block, Window
from genomics_fm.corpus.cache import BlockCache
from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.storage import Folder

FORMAT_VERSION = 2
MANIFEST = "manifest.json"
PROVENANCE = "provenance.json"
OPEN_BLOCKS = 256
"""Memory maps kept open; each holds a file descriptor, of which a process has about a thousand."""
BUILD = "build (or finish) the corpus with `python -m jobs.build_corpus`"
REBUILD = "restore it or build the corpus again with `python -m jobs.build_corpus`"


class Corpus:
    """Random access to the windows of a corpus folder, on a local disk or in an object store.

    A block is hashed when it is first touched in this process. Blocks of an object store are fetched into a
    bounded local cache.
    """

    def __init__(self, folder: str | Path | Folder, verify: bool = False, cache: Path | None = None) -> None:
        """Open a corpus.

        Args:
            folder: holds blocks and manifest.
            verify: hash every block now instead of at its first use.
            cache: where blocks of an object store are kept; default: `$GENOMICS_FM_CACHE`, else below the home.

        Raises:
            InputError: there is no manifest: no corpus, or an unfinished one.
            CorruptArtefact: manifest and blocks disagree, or a newer format.
        """
        self.storage = Folder(folder)
        self.manifest = self.storage.read_sealed_json(MANIFEST, FORMAT_VERSION, BUILD)
        self.blocks: list[dict[str, Any]] = self.manifest["blocks"]
        self.sha256: str = self.manifest["corpus_sha256"]
        self._first_row = list(itertools.accumulate((block["rows"] for block in self.blocks), initial=0))
        self._open: OrderedDict[int, Block] = OrderedDict()
        self._checked: set[int] = set()
        self._cache = BlockCache(cache) if self.storage.local is None else None
        if self.storage.local is not None:
            for block in self.blocks:
                self._check_size(block)
        if verify:
            self.verify()

    def __len__(self) -> int:
        return self._first_row[-1]

    @property
    def folder(self) -> Path:
        """The folder of a corpus on a local disk.

        Raises:
            InputError: it is in an object store.
        """
        if self.storage.local is None:
            raise InputError(f"{self.storage}: this needs a corpus in a folder; copy it to a disk all nodes share")
        return self.storage.local

    @property
    def nucleotides(self) -> int:
        """Nucleotides of the reference in the corpus, overlaps counted once."""
        return int(self.manifest["counts"]["nucleotides_kept"])

    def verify(self, report: Callable[[int, int], None] | None = None) -> None:
        """Hash and open every block now.

        Args:
            report: receives the number of blocks checked and of all.

        Raises:
            CorruptArtefact: names the first block that is not what the manifest says.
        """
        for number in range(len(self.blocks)):
            self._block(number)
            if report:
                report(number + 1, len(self.blocks))

    def window(self, row: int) -> Window:
        """The window at a row number, 0 ≤ row < len(self)."""
        block, at = self._at(row)
        return block.window(at)

    def sequence(self, row: int) -> str:
        """Only the nucleotides of `window(row)`."""
        return self.letters(row).tobytes().decode("ascii")

    def letters(self, row: int) -> np.ndarray:
        """Only the nucleotides of `window(row)`, as uint8 ASCII."""
        block, at = self._at(row)
        return block.letters(at)

    def first_row(self, block: int) -> int:
        """Number of a block's first row."""
        return self._first_row[block]

    def haplotypes(self, block: int) -> np.ndarray:
        """Which rows of a block are haplotypes, bool."""
        return self._block(block).haplotypes

    def _at(self, row: int) -> tuple[Block, int]:
        number = bisect.bisect_right(self._first_row, row) - 1
        return self._block(number), row - self._first_row[number]

    def _block(self, number: int) -> Block:
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        entry = self.blocks[number]
        path, mapped = self._mapped(entry, number in self._checked)
        try:
            block = Block(mapped, entry["rows"])
        except (ValueError, pa.ArrowException) as error:
            raise CorruptArtefact(f"{path}: not the rows the manifest lists ({error}); {REBUILD}") from error
        self._checked.add(number)
        self._open[number] = block
        if len(self._open) > OPEN_BLOCKS:
            self._open.popitem(last=False)
        return block

    def _mapped(self, entry: dict[str, Any], checked: bool) -> tuple[Path, pa.MemoryMappedFile]:
        """The block as a local file whose hash has been checked, and its bytes."""
        while self._cache is not None:
            path = self._cache.path(self.storage, entry)
            with contextlib.suppress(FileNotFoundError):  # another process has evicted it in this moment
                return path, pa.memory_map(str(path))
        path = self.folder / entry["file"]
        self._check_size(entry)
        try:
            if not checked and sha256_file(path) != entry["sha256"]:
                raise CorruptArtefact(f"{path}: does not match its sha256 in the manifest; {REBUILD}")
            return path, pa.memory_map(str(path))
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            raise CorruptArtefact(f"{path}: the disk cannot read it; {REBUILD}") from error

    def _check_size(self, entry: dict[str, Any]) -> None:
        path = self.folder / entry["file"]
        try:
            size = path.stat().st_size
        except FileNotFoundError as error:
            raise CorruptArtefact(f"{path}: the manifest lists this block, but it is gone; {REBUILD}") from error
        if size != entry["bytes"]:
            raise CorruptArtefact(f"{path}: {size} bytes, the manifest says {entry['bytes']}; {REBUILD}")
