"""The scoring of sequences as a Ray Data pipeline: files are read in tasks, their blocks scored by a pool of actors.

A Ray block is one row: what it is, as JSON, and its sequences. Errors of ours travel as such rows: Ray Data would
bury them.
"""

import json
import logging
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from genomics_fm.errors import GenomicsFmError
from genomics_fm.genome.source import PACKAGE
from genomics_fm.inference.predict import PredictSettings
from genomics_fm.inference.predict_blocks import (
    BLOCKS,
    BlockName,
    blocks,
    key_of,
    score_block,
    write_block,
    written_before,
)
from genomics_fm.inference.predict_source import Item, Source
from genomics_fm.inference.sequences import Familiar, Prepared
from genomics_fm.storage import Folder
from jobs import launch

if TYPE_CHECKING:
    from genomics_fm.inference.head import Head

READERS = 4
"""Files read at a time at most: one reader feeds a hundred cores."""
_TEXTS, _TEXT_LISTS = pa.list_(pa.string()), pa.list_(pa.list_(pa.string()))
_COLUMNS = pa.schema({"about": pa.string(), "names": _TEXTS, "sequences": _TEXTS, "warnings": _TEXT_LISTS})


@dataclass(frozen=True)
class Asked:
    """What readers and scorers need to know: plain values, since they may run on another machine.

    Attributes:
        head: its folder.
        output: the folder of predictions.
        inputs: files, as given.
        paths: of the same files, as every process understands them.
        genome: what places lie in, likewise.
        settings: as the head is asked.
        made: what each block is made of beside its sequences.
        stranded: as the head's problem.
        familiar: which sequences the head accepts.
    """

    head: str
    output: str
    inputs: tuple[str, ...]
    paths: tuple[str, ...]
    genome: str | None
    settings: PredictSettings
    made: dict[str, str]
    stranded: bool
    familiar: Familiar


def absolute(location: str) -> str:
    """An input as every process understands it, in whatever folder it runs."""
    return location if location.startswith(PACKAGE) else launch.absolute(location)


def _row(about: dict[str, Any], items: list[Item] | None = None) -> pa.Table:
    columns = {
        "about": [json.dumps(about)],
        "names": [[name for name, _ in items or ()]],
        "sequences": [[item.sequence for _, item in items or ()]],
        "warnings": [[list(item.warnings) for _, item in items or ()]],
    }
    return pa.table(columns, _COLUMNS)


def _items(row: pa.Table) -> list[Item]:
    names, sequences, said = (row[name][0].as_py() for name in ("names", "sequences", "warnings"))
    return [
        (name, Prepared(sequence, tuple(words))) for name, sequence, words in zip(names, sequences, said, strict=True)
    ]


def read(batch: pa.Table, asked: Asked) -> Iterator[pa.Table]:
    """Ray Data's map over inputs: a row a block, without its sequences where the block is there, and one at the end."""
    for number in batch["input"].to_pylist():
        given, found = asked.inputs[number], asked.paths[number]
        try:
            yield from _blocks(asked, number)
        except GenomicsFmError as error:
            yield _row({"error": str(error).replace(found, given), "exit_code": error.exit_code})
            return


def _blocks(asked: Asked, number: int) -> Iterator[pa.Table]:
    given, found = asked.inputs[number], asked.paths[number]
    folder = Folder(asked.output)
    there: dict[tuple[int, str], list[str]] = defaultdict(list)
    for name in map(BlockName.of, (folder / BLOCKS).names()):
        if name is not None and name.input == number:
            there[name.number, name.key].append(name.file)
    count = 0
    for count, items in enumerate(blocks(Source(found, asked.genome, asked.stranded), asked.familiar), start=1):
        named = [(given + name.removeprefix(found) if name.startswith(found) else name, item) for name, item in items]
        key = key_of(named, asked.made)
        about = {
            "place": (number, count - 1),
            "key": key,
            "rows": len(named),
            "warned": sum(bool(item.warnings) for _, item in named),
        }
        before = written_before(folder, there.get((count - 1, key), ()), len(named))
        yield _row(about, named) if before is None else _row(about | {"before": True, **before._asdict()})
    yield _row({"input": number, "blocks": count})


class Scorer:
    """Ray Data's actor: holds the head, and writes the blocks it is sent."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self._head: Head | None = None

    @property
    def head(self) -> "Head":
        """Loaded with the first block, so that an error of ours comes back as those of blocks do."""
        if self._head is None:
            import torch

            from genomics_fm.inference.head import load_head

            torch.set_num_threads(1)  # actors, not threads, use the cores
            self._head = load_head(Path(self.asked.head))
        return self._head

    def __call__(self, row: pa.Table) -> pa.Table:
        about = json.loads(row["about"][0].as_py())
        if "rows" in about and "before" not in about:
            try:
                about |= self._written(about, _items(row))
            except GenomicsFmError as error:
                about = {"error": str(error), "exit_code": error.exit_code}
        return pa.table({"about": [json.dumps(about)]})

    def _written(self, about: dict[str, Any], items: list[Item]) -> dict[str, Any]:
        number, block = about["place"]
        data = score_block(self.head, items, self.asked.settings)
        return write_block(Folder(self.asked.output), (number, block), about["key"], data, len(items))._asdict()


def records(asked: Asked, workers: int) -> Iterator[dict[str, Any]]:
    """What becomes of each block, in the order in which they are done, on the connected Ray.

    Yields:
        `place` (input, number), `file`, `sha256`, `rows`, `warned` and, if an earlier run wrote it, `before`; of each
        input once `input` and `blocks`, how many it has; or `error` and `exit_code`, and then nothing more.
    """
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)  # importing it has turned its chatter on
    warnings.filterwarnings("ignore", message="The maximum number of concurrent tasks", module="ray.data")
    data = ray.data.from_items(
        [{"input": number} for number in range(len(asked.inputs))], override_num_blocks=len(asked.inputs)
    )
    data.context.target_max_block_size = 1  # or blocks are joined to 128 MB before a first one is scored
    data = data.map_batches(
        read,
        fn_kwargs={"asked": asked},
        batch_size=1,
        batch_format="pyarrow",
        num_cpus=0,  # the actors have them all; and with as many as an actor it would be made one with it
        compute=ray.data.TaskPoolStrategy(size=READERS),
    ).map_batches(
        Scorer,
        fn_constructor_args=(asked,),
        batch_size=1,
        batch_format="pyarrow",
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=workers),
    )
    for batch in data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield from map(json.loads, batch["about"].to_pylist())
