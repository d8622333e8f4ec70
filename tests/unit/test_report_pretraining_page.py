"""A pretraining's page: everything its log says, nothing unescaped, nothing from outside, at any moment of the run."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

from genomics_fm.artefacts import read_sealed_json
from genomics_fm.errors import InputError
from genomics_fm.report.pretraining_page import Record, pretraining_page
from genomics_fm.storage import Folder
from genomics_fm.training.config import TrainingConfig
from genomics_fm.training.metrics import MetricsLog
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.kmer import KmerVocabulary
from jobs import pretrain_record
from jobs.pretrain import PretrainConfig
from tests.unit.test_report_page import HOSTILE, Page

SPECIES = ("Fictus maior", "Fictus minor")


def step_line(step: int, **more: Any) -> dict[str, Any]:
    fell = math.exp(-step / 40)
    loss = {"bpe": 5 + 3 * fell, "kmer": 4 + 4 * fell + 0.1 * (step % 3)}
    fast = {"tokens": 4_000, "slots": 4_096, "seconds": 0.5, "stall": 0.01, "learning_rate": 1e-3 * (1 - step / 200)}
    return {"step": step, "loss": loss, "gradient_norm": 1 + fell, **fast, "unixtime": 1e9 + step, **more}


def start(step: int, nodes: int, unixtime: float) -> dict[str, Any]:
    return {"event": "start", "step": step, "steps": 200, "nodes": ["n"] * nodes, "skipped": [], "unixtime": unixtime}


def scoring(step: int) -> dict[str, Any]:
    models = {
        name: {"base_accuracy": share, "bits_per_nucleotide": 1.9}
        for name, share in (("order 5", 0.3125), ("order 11", 0.34), ("order 5, both sides", 0.41))
    }
    figures = {"hidden_bases": 900, "loss": 6 - step / 100, "base_accuracy": 0.25 + step / 1_000, "markov": models}
    kmer = {"all": figures, "by_source": {name: {**figures, "hidden_bases": 450} for name in SPECIES}}
    bits = {"bits_per_nucleotide": 2 - step / 1_000}
    bpe = {"all": {**figures, **bits}, "by_source": {name: {**one, **bits} for name, one in kmer["by_source"].items()}}
    return {
        "event": "validation", "step": step, "set": "s", "vocabularies": {"bpe": bpe, "kmer": kmer},
        "unixtime": 1e9 + step,
    }  # fmt: skip


def log() -> list[dict[str, Any]]:
    """100 steps, resumed at 40, with one worker from 60 on, preempted at 89, scored three times."""
    lines = [start(0, 2, 1e9), *(step_line(step) for step in range(1, 46))]
    lines += [
        start(40, 2, 1e9 + 46),
        step_line(41, unixtime=1e9 + 51),
        *(step_line(s) for s in range(42, 61)),
        scoring(50),
    ]
    lines += [start(60, 1, 1e9 + 61), *(step_line(step) for step in range(61, 90)), scoring(75)]
    lines += [{"event": "preempted", "step": 89, "deadline": 30, "unixtime": 1e9 + 90}]
    lines += [{"event": "a kind of tomorrow", "unixtime": 1e9 + 90.5}]
    lines += [step_line(90, spikes=["loss of bpe 9.1, over 6.2"])]
    lines += [step_line(91, loss={}, gradient_norm=None, left_out="step 91: loss of block 3: not finite, left out")]
    return [*lines, *(step_line(step) for step in range(92, 101)), scoring(100)]


def record(**changes: Any) -> Record:
    about = {
        "vocabularies": {"bpe": {"kind": "bpe"}, "kmer": {"kind": "kmer", "k": 4}},
        "vocabulary_size": 400, "parameters": 12_345,
        "config": {"workers": 2, "training": {"steps": 200, "vocabulary_weights": {}}, "validation": ["a.fa", "b.fa"]},
        "hashes": {"corpus_sha256": "c" * 64},
    }  # fmt: skip
    return dataclasses.replace(Record("demo", log(), False, 1.5e9, about), **changes)


def hostile(value: Any) -> Any:
    """Every string but those that decide what a line is, replaced by markup that would run a script."""
    if isinstance(value, dict):
        return {name: inner if name in ("event", "kind") else hostile(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [hostile(inner) for inner in value]
    return HOSTILE if isinstance(value, str) else value


def test_nothing_is_loaded_and_nothing_gets_through() -> None:
    evil = record(name=HOSTILE, log=hostile(log()), about=hostile(record().about), weights_sha256=HOSTILE)
    for one in (record(), evil):
        source = pretraining_page(one)
        page = Page(source)
        assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "img", "object", "base", "form"} == set()
        assert not any(name in attributes for _, attributes in page.tags for name in ("src", "href", "onerror"))
        assert "url(" not in source and "@import" not in source
    assert "alert(1)" in page.text


def test_what_happened_is_told_marked_and_numbered() -> None:
    page = Page(pretraining_page(record()))
    rows = [" ".join(row.split()) for row in page.rows]
    kinds = ["started", "resumed", "resized", "preempted", "a kind of tomorrow", "spike", "left out"]
    happened = [row for row in rows if "UTC" in row]
    assert len(happened) == 7
    for number, (row, kind) in enumerate(zip(happened, kinds, strict=True), 1):
        assert row.startswith(f"{number} ") and f" {kind} 2001-09-09 " in row, row
    assert "again" not in happened[0] and happened[1].endswith("; a step again 6.0 s after the last")
    assert (
        "2 → 1 workers; resumed at step 60, 1 worker on n; a step" in happened[2]
        and "deadline 30" in happened[3]
        and "over 6.2" in happened[5]
    )
    assert happened[4].startswith("5 89 ")
    classes = [attributes.get("class") for tag, attributes in page.tags if tag == "line"]
    assert [classes.count(kind) for kind in ("resume", "resize", "preempt", "other-event")] == [
        3,
        3,
        3,
        3,
    ]  # and legend
    label = next(a["aria-label"] for tag, a in page.tags if tag == "svg" and "wide" in (a.get("class") or ""))
    assert label == (
        "Loss by step until step 100: BPE from 7.93 to 5.25, 4-mer from 8.00 to 4.43; 4 marks of what happened."
    )


def test_scores_stand_beside_the_markov_models_by_species() -> None:
    page = Page(pretraining_page(record()))
    rows = [" ".join(row.split()) for row in page.rows]
    for name in SPECIES:
        [of_bpe, of_kmer] = [row for row in rows if row.startswith(name)]
        assert of_bpe.startswith(f"{name} 450 5.000 35.0 % 1.900 31.2 % 1.900 34.0 % 1.900 41.0 % 1.900")
        assert of_kmer.startswith(f"{name} 450 5.000 35.0 % 31.2 % 34.0 % 41.0 %")
    panels = [a["aria-label"] for tag, a in page.tags if tag == "svg" and "Markov" in (a.get("aria-label") or "")]
    assert len(panels) == 6
    assert panels[1] == (
        "Fictus maior, bits a nucleotide by step: from 1.95 to 1.9; Markov order 5 1.9, Markov order 11 1.9."
    )
    assert panels[4].endswith("bases read rightly, % by step: from 30 to 35; Markov order 5 31.25, Markov order 11 34.")
    assert "Held-out sequence, 4-mer reading" in page.text and "are not comparable" in page.text


def test_a_run_has_a_page_from_its_first_line_on() -> None:
    whole = log()
    assert "Nothing in its log yet" in Page(pretraining_page(record(log=[], about={}))).text
    for length in (1, 2, 3, 60, len(whole)):
        page = Page(pretraining_page(record(log=whole[:length], about={})))
        assert "Begun 2001-09-09 01:46:40 UTC" in page.text
        assert "was not scored on held-out sequence" in page.text or length == len(whole)
    finished = Page(pretraining_page(record(finished=True, weights_sha256="f" * 64)))
    assert "Finished." in finished.text and "f" * 64 in finished.text
    assert "step 100 of 200" in Page(pretraining_page(record())).text


def test_every_picture_says_what_it_shows() -> None:
    for tag, attributes in Page(pretraining_page(record())).tags:
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"


def test_the_job_writes_the_page_where_the_run_is(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    with pytest.raises(InputError, match="no run has begun there"):
        pretrain_record.write_report(folder, "run")
    metrics = MetricsLog(folder, 0.0)
    for line in log():
        metrics.add(line)
    (folder / "validation").write_sealed_json(
        "s.json",
        {
            "format_version": 1, "stretches": [1, 2], "looked_for": {"every": 3}, "markov": {"nucleotides": 1_234},
            "sources": {"Fictus maior": {"drawn": 1, "kept": 1}, "Fictus minor": {"drawn": 4, "kept": 1}},
        },
    )  # fmt: skip
    metrics.close()
    vocabulary = Ensemble({"kmer": KmerVocabulary(2)})
    config = PretrainConfig(
        corpus="s3://key:secret@bucket/corpus", tracking="http://me:word@host", training=TrainingConfig(steps=7)
    )
    pretrain_record.keep(folder, config, vocabulary, {"corpus_sha256": "c"})
    kept = read_sealed_json(tmp_path / "run" / "run.json", 1, "")
    assert kept["config"]["corpus"] == "s3://…@bucket/corpus" and kept["config"]["tracking"] == "http://…@host"
    assert kept["vocabularies"] == {"kmer": {"kind": "kmer", "k": 2}} and kept["vocabulary_size"] == vocabulary.size
    assert pretrain_record.write_report(folder, "run") == str(tmp_path / "run" / "report.html")
    page = Page((tmp_path / "run" / "report.html").read_text())
    assert (
        "2 stretches of 2 sources; looked for in one in 3 blocks of the corpus's references by 31-mers. Fictus minor: "
        "3 of 4 stretches stand in the corpus and are left out. What stands in the blocks that were not read is not "
        "known. The Markov models were counted on 1,234 nt of the corpus. Whether relatives"
    ) in " ".join(page.text.split())
    assert "training.steps 7" in " ".join(page.text.split()) and "secret" not in page.text


def test_steps_between_scorings_need_something_to_score(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--validation-steps 5: scored on what"):
        pretrain_record.validation((), 9, 5, None, None, Folder(tmp_path))  # type: ignore[arg-type]
    assert pretrain_record.validation((), 9, 0, None, None, Folder(tmp_path)) is None  # type: ignore[arg-type]


def test_it_says_what_bpe_accuracy_is_worth_and_what_equal_weights_take() -> None:
    text = Page(pretraining_page(record())).text
    assert "ATTTTT" in text and "Every small plot has a scale of its own" in text
    assert "equally many workers that hold the model in the same way" in text and "on any machine" not in text
