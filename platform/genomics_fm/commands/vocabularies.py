"""Vocabularies, and encoders that learn one more."""

from pathlib import Path
from typing import Annotated

import typer

from genomics_fm.commands.options import Debug
from genomics_fm.errors import InputError, one_line_errors


def tokens(
    context: typer.Context,
    sequence: Annotated[str, typer.Argument(metavar="FILE", help="FASTA or GenBank.")],
    vocabulary: Annotated[Path, typer.Option("--vocabulary", help="vocabulary.json of an ensemble.")],
    names: Annotated[list[str] | None, typer.Option("--name", help="Vocabulary; may be repeated. Else all.")] = None,
    record: Annotated[str, typer.Option("--record", help="Its name; else the first.")] = "",
    start: Annotated[int, typer.Option("--start", help="First base, from 0.", min=0)] = 0,
    end: Annotated[int | None, typer.Option("--end", help="Past the last base; else 300 nt are shown.")] = None,
    preset: Annotated[str, typer.Option("--preset", help="Of the mask: default, paper or authors.")] = "default",
    seed: Annotated[int, typer.Option("--seed", help="Of the mask.")] = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Figure to write: .png or .svg.")] = None,
    debug: Debug = False,
) -> None:
    """Show a sequence of FILE as tokens of each vocabulary, with one draw of the mask."""
    with one_line_errors(debug or context.obj):
        from genomics_fm.report.token_command import show

        show(sequence, vocabulary, names or (), (record, start, end), (preset, seed), output)


def add_vocabulary(
    context: typer.Context,
    encoder: Annotated[Path, typer.Argument(metavar="ENCODER", help="Folder of a pretrained encoder.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write.")],
    name: Annotated[str, typer.Option("--name", help="Of the new vocabulary; its prompt is [NAME].")],
    kind: Annotated[str, typer.Option("--kind", help="kmer, block, codon or single (nucleotides).")] = "",
    k: Annotated[int | None, typer.Option("--k", help="Letters of a word, for kmer and block.")] = None,
    frame: Annotated[int | None, typer.Option("--frame", help="0, 1 or 2, for codon.")] = None,
    source: Annotated[Path | None, typer.Option("--from", help="vocabulary.json to take it from, as a BPE.")] = None,
    taken: Annotated[str, typer.Option("--take", help="Which vocabulary of --from; else --name.")] = "",
    debug: Debug = False,
) -> None:
    """Write an encoder that reads one more vocabulary: old ids stay, new rows are means of the pieces' they spell."""
    with one_line_errors(debug or context.obj):
        from genomics_fm.vocabulary.ensemble import Ensemble
        from genomics_fm.vocabulary.kinds import new_member

        numbers = {key: value for key, value in (("k", k), ("frame", frame)) if value is not None}
        if (source is None) == (not kind):
            raise InputError("add-vocabulary: give either --kind or --from; see --help")
        if source is not None and numbers:
            raise InputError(f"--{next(iter(numbers))}: belongs to --kind; leave it out")
        member = new_member(kind, **numbers) if source is None else Ensemble.load(source).member(taken or name)
        from genomics_fm.model.growth import add_vocabulary as grow

        new, added = grow(encoder, name, member, output)
        print(f"add-vocabulary: {name}: {len(member.pieces):,} pieces, {added:,} new of {new.size:,} tokens: {output}")
