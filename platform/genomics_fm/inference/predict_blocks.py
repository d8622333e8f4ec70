"""Predictions of any number of sequences: a folder of blocks, each known by what it was made of, so that runs go on.

manifest.json                        what was asked, the inputs, every block with its sha256; sealed, written last
blocks/0000-0000012-KEY-SEAL.parquet rows of block 12 of the first input: KEY is a hash of the sequences and all else
                                     that its rows depend on, SEAL one of its bytes
lock                                 held by the run that writes
"""

import hashlib
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from genomics_fm.artefacts import sha256_bytes, sha256_json
from genomics_fm.errors import CorruptArtefact, InputError, writing
from genomics_fm.inference import predict_source
from genomics_fm.inference.head import Head
from genomics_fm.inference.predict import PredictSettings, made_of, schema, table_of
from genomics_fm.inference.predict_source import Item, Source
from genomics_fm.inference.sequences import Familiar
from genomics_fm.storage import Folder

FORMAT_VERSION = 1
MANIFEST, BLOCKS, LOCK = "manifest.json", "blocks", "lock"
BLOCK_CHUNKS = 4
"""Chunks of `Source.chunks` in a block: what a killed run loses of each worker, a few seconds of work."""
BLOCK_LETTERS = 4 << 20
"""A block is ended sooner where its sequences are long."""
INPUTS = "inputs_sha256"
"""In the metadata of a joined table: a hash of what its manifest said of the inputs."""
_HASH_DIGITS = 16
_NAME = re.compile(r"(\d{4,})-(\d{7,})-([0-9a-f]{16})-([0-9a-f]{16})\.parquet")


class BlockName(NamedTuple):
    """What the name of a block's file says: which input from 0, which block of it from 0, and two hashes."""

    input: int
    number: int
    key: str
    seal: str

    @property
    def file(self) -> str:
        return f"{self.input:04d}-{self.number:07d}-{self.key}-{self.seal}.parquet"

    @classmethod
    def of(cls, file: str) -> "BlockName | None":
        """The name as its parts; None where a file is none of ours."""
        found = _NAME.fullmatch(file)
        return found and cls(int(found[1]), int(found[2]), found[3], found[4])


class Written(NamedTuple):
    """A block that is there, whole."""

    file: str
    sha256: str
    rows: int


def blocks(source: Source, familiar: Familiar) -> Iterator[list[Item]]:
    """The sequences of a file, a block's at a time: whole chunks, so that blocks change no number of any row.

    Raises:
        InputError: as `Source.chunks`.
    """
    block: list[Item] = []
    letters = 0
    for chunk in source.chunks(familiar):
        block += chunk
        letters += sum(len(item.sequence) for _, item in chunk)
        if len(block) >= BLOCK_CHUNKS * predict_source.CHUNK_SEQUENCES or letters >= BLOCK_LETTERS:
            yield block
            block, letters = [], 0
    if block:
        yield block


def key_of(items: Iterable[Item], made: Mapping[str, str]) -> str:
    """A short hash of all that a block's rows depend on."""
    digest = hashlib.sha256(sha256_json(dict(made)).encode())
    for name, item in items:
        digest.update("\0".join((name, item.sequence, *item.warnings, "\n")).encode())
    return digest.hexdigest()[:_HASH_DIGITS]


def score_block(head: Head, items: list[Item], settings: PredictSettings) -> bytes:
    """A block's file; its rows are to the bit what `predict_file` writes, on as many threads."""
    sink = pa.BufferOutputStream()
    step, columns = predict_source.CHUNK_SEQUENCES, schema(head.card)
    metadata = made_of(head.sha256, head.card, settings)
    with pq.ParquetWriter(sink, columns.with_metadata(metadata)) as writer:
        for begin in range(0, len(items), step):
            chunk = items[begin : begin + step]
            found = head.score([item for _, item in chunk], settings.prior, settings.dtype == "bf16")
            writer.write_table(table_of(head.card, chunk, found))
    return sink.getvalue().to_pybytes()


def write_block(folder: Folder, place: tuple[int, int], key: str, data: bytes, rows: int) -> Written:
    """Put a block's file into the folder of predictions, whole or not at all."""
    sha256 = sha256_bytes(data)
    name = BlockName(*place, key, sha256[:_HASH_DIGITS]).file
    (folder / BLOCKS).write(name, data)
    return Written(name, sha256, rows)


