"""One self-contained HTML page of a study of scale: what was run, what it scored, and what may not be concluded."""

from typing import Any

from genomics_fm.report import labels
from genomics_fm.report.markup import ABSENT, Child, Html, count, duration, finite, join, number, percent, table, tag
from genomics_fm.report.page import document
from genomics_fm.report.study_plots import FRAMES, curve_legend, curve_plot
from genomics_fm.report.style import STYLE
from genomics_fm.report.svg import short
from genomics_fm.studies.scaling import AXES, LEAST_LEVELS, LEAST_SPAN, SAME_TOKENS, curve, levels, readings

HASH_LETTERS = 12
SMALL_PARAMETERS, SMALL_TOKENS = 1e8, 1e10
"""Below either, a study is small: it shows that the command works."""
LOSS_DIGITS = 4
GOES_ALONG = (
    "The learning rate goes with the size, warm-up and decay with the length, and another vocabulary brings embeddings "
    "of its own. Equal tokens are equally many steps of equal batches; how full rows get differs by a few per cent."
)
FIGURES = {"loss": "loss (nats a masked token)", "base_accuracy": "accuracy of a hidden base"}
AGAINST = {"parameters": "parameters (log scale)", "tokens": "tokens read in training (log scale)"}


def study_page(result: dict[str, Any]) -> str:
    """Build the page.

    Args:
        result: the study's JSON, also of one that is not finished.

    Returns:
        A whole HTML document.
    """
    rows = result["rows"]
    parts = [
        _heading(result),
        _caution(result),
        _tiles(result),
        *(_reading(rows, name) for name in readings(rows)),
        _effects(result),
        _fits(result),
        _runs(rows),
        _sources(rows),
        _about(result),
    ]
    return document(f"Genomics-FM study: {result['name']}", parts, STYLE)


def _heading(result: dict[str, Any]) -> Html:
    ran, cells = len(result["rows"]), result["cells"]
    state = f"{ran} runs" if ran == cells else f"{ran} of {cells} runs so far; the same command goes on"
    axes = "Size × corpus × vocabularies × length × seed: every combination is one pretraining."
    return tag("header", tag("h1", f"Study of scale: {result['name']}"), tag("p", axes), tag("p", state))


def is_small(rows: list[dict[str, Any]]) -> bool:
    """Whether even the largest runs are far below those a law could be read from."""
    return (
        max(row["parameters"] for row in rows) < SMALL_PARAMETERS or max(row["tokens"] for row in rows) < SMALL_TOKENS
    )


def _caution(result: dict[str, Any]) -> Html:
    rows = result["rows"]
    largest, longest = max(row["parameters"] for row in rows), max(row["tokens"] for row in rows)
    words = (
        f"Runs this small (at most {short(largest)} parameters and {short(longest)} tokens) support no law. They show "
        "that the study runs, scores and compares; differences between them say nothing about larger models, more "
        "data or biology."
    )
    small = tag("p", tag("strong", "No conclusion about scale. "), words) if is_small(rows) else None
    return tag(
        "section",
        tag("h2", "Read this first"),
        small,
        tag("p", f"{result['comparison']} So every figure and every difference below is of one reading vocabulary."),
        tag("p", "All runs are scored on the same held-out sequences under the same masks. They are pseudo-likelihoods "
                 "of pretraining, not scores on tasks."),
        tag("p", labels.BPE_BASES),
        class_="note",
    )  # fmt: skip


def _tiles(result: dict[str, Any]) -> Html:
    rows = result["rows"]
    made = [
        (count(len(rows)), "pretrainings"),
        (short(max(row["parameters"] for row in rows)), "parameters of the largest"),
        (short(max(row["tokens"] for row in rows)), "tokens of the longest"),
        (duration(sum(row["seconds"] for row in rows)), "of training in all"),
    ]
    return tag("ul", *(tag("li", tag("b", b), tag("span", s)) for b, s in made), class_="tiles")


