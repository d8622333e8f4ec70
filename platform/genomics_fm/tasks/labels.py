"""From columns of text to a question and its answers: classes, labels, numbers, or a class of every base."""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from genomics_fm.errors import InputError
from genomics_fm.genome.alphabet import clipped
from genomics_fm.tasks.layout import Layout
from genomics_fm.tasks.problem import UNLABELLED, Kind, Problem
from genomics_fm.tasks.rows import Labels, of_bases
from genomics_fm.tasks.table import Table

MOST_INTEGER_CLASSES = 50
"""More different whole numbers are values, fewer are classes."""
MOST_CLASSES = 1_000
PER_BASE_AT_LEAST_BP = 10
"""Labels as long as their sequences are a class a base, unless sequences are that short."""
NO_CLASS = "."

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}(?:\.0*)?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_MISSING = {"", ".", "na", "n/a", "nan", "null"}
_BITS = {"0": 0.0, "1": 1.0}
_LARGEST = float(np.finfo(np.float32).max)


def problem_of(table: Table, layout: Layout, lengths: Sequence[int]) -> tuple[Problem, Labels]:
    """What a table asks, and the answer of each row.

    A single column of whole numbers, at most 50 different ones, or of texts holds classes; of other numbers, values;
    of texts as long as the sequences, a class a base. Several columns of 0 and 1 hold labels, of other numbers values.

    Args:
        table: rows.
        layout: which columns, and what is known of the question.
        lengths: of the sequences, as the table writes them.

    Raises:
        InputError: a label that is missing or unlike the others, one class only, or a table that leaves the kind open.
    """
    columns = [table.column(name) for name in layout.answers]
    kind = layout.kind or _kind(table, layout, columns, lengths)
    if kind in ("classification", "per-base") and len(columns) > 1:
        raise InputError(f"{table.location}: {len(columns)} columns for {kind}; name one with --label")
    if kind == "classification":
        names, labels = _classes(table, layout, columns[0])
    elif kind == "per-base":
        names, labels = _bases(table, layout, columns[0], lengths)
    else:
        names, labels = layout.answers, _numbers(table, layout, columns, kind)
    return Problem(kind, names, layout.stranded, layout.metric), labels


