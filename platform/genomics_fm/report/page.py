"""One self-contained HTML page from a quickstart's result: no script, no network, every value escaped."""

from collections.abc import Iterable
from typing import Any

from genomics_fm.report import labels, plots, sections
from genomics_fm.report.markup import (
    ABSENT,
    Child,
    Html,
    count,
    duration,
    finite,
    interval,
    join,
    number,
    table,
    tag,
)
from genomics_fm.report.style import STYLE

# Nothing may be fetched even if a value on the page tried to: no script, no frame, no remote picture.
CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
REFERENCE_ORF_MCC = 0.865
SPLIT_PREFIX = "task, "  # what the counts of one split are called


def render(result: dict[str, Any]) -> str:
    """Build the report.

    Args:
        result: the quickstart's `result.json`; sections that are absent are left out or said to be absent.

    Returns:
        A whole HTML document.
    """
    name = str(result.get("name") or "quickstart")
    parts = [
        heading(result, name),
        caution(result),
        tiles(result),
        done(result),
        sections.efficiency(result),
        sections.results(result),
        sections.comparisons(result),
        sections.reference(result),
        pretraining(result),
        sections.champion(result),
        sections.serving(result),
        dropped(result),
        times(result),
        hashes(result),
        next_commands(result),
    ]
    return document(f"Genomics-FM report: {name}", parts)


