"""Corpora, and where sequences stand in genomes."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from genomics_fm.commands.options import Debug
from genomics_fm.errors import InputError, one_line_errors


def describe(
    context: typer.Context,
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help="Corpus folder, or its s3:// or gs:// address.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="HTML page to write.")] = None,
    debug: Debug = False,
) -> None:
    """Say what CORPUS is made of, from its manifest: species, clades, GC, lengths, what was left out, weights."""
    with one_line_errors(debug or context.obj):
        if output is not None and output.suffix != ".html":
            raise InputError(f"{output}: not an .html name; the page is written as HTML")
        from genomics_fm.artefacts import write_bytes
        from genomics_fm.corpus.composition import read_manifest
        from genomics_fm.report.corpus_page import corpus_page
        from genomics_fm.report.corpus_table import corpus_text

        manifest = read_manifest(corpus)
        print(corpus_text(manifest), end="")
        if output is not None:
            write_bytes(output, corpus_page(manifest, corpus).encode())
            print(f"describe: {output}", file=sys.stderr)


def locate(
    context: typer.Context,
    sequences: Annotated[str, typer.Argument(metavar="SEQUENCES", help="FASTA of at least 15 nt each.")],
    genomes: Annotated[list[str], typer.Option("--genome", help="FASTA or GenBank file; may be repeated.")],
    outputs: Annotated[list[str], typer.Option("--output", "-o", help="BED: one for all files, or one for each.")],
    assemblies: Annotated[list[str] | None, typer.Option("--assembly", help="Name; else the file's.")] = None,
    debug: Debug = False,
) -> None:
    """Find SEQUENCES in genomes, letter for letter and on both strands, and write where, for `--exclude`."""
    with one_line_errors(debug or context.obj):
        from genomics_fm.genome.locate import locate as locate_all
        from genomics_fm.genome.locate import print_progress

        for located in locate_all(sequences, genomes, outputs, assemblies or (), print_progress):
            print(f"locate: {located}", file=sys.stderr)