def written_before(folder: Folder, files: Iterable[str], rows: int) -> Written | None:
    """The first of some blocks whose bytes are what its name says; None where there is none."""
    for file in files:
        name = BlockName.of(file)
        try:
            sha256 = (folder / BLOCKS).sha256(file)
        except FileNotFoundError:
            continue
        if name is not None and sha256.startswith(name.seal):
            return Written(file, sha256, rows)
    return None


def commit(folder: Folder, made: Mapping[str, str], inputs: list[dict[str, Any]], found: list[Written]) -> int:
    """Write the manifest of a folder whose blocks are all there, and remove blocks of other inputs or settings.

    Args:
        folder: of predictions.
        made: as `predict.made_of`.
        inputs: what was read, in order; plain values.
        found: every block, in order.

    Returns:
        How many blocks were removed.
    """
    kept = {block.file for block in found}
    others = [file for file in (folder / BLOCKS).names() if BlockName.of(file) and file not in kept]
    for file in others:
        (folder / BLOCKS).delete(file)
    manifest = {
        "format_version": FORMAT_VERSION,
        "made_of": dict(made),
        "inputs": inputs,
        "rows": sum(block.rows for block in found),
        "blocks": [block._asdict() for block in found],
    }
    folder.write_sealed_json(MANIFEST, manifest)
    return len(others)


def read_manifest(folder: Folder) -> dict[str, Any]:
    """The manifest of finished predictions.

    Raises:
        InputError: there is none, or it is of something else.
        CorruptArtefact: it was changed.
    """
    if folder.exists(MANIFEST) and b'"made_of"' not in folder.read(MANIFEST):
        raise InputError(f"{folder.shown(MANIFEST)}: of something else than predictions; choose another --output")
    return folder.read_sealed_json(
        MANIFEST, FORMAT_VERSION, "`python -m jobs.score` writes it when all blocks are there"
    )


def damaged(folder: Folder, manifest: Mapping[str, Any]) -> list[str]:
    """Blocks of finished predictions that are missing, or not what was written."""
    wrong = []
    for block in manifest["blocks"]:
        try:
            whole = (folder / BLOCKS).sha256(block["file"]) == block["sha256"]
        except FileNotFoundError:
            whole = False
        if not whole:
            wrong.append(block["file"])
    return wrong


def join(folder: Folder, target: Path) -> None:
    """Make one table of finished predictions, a row group a block, and remove their folder.

    Raises:
        CorruptArtefact: a block is not what was written.
    """
    if folder.local is None:
        raise InputError(f"{folder}: blocks in an object store are not joined; name a folder, not a .parquet file")
    manifest = read_manifest(folder)
    if wrong := damaged(folder, manifest):
        raise CorruptArtefact(f"{folder.shown(BLOCKS)}/{wrong[0]}: changed since it was written; run the same command")
    paths = [folder.local / BLOCKS / block["file"] for block in manifest["blocks"]]
    temporary = folder.local / "table.tmp"
    columns = pq.read_schema(paths[0]).with_metadata(manifest["made_of"] | {INPUTS: sha256_json(manifest["inputs"])})
    with writing(target):
        with pq.ParquetWriter(temporary, columns) as writer:
            for path in paths:
                writer.write_table(pq.read_table(path).replace_schema_metadata(columns.metadata))
        temporary.replace(target)
    shutil.rmtree(folder.local)


def joined_before(target: Path, made: Mapping[str, str], inputs: Callable[[], list[Any]]) -> int | None:
    """Rows of a joined table that is there and was made so of such inputs, as they are in a manifest; else None."""
    try:
        with pq.ParquetFile(target) as file:
            rows, found = file.metadata.num_rows, file.schema_arrow.metadata or {}
    except (OSError, pa.ArrowException):
        return None
    said = {name.decode(): value.decode() for name, value in found.items()}
    if any(said.get(name) != value for name, value in made.items()) or said.get(INPUTS) != sha256_json(inputs()):
        return None
    return int(rows)


def taken(folder: Folder) -> str:
    """What to tell one who is refused the lock."""
    cure = "wait until it has ended, or choose another --output"
    if folder.local is None:
        cure += f"; if it has ended, delete {folder.shown(LOCK)}-…"
    return f"{folder}: another run writes there; {cure}"
