"""The labelled rows of whatever files a command is given: one door for `genomics-fm check` and for finetuning."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from genomics_fm.errors import InputError, require
from genomics_fm.genome.locate import stem
from genomics_fm.tasks.labelled import Labelled
from genomics_fm.tasks.layout import PLAIN, Layout
from genomics_fm.tasks.peaks import read_peaks
from genomics_fm.tasks.read_table import read_bed_labels, read_classes, read_table
from genomics_fm.tasks.tracks import DEEPSEA, Grid, read_tracks

Form = Literal["table", "labels", "peaks", "tracks", "classes"]


@dataclass(frozen=True)
class Data:
    """Files of labelled rows.

    Attributes:
        files: one; of "tracks" and "classes" several, each a path or NAME=PATH.
        form: "table" (CSV, TSV or Parquet of sequences, or of places in the genome), "labels" (BED whose names are
            labels), "peaks" (BED or narrowPeak against background), "tracks" (a BED file a label), "classes" (a
            FASTA file a class).
        genome: what places, peaks and tracks lie in.
        layout: of the columns, and what is known of the question.
        grid: of windows, for tracks.
        window_bp: of peaks; whole peaks otherwise.
        seed: of background and of windows without a label.
    """

    files: tuple[str, ...]
    form: Form = "table"
    genome: str | None = None
    layout: Layout = PLAIN
    grid: Grid = DEEPSEA
    window_bp: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        forms = get_args(Form)
        require(self.form in forms, "form", self.form, f"one of {', '.join(forms)}")
        several = self.form in ("tracks", "classes")
        if not self.files or (len(self.files) > 1 and not several):
            raise InputError(f"{len(self.files)} files of form {self.form}; give {'some' if several else 'one'}")
        needed = self.form in ("labels", "peaks", "tracks")
        if needed and self.genome is None:
            raise InputError(f"{self.files[0]}: {self.form} without a genome; give the one they lie in with --genome")
        if self.form == "classes" and self.genome is not None:
            raise InputError("--genome: FASTA files of classes hold their sequences; leave it away")


def grid_of(window_bp: int) -> Grid:
    """The usual grid with windows of another length, their centres at most the usual ones; 0 for the usual one."""
    if not window_bp:
        return DEEPSEA
    centre = min(window_bp, DEEPSEA.centre_bp)
    return Grid(window_bp, centre - (window_bp - centre) % 2, centre)


def read(data: Data) -> Labelled:
    """Read labelled rows.

    Raises:
        InputError: what any of the readers refuses; one line.
    """
    first, genome = data.files[0], data.genome or ""
    if data.form == "table":
        return read_table(first, data.layout, data.genome)
    if data.form == "labels":
        return read_bed_labels(first, genome, data.layout)
    if data.form == "peaks":
        return read_peaks(first, genome, data.seed, data.window_bp, data.layout)
    if data.form == "classes":
        return read_classes(named(data.files), data.layout)
    return read_tracks(named(data.files), genome, data.grid, data.seed, data.layout)


def named(files: Sequence[str]) -> dict[str, str]:
    """{name: path} of files given as paths or NAME=PATH; a path names itself by its stem.

    Raises:
        InputError: two of one name.
    """
    found: dict[str, str] = {}
    for file in files:
        name, equals, path = file.partition("=")
        if not equals or "/" in name:
            name, path = stem(file), file
        if name in found:
            raise InputError(f"{file}: a second file named {name!r}; write NAME={path}")
        found[name] = path
    return found
