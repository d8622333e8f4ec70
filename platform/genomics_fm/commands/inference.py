"""What a trained encoder or head says about sequences."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from genomics_fm.artefacts import refuse_input
from genomics_fm.commands.options import Debug, refuse_folder
from genomics_fm.errors import InputError, one_line_errors


def predict(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="FILE", help="FASTA or GenBank; .bed; .csv, .tsv or .parquet. Plain or compressed.")
    ],
    head: Annotated[Path, typer.Option("--head", help="Head folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Parquet file to write.")],
    genome: Annotated[str | None, typer.Option("--genome", help="What the places of FILE lie in.")] = None,
    prior: Annotated[
        str, typer.Option("--prior", help="How frequent classes are there: 0.01, or NAME=0.2,OTHER=0.8.")
    ] = "",
    dtype: Annotated[str, typer.Option("--dtype", help="fp32 or bf16.")] = "fp32",
    threads: Annotated[int, typer.Option("--threads", help="Cores to use; 0: all.", min=0)] = 0,
    debug: Debug = False,
) -> None:
    """Score every sequence of FILE and write a parquet table, a row a sequence in the order of FILE.

    Columns: name; label and probability (of the second of two classes), or labels, or value/NAME; probability/NAME
    where there are several; strand_gap (difference between the two strands), length, warning. A table needs a column
    sequence; BED, or a table with contig, start and end, needs --genome, and a strand where the head is stranded.
    """
    with one_line_errors(debug or context.obj):
        _check_paths(source, output, genome)
        print("predict: loading the head", file=sys.stderr, flush=True)
        import torch

        from genomics_fm.inference.head import load_head
        from genomics_fm.inference.predict import PredictSettings, predict_file, print_progress
        from genomics_fm.inference.prior import parse

        settings = PredictSettings(genome, parse(prior) if prior else None, dtype)
        if threads:
            torch.set_num_threads(threads)
        done = predict_file(load_head(head), source, output, print_progress, settings)
        rate = done.sequences / max(done.seconds, 1e-9)
        print(
            f"predict: {done.sequences:,} sequences in {done.seconds:.1f} s ({rate:,.0f}/s), "
            f"{done.warned:,} with a warning: {output}",
            file=sys.stderr,
        )


def embed(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FILE", help="FASTA or GenBank, plain or compressed.")],
    encoder: Annotated[Path, typer.Option("--encoder", help="Folder of an encoder, of a head, or exported.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Parquet file to write.")],
    vocabulary: Annotated[str | None, typer.Option("--vocabulary", help="Which reads; its default otherwise.")] = None,
    pooling: Annotated[str, typer.Option("--pooling", help="mean, cls, token or base.")] = "mean",
    layer: Annotated[int | None, typer.Option("--layer", help="0: the embeddings; the last otherwise.")] = None,
    dtype: Annotated[str, typer.Option("--dtype", help="fp32 or bf16.")] = "fp32",
    batch_tokens: Annotated[int, typer.Option("--batch-tokens", help="Tokens computed at once.", min=1)] = 8_192,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", help="Cut longer sequences.", min=1)] = None,
    threads: Annotated[int, typer.Option("--threads", help="Cores to use; 0: all.", min=0)] = 0,
    debug: Debug = False,
) -> None:
    """Write what an encoder makes of every record of FILE: a row a sequence, a token or a base.

    Columns: name, length, tokens, embedding; with --pooling token: name, token, start, end, string, embedding; with
    base: name, position, base, embedding. Rows stand in the order of FILE. The same command after a kill goes on.
    """
    with one_line_errors(debug or context.obj):
        _check_paths(source, output)
        _say_embed("loading the encoder")
        import torch

        from genomics_fm.inference.embed import EmbedSettings, embed_file
        from genomics_fm.inference.embed_source import open_source

        settings = EmbedSettings(vocabulary, pooling, layer, dtype, batch_tokens, max_tokens)  # type: ignore[arg-type]
        if threads:
            torch.set_num_threads(threads)
        done = embed_file(open_source(encoder), source, output, settings, _say_embed)
        rate = done.tokens / max(done.seconds, 1e-9)
        _say_embed(
            f"{done.sequences:,} sequences; {done.tokens:,} tokens in {done.seconds:.1f} s ({rate:,.0f}/s): {output}"
        )


def _say_embed(line: str) -> None:
    print(f"embed: {line}", file=sys.stderr, flush=True)


def _check_paths(source: str, output: Path, genome: str | None = None) -> None:
    """Refuse before anything is loaded what cannot be read, is not named as parquet, is a folder or is read."""
    if not Path(source).exists() and not source.startswith("package:"):
        raise InputError(f"{source}: no such file; check the path")
    if output.suffix != ".parquet":
        raise InputError(f"{output}: not a .parquet name; the table is written as parquet")
    refuse_folder(output)
    refuse_input(output, source, genome)
