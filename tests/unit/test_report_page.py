"""The report page: nothing from outside, nothing unescaped, nothing claimed that the intervals do not allow."""

import copy
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from genomics_fm.report.page import render
from genomics_fm.report.table import terminal_table
from tests.unit.report_result import full, pair

HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"
SECTIONS = [key for key in full() if key != "format_version"]


class Page(HTMLParser):
    """Tags with their attributes, and the text people see, by table row and in all."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[str] = []
        self.text = ""
        self._hidden = False
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._hidden = tag == "style"
        if tag == "tr":
            self.rows.append("")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += data + " "
            if self.rows:
                self.rows[-1] += data + " "


def hostile(value: Any) -> Any:
    """The same structure with every string replaced by markup that would run a script."""
    if isinstance(value, dict):
        return {key: hostile(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [hostile(inner) for inner in value]
    return HOSTILE if isinstance(value, str) else value


def emptied(value: Any) -> Iterator[Any]:
    """Copies of the result in which one entry of one section is None."""
    for name in SECTIONS:
        section = value[name]
        first = section[0] if isinstance(section, list) else section
        for key in first if isinstance(first, dict) else ():
            made = copy.deepcopy(value)
            target = made[name][0] if isinstance(section, list) else made[name]
            target[key] = None
            yield made


def test_nothing_is_loaded_from_outside() -> None:
    source = render(full())
    page = Page(source)
    loaded = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster", "background")
    ]
    assert loaded == []
    assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "embed", "base", "form"} == set()
    assert "url(" not in source
    assert "@import" not in source
    policy = [a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_markup_in_any_value_stays_text() -> None:
    source = render(hostile(full()))
    tags = {tag for tag, _ in Page(source).tags}
    assert tags & {"script", "img"} == set()
    assert not any(name.startswith("on") for _, attributes in Page(source).tags for name in attributes)
    assert "&lt;script&gt;" in source


def test_better_stands_only_where_the_comparison_says_so() -> None:
    result = full()
    result["comparisons"] = [
        pair("above", "p", 0.05, 0.01, 0.09),
        pair("below", "q", -0.05, -0.09, -0.01),
        pair("across", "r", 0.05, -0.01, 0.11),
        pair("touching", "s", 0.05, 0.0, 0.1),
        pair("chance", "t", 0.05, 0.01, 0.09) | {"p_adjusted": 0.07, "sign": 0},
        {"a": "older", "b": "u", "difference": 0.05, "interval": [0.01, 0.09]},
    ]
    page = Page(render(result))
    said = {row.split()[0]: row for row in page.rows if " against " in row}
    assert "above is better" in said["above"]
    assert "q is better" in said["below"]
    assert "no difference shown" in said["across"]
    assert "no difference shown" in said["touching"]
    assert "no difference shown" in said["chance"] and "0.070" in said["chance"]
    assert "not compared" in said["older"]
    assert len(re.findall("better", page.text)) == 2
    printed = terminal_table(result)
    assert printed.count("better") == 2
    assert printed.count("no difference shown") == 3


def test_every_count_is_shown() -> None:
    page = Page(render(full()))
    for row in full()["counts"]:
        words = row["why"].replace("_", " ")
        assert any(words in shown and f"{row['count']:,}" in shown for shown in page.rows), row


def test_every_arm_baseline_hash_stage_and_command_is_shown() -> None:
    result = full()
    page = Page(render(result))
    for row in result["arms"] + result["baselines"]:
        assert any(f"{row['test_mcc']:.3f}" in shown and f"{row['labels_seen']:,}" in shown for shown in page.rows)
    for text in [*result["hashes"].values(), *(s["name"] for s in result["stages"]), *result["next_commands"]]:
        assert text in page.text


def test_the_plot_draws_one_marker_for_every_score_and_one_line_for_every_reference() -> None:
    result = full()
    wide = re.search(r'<svg[^>]*class="plot wide" role="img".*?</svg>', render(result), re.DOTALL)
    assert wide is not None
    scored = [row for row in result["baselines"] if row["name"] not in ("majority", "six-frame open")]
    assert len(re.findall("<title>", wide[0])) == len(result["arms"]) + len(scored)
    assert len(re.findall('class="rule ', wide[0])) == 2
    for row in scored:
        assert f"MCC {row['test_mcc']:.3f}" in wide[0]


def test_the_page_says_what_this_task_can_show() -> None:
    text = " ".join(Page(render(full())).text.split())
    assert "An ORF scan solves this task." in text
    assert "it shows the pipeline, not biology" in text
    for figure in ("0.865", "0.700", "0.640", "0.280", "9,694", "2,204", "5,636"):
        assert figure in text
    assert "read none of its scores" not in text


def test_a_score_or_row_count_far_from_the_reference_is_called_out() -> None:
    assert 'class="bad"' not in render(full())
    result = full()
    for row in result["baselines"]:
        if row["name"] == "GC threshold":
            row["test_mcc"] = 0.2
    assert "differs by more than 0.03" in render(result)
    result = full()
    next(row for row in result["counts"] if row["why"] == "rows_before_containment")["count"] = 9693
    assert '<span class="bad">differs</span>' in render(result)


def test_a_smoke_run_is_not_measured_against_the_reference() -> None:
    result = full() | {"preset": "smoke"}
    result["baselines"] = [row | {"labels_seen": 160, "test_mcc": 0.1} for row in result["baselines"]]
    source = render(result)
    assert "read none of its scores as a result" in source
    assert "not comparable" in source
    assert 'class="bad"' not in source


def test_only_the_preset_makes_a_smoke_run() -> None:
    assert "read none of its scores" not in render(full() | {"name": "quickstart-smoke"})


def not_promoted() -> dict[str, Any]:
    result = full()
    result["champion"] |= {"version": "3", "champion_version": "2", "promoted": False, "why": "no better by validation"}
    return result


def test_a_head_that_was_not_promoted_is_nowhere_called_the_champion() -> None:
    text = " ".join(Page(render(not_promoted())).text.split())
    assert "This run's head (version 3) did not replace champion version 2: no better by validation" in text
    assert "The champion, and how to call it" not in text
    assert "champion of yeast_coding" not in text
    assert "is the champion" not in text
    printed = terminal_table(not_promoted())
    assert "this run's head (version 3) did not replace champion version 2" in printed
    text = " ".join(Page(render(full())).text.split())
    assert "This run's head (version 1) is the champion" in text
    assert "test MCC of this run's head, champion of yeast_coding" in text
    assert "this run's head (version 1) is the champion" in terminal_table(full())


def test_the_page_says_how_to_serve_and_not_where_the_check_was() -> None:
    result = full()
    result["serving"]["url"] = "http://127.0.0.1:41234/quickstart-check"
    text = Page(render(result)).text
    assert "41234" not in text
    assert "./run job serve --model models:/yeast_coding@champion --port 8000" in text
    assert "curl -s http://127.0.0.1:8000/v1/predict" in text


def test_the_search_of_the_learning_rate_is_stated_with_every_rate_tried() -> None:
    page = Page(render(full()))
    words = " ".join(page.text.split())
    assert "searched with the first vocabulary only (BPE)" in words
    assert "used for all arms" in words
    tried = [row for row in page.rows if row.startswith(("Encoder", "CNN ")) and "e−" in row]
    assert len([row for row in tried if re.search(r"0\.\d{3}", row)]) >= 6
    chosen = [row.split() for row in page.rows if "chosen" in row]
    assert [(row[0], row[2]) for row in chosen] == [("Encoder", "0.614"), ("CNN", "0.599")]


def test_a_served_answer_outside_the_tolerance_is_called_out() -> None:
    result = full()
    result["serving"]["max_difference"] = 2e-5
    assert "NOT within the tolerance" in render(result)


def test_baselines_above_the_champion_on_validation_are_named() -> None:
    text = " ".join(Page(render(full())).text.split())
    assert "Baselines that score above this run's head on validation: Six-frame rule (ORF scan) (0.871)." in text


@pytest.mark.parametrize("missing", SECTIONS)
def test_a_missing_section_leaves_a_whole_page(missing: str) -> None:
    result = full()
    del result[missing]
    assert render(result).endswith("</html>\n")
    assert terminal_table(result)


def test_no_section_at_all_and_absent_values_leave_a_whole_page() -> None:
    assert "An ORF scan solves this task." in render({})
    for made in emptied(full()):
        assert render(made).endswith("</html>\n")
        assert terminal_table(made)


def test_pictures_and_tables_are_said_to_a_screen_reader() -> None:
    page = Page(render(full()))
    for tag, attributes in page.tags:
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or attributes.get("aria-label")
    count = {name: sum(tag == name for tag, _ in page.tags) for name in ("table", "caption", "thead")}
    assert count["table"] == count["caption"] == count["thead"] > 5
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
    assert ("html", {"lang": "en"}) in page.tags


def test_the_terminal_table_keeps_to_100_columns_and_shows_every_row() -> None:
    result = full()
    printed = terminal_table(result)
    assert max(map(len, printed.splitlines())) <= 100
    for row in result["arms"] + result["baselines"]:
        assert f"{row['labels_seen']:,}" in printed
        assert f"{row['test_mcc']:.3f}" in printed
    assert "[bold]" in terminal_table(result | {"champion": {"uri": "[bold]x[/bold]"}})


@pytest.mark.parametrize(
    ("vocabulary", "words"),
    [
        (
            {"bpe": 4_096, "kmer": 64},
            "of 7,266 ids: BPE (4,096 pieces), 3-mer (64 pieces); 941 pieces are spelt alike in",
        ),
        ({"kmer6": 4_096, "frame1": 64}, "of 7,266 ids: 6-mer (4,096 pieces), frame1 (64 pieces); 941 pieces"),
        ({"bpe": 4_096}, "of 7,266 ids: BPE (4,096 pieces)."),
        ({}, "of 7,266 ids: BPE, 6-mer; 941 pieces"),
    ],
)
def test_the_vocabulary_is_told_by_its_members(vocabulary: dict[str, int], words: str) -> None:
    result = full()
    result["vocabulary"]["pieces"] = vocabulary
    assert f"It trained an ensemble vocabulary {words}" in " ".join(Page(render(result)).text.split())
