"""How a pretraining did on held-out sequence: sections of its page."""

from collections.abc import Sequence
from typing import Any

from genomics_fm.report import labels, pretraining_plots
from genomics_fm.report.markup import Child, Html, count, finite, number, percent, table, tag

ALL = "all together"
PANELS = 12
"""Sources that are drawn; the table has every one."""
COMPARISON = (
    "Losses, accuracies and bits of different vocabularies are not comparable: each is asked other questions. "
    "Compare within a vocabulary, and with the Markov models on the same bases; they see the true letters before each "
    "base, hidden ones too, which the encoder does not. A base behind the end of a piece that is too short counts as "
    "wrong. Fewer bits are better. These losses are not those of training either: there the softmax is over all "
    "vocabularies, and not everything hidden becomes [MASK]. Every small plot has a scale of its own."
)


def held_out_sections(scored: Sequence[dict[str, Any]], names: dict[str, str], notes: Sequence[str]) -> list[Html]:
    """A section for each vocabulary: panels over the steps where there are two scorings, and the last as a table.

    Args:
        scored: as `validations_of` a log.
        names: vocabularies as people read them, by name.
        notes: sentences on the sequence.
    """
    if not scored:
        words = (
            "The run was not scored on held-out sequence: it was started without --validation, or has not got so far."
        )
        return [tag("section", tag("h2", "Held-out sequence"), tag("p", words))]
    last, roles = scored[-1], pretraining_plots.roles_of(list(names))
    of_last = [one for one in scored if one["set"] == last["set"]]
    made: list[Html] = []
    for name, figures in last["vocabularies"].items():
        sources = _sources(figures)
        panels = _panels(name, sources, of_last, roles.get(name, "majority")) if len(of_last) > 1 else []
        shown = tag("div", *panels, class_="panels") if panels else None
        heading = tag("h2", f"Held-out sequence, {names.get(name, name)} reading")
        bpe = [labels.BPE_BASES] if "bpe" in last["vocabularies"] else []
        caution = tag("p", " ".join([COMPARISON, *bpe, *notes]), class_="soft") if not made else None
        made.append(tag("section", heading, shown, _scores(sources, last["step"]), caution))
    return made


def _panels(name: str, sources: dict[str, dict[str, Any]], scored: Sequence[dict[str, Any]], role: str) -> list[Html]:
    """Small plots of the first sources, the score of one vocabulary over the steps."""
    score, what = _score_of(next(iter(sources.values())))
    scale = 100.0 if what.endswith("%") else 1.0
    panels = []
    for source in list(sources)[:PANELS]:
        found = [(one["step"], finite(_group(one["vocabularies"][name], source).get(score))) for one in scored]
        points = [(step, scale * value) for step, value in found if value is not None]
        rules = {name: scale * value for name, value in pretraining_plots.rules_of(sources[source], score).items()}
        drawn = pretraining_plots.scores_panel(source, what, points, rules, role)
        panels += [tag("figure", tag("figcaption", source), drawn)] if drawn is not None else []
    return panels


def _sources(figures: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """All together and each source, in the order they were given in; one alone is not shown twice."""
    every = {ALL: figures["all"]} if len(figures["by_source"]) > 1 else {}
    return every | figures["by_source"]


def _group(figures: dict[str, Any], source: str) -> dict[str, Any]:
    return figures["by_source"].get(source, figures["all"] if source == ALL else {})


def _score_of(figures: dict[str, Any]) -> tuple[str, str]:
    """What is drawn: bits a nucleotide where tokens stand side by side, else the share of bases read rightly."""
    if "bits_per_nucleotide" in figures:
        return "bits_per_nucleotide", "bits a nucleotide"
    return "base_accuracy", "bases read rightly, %"


def _scores(sources: dict[str, dict[str, Any]], step: int) -> Html:
    models = list(dict.fromkeys(model for group in sources.values() for model in group["markov"]))
    side_by_side = any("bits_per_nucleotide" in group for group in sources.values())
    heads = ["Species or file", "Hidden bases", "Loss a token", "Bases right", *["Bits a nucleotide"] * side_by_side]
    for model in models:
        heads += [f"Markov {model}: right", *[f"Markov {model}: bits"] * side_by_side]
    rows: list[list[Child]] = []
    for source, group in sources.items():
        cells: list[Child] = [
            source,
            count(group["hidden_bases"]),
            number(group["loss"]),
            percent(group["base_accuracy"]),
        ]
        cells += [number(group.get("bits_per_nucleotide"))] if side_by_side else []
        for model in models:
            of_model = group["markov"].get(model, {})
            cells.append(percent(of_model.get("base_accuracy")))
            cells += [number(of_model.get("bits_per_nucleotide"))] if side_by_side else []
        rows.append(cells)
    return table(f"After step {step:,}", heads, rows, range(1, len(heads)))
