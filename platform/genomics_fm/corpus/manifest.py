"""A corpus read back: the manifest, and windows by row number. Nothing is read before its hash has been checked."""

import bisect
import itertools
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pyarrow as pa

from genomics_fm.artefacts import read_sealed_json, sha256_file
from genomics_fm.corpus.blocks import SCHEMA, Window
from genomics_fm.errors import CorruptArtefact

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
PROVENANCE = "provenance.json"
CACHED_BATCHES = 64
REBUILD = "restore it or build the corpus again with `python -m jobs.build_corpus`"


class Corpus:
    """Random access to the windows of a corpus folder.

    A block is hashed when it is first touched in this process; the last few record batches stay decompressed.
    """

    def __init__(self, folder: Path, verify: bool = False) -> None:
        """Open a corpus.

        Args:
            folder: holds blocks and manifest.
            verify: hash every block now instead of at its first use.

        Raises:
            InputError: there is no manifest: no corpus, or an unfinished one.
            CorruptArtefact: manifest and blocks disagree, or a newer format.
        """
        self.folder = folder
        self.manifest = read_sealed_json(
            folder / MANIFEST, FORMAT_VERSION, "build (or finish) the corpus with `python -m jobs.build_corpus`"
        )
        self.blocks: list[dict[str, Any]] = self.manifest["blocks"]
        self.sha256: str = self.manifest["corpus_sha256"]
        self._rows_per_batch: int = self.manifest["rows_per_batch"]
        self._first_row = list(itertools.accumulate((block["rows"] for block in self.blocks), initial=0))
        self._readers: dict[int, pa.ipc.RecordBatchFileReader] = {}
        self._batches: OrderedDict[tuple[int, int], pa.RecordBatch] = OrderedDict()
        for number, block in enumerate(self.blocks):
            self._check_size(block)
            if verify:
                self._reader(number)

    def __len__(self) -> int:
        return self._first_row[-1]

    @property
    def nucleotides(self) -> int:
        """Nucleotides of the reference in the corpus, overlaps counted once."""
        return int(self.manifest["counts"]["nucleotides_kept"])

    def window(self, row: int) -> Window:
        """The window at a row number, 0 ≤ row < len(self)."""
        number = bisect.bisect_right(self._first_row, row) - 1
        batch_number, offset = divmod(row - self._first_row[number], self._rows_per_batch)
        batch = self._batch(number, batch_number)
        return Window(**{name: batch.column(name)[offset].as_py() for name in SCHEMA.names})

    def sequence(self, row: int) -> str:
        """Only the nucleotides of `window(row)`."""
        number = bisect.bisect_right(self._first_row, row) - 1
        batch_number, offset = divmod(row - self._first_row[number], self._rows_per_batch)
        return self._batch(number, batch_number).column(0)[offset].as_py()

    def _check_size(self, block: dict[str, Any]) -> None:
        path = self.folder / block["file"]
        if not path.is_file():
            raise CorruptArtefact(f"{path}: the manifest lists this block, but it is gone; {REBUILD}")
        if path.stat().st_size != block["bytes"]:
            raise CorruptArtefact(f"{path}: {path.stat().st_size} bytes, the manifest says {block['bytes']}; {REBUILD}")

    def _reader(self, number: int) -> pa.ipc.RecordBatchFileReader:
        if number not in self._readers:
            block = self.blocks[number]
            path = self.folder / block["file"]
            self._check_size(block)
            if sha256_file(path) != block["sha256"]:
                raise CorruptArtefact(f"{path}: does not match its sha256 in the manifest; {REBUILD}")
            reader = pa.ipc.open_file(pa.memory_map(str(path)))
            rows = sum(reader.get_batch(i).num_rows for i in range(reader.num_record_batches))
            if reader.schema != SCHEMA or rows != block["rows"]:
                raise CorruptArtefact(f"{path}: not the rows the manifest lists; {REBUILD}")
            self._readers[number] = reader
        return self._readers[number]

    def _batch(self, number: int, batch_number: int) -> pa.RecordBatch:
        place = (number, batch_number)
        if place in self._batches:
            self._batches.move_to_end(place)
            return self._batches[place]
        batch = self._reader(number).get_batch(batch_number)
        self._batches[place] = batch
        if len(self._batches) > CACHED_BATCHES:
            self._batches.popitem(last=False)
        return batch
