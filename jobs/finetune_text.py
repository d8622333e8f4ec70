"""What a finetuning says to people: lines about the rows, the table of all arms, and what follows from it."""

from collections.abc import Sequence
from typing import Any

from genomics_fm.tasks.task import Task
from genomics_fm.tasks.thinning import THINNED

SHOWN = 12
"""Classes, labels or targets that are listed."""
_HEADER = ("", "validation", "test", "95 % interval", "rows seen", "converged", "seconds")


def of_task(task: Task) -> list[str]:
    """Rows, classes, lengths, split and audit of a task."""
    problem, (short, long) = task.problem, task.length_bp
    rows = ", ".join(f"{split} {len(task.splits[split]):,}" for split in task.hashes)
    what = "mean" if problem.kind == "regression" else "share"
    pairs = list(zip(problem.names, task.prevalence, strict=True))
    shares = ", ".join(f"{name} {value:.3g}" for name, value in pairs[:SHOWN])
    division, audit = task.about.get("split"), task.about.get("audit", {})
    lines = [
        f"{task.name}: {problem.kind}, {'stranded' if problem.stranded else 'both strands'}, compared by "
        f"{problem.metric}",
        f"rows: {rows}; {short:,} to {long:,} nt",
        f"{what} in training: {shares}" + (f", … ({problem.outputs:,} in all)" if len(pairs) > SHOWN else ""),
    ]
    counts = task.about.get("counts", {})
    left_out = counts.get("conflicts_left_out") if isinstance(counts, dict) else None
    if left_out:
        lines.append(f"left out: {left_out:,} rows that contradict another row")
    if isinstance(division, dict):
        lines += [f"split by {division['how']}", *division.get("said", [])]
    thinned = task.about.get(THINNED, {})
    if long == thinned.get("crop_bp"):
        lines.append(f"sequences are cut to their middle {thinned['crop_bp']:,} nt")
    if "scored_rows" in thinned:
        lines.append(f"scored on at most {thinned['scored_rows']:,} rows of each split")
    if task.calibration is None:
        lines.append("too few rows for a calibration split: probabilities stay as trained, without sets or intervals")
    return [*lines, f"leaks: {audit.get('verdict', 'not audited')}"]


def table(groups: Sequence[dict[str, Any]], head: str, metric: str) -> str:
    """All arms under each other; the head's group is marked."""
    rows = [(metric, *_HEADER[1:]), *(_row(group, head) for group in groups)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    return "\n".join(
        "  ".join(cell.ljust(width) if not place else cell.rjust(width) for place, (cell, width) in
                  enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    )  # fmt: skip


def _row(group: dict[str, Any], head: str) -> tuple[str, ...]:
    several = group["seeds"] > 1
    name = f"{group['name']}, mean of {group['seeds']} seeds" if several else group["name"]
    spread = f"{group['low']:.3f} to {group['high']:.3f}"
    return (
        f"{'* ' if group['name'] == head else '  '}{name}",
        f"{group['validation']:.3f}",
        f"{group['test']:.3f}",
        f"seeds {spread}" if several else spread,
        f"{group['rows_seen']:,}" if group["rows_seen"] is not None else "-",
        {True: "yes", False: "no", None: "-"}[group["converged"]],
        f"{group['seconds']:.1f}",
    )


def of_head(result: dict[str, Any]) -> list[str]:
    """The head, what it is worth, and what it is not."""
    head, metric = result["head"], result["head"]["metric"]
    low, high = head["interval"]
    lines = [
        f"head: {head['name']}, seed {head['seed']}, chosen on validation: test {metric} {head['test'][metric]:.3f} "
        f"({low:.3f} to {high:.3f})",
        f"converged: {({True: 'yes', False: 'no', None: 'not known'})[head['converged']]}, "
        f"{head['rows_seen']:,} rows seen of {result['rows']['train']:,} for training",
    ]
    if result["clean"] is not None:
        lines.append(
            f"without {result['audit']['counts']['A']:,} test rows that are in training: {metric} {result['clean']:.3f}"
        )
    if said := result["decision"]:
        second = result["problem"]["names"][1]
        at, mcc = said["probability"], said["mcc"]
        lines.append(f"label {second} is answered from a probability of {at:.3f} on: test mcc {mcc:.3f}")
    lines += result["verdict"]
    if coverage := (result["calibration"] or {}).get("coverage"):
        share = coverage["all"]["coverage"]
        lines.append(f"sets or intervals meant to hold 90 % hold {share:.1%} of the test rows")
    if result["registered"]:
        registered = result["registered"]
        holds = "champion" if registered["promoted"] else "not champion"
        lines.append(f"registered as {registered['uri']}, {holds}: {registered['why']}")
    return lines
