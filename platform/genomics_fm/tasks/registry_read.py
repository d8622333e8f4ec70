"""The files of a published data set, in its publisher's format, as labelled rows."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from genomics_fm.errors import InputError
from genomics_fm.genome.reader import read_genome
from genomics_fm.tasks import rows, table
from genomics_fm.tasks.labelled import Labelled
from genomics_fm.tasks.layout import Layout
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.read_table import read_classes, read_table, taken
from genomics_fm.tasks.registry_entry import Entry, File
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.tracks import read_tracks

Files = Mapping[File, list[Path]]

_STARR_NAME = re.compile(r"(\w+?)_(\d+)_(\d+)_([+-])_.*")
_STARR_ID = "ID"
_TRACK_ENDINGS = (".gz", ".bed", ".narrowPeak")
_MIRRORED = ("seq", "label")
"""Columns that a mirror of genomic_benchmarks has instead of ours."""


def read(entry: Entry, files: Files, root: Path | None) -> Labelled:
    """Read a set's files and say where its rows come from.

    Args:
        entry: the set.
        files: those that were found; without those of some splits, perhaps.
        root: folder of local data, for the genome of tracks.

    Raises:
        InputError: a file is not in its publisher's format.
    """
    found = _read(entry, files, root)
    missing = [split for split in entry.official if split not in {file.split for file in files}]
    about = found.about | {
        "name": entry.name,
        "family": entry.family,
        "title": entry.title,
        "source": entry.home,
        "licence": entry.licence,
        "citation": entry.citation,
        "fetched_from": sorted({file.url for file in files if file.url}),
        "splits_missing": missing,
        "note": entry.note,
    }
    return dataclasses.replace(found, about=about)


def _read(entry: Entry, files: Files, root: Path | None) -> Labelled:
    if entry.reader == "tracks":
        return _tracks(entry, files, root)
    if entry.reader == "deepstarr":
        return _deepstarr(entry, files)
    if entry.reader == "classes":
        return _classes(entry, files)
    parts = [(file.split, _table(entry, path)) for file, paths in files.items() for path in paths]
    return _together(entry, parts)


def _together(entry: Entry, parts: list[tuple[str, Labelled]]) -> Labelled:
    """The rows of several files, with the split of each where the publisher divides; a place given twice once."""
    whole = rows.concatenate([part.rows for _, part in parts])
    names = [split for split, part in parts for _ in range(len(part.rows))]
    whole = dataclasses.replace(whole, block=np.arange(len(whole)))
    counts = {f"{number}:{split}" if split else str(number): part.about.get("counts", {})
              for number, (split, part) in enumerate(parts)}  # fmt: skip
    files = {name: sum_of for _, part in parts for name, sum_of in dict(part.about.get("files", {})).items()}
    made = Labelled(whole, parts[0][1].problem, {"counts": counts, "files": files}, names if entry.official else None)
    first = np.sort(np.unique(whole.locus, return_index=True)[1])
    if entry.official or len(first) == len(whole):
        return made
    counts["places_repeated"] = {"left_out": len(whole) - len(first)}
    return taken(made, first)


def _table(entry: Entry, path: Path) -> Labelled:
    """A table's rows, with their places where it has them."""
    location = str(path)
    extra = (*(entry.place or ()), *((entry.only or ())[:1]), entry.layout.sequence, entry.layout.label, *_MIRRORED)
    columns = table.read(location, tuple(dict.fromkeys(extra))).columns
    found = read_table(location, _layout(entry, columns))
    if entry.place and all(name in columns for name in entry.place):
        contigs, starts, ends, strands = (columns[name] for name in entry.place)
        locus = [f"{contig}:{start}-{end}:{strand or '.'}"
                 for contig, start, end, strand in zip(contigs, starts, ends, strands, strict=True)]  # fmt: skip
        found = dataclasses.replace(found, rows=dataclasses.replace(found.rows, locus=locus))
    if entry.only and entry.only[0] in columns:
        kept = np.flatnonzero(np.array(columns[entry.only[0]]) == entry.only[1])
        found = taken(found, kept)
    names = entry.layout.classes
    problem = dataclasses.replace(found.problem, names=names) if names else found.problem
    return dataclasses.replace(found, problem=problem)


