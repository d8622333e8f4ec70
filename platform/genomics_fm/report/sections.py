"""The sections of the page about scores: plot, table, comparisons, champion, endpoint, reference figures.

Each takes the whole result and gives its markup, or None when the run has nothing to say there.
"""

import shlex
from typing import Any

from genomics_fm.report import labels, plots
from genomics_fm.report.markup import (
    ABSENT,
    Child,
    Html,
    count,
    finite,
    interval,
    interval_of,
    join,
    number,
    rate,
    table,
    tag,
)

# SPEC R36, measured before the containment filter on S. cerevisiae S288C.
REFERENCE_SCORES = (
    ("six_frame", None, "Six-frame rule: at least one of six frames open throughout", 0.865),
    ("logistic", 1.0, "Canonical 6-mer logistic regression, all labels", 0.70),
    ("logistic", 0.1, "Canonical 6-mer logistic regression, 10 % of labels", 0.64),
    ("gc", None, "GC threshold", 0.28),
)
REFERENCE_ROWS = {"train": 9694, "validation": 2204, "test": 5636}
REFERENCE_TOLERANCE = 0.03
SERVING_TOLERANCE = 1e-5
SERVE_PORT = 8000
SCORE_DOMAIN = (-0.1, 1.0)
EXAMPLE_SEQUENCE = "ATGACCGCTGAAGGTTCCGATAAACTG"


def efficiency(result: dict[str, Any]) -> Html | None:
    drawings = [plots.efficiency(result, frame) for frame in (plots.WIDE, plots.NARROW)]
    if drawings[0] is None:
        return None
    caption = (
        "Each point is one model; whiskers are 95 % intervals from a bootstrap over 20-kb blocks of the test "
        "chromosomes. Filled and solid: pretrained encoder; hollow and dashed: the same encoder from scratch. Every "
        "arm gets the same number of updates. Arms see capped rows; baselines stand at the rows they saw, capped "
        "and uncapped. Points are nudged sideways so that they do not hide each other. Dotted lines do not depend "
        "on labels."
    )
    return tag(
        "section",
        tag("h2", "How many labels does it take?"),
        tag("figure", *drawings, plots.legend(result), tag("figcaption", caption)),
    )


def dot(key: str, hollow: bool = False) -> Html:
    return tag("span", "", class_=f"key k-{key}" + (" hollow" if hollow else ""), aria_hidden="true")


def score_row(row: dict[str, Any], name: str, key: str, hollow: bool, note: str) -> list[Child]:
    """One line of the results table, arm or baseline."""
    return [
        join([dot(key, hollow), name, tag("small", note)]),
        count(row.get("labels_seen")),
        tag("strong", number(row.get("test_mcc"))),
        interval(row),
        plots.whisker(row, finite(row.get("test_mcc")), SCORE_DOMAIN, key) or ABSENT,
        number(row.get("validation_mcc")),
        count(row.get("updates")),
        rate(row.get("learning_rate")),
    ]


RESULT_HEADERS = (
    "Model and share of labels",
    "Labels seen",
    "Test MCC",
    "95 % interval",
    "Test MCC, 0 to 1",
    "Validation MCC",
    "Updates",
    "Learning rate",
)


def results(result: dict[str, Any]) -> Html | None:
    arms, baselines = labels.entries(result, "arms"), labels.entries(result, "baselines")
    if not arms and not baselines:
        return None
    rows: list[list[Child]] = []
    if arms:
        rows.append(["Finetuned heads"])
    seeds = len({arm.get("seed", 0) for arm in arms})
    for arm in arms:
        note = labels.percent(arm.get("fraction")) + (f", seed {arm.get('seed', 0)}" if seeds > 1 else "")
        scratch = arm.get("start") != "pretrained"
        rows.append(score_row(arm, labels.arm_name(arm), str(arm.get("vocabulary")), scratch, note))
    if baselines:
        rows.append(["Baselines on the same splits"])
    for row in baselines:
        name = str(row.get("name"))
        note = labels.percent(row.get("fraction")) + (", capped" if row.get("capped") else ", uncapped")
        rows.append(score_row(row, labels.baseline_name(name), labels.baseline_kind(name), False, note))
    words = (
        "Capped rows are the ones the heads saw, uncapped ones the whole share of the labels. Updates and "
        "learning rate stand where a model has them."
    )
    shown = table("Scores of every arm and baseline", RESULT_HEADERS, rows, numeric=(1, 2, 3, 5, 6, 7))
    return tag(
        "section", tag("h2", "Every arm and every baseline"), tag("p", words, class_="soft"), shown,
        search(result), class_="names",
    )  # fmt: skip