def _reading(rows: list[dict[str, Any]], name: str) -> Html:
    """Loss and accuracy of one reading vocabulary against parameters and tokens."""
    figures: list[Child] = []
    for against, words in AGAINST.items():
        drawn = [
            [curve_plot(curve(rows, name, against, figure), name, (words, axis), frame) for frame in FRAMES]
            for figure, axis in FIGURES.items()
        ]
        if drawn[0][0] is None:
            continue
        fixed = "longest runs" if against == "parameters" else "largest encoders"
        fixed += " that every line has"
        caption = (
            f"{labels.vocabulary_name(name)} reading, the {fixed}; seeds are averaged. Colour is the corpus. Hollow "
            "and dashed: learned together with another vocabulary, at equal tokens in all. No y axis begins at 0."
        )
        figures += [tag("figure", *drawings) for drawings in drawn[:-1]]
        legend = curve_legend(curve(rows, name, against))
        figures.append(tag("figure", *drawn[-1], legend, tag("figcaption", caption)))
    if not figures:
        figures.append(tag("p", "One size and one length: there is no curve, see the table of runs.", class_="soft"))
    return tag("section", tag("h2", f"{labels.vocabulary_name(name)} reading"), *figures)


def _signed(value: object) -> str:
    return number(value, LOSS_DIGITS, signed=True)


def _effects(result: dict[str, Any]) -> Html:
    rows: list[list[Child]] = []
    for axis in AXES:
        of_axis = [found for found in result["effects"] if found["axis"] == axis]
        if of_axis:
            rows.append([axis])
        for found in of_axis:
            low, high = found["loss_range"]
            rows.append([
                f"{labels.spoken(found['from'])} → {labels.spoken(found['to'])}",
                labels.vocabulary_name(found["reading"]),
                found["matched"] if axis == "vocabulary" else SAME_TOKENS if axis != "steps" else ABSENT,
                count(found["pairs"]),
                _signed(found["loss"]),
                f"{_signed(low)} to {_signed(high)}",
                _signed(found["accuracy"]),
            ])  # fmt: skip
    heads = ("Change", "Reads", "Equal", "Pairs", "Loss, mean", "Least and largest", "Accuracy, mean")
    shown = table("Differences between runs equal in all else", heads, rows, (3, 4, 5, 6)) if rows else None
    noise = {name: value for name, value in result["seed_noise"].items() if value is not None}
    said = ", ".join(f"{labels.vocabulary_name(name)} {number(value, LOSS_DIGITS)}" for name, value in noise.items())
    words = (
        f"Between runs that differ in their seed alone the loss varies by (standard deviation): {said}."
        if noise
        else "One seed: how much of a difference is chance is not known. Two or more (--seeds 0 1) would tell."
    )
    absent = tag("p", "No two runs differ in one thing alone yet.", class_="soft") if not rows else None
    goes_along = tag("p", GOES_ALONG, class_="soft") if rows else None
    return tag("section", tag("h2", "What changes what"), shown, absent, goes_along, tag("p", words))


def _fits(result: dict[str, Any]) -> Html:
    if not any("exponent" in fit for fit in result["fits"]):
        most = max((fit["levels"] for fit in result["fits"]), default=0)
        why = (
            f"No power law is fitted: a curve has {most} point{'s' * (most != 1)} at most, and {LEAST_LEVELS} that "
            f"span a factor of {LEAST_SPAN:g} are the least."
        )
        return tag("section", tag("h2", "Fits"), tag("p", why))
    rows: list[list[Child]] = []
    for fit in result["fits"]:
        known = "exponent" in fit
        rows.append([
            f"{labels.vocabulary_name(fit['reading'])}, {fit['corpus']}, {labels.spoken(fit['vocabulary'])}",
            fit["against"],
            f"loss = {number(fit['factor'], 3)} · x^−{number(fit['exponent'], 3)}" if known else ABSENT,
            number(fit["error"], 3) if known else ABSENT,
            f"{fit['levels']} levels over {fit['span']:.3g} ×" if known else f"not fitted: {fit['why']}",
        ])  # fmt: skip
    heads = ("Reads, corpus, vocabularies", "Against", "Fit", "Standard error of the exponent", "From")
    words = (
        "A straight line through logarithms, without the loss that remains at any scale, which so few points cannot "
        "tell. Outside the range it was fitted in it predicts nothing."
    )
    return tag("section", tag("h2", "Fits"), table("Power laws", heads, rows, (3,)), tag("p", words, class_="soft"))


