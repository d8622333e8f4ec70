"""A study of scale: its runs, what is compared with what, and a whole one of seconds, without Ray."""

import contextlib
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genomics_fm.artefacts import sha256_file
from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import InputError
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.weights import WEIGHTS
from genomics_fm.report.study_page import study_page
from genomics_fm.storage import Folder
from genomics_fm.studies import scaling
from genomics_fm.studies.scaling import SAME_TOKENS, SAME_TOKENS_READ, SIZES, Size, cells_of, effects, power_law
from genomics_fm.training import evaluation
from genomics_fm.training.evaluation import EvaluationConfig
from genomics_fm.training.loop import pretrain
from genomics_fm.training.metrics import read_metrics
from genomics_fm.training.presets import PRESETS as RUNS
from jobs import launch, study
from jobs.pretrain import PretrainConfig
from jobs.study_config import PRESETS, ScalingConfig
from tests.corpora import corpus_of, dna, fixed_vocabulary, write_fasta
from tests.runs import RUN
from tests.unit.test_report_page import HOSTILE, Page

ACCURACY = "accuracy of a hidden base"


def row(size: str, corpus: str, vocabulary: str, steps: int, seed: int, **losses: float) -> dict[str, Any]:
    """A run whose accuracy is a tenth of its loss."""
    figures = {"segments": 1, "hidden_bases": 9, "markov": {"order 5": {"base_accuracy": 0.3}}}
    scores = {
        name: {
            "all": {**figures, "loss": loss, "base_accuracy": loss / 10},
            "by_source": {corpus: {**figures, "loss": loss, "base_accuracy": loss / 10}},
        }
        for name, loss in losses.items()
    }
    parameters = list(SIZES).index(size) * 1_000 + 1_000
    known = {"size": size, "corpus": corpus, "vocabulary": vocabulary, "steps": steps, "seed": seed, "scores": scores}
    made = {"parameters": parameters, "tokens": steps * 100, "flops": 1e12, "seconds": 1.0}
    return {**known, **made, "run": "r", "weights_sha256": "w"}


ROWS = [
    row("nano", "one", "bpe", 10, 0, bpe=8.0),
    row("nano", "one", "bpe+kmer", 10, 0, bpe=8.4, kmer=5.0),
    row("nano", "many", "bpe", 10, 0, bpe=7.5),
    row("nano", "one", "bpe", 20, 0, bpe=7.8),
    row("nano", "one", "bpe+kmer", 20, 0, bpe=8.1, kmer=4.5),
    row("tiny", "one", "bpe", 10, 0, bpe=7.6),
    row("tiny", "one", "bpe", 10, 1, bpe=7.2),
]