def search(result: dict[str, Any]) -> Html | None:
    """How the learning rates were chosen, and which were tried."""
    found = labels.section(result, "search")
    if not found:
        return None
    words = (
        "The learning rate of the encoder was searched with the first vocabulary only "
        f"({labels.vocabulary_name(found.get('vocabulary', '?'))}), by the mean over both starts of the cross entropy "
        "on validation rows, and used for all arms, though another vocabulary may have another optimum. The CNN's was "
        "searched in the same way for itself."
    )
    rows: list[list[Child]] = []
    for key, name in (("encoder", "Encoder"), ("cnn", "CNN")):
        tried = [pair for pair in found.get(key) or [] if isinstance(pair, list | tuple) and len(pair) == 2]
        scores = [score for _, value in tried if (score := finite(value)) is not None]
        for learning_rate, value in tried:
            chosen = scores and finite(value) == min(scores)
            rows.append([name, rate(learning_rate), number(value), "chosen" if chosen else ""])
    headers = ("Model", "Learning rate", "Validation cross entropy", "")
    shown = table("Learning rates tried", headers, rows, numeric=(1, 2)) if rows else None
    return join([tag("p", words, class_="soft"), tag("div", shown, class_="slim") if shown else None])


def comparisons(result: dict[str, Any]) -> Html | None:
    """Paired differences; "better" only where p, adjusted for all of them, is below 0.05."""
    pairs = labels.entries(result, "comparisons")
    if not pairs:
        return None
    reach = max([0.05, *(abs(end) for pair in pairs for end in interval_of(pair) or ())])
    rows: list[list[Child]] = []
    for pair in pairs:
        said = labels.verdict(pair)
        shown = tag("span", said, class_="better") if said.endswith("better") else said
        rows.append(
            [
                f"{labels.spoken(pair.get('a'))} against {labels.spoken(pair.get('b'))}",
                shown,
                number(pair.get("difference"), signed=True),
                interval(pair, signed=True),
                number(pair.get("p_adjusted")),
                plots.whisker(pair, finite(pair.get("difference")), (-reach, reach), "six_frame") or ABSENT,
            ]
        )
    words = (
        "Test MCC of the first minus the second, with a 95 % interval from a paired bootstrap over 20-kb blocks. "
        "Each interval stands alone: with many rows some exclude 0 by chance. A difference is claimed only where p, "
        "adjusted for all rows of the table (Holm), is below 0.05. Seeds of training are not in these numbers."
    )
    headers = ("Pair", "What may be said", "Difference", "95 % interval", "p", "Around 0")
    shown_table = table("Paired differences of test MCC", headers, rows, numeric=(2, 3, 4))
    return tag("section", tag("h2", "What may be compared"), tag("p", words, class_="soft"), shown_table)


def stronger_baselines(result: dict[str, Any]) -> str | None:
    """Baselines whose validation score is above that of this run's head: R30 wants them said."""
    own = finite(labels.section(result, "champion").get("validation_mcc"))
    if own is None:
        return None
    above: dict[str, float] = {}
    for row in labels.entries(result, "baselines"):
        score = finite(row.get("validation_mcc"))
        if score is not None and score > own:
            name = labels.baseline_name(str(row.get("name")))
            above[name] = max(score, above.get(name, score))
    named = ", ".join(f"{name} ({number(score)})" for name, score in above.items())
    return f"Baselines that score above this run's head on validation: {named or 'none'}."


def champion(result: dict[str, Any]) -> Html | None:
    found = labels.section(result, "champion")
    if not found:
        return None
    name, kept = str(found.get("name", "?")), labels.replaced_nothing(found)
    uri = str(found.get("uri") or f"models:/{name}@champion")
    state = labels.head_state(found)
    why = f"{state[0].upper()}{state[1:]}: {found.get('why') or 'no reason recorded'}"
    facts: list[Child] = [
        tag("dt", "Registered as"), tag("dd", tag("code", f"{name}, version {found.get('version', '?')}")),
        tag("dt", "Validation MCC"), tag("dd", number(found.get("validation_mcc"))),
        tag("dt", "Test MCC"), tag("dd", number(found.get("test_mcc")) + " (not used in the choice)"),
    ]  # fmt: skip
    calls = [
        tag("p", "The champion without Ray, from its folder:"),
        tag("pre", offline_call(str(found.get("head") or "HEAD_FOLDER"))),
        tag("p", "The champion over HTTP: start the endpoint, then ask it from another terminal:"),
        tag("pre", f"./run job serve --model {shlex.quote(uri)} --port {SERVE_PORT}"),
        tag("pre", http_call(f"http://127.0.0.1:{SERVE_PORT}")),
    ]
    below = stronger_baselines(result)
    return tag(
        "section",
        tag("h2", "This run's head, and how to call the champion" if kept else "The champion, and how to call it"),
        tag("p", why), tag("dl", *facts), tag("p", below) if below else None, *calls,
    )  # fmt: skip