def _runs(rows: list[dict[str, Any]]) -> Html:
    shown: list[list[Child]] = []
    models = sorted(next(iter(rows[0]["scores"].values()))["all"]["markov"], key=lambda name: (len(name), name))
    for name in readings(rows):
        shown.append([f"{labels.vocabulary_name(name)} reading"])
        for row in (row for row in rows if name in row["scores"]):
            figures = row["scores"][name]["all"]
            markov = [percent(figures["markov"][model]["base_accuracy"]) for model in models]
            shown.append([
                f"{row['size']}, {row['corpus']}, {labels.spoken(row['vocabulary'])}",
                count(row["parameters"]),
                count(row["tokens"]),
                short(row["flops"] / 1e12),
                str(row["seed"]),
                number(figures["loss"], LOSS_DIGITS),
                percent(figures["base_accuracy"]),
                number(figures.get("bits_per_nucleotide"), 3) if "bits_per_nucleotide" in figures else ABSENT,
                " / ".join(markov) or ABSENT,
            ])  # fmt: skip
    heads = (
        "Run",
        "Parameters",
        "Tokens",
        "TFLOP, calculated",
        "Seed",
        "Loss a token",
        "Accuracy a base",
        "Bits a base",
    )
    last = f"Markov on the same bases: {' / '.join(models)}"
    return tag("section", tag("h2", "Every run"), table("Scores on held-out sequences", (*heads, last), shown,
                                                       range(1, len(heads) + 1)))  # fmt: skip


def _sources(rows: list[dict[str, Any]]) -> Html:
    """Held-out sources apart, for the largest of the longest runs."""
    longest = [row for row in rows if row["steps"] == levels(rows, "steps")[-1]]
    last = [row for row in longest if row["size"] == levels(longest, "size")[-1]]
    shown: list[list[Child]] = []
    for row in last:
        for name, scores in row["scores"].items():
            words = f"{row['corpus']}, {labels.spoken(row['vocabulary'])}, {labels.vocabulary_name(name)} reading"
            shown.append([f"{words}, seed {row['seed']}"])
            for source, figures in scores["by_source"].items():
                markov = figures["markov"].values()
                best = max((finite(of["base_accuracy"]) or 0.0 for of in markov), default=None)
                cells = (number(figures["loss"], LOSS_DIGITS), percent(figures["base_accuracy"]), percent(best))
                shown.append([source, count(figures["hidden_bases"]), *cells])
    heads = ("Held-out source", "Hidden bases", "Loss a token", "Accuracy a base", "Best Markov model")
    words = tag("summary", "The largest of the longest runs by held-out source")
    made = tag("details", words, table("By source", heads, shown, (1, 2, 3, 4)))
    return tag("section", tag("h2", "By species"), made)


def _about(result: dict[str, Any]) -> Html:
    facts = [
        *((f"corpus {name}", f"{about['sha256']}, {count(about['nucleotides'])} nt")
          for name, about in result["corpora"].items()),
        *((f"vocabularies {name}", sha256) for name, sha256 in result["vocabularies"].items()),
        ("held out", f"{', '.join(result['held_out']['files'])}; stretches {result['held_out']['sha256']}"),
        ("hidden", ", ".join(f"{name} {value}" for name, value in result["evaluation"].items())),
        ("settings of the runs", result["training_sha256"]),
        ("workers of a run", str(result["workers"])),
    ]  # fmt: skip
    listed = [join([tag("dt", name), tag("dd", tag("code", value))]) for name, value in facts]
    runs: list[list[Child]] = [
        [row["run"], tag("code", row["weights_sha256"][:HASH_LETTERS])] for row in result["rows"]
    ]
    folded = tag("details", tag("summary", "Weights"), table("sha256 of the weights", ("Run", "sha256"), runs))
    left_out = result["held_out"]["left_out"]
    words = (
        f"{count(left_out)} drawn stretches stand in one of the corpora by their 31-mers, on either strand; no run is "
        "scored on them."
    )
    return tag("section", tag("h2", "How it was made"), tag("dl", *listed), tag("p", words, class_="soft"), folded)