def test_every_combination_is_a_run_once_and_the_short_ones_come_first() -> None:
    cells = cells_of(("nano", "tiny"), ("a", "b"), ("bpe", "bpe+kmer"), (20, 10), (0, 1))
    assert len(cells) == len({cell.slug for cell in cells}) == 32
    assert [cell.steps for cell in cells] == [10] * 16 + [20] * 16
    assert cells[0].slug == "nano-a-bpe-10-0" and cells[2].members == ("bpe", "kmer")


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ((("huge",), ("a",), ("bpe",), (1,), (0,)), "sizes huge: give some of nano"),
        (((), ("a",), ("bpe",), (1,), (0,)), r"size \(none\)"),
        ((("nano",), ("a",), ("bpe",), (1, 1), (0,)), "steps 1, 1: give each once"),
        ((("nano",), ("a/b",), ("bpe",), (1,), (0,)), "corpora a/b"),
        ((("nano",), ("a",), ("bpe",), (0,), (0,)), "steps 0"),
    ],
)
def test_axes_that_make_no_sense_are_refused(axes: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        cells_of(*axes)


def test_a_cell_changes_size_length_seed_and_what_goes_with_them() -> None:
    [cell] = cells_of(("large",), ("a",), ("bpe",), (50,), (7,))
    got, base = scaling.training_of(cell, RUNS["base"]), RUNS["base"]
    assert (got.steps, got.stream.seed, got.encoder) == (50, 7, SIZES["large"].encoder)
    assert (got.optimizer.learning_rate, got.optimizer.warmup_steps, got.rows_per_microbatch) == (2e-4, 5, 16)
    assert (got.batch_rows, got.stream.row_tokens) == (base.batch_rows, base.stream.row_tokens), "equal tokens a step"


def test_differences_are_between_runs_equal_in_all_else() -> None:
    found = {(e["axis"], e["from"], e["to"], e["reading"], e["matched"]): e for e in effects(ROWS)}
    size = found["size", "nano", "tiny", "bpe", SAME_TOKENS]
    assert (size["pairs"], size["loss"]) == (1, pytest.approx(-0.4)), "seed 1 has no partner"
    assert found["corpus", "one", "many", "bpe", SAME_TOKENS]["loss"] == pytest.approx(-0.5)
    assert found["steps", 10, 20, "bpe", SAME_TOKENS]["pairs"] == 2
    assert found["steps", 10, 20, "bpe", SAME_TOKENS]["loss_range"] == [pytest.approx(-0.3), pytest.approx(-0.2)]
    in_all = found["vocabulary", "bpe", "bpe+kmer", "bpe", SAME_TOKENS]
    assert (in_all["pairs"], in_all["loss"]) == (2, pytest.approx(0.35))
    read = found["vocabulary", "bpe", "bpe+kmer", "bpe", SAME_TOKENS_READ]
    assert (read["pairs"], read["loss"]) == (1, pytest.approx(0.1)), "ten steps of one are twenty of two"
    assert not any(axis == "vocabulary" and reading == "kmer" for axis, _, _, reading, _ in found)


def test_vocabularies_are_never_compared_with_each_other() -> None:
    for found in effects([row("nano", "one", "bpe", 10, 0, bpe=8.0), row("nano", "one", "kmer", 10, 0, kmer=1.0)]):
        pytest.fail(f"{found}")


def test_the_noise_of_the_seed_is_known_from_two_seeds_on() -> None:
    assert scaling.seed_noise(ROWS[:6], "bpe") is None
    assert scaling.seed_noise(ROWS, "bpe") == pytest.approx(np.std([7.6, 7.2], ddof=1))


def test_a_power_law_is_found_where_there_are_enough_points_and_nowhere_else() -> None:
    exact = [(x, 5 * x**-0.1) for x in (1e6, 1e7, 1e8, 1e9)]
    found = power_law(exact)
    assert (found["exponent"], found["factor"]) == (pytest.approx(0.1), pytest.approx(5.0))
    assert found["error"] == pytest.approx(0, abs=1e-9)
    assert "3 points over 100 ×" in power_law(exact[:3])["why"]
    assert "at least 4 over 10 ×" in power_law([(x, 1 / x) for x in (1.0, 2.0, 3.0, 4.0)])["why"]
    assert all("why" in fit for fit in scaling.fits(ROWS))


def result_of(rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    made = {
        "name": "s", "cells": len(rows), "rows": rows, "effects": effects(rows), "seed_noise": {"bpe": None},
        "fits": scaling.fits(rows), "comparison": evaluation.COMPARISON, "workers": 1, "training_sha256": "t",
        "corpora": {"one": {"sha256": "c", "nucleotides": 5}}, "vocabularies": {"bpe": "v"}, "evaluation": {"seed": 0},
        "held_out": {"files": ["f"], "sha256": "h", "left_out": 3},
    }  # fmt: skip
    return made | more


def test_the_page_says_that_small_runs_support_no_law_and_large_ones_are_not_told_so() -> None:
    page = Page(study_page(result_of(ROWS)))
    assert "support no law" in page.text and "One seed: how much of a difference is chance is not known" in page.text
    assert "No power law is fitted: a curve has 2 points at most, and 4 that span a factor of 10" in page.text
    assert "Compare within a vocabulary." in page.text
    four = [row(size, "one", "bpe", 10, 0, bpe=9.0 - n) for n, size in enumerate(("nano", "micro", "tiny", "small"))]
    four = [{**one, "parameters": 10**n * 1e6} for n, one in enumerate(four)]
    fitted = Page(study_page(result_of([*four, ROWS[1]]))).text
    assert "loss = " in fitted and "4 levels over 1e+03 ×" in fitted and "not fitted: 1 point over 1 ×" in fitted
    pictures = re.findall(r'class="plot wide" role="img" aria-label="([^"]+)"', study_page(result_of(ROWS)))
    assert [words.split(" with ")[0] for words in pictures] == 3 * ["loss (nats a masked token)", ACCURACY]
    large = [{**one, "parameters": 4e8, "tokens": 2e11} for one in ROWS]
    assert "support no law" not in Page(study_page(result_of(large))).text
    assert "7 of 9 runs so far" in Page(study_page(result_of(ROWS, cells=9))).text


def test_nothing_gets_through_and_nothing_is_loaded() -> None:
    hostile = [{**one, "corpus": HOSTILE, "vocabulary": HOSTILE, "run": HOSTILE} for one in ROWS]
    source = study_page(result_of(hostile, name=HOSTILE))
    page = Page(source)
    assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "img", "object", "base", "form"} == set()
    assert "alert(1)" in page.text and "url(" not in source


class Alone:
    """Stands in for `jobs.pretrain`: the same training in this process, counted."""

    def __init__(self, storage: Path) -> None:
        self.storage, self.trained = storage, 0

    def run(self, config: PretrainConfig) -> dict[str, Any]:
        folder = self.storage / "encoders" / config.name
        if not (folder / WEIGHTS).is_file():
            self.trained += 1
            pretrain(config.training, config.corpus, config.vocabulary, folder, lambda line: None)
        lines = read_metrics(Folder(folder))
        return {
            "folder": str(folder),
            "weights_sha256": sha256_file(folder / WEIGHTS),
            "tokens": np.cumsum([line["tokens"] for line in lines]).tolist(),
            "tokens_per_second": 1.0,
        }


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Alone:
    """No Ray, encoders and Markov models that take no time."""
    monkeypatch.setenv(launch.STORAGE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(launch, "connect", contextlib.nullcontext)
    monkeypatch.setattr(evaluation, "ORDERS", (2, 5))
    for name, width in (("nano", 16), ("micro", 32)):
        monkeypatch.setitem(SIZES, name, Size(EncoderConfig(layers=1, width=width, heads=2, ffn_width=16), 3e-3, 1))
    stands_in = Alone(tmp_path)
    monkeypatch.setattr(study, "pretrain", stands_in)
    return stands_in


def small_study(folder: Path) -> ScalingConfig:
    one: Corpus = corpus_of(folder / "one", {"a": dna(6_000, 1)})
    more: Corpus = corpus_of(folder / "more", {"a": dna(6_000, 1), "b": dna(6_000, 2, "AACGT")})
    fixed_vocabulary().save(folder / "vocabulary.json")
    held_out = write_fasta(folder / "held.fa", {"c": dna(3_000, 3)})
    return ScalingConfig(
        name="s",
        sizes=("nano", "micro"),
        corpora={"one": str(one.folder), "more": str(more.folder)},
        vocabularies=("bpe", "bpe+kmer"),
        steps=(2,),
        vocabulary=str(folder / "vocabulary.json"),
        held_out=(str(held_out),),
        evaluation=EvaluationConfig(segments=4, segment_bp=200),
        training=dataclasses.replace(RUN, batch_rows=2),
    )


def test_a_study_runs_and_scores_every_cell_once_and_goes_on_where_it_was(tmp_path: Path, alone: Alone) -> None:
    config = small_study(tmp_path)
    first = study.run(dataclasses.replace(config, sizes=("nano",)))
    assert (alone.trained, len(first["rows"])) == (4, 4)
    result = study.run(config)
    assert (alone.trained, len(result["rows"])) == (8, 8), "what had run was run again"
    assert [row for row in result["rows"] if row["size"] == "nano"] == first["rows"]
    assert {(name, *row["scores"]) for row in result["rows"] for name in [row["vocabulary"]]} == {
        ("bpe", "bpe"),
        ("bpe+kmer", "bpe", "kmer"),
    }
    hidden = {row["scores"]["bpe"]["all"]["hidden_bases"] for row in result["rows"]}
    assert len(hidden) == 1, "every run is asked the same questions"
    assert {found["axis"] for found in result["effects"]} == {"size", "corpus", "vocabulary"}
    folder = tmp_path / "studies" / "s"
    assert json.loads((folder / study.RESULT).read_text())["rows"] == json.loads(json.dumps(result["rows"]))
    assert len((folder / study.TABLE).read_text().splitlines()) == 1 + 4 + 2 * 4
    assert "Every run" in (folder / study.PAGE).read_text()


def test_scores_are_made_anew_when_what_is_hidden_changes(tmp_path: Path, alone: Alone) -> None:
    config = dataclasses.replace(small_study(tmp_path), sizes=("nano",), vocabularies=("bpe",))
    first = study.run(config)["rows"]
    other = study.run(dataclasses.replace(config, evaluation=EvaluationConfig(seed=1, segments=4, segment_bp=200)))
    assert alone.trained == 2 and other["rows"] != first


def test_what_stands_in_a_corpus_is_asked_of_no_run(tmp_path: Path, alone: Alone) -> None:
    config = dataclasses.replace(small_study(tmp_path), sizes=("nano",), vocabularies=("bpe",))
    seen = write_fasta(tmp_path / "seen.fa", {"b": dna(6_000, 2, "AACGT")[1_000:1_600]})  # of the second corpus alone
    mixed = study.run(dataclasses.replace(config, held_out=(*config.held_out, str(seen))))
    assert mixed["held_out"]["left_out"] == 3
    assert {row["scores"]["bpe"]["all"]["segments"] for row in mixed["rows"]} == {4}
    with pytest.raises(InputError, match="every stretch stands in one of the corpora"):
        study.run(dataclasses.replace(config, held_out=(str(seen),)))


def test_what_is_missing_is_said_before_anything_starts(
    tmp_path: Path, alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_study(tmp_path)
    with pytest.raises(InputError, match="both or neither"):
        study.run(dataclasses.replace(config, held_out=()))
    with pytest.raises(InputError, match="no corpus for human; give human=FOLDER"):
        study.run(dataclasses.replace(config, corpora={"human": ""}))
    monkeypatch.setattr(study, "build_corpus", None)
    listed = dataclasses.replace(config, corpora={"one": "one.tsv"})
    with pytest.raises(InputError, match="codon: give each once, joined by"):
        study.run(dataclasses.replace(listed, vocabularies=("codon",)))
    with pytest.raises(InputError, match=r"nosuch\.fa: no such file"):
        study.run(dataclasses.replace(listed, held_out=("nosuch.fa",)))
    assert alone.trained == 0


@pytest.mark.parametrize("name", PRESETS)
def test_a_dry_run_lists_every_cell_and_starts_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(study, "run", None)
    monkeypatch.setattr("sys.argv", ["study", "scaling", "--preset", name, "--dry-run"])
    study.main()
    lines = capsys.readouterr().out.splitlines()
    cells = PRESETS[name].cells
    assert [line.split()[0] for line in lines[2:-1]] == [cell.slug for cell in cells]
    assert lines[-1].startswith(f"{len(cells)} runs, ")
    if name == "paper":  # SPEC Q1: base and large, three corpora, three sets
        assert len(cells) == 2 * 3 * 3 * 2 * 2
        assert any("large-human-bpe_kmer-500000-0" in line and "411,377,762" in line for line in lines)


def test_an_unknown_study_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["study", "growing"])
    with pytest.raises(SystemExit, match="2"):
        study.main()
    assert capsys.readouterr().err == "error: python -m jobs.study: give a study: scaling; then --help for its flags\n"
