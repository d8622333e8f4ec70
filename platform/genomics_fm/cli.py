"""`genomics-fm`: check files and predict with a saved head, without a cluster.

Imports are inside the commands: `--help` should not wait four seconds for torch.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from genomics_fm import __version__
from genomics_fm.errors import InputError, one_line_errors

app = typer.Typer(
    name="genomics-fm",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]


def _print_version(asked: bool) -> None:
    if asked:
        print(f"genomics-fm {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    debug: Debug = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it and exit.")
    ] = False,
) -> None:
    """Check genome files and predict with a saved head, on this machine alone."""
    context.obj = debug


@app.command()
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


@app.command()
def check(
    context: typer.Context,
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="FASTA, GenBank, BED, VCF, BCF, or a source list.")
    ],
    genome: Annotated[
        str | None, typer.Option("--genome", help="FASTA or GenBank that the VCF and BED files belong to.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Read files as strictly as the corpus builder does, and say what is in them or what is wrong.

    Ends with the first error's exit code when any file is refused.
    """
    from genomics_fm.checks import check_files

    raise typer.Exit(check_files(files, genome, debug or context.obj))


@app.command()
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


@app.command()
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


@app.command()
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


@app.command("add-vocabulary")
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


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
