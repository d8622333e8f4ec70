"""Labelled rows from a table of sequences, a table or BED file of places in a genome, or FASTA files of classes."""

import itertools
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomics_fm.artefacts import sha256_file
from genomics_fm.errors import InputError
from genomics_fm.genome import alphabet
from genomics_fm.genome.reader import read_genome
from genomics_fm.tasks import table as tables
from genomics_fm.tasks.labelled import Labelled
from genomics_fm.tasks.labels import is_missing, problem_of
from genomics_fm.tasks.layout import END, PLAIN, START, Layout
from genomics_fm.tasks.places import STRANDS, Genome, contig_column, cut, positions, read_bed_table
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.repeats import Repeats, contradict, repeats
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.table import Table

CHANGES = ("lower", "u_to_t", "iupac_to_n")
"""Counts of letters that were changed: to upper case, from U to T, from an ambiguity code to N."""

_LOCUS = re.compile(r"([^:\s]+):([0-9]{1,12})-([0-9]{1,12})(?::([+-]))?")
_PLAIN = b"ACGTN"


def read_table(location: str, layout: Layout = PLAIN, genome: str | None = None) -> Labelled:
    """Labelled rows of a CSV, TSV or Parquet file, plain or compressed.

    A table has a column of sequences; or contig, start and end (0-based, half-open), and then needs a genome. With
    sequences, these columns or the one named `layout.locus` say where rows lie, which divides them by place.

    Args:
        location: of the table.
        layout: its columns, and what is known of the question.
        genome: FASTA or GenBank file that places are cut from.

    Raises:
        InputError: the table cannot be trusted; `file:line: column 'name': what is wrong; what to do`.
    """
    table = tables.read(location, layout.columns)
    has_sequences, places = layout.sequence in table.columns, contig_column(table)
    if genome is None or not places:
        if not has_sequences and places:
            raise InputError(f"{location}: places and no sequences; give the genome they lie in with --genome")
        return _from_sequences(table, layout)
    if has_sequences:
        raise InputError(f"{location}: sequences and a genome; leave --genome away, or the column {layout.sequence!r}")
    return _from_places(table, Genome(genome), layout)


def read_bed_labels(location: str, genome: str, layout: Layout = PLAIN) -> Labelled:
    """Labelled rows of a BED file whose names (column 4) are labels; strands (column 6) count if stranded.

    Raises:
        InputError: as `read_table`; no name, or no strand where the problem is stranded.
    """
    table = read_bed_table(location, layout.label, layout.strand)
    if layout.targets:
        raise InputError(f"{location}: targets of a BED file; give a table with contig, start, end and the targets")
    return _from_places(table, Genome(genome), layout)


def read_classes(files: Mapping[str, str], layout: Layout = PLAIN) -> Labelled:
    """Labelled rows of FASTA files, one a class; the classes stand in the order given, of two the positive one last.

    Args:
        files: {class: FASTA or GenBank file}.
        layout: `stranded`, `metric` and `conflicts` count.

    Raises:
        InputError: a file that cannot be trusted, or fewer than two classes.
    """
    problem = Problem("classification", tuple(files), layout.stranded, layout.metric)
    sequences: list[str] = []
    labels, locus, counts = [], [], Counter(dict.fromkeys(CHANGES, 0))
    for number, (name, location) in enumerate(files.items()):
        for record in read_genome(location):
            sequences.append(record.sequence)
            labels.append(number)
            locus.append(f"{name}/{Path(location).name}:{record.line}")
            counts.update(lower=record.soft_masked, u_to_t=record.u_to_t, iupac_to_n=record.iupac_to_n)
    rows = Rows(sequences, np.array(labels, np.int64), locus, np.arange(len(labels)))
    about = {**origin(*files.values()), "counts": dict(counts)}
    return settled(Labelled(rows, problem, about), layout)


