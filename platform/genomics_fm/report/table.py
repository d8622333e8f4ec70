"""The table a run prints at its end, for a terminal of 100 columns."""

import io
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from genomics_fm.report import labels
from genomics_fm.report.markup import count, interval, number


def terminal_table(result: dict[str, Any], width: int = 100, colour: bool = False) -> str:
    """Scores of arms and baselines, what may be compared, and what became of this run's head, as plain text.

    Args:
        result: the quickstart's `result.json`; absent sections are left out.
        width: columns at most.
        colour: with terminal escapes.
    """
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=colour, color_system="standard" if colour else None, highlight=False
    )
    console.print(scores(result))
    if labels.entries(result, "comparisons"):
        console.print(compared(result))
    best = labels.section(result, "champion")
    if best:
        console.print(Text(f"{best.get('name') or best.get('uri')}: {labels.head_state(best)}"))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).rstrip() + "\n"


def scores(result: dict[str, Any]) -> Table:
    made = Table(title=Text("Coding against intergenic, yeast"), title_justify="left", box=box.SIMPLE_HEAD)
    made.add_column("model", overflow="fold", ratio=1)
    for name in ("labels seen", "valid. MCC", "test MCC", "95 % interval"):
        made.add_column(name, justify="right", no_wrap=True)
    arms = labels.entries(result, "arms")
    seeds = len({arm.get("seed", 0) for arm in arms})
    for arm in arms:
        seed = f", seed {arm.get('seed', 0)}" if seeds > 1 else ""
        add_row(made, arm, f"{labels.arm_name(arm)}, {labels.percent(arm.get('fraction'))}{seed}")
    made.add_section()
    for row in labels.entries(result, "baselines"):
        capped = " capped" if row.get("capped") else ""
        share = labels.percent(row.get("fraction"))
        add_row(made, row, f"{labels.baseline_name(str(row.get('name')))}, {share}{capped}")
    return made


def add_row(made: Table, row: dict[str, Any], name: str) -> None:
    numbers = (count(row.get("labels_seen")), number(row.get("validation_mcc")), number(row.get("test_mcc")))
    made.add_row(Text(name), *(Text(cell) for cell in (*numbers, interval(row))))


def compared(result: dict[str, Any]) -> Table:
    """Paired differences; no more is said than their p, adjusted for all, allows."""
    made = Table(title=Text("Test MCC, paired difference"), title_justify="left", box=box.SIMPLE_HEAD)
    made.add_column("first, against second", overflow="fold", ratio=1)
    made.add_column("difference (95 % interval)", justify="right", no_wrap=True)
    made.add_column("may be said", no_wrap=True)
    said: dict[Any, str] = {1: "first better", 0: "no difference shown", -1: "second better"}
    for pair in labels.entries(result, "comparisons"):
        made.add_row(
            Text(f"{labels.spoken(pair.get('a'))} against {labels.spoken(pair.get('b'))}".replace("\u00a0", "")),
            Text(f"{number(pair.get('difference'), signed=True)} ({interval(pair, signed=True)})"),
            Text(said.get(pair.get("sign"), "not compared")),
        )
    return made
