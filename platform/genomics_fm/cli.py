"""`genomics-fm`: check files and predict with a saved head, without a cluster.

Imports are inside the commands: `--help` should not wait four seconds for torch.
"""

from collections.abc import Callable
from typing import Annotated

import typer

from genomics_fm import __version__
from genomics_fm.commands import corpora, encoders, inference, tasks, vocabularies
from genomics_fm.commands.options import Debug

app = typer.Typer(
    name="genomics-fm",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)


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


COMMANDS: dict[str, Callable[..., None]] = {
    "check": tasks.check,
    "describe": corpora.describe,
    "locate": corpora.locate,
    "tokens": vocabularies.tokens,
    "add-vocabulary": vocabularies.add_vocabulary,
    "import-weights": encoders.import_weights,
    "export": encoders.export,
    "evaluate": encoders.evaluate,
    "predict": inference.predict,
    "embed": inference.embed,
}
for name, command in COMMANDS.items():
    app.command(name)(command)


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