def offline_call(head: str) -> str:
    return f"./run genomics-fm predict --head {shlex.quote(head)} your.fa -o predictions.parquet"


def http_call(url: str) -> str:
    """The curl line for an endpoint, safe to paste whatever the address holds."""
    address = url if url.rstrip("/").endswith("/v1/predict") else url.rstrip("/") + "/v1/predict"
    body = '{"sequences": ["' + EXAMPLE_SEQUENCE + '"]}'
    return f"curl -s {shlex.quote(address)} -H 'content-type: application/json' -d '{body}'"


def serving(result: dict[str, Any]) -> Html | None:
    found = labels.section(result, "serving")
    if not found:
        return None
    gap = finite(found.get("max_difference"))
    if gap is None:
        compared = tag("p", "The endpoint and the command line were not compared.")
    else:
        inside = gap <= SERVING_TOLERANCE
        gap_words = f"{gap:.1e}" if gap else "0"
        words = "within" if inside else "NOT within"
        compared = tag(
            "p",
            f"{count(found.get('sequences'))} held-out sequences went through the endpoint and through ",
            tag("code", "genomics-fm predict"),
            f" in a separate process without Ray. The largest difference of a probability is {gap_words}: ",
            tag("span", f"{words} the tolerance of 1e-5", class_=None if inside else "bad"),
            ".",
        )
    median = finite(found.get("p50_ms"))
    speed = tag("p", f"Median answer time {median:.1f} ms a request.") if median is not None else None
    return tag("section", tag("h2", "The endpoint"), compared, speed)


def measured(result: dict[str, Any], kind: str, fraction: float | None) -> float | None:
    """This run's uncapped test MCC of a baseline at `fraction`, or at its largest when that is None."""
    found = [
        (finite(row.get("fraction")) or 0.0, finite(row.get("test_mcc")))
        for row in labels.entries(result, "baselines")
        if labels.baseline_kind(str(row.get("name"))) == kind and not row.get("capped")
    ]
    wanted = [(share, score) for share, score in found if fraction is None or share == fraction]
    return max(wanted, key=lambda pair: pair[0])[1] if wanted else None


def rows_before_containment(result: dict[str, Any], split: str) -> float | None:
    for row in labels.entries(result, "counts"):
        if (row.get("what"), row.get("why")) == (f"task, {split}", "rows_before_containment"):
            return finite(row.get("count"))
    return None


def trained_on_all_rows(result: dict[str, Any]) -> bool:
    """Whether some baseline saw every training row: a smoke run's scores are not comparable with the reference."""
    seen = [finite(row.get("labels_seen")) or 0.0 for row in labels.entries(result, "baselines")]
    return max(seen, default=0.0) == REFERENCE_ROWS["train"]


def agreement(here: float | None, known: float, comparable: bool) -> Child:
    if here is None:
        return "not measured in this run"
    if not comparable:
        return "other rows: not comparable"
    if abs(here - known) <= REFERENCE_TOLERANCE:
        return f"agrees within {REFERENCE_TOLERANCE}"
    return tag("span", f"differs by more than {REFERENCE_TOLERANCE}", class_="bad")


def reference(result: dict[str, Any]) -> Html:
    """The figures known for this task beside what this run measured: the check that the data set is right."""
    comparable = trained_on_all_rows(result)
    rows: list[list[Child]] = []
    for kind, fraction, words, known in REFERENCE_SCORES:
        here = measured(result, kind, fraction)
        rows.append([words, number(known), number(here), agreement(here, known, comparable)])
    for split, wanted in REFERENCE_ROWS.items():
        got = rows_before_containment(result, split)
        same: Child = "equal" if got == wanted else tag("span", "differs", class_="bad")
        verdict = "not recorded in this run" if got is None else same
        rows.append([f"Rows, {split}, before the containment filter", count(wanted), count(got), verdict])
    words = (
        "Measured for this task before this software existed, on S. cerevisiae S288C: test = chromosomes IV, VII and "
        "XV, validation = II and XIII. A full run that disagrees has another data set."
    )
    headers = ("Figure (test MCC unless said)", "Reference", "This run", "")
    return tag(
        "section",
        tag("h2", "What is known about this task"),
        tag("p", words, class_="soft"),
        table("Reference figures and this run", headers, rows, numeric=(1, 2)),
    )
