"""What an unfinished table has so far: a folder beside it, a file a window, so that a killed run goes on.

manifest.json                    what the table is made of (sealed)
00000012-<sha256>.arrow          rows of window 12; the name is its seal, given when it is whole
lock                             held by the run that writes
"""

import contextlib
import fcntl
import itertools
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from genomics_fm.artefacts import read_sealed_json, sha256_file, write_sealed_json
from genomics_fm.errors import CorruptArtefact, InputError, writing

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
ROW_GROUP_BYTES = 32 << 20
"""Embeddings in a row group of the finished table."""
_PART = re.compile(r"(\d{8})-([0-9a-f]{64})\.arrow")


def folder_of(target: Path) -> Path:
    """Where the parts of a table lie until it is finished."""
    return target.with_name(f".{target.name}.parts")


class Parts:
    """The finished windows of a table. Use `parts_of`."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.folder, self.schema = folder, schema
        found = {int(match[1]): path for path in folder.iterdir() if (match := _PART.fullmatch(path.name))}
        # Only those before the first gap: a run killed while it removed its parts leaves any of them.
        self.files = [found[number] for number in itertools.takewhile(found.__contains__, itertools.count())]

    def write(self, rows: Iterable[pa.RecordBatch]) -> None:
        """Add the rows of the next window, whole or not at all."""
        temporary = self.folder / "unfinished.tmp"
        with writing(temporary):
            with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_stream(sink, self.schema) as stream:
                for batch in rows:
                    stream.write_batch(batch)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            path = self.folder / f"{len(self.files):08d}-{sha256_file(temporary)}.arrow"
            temporary.replace(path)
        self.files.append(path)

    def finish(self, target: Path, metadata: dict[str, str]) -> None:
        """Join the parts to a parquet file that appears when it is complete, and remove them.

        Raises:
            CorruptArtefact: a part is not what was written.
        """
        temporary = self.folder / "table.tmp"
        width = self.schema.field("embedding").type.list_size
        schema = self.schema.with_metadata(metadata)
        compression = dict.fromkeys(schema.names, "zstd") | {"embedding.list.element": "none"}
        texts = [field.name for field in schema if field.type == pa.string()]
        with writing(target):
            with pq.ParquetWriter(temporary, schema, compression=compression, use_dictionary=texts) as writer:
                for batches in _row_groups(self._batches(), max(1, ROW_GROUP_BYTES // (4 * width))):
                    writer.write_table(pa.Table.from_batches(batches, schema), row_group_size=1 << 40)
            temporary.replace(target)
        shutil.rmtree(self.folder)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for path in self.files:
            if sha256_file(path) != path.stem.partition("-")[2]:
                raise CorruptArtefact(f"{path}: changed since it was written; remove its folder and embed again")
            with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
                yield from stream


def _row_groups(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[list[pa.RecordBatch]]:
    """The same rows in order, `rows` at a time."""
    group: list[pa.RecordBatch] = []
    space = rows
    for batch in batches:
        while len(batch):
            group.append(batch.slice(0, space))
            batch = batch.slice(len(group[-1]))
            space -= len(group[-1])
            if not space:
                yield group
                group, space = [], rows
    if group:
        yield group


@contextlib.contextmanager
def parts_of(target: Path, schema: pa.Schema, made_of: dict[str, Any]) -> Iterator[tuple[Parts, str]]:
    """Open what an earlier run has left of a table, or start anew.

    Args:
        target: the table.
        schema: its columns.
        made_of: everything its bytes depend on; parts of another are removed.

    Yields:
        The parts, and what changed since the run that left others, in words; "" when nothing did.

    Raises:
        InputError: another run writes the same table.
        EnvironmentFault: the folder cannot be written.
    """
    folder = folder_of(target)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (folder / "lock").stat()  # gone where the run that held it has just finished
        except OSError as error:
            raise InputError(f"{target}: another run writes it; wait for it or choose another name") from error
        changed = _changed(folder, made_of)
        if changed:
            for path in folder.iterdir():
                if path.name != "lock":
                    path.unlink()
            write_sealed_json(folder / MANIFEST, {"format_version": FORMAT_VERSION, "made_of": made_of})
        yield Parts(folder, schema), "" if changed is _NOTHING_THERE else ", ".join(changed)


_NOTHING_THERE = ("nothing",)


def _changed(folder: Path, made_of: dict[str, Any]) -> tuple[str, ...]:
    """Which of `made_of` differ from those of the parts there; `_NOTHING_THERE` without parts."""
    if not (folder / MANIFEST).exists():
        return _NOTHING_THERE
    try:
        before = read_sealed_json(folder / MANIFEST, FORMAT_VERSION, "remove its folder")["made_of"]
    except CorruptArtefact:
        return ("its manifest is damaged",)
    return tuple(sorted(key for key in {*before, *made_of} if before.get(key) != made_of.get(key)))
