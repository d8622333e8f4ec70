"""A head's model card: its `config.json` as a page for people."""

from typing import Any

from genomics_fm.inference.card import HeadCard, better_baselines
from genomics_fm.inference.sequences import MIN_LENGTH_BP, longest_accepted
from genomics_fm.tasks.calibration import COVERAGE
from genomics_fm.tasks.metrics import DECISION
from genomics_fm.tasks.problem import Kind

NAMES_SHOWN = 20
"""Classes, labels or targets that the card lists one by one."""
_WHAT: dict[Kind, str] = {
    "classification": "says which of {count} classes a sequence is of: {names}.",
    "multilabel": "says which of {count} labels, that exclude nothing, a sequence has: {names}.",
    "regression": "predicts {count} numbers for a sequence: {names}.",
    "per-base": "says which of {count} classes every base of a sequence is of: {names}.",
}
_AT_THRESHOLD = {
    "accuracy": "accuracy, at a probability of one half",
    "f1_macro": "f1_macro, at a probability of one half",
    "mcc": "mcc, at a probability of one half",
    "mcc_at_threshold": "mcc of the labels it answers",
}
"""What metrics are of, where labels are not answered at one half."""
_LIMITS = (
    "**Research use only: not for clinical decisions.** A prediction is a score of a model trained on "
    "the data named below, and says nothing about other species, assays or lengths."
)


def model_card(card: HeadCard) -> str:
    """The README of a head folder, in Markdown."""
    lines = [
        f"# {card.task}",
        "",
        _what(card),
        "",
        _LIMITS,
        "",
        *(f"**The baseline `{name}` is better than this head on validation.**\n" for name in better_baselines(card)),
        *_section("Input and output", _input(card)),
        *_section("Data", _data(card)),
        *_section("Measured", _measured(card)),
        *_section("Made from (sha256)", card.hashes),
        *_section("Training", card.training),
    ]
    return "\n".join(lines) + "\n"


def _what(card: HeadCard) -> str:
    problem = card.problem
    shown = [f"`{name}`" for name in problem.names[:NAMES_SHOWN]]
    names = ", ".join(shown) + (", …" if len(shown) < problem.outputs else "")
    said = f"This head {_WHAT[problem.kind].format(count=problem.outputs, names=names)}"
    if problem.kind == "classification" and problem.binary:
        said += f" Predicted probabilities are those of `{problem.names[1]}`."
    return said


def _input(card: HeadCard) -> dict[str, Any]:
    shortest, longest = card.length_bp
    length = f"{shortest:,} nt" if shortest == longest else f"{shortest:,} to {longest:,} nt"
    most = longest_accepted(card.length_bp)
    found: dict[str, Any] = {
        "input": f"{length}; other lengths from {MIN_LENGTH_BP} to {most:,} nt are scored with a warning",
        "strand": "read as given" if card.problem.stranded else "both strands are scored and averaged",
        "vocabulary": card.vocabulary,
        "answers": _answers(card),
    }
    if card.gc is not None:
        found["GC of 99.8 % of the training sequences"] = f"{card.gc[0]:.1%} to {card.gc[1]:.1%}"
    what = "mean" if card.problem.kind == "regression" else "share"
    for place, name in enumerate(card.problem.names[:NAMES_SHOWN]):
        if card.prevalence:
            found[f"{what} of `{name}` in training"] = f"{card.prevalence[place]:.3f}"
        if card.weights:
            found[f"weight of `{name}` in the loss"] = f"{card.weights[place]:.3g}"
    if card.thresholds:
        names = card.problem.names[1:] if card.problem.classes else card.problem.names
        for name, threshold in list(zip(names, card.thresholds, strict=True))[:NAMES_SHOWN]:
            why = "" if threshold == DECISION else ", which has the best MCC on validation"
            found[f"`{name}` is answered from this probability on{why}"] = f"{threshold:.3f}"
    return found


def _answers(card: HeadCard) -> str:
    """What was done about calibration (R31)."""
    if card.calibration is None:
        return "as trained, not calibrated; no intervals"
    rows = f"{card.calibration.rows:,} rows that were used for nothing else"
    bounds = {"classification": "sets of classes", "regression": "intervals"}.get(card.problem.kind)
    if bounds is None or card.calibration.radius is None:
        return f"calibrated on {rows}"
    held = f"hold the answer for {COVERAGE:.0%} of sequences like these, not of other species or assays"
    return f"calibrated on {rows}; {bounds} {held}"


def _data(card: HeadCard) -> dict[str, Any]:
    named = {name: value for name, value in card.data.items() if value}
    if isinstance(named.get("split"), dict):
        named["split"] = named["split"].get("how")
    missing = {name: "not stated" for name in ("source", "licence", "citation") if name not in named}
    return {**named, **missing, "leaks from test into training": card.audit.get("verdict", "not audited")}


def _measured(card: HeadCard) -> dict[str, Any]:
    found: dict[str, Any] = {"compared by": card.metric}
    said = _AT_THRESHOLD if card.thresholds else {}
    for split in ("validation", "test"):
        overall = {name: value for name, value in (card.metrics.get(split) or {}).items() if "/" not in name}
        overall.pop("threshold", None)  # of the answers, as `_input` has it
        found |= {f"{split} {said.get(name, name)}": _number(value) for name, value in sorted(overall.items())}
    if interval := card.metrics.get("interval"):
        found[f"test {card.metric}, 95 % interval"] = f"{interval[0]:.3f} to {interval[1]:.3f}"
    calibration = card.metrics.get("calibration") or {}
    for name in ("error_before", "error_after"):
        if name in calibration:
            found[f"test calibration {name.replace('_', ' ')}"] = _number(calibration[name])
    for group, held in (calibration.get("coverage") or {}).items():
        if group == "all" or group.startswith("gc/"):
            found[f"test coverage, {group}"] = _number(held["coverage"])
    baselines = card.metrics.get("baselines") or {}
    own, compared = card.measured("validation"), card.metrics.get("compared")
    if None not in (own, compared) and _number(own) != _number(compared):
        found[f"validation {card.metric} before calibration, as baselines have it"] = _number(compared)
    return found | {f"baseline {name}, validation": _number(value) for name, value in sorted(baselines.items())}


def _number(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value


def _section(title: str, values: dict[str, Any]) -> list[str]:
    """A table of what has a value; what is nested is left to `config.json`."""
    rows = [f"| {_cell(name)} | {_cell(value)} |" for name, value in values.items() if _shown(value)]
    return rows and [f"## {title}", "| | |", "| --- | --- |", *rows, ""]


def _shown(value: Any) -> bool:
    return value is not None and not isinstance(value, dict)


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