def document(title: str, parts: Iterable[Child], style: str = STYLE) -> str:
    """A whole HTML document that loads nothing from anywhere."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=CONTENT_POLICY),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Html(style)),
    )
    body = tag("body", tag("main", *parts))
    return "<!doctype html>\n" + tag("html", head, body, lang="en") + "\n"


def heading(result: dict[str, Any], name: str) -> Html:
    machine = labels.section(result, "machine")
    known = [
        (machine.get("cores"), "{} cores"), (machine.get("memory_gib"), "{} GiB"), (machine.get("python"), "Python {}"),
        (machine.get("torch"), "torch {}"), (machine.get("ray"), "ray {}"),
    ]  # fmt: skip
    facts = ", ".join(words.format(value) for value, words in known if value is not None)
    began = str(result.get("started", ABSENT)).replace("T", " ").replace("+00:00", " UTC").replace("Z", " UTC")
    started = f"Preset {result.get('preset', ABSENT)}, started {began}"
    return tag("header", tag("h1", f"Genomics-FM: {name}"), tag("p", started), tag("p", facts) if facts else None)


def caution(result: dict[str, Any]) -> Html:
    """R36: what this task can and cannot show stands before any score."""
    here = sections.measured(result, "six_frame", None)
    in_run = f"; {number(here)} in this run" if here is not None else ""
    smoke = (
        tag("p", "A smoke run only passes every stage once with tiny trials: read none of its scores as a result.")
        if result.get("preset") == "smoke"
        else None
    )
    return tag(
        "section",
        tag("h2", "Read this first"),
        tag(
            "p",
            tag("strong", "An ORF scan solves this task."),
            " Coding against intergenic DNA of yeast: the rule “at least one of six reading frames is open "
            f"throughout” reaches a test MCC of about {REFERENCE_ORF_MCC:g} (measured reference{in_run}).",
        ),
        tag(
            "p",
            "A model trained for minutes on one genome shows that the pipeline works from a genome to an endpoint; "
            "it shows the pipeline, not biology.",
        ),
        smoke,
        class_="note",
    )


def tiles(result: dict[str, Any]) -> Html | None:
    """The four figures a reader looks for first."""
    made: list[tuple[str, str]] = []
    best = labels.section(result, "champion")
    if finite(best.get("test_mcc")) is not None:
        made.append((number(best.get("test_mcc")), f"test MCC of this run's {best_words(best)}"))
    rule = next((row for row in labels.entries(result, "baselines")
                 if labels.baseline_kind(str(row.get("name"))) == "six_frame"), None)  # fmt: skip
    if rule is not None:
        made.append((number(rule.get("test_mcc")), f"test MCC of the ORF scan ({interval(rule)})"))
    arms, baselines = labels.entries(result, "arms"), labels.entries(result, "baselines")
    if arms:
        made.append((str(len(arms)), f"heads trained, beside {len(baselines)} baseline fits"))
    if finite(result.get("seconds")) is not None:
        made.append((duration(result.get("seconds")), "for the whole run"))
    return tag("ul", *(tag("li", tag("b", b), tag("span", s)) for b, s in made), class_="tiles") if made else None


def best_words(found: dict[str, Any]) -> str:
    """What the head chosen by validation may be called."""
    return "best head by validation" if labels.replaced_nothing(found) else f"head, champion of {found.get('name')}"


def done(result: dict[str, Any]) -> Html:
    """One paragraph of what was done, from what the result holds."""
    said = ["The run read genomes strictly, cut them into windows and stored them as Arrow blocks with a manifest."]
    vocabulary = labels.section(result, "vocabulary")
    if vocabulary:
        said.append(vocabulary_words(vocabulary))
    train = labels.section(result, "pretraining")
    if train:
        said.append(pretraining_words(train))
    arms, baselines = labels.entries(result, "arms"), labels.entries(result, "baselines")
    if arms or baselines:
        said.append(
            f"It trained {len(arms)} classification heads on coding against intergenic windows of 200 nt and "
            f"{len(baselines)} baselines on the same splits."
        )
    best = labels.section(result, "champion")
    if best:
        said.append(
            f"The best head by validation was offered to the registry as {best.get('name')}; {labels.head_state(best)}."
        )
    answered = labels.section(result, "serving")
    if answered:
        said.append(
            f"Ray Serve loaded the champion and answered {count(answered.get('sequences'))} held-out sequences."
        )
    kept = (
        "Validation and test chromosomes of the embedded genome stayed out of the corpus, and so out of vocabulary "
        "training and pretraining."
    )
    return tag("section", tag("h2", "What was done"), tag("p", " ".join(said)), tag("p", kept))


def vocabulary_words(vocabulary: dict[str, Any]) -> str:
    """What the ensemble is made of: its members, with their pieces where the run counted them."""
    pieces = labels.section(vocabulary, "pieces")
    each = [f"{labels.member_of(name, number)} ({count(number)} pieces)" for name, number in pieces.items()]
    each = each or [labels.vocabulary_name(name) for name in labels.section(vocabulary, "nt_per_token")]
    shared = f"; {count(vocabulary.get('shared_pieces'))} pieces are spelt alike in two of them"
    members = f": {', '.join(each)}" if each else ""
    return (
        f"It trained an ensemble vocabulary of {count(vocabulary.get('size'))} ids{members}"
        f"{shared if len(each) > 1 else ''}."
    )


def pretraining_words(train: dict[str, Any]) -> str:
    steps, tokens = train.get("step") or [], train.get("tokens") or []
    resumed = train.get("resumed_at") or []
    again = f", resumed {len(resumed)} time{'s' * (len(resumed) != 1)}" if resumed else ""
    return (
        f"An encoder of {count(train.get('parameters'))} parameters was pretrained by masked language modelling for "
        f"{count(steps[-1] if steps else None)} steps and {count(tokens[-1] if tokens else None)} tokens on "
        f"{count(train.get('workers'))} workers ({count(train.get('tokens_per_second'))} tokens/s){again}."
    )


def pretraining(result: dict[str, Any]) -> Html | None:
    train = labels.section(result, "pretraining")
    drawings = [plots.loss(train, frame) for frame in (plots.WIDE_LOSS, plots.NARROW_LOSS)]
    if drawings[0] is None:
        return vocabulary_table(result)
    caption = (
        "Training loss on masked tokens: faint as it was, bold a moving mean. The dotted line is what a uniform "
        f"guess over the vocabulary scores ({number(train.get('uniform_loss'), 2)} nats). The two vocabularies mask "
        "different things, so their losses are not comparable; compare them by task score."
    )
    marks = train.get("resumed_at") or []
    resumed = f" Vertical marks: resumed from a checkpoint at step {', '.join(map(str, marks))}." if marks else ""
    return tag(
        "section",
        tag("h2", "Pretraining: loss by vocabulary"),
        tag("figure", *drawings, plots.loss_legend(train), tag("figcaption", caption + resumed)),
        vocabulary_table(result, wrap=False),
    )


def vocabulary_table(result: dict[str, Any], wrap: bool = True) -> Html | None:
    lengths = labels.section(labels.section(result, "vocabulary"), "nt_per_token")
    rows: list[list[Child]] = [
        [labels.vocabulary_name(name), number(both.get("forward"), 2), number(both.get("reverse"), 2)]
        for name, both in lengths.items()
        if isinstance(both, dict)
    ]
    if not rows:
        return None
    shown = table("Nucleotides a token, both strands", ("Vocabulary", "Forward", "Reverse complement"), rows, (1, 2))
    words = (
        "At equal numbers of tokens the vocabulary with longer steps reads more of the genome. The BPE pieces of a "
        "reverse complement are not the mirror image of the forward ones."
    )
    inner = join([tag("div", shown, class_="slim"), tag("p", words, class_="soft")])
    return tag("section", tag("h2", "Vocabularies"), inner) if wrap else inner


def dropped(result: dict[str, Any]) -> Html | None:
    """Every count of the run: what arose by split in one table, a column a split, the rest in another."""
    plain: list[list[Child]] = []
    splits: dict[str, dict[str, Child]] = {}
    for row in labels.entries(result, "counts"):
        what, why, shown = str(row.get("what")), labels.spoken(row.get("why")), count(row.get("count"))
        if what.startswith(SPLIT_PREFIX):
            splits.setdefault(what.removeprefix(SPLIT_PREFIX), {})[why] = shown
        else:
            plain.append([what, why, shown])
    if not plain and not splits:
        return None
    reasons = list(dict.fromkeys(why for counted in splits.values() for why in counted))
    rows: list[list[Child]] = [[why, *(counted.get(why, ABSENT) for counted in splits.values())] for why in reasons]
    general = table("Corpus and the rest", ("What", "Why", "Count"), plain, numeric=(2,)) if plain else None
    task = table("Task, by split", ("Windows", *splits), rows, range(1, len(splits) + 1)) if splits else None
    return tag("section", tag("h2", "Kept, skipped and dropped, counted"), general, task)


def times(result: dict[str, Any]) -> Html | None:
    stages = labels.entries(result, "stages")
    if not stages:
        return None
    longest = max([finite(stage.get("seconds")) or 0.0 for stage in stages] + [1e-9])
    rows: list[list[Child]] = []
    for stage in stages:
        seconds = finite(stage.get("seconds")) or 0.0
        filled = tag("span", "", class_="bar", style=f"width:{100 * seconds / longest:.1f}%")
        bar = tag("span", filled, class_="track", aria_hidden="true")
        kept = "inputs unchanged, not run again" if stage.get("skipped") else stage.get("summary") or ""
        rows.append([stage.get("name"), duration(stage.get("seconds")), bar, kept])
    shown = table("Time of each stage", ("Stage", "Time", "", "What came of it"), rows, numeric=(1,))
    total = finite(result.get("seconds"))
    words = tag("p", f"Whole run: {duration(total)}.", class_="soft") if total is not None else None
    return tag("section", tag("h2", "Where the time went"), shown, words)


def hashes(result: dict[str, Any]) -> Html | None:
    known = labels.section(result, "hashes")
    if not known and not labels.entries(result, "stages"):
        return None
    facts = [join([tag("dt", name), tag("dd", tag("code", value))]) for name, value in known.items()]
    folders: list[list[Child]] = [
        [stage.get("name"), tag("code", stage.get("folder")), tag("code", stage.get("hash") or ABSENT)]
        for stage in labels.entries(result, "stages")
        if stage.get("folder")
    ]
    shown = table("Folders, and the hash of each stage's inputs", ("Stage", "Folder", "Inputs"), folders)
    return tag(
        "section",
        tag("h2", "Hashes"),
        tag("p", "sha256 of the content: equal inputs give equal hashes on any machine.", class_="soft"),
        tag("dl", *facts) if facts else None,
        shown if folders else None,
    )


def next_commands(result: dict[str, Any]) -> Html | None:
    commands = result.get("next_commands")
    if not isinstance(commands, list) or not commands:
        return None
    items = [tag("li", tag("pre", str(command))) for command in commands]
    return tag("section", tag("h2", "Next"), tag("ol", *items))