def _layout(entry: Entry, columns: Mapping[str, list[str]]) -> Layout:
    """The entry's layout for a file that may number its classes, and name its sequences as a mirror does."""
    layout = dataclasses.replace(entry.layout, split="")
    if layout.sequence not in columns and _MIRRORED[0] in columns:
        layout = dataclasses.replace(layout, sequence=_MIRRORED[0])
    numbers = tuple(map(str, range(len(layout.classes))))
    if layout.classes and set(columns.get(layout.label, ())) <= set(numbers):
        layout = dataclasses.replace(layout, classes=numbers)
    return layout


def _classes(entry: Entry, files: Files) -> Labelled:
    """FASTA files a class and split."""
    parts = []
    for split in dict.fromkeys(file.split for file in files):
        of = {file.name: str(paths[0]) for file, paths in files.items() if file.split == split}
        if set(of) != set(entry.layout.classes):
            raise InputError(f"task {entry.name}: {split} lacks a FASTA file of one class; give all")
        parts.append((split, read_classes({name: of[name] for name in entry.layout.classes}, entry.layout)))
    return _together(entry, parts)


def _deepstarr(entry: Entry, files: Files) -> Labelled:
    """Tables with their sequences; or activities row by row beside a FASTA file, as the publisher has them."""
    fastas = {file.split: paths[0] for file, paths in files.items() if file.path.endswith(".fa")}
    parts = []
    for file, paths in files.items():
        if not file.path.endswith(".fa"):
            parts.append((file.split, _activity(entry, paths[0], fastas.get(file.split))))
    if not parts:
        raise InputError(f"task {entry.name}: FASTA files without the tables of activity; give both")
    return _together(entry, parts)


def _activity(entry: Entry, path: Path, fasta: Path | None) -> Labelled:
    layout = entry.layout
    found = table.read(str(path), (_STARR_ID, layout.sequence, *layout.targets))
    if fasta is None:
        records = list(zip(found.column(_STARR_ID), found.column(layout.sequence), strict=True))
    else:
        records = [(record.name, record.sequence) for record in read_genome(str(fasta))]
    if len(records) != len(found):
        raise InputError(f"{fasta}: {len(records):,} sequences beside {len(found):,} rows of {path}; fetch both again")
    locus = []
    for row, (name, _) in enumerate(records):
        match = _STARR_NAME.fullmatch(name)
        if not match:
            raise found.error(row, _STARR_ID, f"{name!r}; expected CONTIG_START_END_STRAND_…")
        locus.append(f"{match[1]}:{int(match[2]) - 1}-{match[3]}:{match[4]}")  # published 1-based, inclusive
    sequences = [sequence.upper() for _, sequence in records]
    wrong = next((row for row, sequence in enumerate(sequences) if set(sequence) - set("ACGTN")), None)
    if wrong is not None:
        raise found.error(wrong, layout.sequence, "letters other than ACGTN; fetch it again")
    values = np.stack([_numbers(found, name) for name in layout.targets], axis=1)
    problem = Problem("regression", layout.targets, layout.stranded, layout.metric)
    return Labelled(Rows(sequences, values, locus, np.arange(len(locus))), problem, {"counts": {"rows": len(locus)}})


def _numbers(found: table.Table, name: str) -> np.ndarray:
    """(N,) float32."""
    values = []
    for row, text in enumerate(found.column(name)):
        try:
            values.append(float(text))
        except ValueError as error:
            raise found.error(row, name, f"{text!r} is no number; fetch it again") from error
    return np.array(values, np.float32)


def _tracks(entry: Entry, files: Files, root: Path | None) -> Labelled:
    genome = (root or Path()) / entry.genome
    if not genome.is_file():
        raise InputError(f"task {entry.name}: no genome at {genome}; put it beside the tracks")
    named = {}
    for path in (path for paths in files.values() for path in paths):
        name = path.name
        for ending in _TRACK_ENDINGS:
            name = name.removesuffix(ending)
        named[name] = str(path)
    return read_tracks(named, str(genome), layout=entry.layout)
