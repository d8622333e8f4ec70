"""Encoders: how good they are, from other people's checkpoints, and for other people's tools."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from genomics_fm.commands.options import Debug, refuse_folder
from genomics_fm.errors import InputError, one_line_errors


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


def evaluate(
    context: typer.Context,
    encoder: Annotated[Path, typer.Argument(metavar="ENCODER", help="Folder of a pretrained encoder.")],
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="FASTA or GenBank that it has not seen.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON file to write.")],
    corpus: Annotated[
        str | None, typer.Option("--corpus", help="What it was trained on, to count Markov models from.")
    ] = None,
    names: Annotated[list[str] | None, typer.Option("--vocabulary", help="May be repeated. Else all.")] = None,
    segments: Annotated[int, typer.Option("--segments", help="Stretches drawn from each FILE.")] = 1_000,
    segment_bp: Annotated[int, typer.Option("--segment-bp", help="Their length.")] = 510,
    seed: Annotated[int, typer.Option("--seed", help="Of stretches and masks.")] = 0,
    threads: Annotated[int, typer.Option("--threads", help="Cores to use; 0: all.", min=0)] = 0,
    debug: Debug = False,
) -> None:
    """Hide bases of FILEs and let an encoder fill them in, next to Markov models on the same bases.

    Whether ENCODER was trained on FILEs is not checked. Figures of different vocabularies are not comparable.
    """
    with one_line_errors(debug or context.obj):
        if output.suffix != ".json":
            raise InputError(f"{output}: not a .json name; the figures are written as JSON")
        refuse_folder(output)
        import torch

        from genomics_fm.artefacts import write_sealed_json
        from genomics_fm.inference.evaluate import evaluate_folder
        from genomics_fm.report.evaluation_table import evaluation_text
        from genomics_fm.training.evaluation import EvaluationConfig

        if threads:
            torch.set_num_threads(threads)
        config = EvaluationConfig(seed, segments, segment_bp)
        result = evaluate_folder(encoder, files, corpus, names or (), config)
        write_sealed_json(output, result)
        print(evaluation_text(result), end="")
        print(f"evaluate: {output}", file=sys.stderr)
