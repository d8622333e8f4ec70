"""What a trained encoder or head says about sequences."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from genomics_fm.commands.options import Debug
from genomics_fm.errors import InputError, one_line_errors


def predict(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FILE", help="FASTA or GenBank, plain or gzip.")],
    head: Annotated[Path, typer.Option("--head", help="Head folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Parquet file to write.")],
    threads: Annotated[int, typer.Option("--threads", help="Cores to use; 0: all.", min=0)] = 0,
    debug: Debug = False,
) -> None:
    """Score every record of FILE (10 to 2,000 nt each) and write a parquet table.

    Columns: name, label, probability (of the head's class 1), strand_gap (difference between the two strands),
    length, warning.
    """
    with one_line_errors(debug or context.obj):
        if not Path(source).exists() and not source.startswith("package:"):
            raise InputError(f"{source}: no such file; check the path")
        if output.suffix != ".parquet":
            raise InputError(f"{output}: not a .parquet name; the table is written as parquet")
        print("predict: loading the head", file=sys.stderr, flush=True)
        import torch

        from genomics_fm.inference.head import load_head
        from genomics_fm.inference.predict import predict_file, print_progress

        if threads:
            torch.set_num_threads(threads)
        done = predict_file(load_head(head), source, output, report=print_progress)
        rate = done.sequences / max(done.seconds, 1e-9)
        print(
            f"predict: {done.sequences:,} sequences in {done.seconds:.1f} s ({rate:,.0f}/s), "
            f"{done.warned:,} with a warning: {output}",
            file=sys.stderr,
        )
