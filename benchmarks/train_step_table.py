"""Tables of Markdown from what the parts of `benchmarks.train_step` left."""

import json
from pathlib import Path
from typing import Any

GOALS = {"base": (0.55, 0.62), "large": (0.60, 0.68)}
"""Share of the measured rate that packed steps are to reach, and to aim at."""
LEAST_OF_PADDING = 0.95
"""Packed over padded and compiled is to be at least this times what the share of padding allows."""
PACKED, PADDED = "packed, compiled", "padded, dense bias, compiled"
CPU = "CPU"
NO_GOALS = "tiny shapes on a CPU, not compiled: these figures only show that it runs"
HEADER = (
    "| documents | how | row | tokens/s | TFLOP/s | of the card | step, ms | tokens a step | GiB |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def line(row: dict[str, Any]) -> str:
    """A row in words, as it is found."""
    if "split" in row:
        return "time: " + ", ".join(f"{name} {100 * share:.1f} %" for name, share in row["split"].items())
    what = f"{row['documents']}, {row['variant']}, rows of {row['row_tokens'] or 'a document'}"
    if "left_out" in row:
        return f"{what}: left out, {row['left_out']}"
    return (
        f"{what}: {row['tokens_a_second']:,.0f} tokens/s, {row['tflops']:.1f} TFLOP/s, {100 * row['share']:.1f} %, "
        f"{row['gib']:.1f} GiB, first steps {row['warm']:.0f} s"
    )


def table(rows: list[dict[str, Any]]) -> str:
    made = [HEADER]
    for row in rows:
        if "split" in row:
            continue
        cells = [row["documents"], row["variant"], str(row["row_tokens"] or "a document")]
        if "left_out" in row:
            cells += [f"left out: {row['left_out']}", *[""] * 5]
        else:
            cells += [
                f"{row['tokens_a_second']:,.0f}", f"{row['tflops']:.1f}", f"{100 * row['share']:.1f} %",
                f"{1000 * row['seconds']:.1f}", f"{row['tokens']:,.0f}", f"{row['gib']:.1f}",
            ]  # fmt: skip
        made.append("| " + " | ".join(cells) + " |")
    return "\n".join(made)


def goals(size: str, rows: list[dict[str, Any]]) -> list[str]:
    """Goals beside what was found, a sentence each."""
    found = {(row["variant"], row["row_tokens"], row["documents"]): row for row in rows if "share" in row}
    least, aim = GOALS[size]
    said = []
    for (variant, row_tokens, documents), row in found.items():
        if variant != PACKED:
            continue
        if documents == "BPE, length law":
            verdict = "met" if row["share"] >= least else "missed"
            said.append(
                f"`{size}`, rows of {row_tokens}: {100 * row['share']:.1f} % of the measured rate; goal "
                f"{100 * least:.0f} % (aim {100 * aim:.0f} %): {verdict}"
            )
        padded = found.get((PADDED, None, documents))
        if padded and row_tokens == 512:
            ratio, allowed = row["tokens_a_second"] / padded["tokens_a_second"], 1 / padded["useful"]
            verdict = "met" if ratio >= LEAST_OF_PADDING * allowed else "missed"
            said.append(
                f"`{size}`, {documents}: packed {ratio:.2f} × padded and compiled; padding allows {allowed:.2f}, "
                f"goal {LEAST_OF_PADDING * allowed:.2f}: {verdict}"
            )
    return said


def figures(output: Path, parts: list[str]) -> dict[str, Any]:
    """What each part left, where it left something."""
    paths = {name: output / f"{name}.json" for name in parts}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.is_file()}


def report(found: dict[str, Any], failed: dict[str, str]) -> str:
    """Everything that was measured, and what failed or is missing."""
    parts = []
    if card := found.get("card"):
        parts.append(
            f"{card['device']}, torch {card['torch']}, Python {card['python']}; bf16 products of {card['matrix']}³ "
            f"random numbers: {card['tflops']:.1f} TFLOP/s, the 100 % of the tables."
        )
    for size in GOALS:
        if size in found:
            rows = found[size]["rows"]
            parts += [f"### Steps of `{size}`, lengths {found[size]['lengths']}", table(rows)]
            said = goals(size, rows) if "card" in found and found["card"]["device"] != CPU else [NO_GOALS]
            parts.append("\n".join(f"- {each}" for each in [*said, *[line(row) for row in rows if "split" in row]]))
    if tests := found.get("parity"):
        failures = tests["failures"] + tests["errors"]
        parts.append(f"tests/gpu: {tests['tests']} tests, {failures} failed, {tests['skipped']} skipped.")
    if run := found.get("pretrain"):
        parts.append(
            f"Pretraining left out: {run['left_out']}."
            if "left_out" in run
            else f"Pretraining of `{run['encoder']}`: {run['config']['steps']} steps in {run['seconds']:.0f} s, "
            f"{run['tokens_a_second']:,.0f} tokens/s, {100 * run['stall']:.2f} % of the time without rows, loss "
            f"{_losses(run['first_loss'])} to {_losses(run['last_loss'])}."
        )
    parts += [f"FAILED: {name}, {why}" for name, why in failed.items()]
    return "\n\n".join(parts) + "\n"


def _losses(losses: dict[str, float]) -> str:
    return ", ".join(f"{name} {loss:.3f}" for name, loss in losses.items())
