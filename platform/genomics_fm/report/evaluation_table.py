"""The table that `genomics-fm evaluate` prints."""

from typing import Any

NOTES = (
    "accuracy: share of hidden bases read rightly; a base behind the end of a piece that is too short counts as wrong.",
    "bits: Σ −log2 p / Σ hidden bases, where tokens stand side by side.",
    "Markov models see the true letters before each base, hidden ones too, which the encoder does not;",
    "with 'both sides' they see what is visible on either side, as the encoder does.",
)


def evaluation_text(result: dict[str, Any]) -> str:
    """Figures of every vocabulary, in all and by source, and what may be compared, as plain text.

    Args:
        result: of `genomics-fm evaluate`, as in its JSON.
    """
    lines = []
    for name, figures in result["vocabularies"].items():
        lines += [f"vocabulary {name}", _line("", "loss/token", "accuracy", "bits", "hidden bases")]
        groups = {"all": figures["all"]} | (figures["by_source"] if len(figures["by_source"]) > 1 else {})
        for group, of_group in groups.items():
            bases = f"{of_group['hidden_bases']:,}"
            bits = _number(of_group.get("bits_per_nucleotide"))
            lines.append(_line(group, _number(of_group["loss"]), _number(of_group["base_accuracy"]), bits, bases))
            for model, of_model in of_group["markov"].items():
                cells = _number(of_model["base_accuracy"]), _number(of_model["bits_per_nucleotide"])
                lines.append(_line(f"  Markov {model}", "", *cells, ""))
        lines.append("")
    notes = NOTES if result["markov"] else NOTES[:2]
    return "\n".join([*lines, *notes, result["comparison"]]) + "\n"


def _line(name: str, *cells: str) -> str:
    return (f"{name:<34}" + "".join(f"{cell:>14}" for cell in cells)).rstrip()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