def settled(labelled: Labelled, layout: Layout) -> Labelled:
    """The rows without those that contradict each other, and with repeats counted in `about["counts"]`.

    `rows`, `duplicates` (rows whose sequence stands before them already) and `conflicts` (rows whose class or label
    differs from that of an equal sequence) are counted before any are left out; `conflicts_left_out` says how many.
    `about["conflict"]` names two of them.

    Raises:
        InputError: rows contradict each other, and the layout refuses that; or fewer than two classes are left.
    """
    rows, problem = labelled.rows, labelled.problem
    found = repeats(rows.sequences, rows.labels, problem)
    wrong = np.flatnonzero(found.conflicting)
    counts = labelled.about.get("counts", {}) | {
        "rows": len(rows),
        "duplicates": found.duplicates,
        "conflicts": len(wrong),
        "conflicts_left_out": 0,
    }
    about = labelled.about | {"counts": counts}
    if len(wrong):
        row, other = _pair(found, rows, int(wrong[0]))
        if layout.conflicts == "refuse":
            raise InputError(
                f"{rows.locus[row]}: its sequence stands again at {rows.locus[other]} with another label "
                f"({len(wrong):,} rows in all contradict others); mend them, or leave them out with --conflicts drop"
            )
        about["conflict"] = [rows.locus[row], rows.locus[other]]
    if layout.conflicts == "drop":
        counts["conflicts_left_out"] = len(wrong)
        labelled = taken(labelled, np.flatnonzero(~found.conflicting))
    if problem.kind == "classification" and len(np.unique(labelled.rows.labels)) < 2:
        raise InputError(
            f"{', '.join(labelled.about.get('files', ())) or 'rows'}: fewer than two classes have rows "
            f"({len(wrong):,} rows contradict others); give rows of at least two"
        )
    return Labelled(labelled.rows, problem, about, labelled.split)


def _pair(found: Repeats, rows: Rows, row: int) -> tuple[int, int]:
    """The first two rows with a contradicting row's sequence that contradict each other."""
    same = np.flatnonzero(found.first == found.first[row]).tolist()
    pairs = itertools.combinations(same, 2)
    return next((one, other) for one, other in pairs if contradict(rows.labels[one], rows.labels[other]))


def taken(labelled: Labelled, index: NDArray[np.int64]) -> Labelled:
    """Some of the rows, in the order of `index`."""
    split = labelled.split and [labelled.split[row] for row in index]
    return Labelled(labelled.rows.take(index), labelled.problem, labelled.about, split)


def _from_sequences(table: Table, layout: Layout) -> Labelled:
    raw = table.column(layout.sequence)
    sequences, counts = _letters(table, layout.sequence, raw)
    problem, labels = problem_of(table, layout, [len(sequence) for sequence in raw])
    name = Path(table.location).name
    locus = _loci(table, layout) or [f"{name}:{line}" for line in table.lines]
    rows = Rows(sequences, labels, locus, _blocks(table, layout))
    if layout.locus not in table.columns and (unplaced := _unplaced(table)):
        counts["rows_without_place"] = unplaced
    about: dict[str, Any] = origin(table.location) | {"counts": counts}
    return settled(Labelled(rows, problem, about, _split(table, layout)), layout)


def _from_places(table: Table, genome: Genome, layout: Layout) -> Labelled:
    found = cut(table, genome, layout)
    problem, labels = problem_of(table, layout, [len(sequence) for sequence in found.sequences])
    rows = Rows(found.sequences, labels, found.locus, _blocks(table, layout))
    kept = _once(table, rows)
    about: dict[str, Any] = {
        **origin(table.location),
        "genome": {"file": Path(genome.location).name, "assembly_sha256": genome.sha256, "renamed": found.renamed},
        "counts": {"places_repeated": len(rows) - len(kept)},
    }
    return settled(taken(Labelled(rows, problem, about, _split(table, layout)), kept), layout)


def _letters(table: Table, name: str, column: list[str]) -> tuple[list[str], dict[str, int]]:
    """Sequences in upper-case ACGTN, and how many letters were changed."""
    counts = dict.fromkeys(CHANGES, 0)
    sequences = []
    for row, text in enumerate(column):
        letters = text.encode()
        if not letters:
            raise table.error(row, name, "no sequence; give one or remove the row")
        if letters.translate(None, _PLAIN):
            if (bad := alphabet.first_refused(letters)) >= 0:
                raise table.error(row, name, f"letter {bad + 1}: {alphabet.describe(letters[bad])}")
            found = alphabet.normalise(letters, f"{table.where(row)}: column {name!r}")
            for change in CHANGES:
                counts[change] += getattr(found, change)
            text = found.sequence
        sequences.append(text)
    return sequences, counts