def _kind(table: Table, layout: Layout, columns: list[list[str]], lengths: Sequence[int]) -> Kind:
    distinct = [set(column) for column in columns]
    if len(columns) > 1:
        found = {_canonical(value) for values in distinct for value in values if not is_missing(value)}
        return "multilabel" if found <= set(_BITS) else "regression"
    if min(lengths) >= PER_BASE_AT_LEAST_BP and all(map(_fits, columns[0], lengths)):
        return "per-base"
    if layout.classes:
        return "classification"
    texts = {value for value in distinct[0] if not is_missing(value) and not _NUMBER.fullmatch(value)}
    numbers = {_canonical(value) for value in distinct[0] if not is_missing(value)} - texts
    most = max(2, len(table) // 2)
    if numbers and texts:
        few = len(texts) <= len(numbers)
        row = next(row for row, value in enumerate(columns[0]) if not is_missing(value) and (value in texts) == few)
        unlike = columns[0][row]
        raise table.error(
            row, layout.label, f"{unlike!r} among {'numbers' if unlike in texts else 'texts'}; mend it, or give --kind"
        )
    if texts and len(texts) > min(MOST_CLASSES, most):
        raise InputError(
            f"{table.location}: column {layout.answers[0]!r}: {len(texts):,} different texts in {len(table):,} rows "
            "(a column of names?); name the label's column with --label"
        )
    whole = all(_INTEGER.fullmatch(value) for value in numbers)
    return "classification" if texts or (whole and len(numbers) <= min(MOST_INTEGER_CLASSES, most)) else "regression"


def is_missing(text: str) -> bool:
    """Whether a value says that there is none."""
    return text.lower() in _MISSING


def _fits(label: str, length: int) -> bool:
    return len(label) == length


def _canonical(text: str) -> str:
    """A whole number without sign, leading zeros and point; other texts as they are."""
    return str(int(text.partition(".")[0])) if _INTEGER.fullmatch(text) else text


def _first(column: list[str], values: Iterable[str]) -> int:
    sought = set(values)
    return next(row for row, value in enumerate(column) if value in sought)


def _in_order(names: Iterable[str]) -> list[str]:
    """Whole numbers by size, texts by letters."""
    found = sorted(names)
    return sorted(found, key=int) if all(map(_INTEGER.fullmatch, found)) else found


def _classes(table: Table, layout: Layout, column: list[str]) -> tuple[tuple[str, ...], Labels]:
    name_of = {value: _canonical(value) for value in set(column)}
    for value, name in name_of.items():
        if is_missing(value):
            raise table.error(
                _first(column, [value]), layout.answers[0], f"no class ({value!r}); give one or remove the row"
            )
        if not name.isprintable():
            raise table.error(_first(column, [value]), layout.answers[0], f"{value!r} is not printable; mend it")
    names = _known(table, layout, column, name_of)
    number_of = {value: names.index(name) for value, name in name_of.items()}
    return names, np.fromiter(map(number_of.__getitem__, column), np.int64, len(column))


def _known(table: Table, layout: Layout, column: list[str], name_of: dict[str, str]) -> tuple[str, ...]:
    """Names of classes, in order; those found must be the ones given."""
    found = set(name_of.values())
    if layout.classes and (others := {value for value, name in name_of.items() if name not in layout.classes}):
        row = _first(column, others)
        raise table.error(
            row, layout.answers[0], f"{column[row]!r} is none of the classes {list(layout.classes)}; mend it or add it"
        )
    if len(found) < 2:
        raise InputError(
            f"{table.location}: column {layout.answers[0]!r}: only the class {clipped(found.pop())!r}; "
            "give rows of at least two"
        )
    return layout.classes or tuple(_in_order(found))


def _bases(table: Table, layout: Layout, column: list[str], lengths: Sequence[int]) -> tuple[tuple[str, ...], Labels]:
    if unfit := [name for name in layout.classes if len(name) != 1]:
        raise InputError(f"classes {unfit}: a class a base is one character; give '0' and '1' for instance")
    letters: set[str] = set()
    for row, (label, length) in enumerate(zip(column, lengths, strict=True)):
        if len(label) != length or not label.isascii() or not label.isprintable():
            raise table.error(
                row,
                layout.answers[0],
                f"{len(label)} classes of {length} bases; give one character a base, '.' for none",
            )
        letters.update(label)
    names = layout.classes or tuple(_in_order(letters - {NO_CLASS}))
    if others := letters - {NO_CLASS, *names}:
        row = next(row for row, label in enumerate(column) if others & set(label))
        raise table.error(row, layout.answers[0], f"{min(others)!r} is none of the classes {list(names)}; mend it")
    if len(letters - {NO_CLASS}) < 2:
        raise InputError(f"{table.location}: column {layout.answers[0]!r}: bases of one class; give at least two")
    number_of = np.full(128, UNLABELLED, np.int8)
    for number, name in enumerate(names):
        number_of[ord(name)] = number
    return names, of_bases([number_of[np.frombuffer(label.encode(), np.uint8)] for label in column])


def _numbers(table: Table, layout: Layout, columns: list[list[str]], kind: Kind) -> Labels:
    """(N, C) float32; NaN where nothing was measured."""
    values = np.empty((len(table), len(columns)), np.float32)
    for place, (name, column) in enumerate(zip(layout.answers, columns, strict=True)):
        value_of = {text: _value(text, kind) for text in set(column)}
        if refused := {text for text, value in value_of.items() if value is None}:
            row = _first(column, refused)
            give = "0 or 1" if kind == "multilabel" else "a number with a decimal point"
            raise table.error(row, name, f"{column[row]!r}; give {give}, or nothing where it was not measured")
        values[:, place] = [value_of[text] for text in column]
        known = values[~np.isnan(values[:, place]), place]
        if not len(known):
            raise InputError(f"{table.location}: column {name!r}: nothing measured in any row; leave the column out")
        if kind == "regression" and np.ptp(known) == 0:
            raise InputError(f"{table.location}: column {name!r}: one value in all rows; leave the column out")
    unmeasured = np.isnan(values).all(1)
    if unmeasured.any():
        row = int(np.flatnonzero(unmeasured)[0])
        raise table.error(row, layout.answers[0], "nothing measured in this row; give a value or remove the row")
    return values


def _value(text: str, kind: Kind) -> float | None:
    """NaN where there is none, None where the text is not one that the kind knows."""
    if is_missing(text):
        return float("nan")
    if kind == "multilabel":
        return _BITS.get(_canonical(text))
    if not _NUMBER.fullmatch(text) or abs(value := float(text)) > _LARGEST:
        return None
    return value
