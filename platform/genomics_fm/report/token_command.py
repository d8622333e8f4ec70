"""What `genomics-fm tokens` does: read a stretch of a record, print its tokens, write their figure."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from genomics_fm.artefacts import write_bytes
from genomics_fm.errors import InputError
from genomics_fm.genome.reader import stream_genome
from genomics_fm.report.token_text import print_tokens
from genomics_fm.report.token_tracks import tracks
from genomics_fm.vocabulary.ensemble import Ensemble

SHOWN_BP = 300
"""Bases shown where no end is given."""
FIGURES = (".png", ".svg")
PLAIN_COLUMNS = 100
"""Width of what is written into a file or a pipe."""


@dataclass(frozen=True)
class Stretch:
    """Bases [start, end) of a record, upper-case ACGTN."""

    record: str
    start: int
    sequence: str

    def __str__(self) -> str:
        return f"{self.record}, bases {self.start:,} to {self.start + len(self.sequence):,}"


def stretch(file: str, record: str, start: int, end: int | None) -> Stretch:
    """Read bases of one record; the records before it are checked, those after it are not read.

    Args:
        file: FASTA or GenBank.
        record: its name; "" is the first.
        start: 0-based.
        end: exclusive; None is `SHOWN_BP` after the start, or the record's end.

    Raises:
        InputError: no such record, or the record has no such bases.
    """
    for contig in stream_genome(file):
        if record in ("", contig.name):
            sequence = b"".join(contig.letters()).decode("ascii")
            last = min(start + SHOWN_BP, len(sequence)) if end is None else end
            if not start < last <= len(sequence):
                raise InputError(
                    f"--start {start} --end {last}: {contig.name!r} has {len(sequence):,} nt; "
                    "give 0 ≤ start < end within it"
                )
            return Stretch(contig.name, start, sequence[start:last])
    raise InputError(f"--record {record!r}: not in {file}; give the first word of a header")


def show(
    file: str,
    vocabulary: Path,
    names: Sequence[str],
    place: tuple[str, int, int | None],
    mask: tuple[str, int],
    output: Path | None,
) -> None:
    """Print, and write the figure where one is asked for.

    Args:
        file: FASTA or GenBank.
        vocabulary: an ensemble's JSON file.
        names: of vocabularies in it; empty is all.
        place: record, start and end; see `stretch`.
        mask: preset and seed.
        output: figure to write, PNG or SVG.
    """
    if output is not None and output.suffix not in FIGURES:
        raise InputError(f"{output}: not a {' or '.join(FIGURES)} name; choose one of the two")
    chosen, ensemble = stretch(file, *place), Ensemble.load(vocabulary)
    shown = tracks(ensemble, names, chosen.sequence, *mask)
    heading = f"{chosen}; preset {mask[0]}, seed {mask[1]}"
    if output is not None:
        from genomics_fm.report.token_figure import figure_bytes  # matplotlib takes a second to import

        write_bytes(output, figure_bytes(chosen.sequence, shown, chosen.start, heading, output.suffix[1:]))
        print(f"tokens: {output}", file=sys.stderr)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_COLUMNS)
    console.print(f"{heading} (coordinates from 0, end excluded)", markup=False)
    print_tokens(console, chosen.sequence, shown, chosen.start)
