"""The benchmark's table in Markdown: a line a set, a column a model; and what the encoder is worth beside each."""

import statistics
from collections.abc import Sequence
from typing import Any

from genomics_fm.report import labels

Row = dict[str, Any]
BASELINES = ("nothing", "GC, length", "k-mers", "CNN")
"""Columns of baselines: as they are called in the table. What answers without looking at the sequence is "nothing"."""
_WITHOUT_LOOKING = ("majority", "mean", "prevalence")
_HOW = {"probe": "frozen", "full": "whole", "lora": "LoRA"}
ABSENT = "–"
LEGEND = (
    "Scores are means over seeds on all test rows, below them the 95 % interval of the seed that is best on "
    "validation; bold: the encoder that validation chooses; \\*: has not converged. Rows: learnt of those for "
    "training; test rows in independent clusters or places. Leaks: test rows that are in training (A), that were seen "
    "without their label in pretraining (B), else the worst grade there is (docs/tasks.md)."
)
"""What the table's cells are."""


def model_of(row: Row) -> str:
    """Column of a row's model."""
    name = str(row["model"])
    if row["start"] != "baseline":
        start = ", scratch" if row["start"] == "scratch" else ""
        return f"{_HOW[row['how']]} {labels.vocabulary_name(row['vocabulary'])}{start}"
    if name in _WITHOUT_LOOKING:
        return BASELINES[0]
    if name.startswith("GC"):
        return BASELINES[1]
    return BASELINES[2] if name.startswith("k-mer") else name


def columns(rows: Sequence[Row]) -> list[str]:
    """Baselines, then the encoder's kinds of training as they come, pretrained before scratch."""
    ours = dict.fromkeys(model_of(row) for row in rows if row["start"] != "baseline")
    others = dict.fromkeys(model_of(row) for row in rows if row["start"] == "baseline" and model_of(row))
    known = [name for name in BASELINES if name in others]
    return [*known, *(name for name in others if name not in known), *sorted(ours, key=lambda name: "scratch" in name)]


def table(rows: Sequence[Row]) -> list[str]:
    """A Markdown table of all sets; the head's cell is bold, a model that has not converged has a star."""
    names = columns(rows)
    lines = [
        f"| set | rows | leaks | {' | '.join(names)} |",
        f"| --- | --- | --- | {' | '.join('---' for _ in names)} |",
    ]
    for one in dict.fromkeys(row["set"] for row in rows):
        of = [row for row in rows if row["set"] == one]
        cells = {model_of(row): _cell(row) for row in reversed(of)}  # a baseline stands once, as in the first how
        lines.append(f"| {_set(of[0])} | {_rows(of[0])} | {_leaks(of[0])} | "
                     f"{' | '.join(cells.get(name, ABSENT) for name in names)} |")  # fmt: skip
    return lines


def _set(row: Row) -> str:
    family = f" ({row['family']})" if row["family"] else ""
    longest, shortest = row["length_longest"], row["length_shortest"]
    length = f"{longest:,} nt" if longest == shortest else f"{shortest:,} to {longest:,} nt"
    outputs = f"{row['outputs']} outputs, " if row["outputs"] > 2 or row["kind"] != "classification" else ""
    return f"`{row['set']}`{family}<br>{outputs}{length}, {row['metric'].upper()}"


def _rows(row: Row) -> str:
    return f"{row['rows_learnt']:,} of {row['rows_train']:,}<br>{row['rows_test']:,} in {row['blocks_test']:,}"


def _leaks(row: Row) -> str:
    counts = [f"A {row['rows_in_train']:,}"] if row["rows_in_train"] else []
    counts += [f"B {row['rows_seen_unlabelled']:,}"] if row["rows_seen_unlabelled"] else []
    return "<br>".join(counts) or str(row["grade"])


def _cell(row: Row) -> str:
    value = f"{row['test']:.3f}" + ("*" if row["converged"] is False else "")
    if row["head"]:
        value = f"**{value}**"
    low, high = row["low"], row["high"]
    interval = f"<br>{low:.2f} to {high:.2f}" if low is not None and high is not None else ""
    return value + interval


def verdicts(rows: Sequence[Row]) -> list[str]:
    """A Markdown table: what may be said of each head beside each rival; a difference is on the rows that decide."""
    lines = ["| set | head | beats | cannot be told apart from | LOSES to | no verdict |", "| --- " * 6 + "|"]
    for one, how in dict.fromkeys((row["set"], row["how"]) for row in rows):
        of = [row for row in rows if (row["set"], row["how"]) == (one, how)]
        head = next(row for row in of if row["head"])
        told: dict[str, list[str]] = {"beats": [], "ties": [], "loses": [], "none": []}
        for row in of:
            if row["outcome"]:
                told[row["outcome"].partition(":")[0]].append(_against(row))
        cells = [", ".join(told[name]) or ABSENT for name in told]
        lines.append(f"| `{one}` | {model_of(head)} | {' | '.join(cells)} |")
    return lines


def _against(row: Row) -> str:
    reason = row["outcome"].partition(": ")[2]
    moved = f" ({row['difference']:+.3f})" if row["difference"] is not None else ""
    return f"{model_of(row)}{moved}" + (f": {reason}" if reason else "")


def losses(rows: Sequence[Row]) -> list[str]:
    """Sentences that count, over all heads, how often the encoder beats, equals or loses to each kind of rival."""
    said = []
    rivals = dict.fromkeys(model_of(row) for row in rows if row["outcome"])
    for how in dict.fromkeys(row["how"] for row in rows):
        for name in rivals:
            of = [row for row in rows if row["how"] == how and row["outcome"] and model_of(row) == name]
            if not of:
                continue
            count = {
                key: sum(row["outcome"].startswith(key) for row in of) for key in ("beats", "ties", "loses", "none")
            }
            where = ", ".join(f"`{row['set']}`" for row in of if row["outcome"] == "loses")
            said.append(
                f"- {_HOW[how]} encoder against {name}: beats it on {count['beats']} of {len(of)} sets, cannot be told "
                f"apart on {count['ties']}, **loses on {count['loses']}**{f' ({where})' if where else ''}, no verdict "
                f"on {count['none']}"
            )
    return said


def times(rows: Sequence[Row]) -> str:
    """A sentence: seconds that one arm of each model takes, the median over sets, and the longest."""
    said = []
    for name in columns(rows):
        of = sorted(row["seconds"] for row in rows if model_of(row) == name)
        said.append(f"{name} {_seconds(statistics.median(of))} (longest {_seconds(of[-1])})")
    return f"Seconds an arm, the median over sets: {', '.join(said)}."


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"
