"""Encoders: from other people's checkpoints, and for other people's tools."""

from pathlib import Path
from typing import Annotated

import typer

from genomics_fm.commands.options import Debug
from genomics_fm.errors import one_line_errors


def import_weights(
    context: typer.Context,
    weights: Annotated[Path, typer.Argument(metavar="WEIGHTS", help=".safetensors or .bin, published names.")],
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="config.json that belongs to them.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Encoder folder to write.")],
    position: Annotated[str, typer.Option("--position", help="alibi, or ape for learned positions.")] = "alibi",
    vocabulary: Annotated[
        Path | None, typer.Option("--vocabulary", help="vocabulary.json whose ids the weights were trained with.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Write an encoder folder from a checkpoint of the authors' or of DNABERT-2; nothing in it is executed."""
    with one_line_errors(debug or context.obj):
        from genomics_fm.inference.imported import import_checkpoint
        from genomics_fm.model.weights import parameter_count

        model = import_checkpoint(weights, config, output, position, vocabulary)
        size, count = model.bert.config, parameter_count(model)
        print(f"import-weights: {size.layers} layers × {size.width}, {count:,} parameters, {position}: {output}")


def export(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Encoder or head folder.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write.")],
    vocabulary: Annotated[
        str, typer.Option("--vocabulary", help="Whose tokenizer stands at the top; else the head's, or the first.")
    ] = "",
    debug: Debug = False,
) -> None:
    """Write a folder that transformers opens, with or without this package; it holds no pickle."""
    with one_line_errors(debug or context.obj):
        from genomics_fm.inference.export import export as write

        done = write(source, output, vocabulary)
        reads = f"tokenizer {done.vocabulary}" if done.vocabulary else "no vocabulary"
        print(f"export: {done.parameters:,} parameters, {reads}: {output}")
