"""A study's page and curves: seeds are averaged, unfinished studies do not mislead, chance is not magnified."""

import re

import pytest

from genomics_fm.report.study_page import study_page
from genomics_fm.report.study_plots import FRAMES, curve_plot
from genomics_fm.studies import scaling
from tests.unit.test_report_page import Page
from tests.unit.test_studies_scaling import ROWS, result_of, row


def test_seeds_are_one_point_though_their_rows_hold_other_numbers_of_tokens() -> None:
    rows = [row("nano", "one", "bpe", steps, seed, bpe=8.0 - seed) for steps in (10, 100) for seed in (0, 1)]
    rows = [{**one, "tokens": one["tokens"] + one["seed"]} for one in rows]
    [points] = scaling.curve(rows, "bpe", "tokens").values()
    assert points == [(1_000.5, 7.5, 2), (10_000.5, 7.5, 2)]
    [fit] = [fit for fit in scaling.fits(rows) if fit["against"] == "tokens"]
    assert "2 points over 10 ×" in fit["why"], "two lengths are no four levels"


def test_lines_of_an_unfinished_study_are_of_runs_equally_long() -> None:
    longer = [*ROWS, row("nano", "many", "bpe", 20, 0, bpe=7.0)]
    at_ten = scaling.curve(ROWS, "bpe", "parameters")
    assert at_ten["one", "bpe"] == [(1_000, 8.0, 1), (3_000, pytest.approx(7.4), 2)], "many has no longer run yet"
    assert scaling.curve(longer, "bpe", "parameters")["one", "bpe"] == [(1_000, 7.8, 1)]
    both = scaling.curve([*ROWS, row("tiny", "many", "bpe", 10, 0, bpe=7.0)], "bpe", "tokens")
    assert both["one", "bpe"] == [(1_000, 8.0, 1), (2_000, 7.8, 1)], "no tiny run of both vocabularies yet"


@pytest.mark.parametrize(("scores", "filled"), [((0.312, 0.316), 0.35), ((0.1, 0.4), 0.87)])
def test_small_differences_do_not_fill_the_plot(scores: tuple[float, float], filled: float) -> None:
    frame = FRAMES[0]
    lines = {("one", "bpe"): [(1e3 * (n + 1), score, 1) for n, score in enumerate(scores)]}
    drawn = str(curve_plot(lines, "bpe", ("x", "y"), frame))
    heights = [float(y) for y in re.findall(r'<circle[^>]* cy="([\d.]+)"', drawn)][:2]
    assert abs(heights[0] - heights[1]) / (frame.y_end - frame.top) == pytest.approx(filled, abs=0.03)


def test_the_page_warns_of_accuracies_and_shows_the_sources_of_the_longest_runs_there_are() -> None:
    page = Page(study_page(result_of(ROWS)))
    assert "no measure by itself" in page.text and "41\u00a0% of the bases of worm and yeast" in page.text
    assert "learning rate goes with the size" in page.text
    source = study_page(result_of(ROWS))
    by_source = source[source.index("largest of the longest") :]
    assert "BPE+6-mer, BPE reading, seed 0" in by_source.partition("How it was made")[0], "tiny has not got so far"
