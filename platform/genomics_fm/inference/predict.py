"""FASTA or GenBank in, parquet out: streaming, one chunk of sequences in memory."""

import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from genomics_fm import __version__
from genomics_fm.errors import writing
from genomics_fm.genome.reader import read_genome
from genomics_fm.inference.head import Head, Prediction
from genomics_fm.inference.sequences import Prepared, check_length, reservations

CHUNK_SEQUENCES = 1_024
PROGRESS_SECONDS = 2.0
SCHEMA = pa.schema(
    {
        "name": pa.string(),
        "label": pa.string(),
        "probability": pa.float64(),
        "strand_gap": pa.float64(),
        "length": pa.int32(),
        "warning": pa.string(),
    }
)


@dataclass(frozen=True)
class Summary:
    """What a run over a file did."""

    sequences: int
    warned: int
    seconds: float


def predict_file(head: Head, source: str, target: Path, report: Callable[[int, float], None] | None = None) -> Summary:
    """Score every record of a file and write `name, label, probability, strand_gap, length, warning`.

    Args:
        head: the head.
        source: FASTA (plain or gzip) or GenBank, as `read_genome` takes it.
        target: the parquet file; it appears only when it is complete.
        report: called with (sequences done, seconds) every few seconds.

    Raises:
        InputError: the file is refused by the strict reader, or a record is too short or too long.
        EnvironmentFault: the target cannot be written.
    """
    started = last = time.monotonic()
    done = warned = 0
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    metadata = {"head_sha256": head.sha256, "task": head.card.task, "genomics_fm": __version__}
    try:
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with pq.ParquetWriter(temporary, SCHEMA.with_metadata(metadata)) as writer:
                for names, prepared in _chunks(source, head.card.input_length_bp):
                    predictions = head.score(prepared)
                    writer.write_table(_table(names, prepared, predictions))
                    done += len(names)
                    warned += sum(bool(p.warnings) for p in predictions)
                    if report and time.monotonic() - last >= PROGRESS_SECONDS:
                        last = time.monotonic()
                        report(done, last - started)
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return Summary(done, warned, time.monotonic() - started)


def _chunks(source: str, input_length_bp: int) -> Iterator[tuple[list[str], list[Prepared]]]:
    """Names and sequences, a bounded number at a time; the reader has normalised the letters already."""
    contigs = read_genome(source)
    while chunk := list(itertools.islice(contigs, CHUNK_SEQUENCES)):
        prepared = []
        for contig in chunk:
            check_length(len(contig.sequence), f"{source}: record {contig.name!r}")
            said = reservations(contig.sequence, contig.u_to_t, contig.iupac_to_n, input_length_bp)
            prepared.append(Prepared(contig.sequence, said))
        yield [contig.name for contig in chunk], prepared


def _table(names: list[str], prepared: list[Prepared], predictions: list[Prediction]) -> pa.Table:
    columns = {
        "name": names,
        "label": [p.label for p in predictions],
        "probability": [p.probability for p in predictions],
        "strand_gap": [p.reverse_complement_gap for p in predictions],
        "length": [len(p.sequence) for p in prepared],
        "warning": ["; ".join(p.warnings) for p in predictions],
    }
    return pa.table(columns, schema=SCHEMA)


def print_progress(done: int, seconds: float) -> None:
    """One line on stderr with the rate."""
    print(f"predict: {done:,} sequences, {done / max(seconds, 1e-9):,.0f}/s", file=sys.stderr, flush=True)
