"""Files before anything is built or trained from them, tables of labels above all."""

from typing import Annotated

import typer

from genomics_fm.commands.options import Debug
from genomics_fm.errors import InputError, one_line_errors


def check(
    context: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="FASTA, GenBank, BED, VCF, BCF, a source list, or a table of labels."),
    ],
    genome: Annotated[
        str | None, typer.Option("--genome", help="FASTA or GenBank that VCF, BED and places belong to.")
    ] = None,
    form: Annotated[
        str,
        typer.Option(
            "--as",
            help="What FILE... is as labelled data: table, labels (BED whose names are labels), peaks (BED against "
            "background), tracks (a BED file a label), classes (a FASTA file a class, as NAME=FILE).",
        ),
    ] = "",
    sequence: Annotated[str, typer.Option("--sequence", help="Column of the sequences.")] = "sequence",
    label: Annotated[str, typer.Option("--label", help="Column of the label.")] = "label",
    targets: Annotated[str, typer.Option("--targets", help="Columns of several labels or values: A,B,…")] = "",
    split: Annotated[str, typer.Option("--split", help="Column of an official split; '' for none.")] = "split",
    kind: Annotated[
        str, typer.Option("--kind", help="classification, multilabel, regression or per-base; else from the labels.")
    ] = "",
    classes: Annotated[str, typer.Option("--classes", help="In this order, the positive one last: A,B,…")] = "",
    stranded: Annotated[bool, typer.Option("--stranded", help="The strand carries meaning.")] = False,
    conflicts: Annotated[
        str, typer.Option("--conflicts", help="Equal sequences of different labels: drop, refuse or keep.")
    ] = "drop",
    window: Annotated[int, typer.Option("--window", help="Length of peaks' or tracks' rows in nt; 0: usual.")] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Of background and of windows without a label.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON a file.")] = False,
    debug: Debug = False,
) -> None:
    """Read files as strictly as the builders do, and say what is in them or what is wrong, where, and what to do.

    Of labelled sequences: classes and their balance, lengths, GC, duplicates, contradictions, near-duplicates, letters
    changed. Ends with the first error's exit code when any file is refused.
    """
    debug = debug or context.obj
    with one_line_errors(debug):
        from genomics_fm.checks import check_data, check_files
        from genomics_fm.tasks.layout import Layout
        from genomics_fm.tasks.read_data import Data, grid_of

        layout = Layout(
            sequence=sequence,
            label=label,
            targets=_names(targets),
            split=split,
            kind=kind or None,  # type: ignore[arg-type]
            classes=_names(classes),
            stranded=stranded,
            conflicts=conflicts,  # type: ignore[arg-type]
        )
        if form:
            data = Data(tuple(files), form, genome, layout, grid_of(window), window or None, seed)  # type: ignore[arg-type]
            raise typer.Exit(check_data(data, debug, as_json))
        if window:
            raise InputError("--window: belongs to --as peaks or --as tracks; say which")
        raise typer.Exit(check_files(files, genome, debug, layout, as_json))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