def _loci(table: Table, layout: Layout) -> list[str]:
    """Where the rows come from, as their columns say; nothing where there are none."""
    column = table.columns.get(layout.locus)
    if column is None:
        return _beside(table, layout) if contig_column(table) else []
    seen: dict[str, int] = {}
    loci = []
    for row, text in enumerate(column):
        found = _LOCUS.fullmatch(text)
        if not found or int(found[2]) >= int(found[3]):
            raise table.error(
                row, layout.locus, f"{text!r}; give CONTIG:START-END or CONTIG:START-END:STRAND (0-based, half-open)"
            )
        locus = f"{found[1]}:{int(found[2])}-{int(found[3])}:{found[4] or '+'}"
        if (before := seen.setdefault(locus, row)) != row:
            raise table.error(row, layout.locus, f"{locus} again after {table.unit} {table.lines[before]}; keep one")
        loci.append(locus)
    return loci


def _beside(table: Table, layout: Layout) -> list[str]:
    """As `_loci`, of contig, start and end beside sequences: several may lie at one place, as alleles do.

    Nothing unless all rows have a place: `_unplaced` counts the others.
    """
    if _unplaced(table):
        return []
    contigs, (starts, ends) = table.column(contig_column(table)), positions(table)
    strands = table.columns.get(layout.strand, [""] * len(table))
    seen: set[str] = set()
    loci = []
    for line, contig, start, end, strand in zip(table.lines, contigs, starts, ends, strands, strict=True):
        locus = f"{contig}:{start}-{end}:{strand if strand in STRANDS else '.'}"
        loci.append(f"{locus}#{line}" if locus in seen else locus)
        seen.add(locus)
    return loci


def _unplaced(table: Table) -> int:
    """Rows that lack contig, start or end, in a table that has these columns."""
    contig = contig_column(table)
    columns = [table.column(name) for name in (contig, START, END)] if contig else []
    return sum(any(map(is_missing, place)) for place in zip(*columns, strict=True))


def _blocks(table: Table, layout: Layout) -> NDArray[np.int64]:
    """One for each row, or one for each group of the table."""
    groups = table.columns.get(layout.group)
    if groups is None:
        return np.arange(len(table))
    number_of: dict[str, int] = {}
    for row, group in enumerate(groups):
        if not group:
            raise table.error(row, layout.group, "no group; give one, or leave the column out")
        number_of.setdefault(group, len(number_of))
    return np.array([number_of[group] for group in groups], np.int64)


def _split(table: Table, layout: Layout) -> list[str] | None:
    column = table.columns.get(layout.split) if layout.split else None
    for row, split in enumerate(column or ()):
        if is_missing(split):
            raise table.error(row, layout.split, "no split; give train, validation or test in every row")
    return column


def _once(table: Table, rows: Rows) -> NDArray[np.int64]:
    """Rows without those that say again what another says of the same place."""
    first: dict[str, int] = {}
    kept = []
    for row, locus in enumerate(rows.locus):
        before = first.setdefault(locus, row)
        if before == row:
            kept.append(row)
        elif not np.array_equal(rows.labels[row], rows.labels[before], equal_nan=rows.labels.dtype.kind == "f"):
            raise InputError(
                f"{table.where(row)}: {locus} again, with another label than in {table.unit} {table.lines[before]}; "
                "keep one, or the mean of values"
            )
    return np.array(kept, np.int64)


def origin(*locations: str) -> dict[str, Any]:
    """What rows were read from: `source`, names; `files`, {name: sha256}, without those inside packages.

    A file is named with its folder where two have one name.
    """
    paths = [path for path in map(Path, locations) if path.is_file()]
    times = Counter(path.name for path in paths)
    named = {path: path.name if times[path.name] == 1 else f"{path.parent.name}/{path.name}" for path in paths}
    files = {name: sha256_file(path) for path, name in named.items()}
    return {"source": ", ".join(files) or ", ".join(locations), "files": files}
