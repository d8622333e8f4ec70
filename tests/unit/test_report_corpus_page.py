"""The corpus page and its terminal tables: everything the manifest holds, nothing unescaped, nothing from outside."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from genomics_fm.artefacts import write_json, write_sealed_json
from genomics_fm.cli import app
from genomics_fm.report.corpus_page import corpus_page
from genomics_fm.report.corpus_table import corpus_text
from tests.unit.corpus_manifest import format_1, made_up
from tests.unit.test_report_page import HOSTILE, Page

GOLDEN = Path(__file__).parents[1] / "golden" / "format_1" / "corpus"


def hostile(manifest: dict[str, Any]) -> dict[str, Any]:
    """Every name a person gives replaced by markup that would run a script."""
    made = copy.deepcopy(manifest)
    for entry in made["assemblies"]:
        entry.update({name: HOSTILE + entry[name] for name in ("species", "assembly", "clade", "sha256")})
    for key in ("counts_by_species", "histograms"):
        made[key] = {HOSTILE + name: value for name, value in made[key].items()}
    for counts in made["counts_by_species"].values():
        counts |= {f"dropped_nt: {HOSTILE}": 5, HOSTILE: 6}
    made["similar"] = [{"a": HOSTILE, "b": HOSTILE, "ani": 1.0, "containment": 1.0, "dropped": HOSTILE}]
    made["plan"] = {HOSTILE: {HOSTILE: [HOSTILE]}}
    return made


def test_nothing_is_loaded_and_nothing_gets_through() -> None:
    for manifest in (made_up(), hostile(made_up()), format_1()):
        source = corpus_page(manifest, HOSTILE)
        page = Page(source)
        assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "img", "object", "base", "form"} == set()
        assert not any(name in attributes for _, attributes in page.tags for name in ("src", "href", "onerror"))
        assert "alert(1)" in page.text
        assert "url(" not in source and "@import" not in source


def test_the_page_shows_every_species_clade_reason_weight_and_pair() -> None:
    manifest = made_up()
    page = Page(corpus_page(manifest, "thirty"))
    rows = [re.sub(r"\s+", " ", row) for row in page.rows]
    for entry in manifest["assemblies"]:
        assert any(entry["species"] in row and f"{entry['nucleotides_kept']:,}" in row for row in rows), entry
        assert any(entry["assembly"] in row and f"{entry['weight']:g}" in row for row in rows)
    assert any(row.startswith("Bacteria 20,801,544 0.1 % 0.2 % 6 6 52.4 % 0.02 %") for row in rows)
    assert any(row.startswith("organelle 497,070 30 – < 0.01 %") for row in rows)
    assert any("Mus musculus GRCm39 99.96 % 98.0 % both kept" in row for row in rows)
    assert any("haplotype rows, as often as they are carried 2,123,366,400" in row for row in rows)
    assert any(row.startswith("131,072 to 262,143 224,196 99.8 %") for row in rows)
    assert "Nucleotides kept and left out add up to those read." in page.text
    assert "plan" not in page.text and "recipe.window_bp" in page.text


def test_the_plots_are_drawn_wide_and_narrow_with_a_dot_a_species_and_a_ridge_a_clade() -> None:
    tags = Page(corpus_page(made_up(), "thirty")).tags
    assert sum(tag == "circle" for tag, _ in tags) == 2 * 30
    assert sum(tag == "polygon" for tag, _ in tags) == 2 * 8
    boxes = [attributes for tag, attributes in tags if tag == "svg"]
    assert [box["class"] for box in boxes] == ["plot wide", "plot narrow"] * 2
    widths = [float(str(box["viewbox"]).split()[2]) for box in boxes]
    for dots, width in ((slice(0, 30), widths[0]), (slice(30, 60), widths[1])):
        places = [float(str(a["cx"])) for tag, a in tags if tag == "circle"][dots]
        assert 100 < min(places) < max(places) < width
    assert "Protozoa mostly 24 per cent" in str(boxes[2]["aria-label"])


def test_a_clade_with_a_long_name_does_not_leave_its_plot() -> None:
    manifest = made_up()
    for entry in manifest["assemblies"]:
        entry["clade"] = entry["clade"].replace("Fish", "Everything that swims in the sea")
    assert "Everything th…" in Page(corpus_page(manifest, "x")).text


def test_what_does_not_add_up_is_said() -> None:
    manifest = made_up()
    manifest["counts_by_species"]["Homo sapiens"]["nucleotides_kept"] -= 17
    assert "do not add up to those read: 17 nucleotides differ" in corpus_page(manifest, "x")
    assert "do not add up to those read: 17 nucleotides differ" in corpus_text(manifest)


def test_columns_that_say_nothing_are_left_out() -> None:
    manifest = made_up()
    for entry in manifest["assemblies"]:
        entry["weight"] = 1.0
    del manifest["counts_by_species"]["Homo sapiens"]["haplotype_rows"]
    del manifest["counts_by_species"]["Homo sapiens"]["haplotype_nt"]
    page = corpus_page(manifest, "x")
    assert "Share by weight" not in page.split("Sources and their weights")[0]
    assert "Haplotype rows, nt" not in page
    assert "All weigh 1: " in page
    text = corpus_text(manifest)
    assert "by weight" not in text and "haplotype" not in text


def test_the_terminal_shows_the_largest_within_a_hundred_columns() -> None:
    text = corpus_text(made_up())
    assert max(map(len, text.splitlines())) <= 100
    assert "The 20 largest of 30 species" in text
    assert "Homo sapiens" in text and "Helicobacter" not in text
    for words in ("Bacteria (6)", "run of N", "131,072 or more", "variants applied", "1 to 2.5", "both kept"):
        assert words in text, words
    assert "[" not in corpus_text(format_1())


@pytest.mark.parametrize("manifest", [made_up(), format_1()], ids=["2", "1"])
def test_the_command_reads_either_format(tmp_path: Path, manifest: dict[str, Any]) -> None:
    write_sealed_json(tmp_path / "manifest.json", manifest)
    target = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["describe", str(tmp_path), "-o", str(target)])
    assert result.exit_code == 0, result.output
    assert result.stdout == corpus_text(manifest)
    assert target.read_text() == corpus_page(manifest, str(tmp_path))
    assert str(target) in result.stderr


def test_the_golden_corpus_of_format_1_is_described() -> None:
    result = CliRunner().invoke(app, ["describe", str(GOLDEN)])
    assert result.exit_code == 0, result.output
    assert "4,820" in result.stdout


def test_what_is_no_corpus_ends_with_one_line(tmp_path: Path) -> None:
    changed = made_up() | {"sha256": "0" * 64}
    for name, manifest in (("newer", made_up() | {"format_version": 99}), ("changed", changed)):
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "manifest.json", manifest)
    (tmp_path / "empty").mkdir()
    cases = (
        (("empty",), 2, "manifest.json"),
        (("absent",), 2, "absent"),
        (("newer",), 3, "format_version 99"),
        (("changed",), 3, "changed since it was written"),
        (("empty", "-o", "page.pdf"), 2, ".html"),
    )
    for (name, *rest), code, words in cases:
        result = CliRunner().invoke(app, ["describe", str(tmp_path / name), *rest])
        assert result.exit_code == code, (name, result.output)
        (line,) = result.stderr.splitlines()
        assert line.startswith("error: ") and words in line
