"""What the benchmark runs on, keeps out of pretraining, and writes; no Ray."""

import contextlib
import dataclasses
import gzip
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from genomics_fm.corpus.exclusion import Exclusion
from genomics_fm.errors import InputError
from genomics_fm.genome.reader import read_genome
from genomics_fm.report import benchmark_plot, benchmark_text
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.registry import TASKS
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.task import Task
from jobs import benchmark, benchmark_encoder, benchmark_rows, benchmark_suite
from jobs.benchmark import BenchmarkConfig
from tests.corpora import dna

ENTRY = TASKS["ienhancer_layer1"]


def data_folder(root: Path) -> Path:
    folder = root / "tasks" / ENTRY.folder
    folder.mkdir(parents=True)
    for file in ENTRY.files:
        (folder / file.path).write_text(f">a\n{dna(200, 1)}\n")
    return root


def test_the_sets_of_a_folder_are_found_and_others_refused(tmp_path: Path) -> None:
    root = data_folder(tmp_path)
    assert benchmark_suite.sets(root, ()) == ["ienhancer_layer1"]
    with pytest.raises(InputError, match=r"--tasks ienhancer_layer2: not in .*; it holds ienhancer_layer1"):
        benchmark_suite.sets(root, ("ienhancer_layer2",))
    with pytest.raises(InputError, match="--tasks nothing: not known"):
        benchmark_suite.sets(root, ("nothing",))
    with pytest.raises(InputError, match="no published set in it"):
        benchmark_suite.sets(root / "tasks" / ENTRY.folder, ())
    with pytest.raises(InputError, match="--data-root /nowhere: no such folder"):
        benchmark_suite.data_root("/nowhere")
    with pytest.raises(InputError, match="--full ienhancer_1: not known"):
        benchmark.run(BenchmarkConfig(str(root), full=("ienhancer_1",)))


def test_what_no_set_can_be_run_with_ends_at_once_and_not_with_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(data_folder(tmp_path))
    ensemble = SimpleNamespace(names=("bpe", "kmer"))
    encoder = SimpleNamespace(folder=tmp_path, sha256="0" * 64, about={}, vocabulary=ensemble)
    monkeypatch.setenv("GENOMICS_FM_STORAGE", str(tmp_path / "runs"))
    monkeypatch.setattr(benchmark, "_encoder", lambda config: encoder)
    monkeypatch.setattr(benchmark.launch, "connect", contextlib.nullcontext)
    with pytest.raises(InputError, match="--vocabulary codon: the encoder has bpe, kmer"):
        benchmark.run(BenchmarkConfig(root, full=(), vocabulary="codon"))
    with pytest.raises(InputError, match="nowhere"):
        benchmark.run(BenchmarkConfig(root, full=(), encoder=("hf:/nowhere",)))
    assert not (tmp_path / "runs").exists()

    def refuse(*_: object) -> list[dict[str, Any]]:
        raise InputError(f"{root}/set.csv: too few rows")

    monkeypatch.setattr(benchmark, "_one", refuse)
    with pytest.raises(InputError, match=r"no set could be run; ienhancer_layer1: set\.csv: too few rows"):
        benchmark.run(BenchmarkConfig(root, full=()))


def task_at(starts: dict[str, list[int]], length: int = 200, contig: str = "chr1") -> Task:
    def rows(split: str) -> Rows:
        locus = [f"{contig}:{start}-{start + length}:+" for start in starts[split]]
        sequences = [dna(length, start) for start in starts[split]]
        return Rows(sequences, np.arange(len(locus)) % 2, locus, np.arange(len(locus)))

    splits = {split: rows(split) for split in ("train", "validation", "test")}
    return Task("chr20_chromatin", Problem("classification", ("no", "yes")), splits)


def test_stretches_of_scored_rows_are_kept_out_of_the_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks with their rows and HNF4A, by the genome's own names: a corpus takes the file, and loses those places."""
    genome = tmp_path / TASKS["chr20_chromatin"].genome
    genome.parent.mkdir()
    with gzip.open(genome, "wt") as written:
        written.write(f">20\n{dna(600_000, 7)}\n>other\n{dna(1_000, 8)}\n")
    monkeypatch.setattr(benchmark_encoder, "HNF4A", ("20", 450_000, 451_000))
    tenth = list(range(0, 2_000, 200))
    starts = {"train": 400_000, "validation": 200_000, "test": 10_000}
    task = task_at({split: [start + row for row in tenth] for split, start in starts.items()}, contig="chr20")
    found = benchmark_encoder._held_out({"chr20_chromatin": task}, tmp_path, True, tmp_path)
    assert found["fastas"] == []
    spans = [line.split("\t") for line in Path(found["beds"][0]).read_text().splitlines() if not line.startswith("#")]
    assert sorted(spans) == [["20", "10000", "12000"], ["20", "200000", "202000"], ["20", "350000", "551000"]]
    excluded = Exclusion.load(found["beds"], [], margin_bp=0).of("GRCh37")
    record = next(iter(read_genome(str(genome))))
    masked = b"".join(excluded.mask("20", [record.sequence.encode()]))
    assert [masked[place : place + 1] == b"X" for place in (9_999, 10_000, 11_999, 12_000, 200_500, 400_500)] == [
        False, True, True, False, True, True,
    ]  # fmt: skip
    assert masked[300_000:300_001] != b"X"


def test_in_other_genomes_all_rows_are_kept_out_by_their_letters(tmp_path: Path) -> None:
    task = task_at({"train": [0], "validation": [1], "test": [2]}, contig="chr20")
    found = benchmark_encoder._held_out({"chr20_chromatin": task}, tmp_path, False, tmp_path)
    letters = [record.sequence for record in read_genome(found["fastas"][0])]
    assert (found["beds"], letters) == ([], [*task.validation.sequences, *task.test.sequences])


def test_rows_without_a_genome_are_kept_out_by_their_letters(tmp_path: Path) -> None:
    task = task_at({"train": [0], "validation": [1], "test": [2]})
    long = task.test.sequences[0]
    broken = long[:100] + "N" + long[101:]
    test = dataclasses.replace(task.test, sequences=[broken, long[:60], long], labels=np.array([0, 1, 0]),
                               locus=["a", "b", "c"], block=np.arange(3))  # fmt: skip
    task = dataclasses.replace(task, splits={**task.splits, "test": test})
    found = benchmark_encoder._held_out({"ienhancer_layer1": task}, tmp_path, True, tmp_path)
    letters = [record.sequence for record in read_genome(found["fastas"][0])]
    assert letters == [*task.validation.sequences, broken[:100], broken[101:], long]
    assert found["short_rows"] == 1
    assert Exclusion.load([], found["fastas"]).place_bp == 99


def arm(name: str, validation: float, test: float, seed: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "seed": seed, "metric": "mcc", "validation": {"mcc": validation}, "test": {"mcc": test},
        "interval": [test - 0.05, test + 0.05], "labels_seen": 100, **more,
    }  # fmt: skip


def rival(name: str, sign: int, converged: bool | None = True, **more: Any) -> dict[str, Any]:
    values = {"difference": 0.2 * sign, "interval": [-0.1, 0.1], "p_adjusted": 0.01, "sign": sign, "blocks": 50}
    return {"name": name, "converged": converged, "clean": None, "score_clean": None, **values, **more}


def result(**more: Any) -> dict[str, Any]:
    arms = [
        arm("majority", 0, 0),
        arm("CNN", 0.4, 0.3),
        arm("k-mer logistic", 0.4, 0.6),
        arm("pretrained bpe probe", 0.5, 0.4, 0, start="pretrained", vocabulary="bpe"),
        arm("pretrained bpe probe", 0.3, 0.5, 1, start="pretrained", vocabulary="bpe"),
        arm("scratch bpe probe", 0.1, 0.1, 0, start="scratch", vocabulary="bpe"),
    ]
    groups = [
        {"name": name, "seeds": len(of := [one for one in arms if one["name"] == name]), "rows_seen": None,
         "validation": float(np.mean([one["validation"]["mcc"] for one in of])), "seconds": 1.5,
         "test": float(np.mean([one["test"]["mcc"] for one in of])), "converged": name != "CNN"}
        for name in dict.fromkeys(one["name"] for one in arms)
    ]  # fmt: skip
    return {
        "arms": arms,
        "groups": groups,
        "head": {"name": "pretrained bpe probe", "metric": "mcc", "converged": True},
        "clean": 0.35,
        "comparisons": [rival("majority", 1), rival("k-mer logistic", -1), rival("CNN", -1, False),
                        rival("scratch bpe probe", 0)],
        "audit": {"grade": "A", "counts": {"A": 7, "B": None, "C": 0}},
        "problem": {"kind": "classification", "names": ["no", "yes"]},
        "rows": {"train": 300, "test": 200},
        "task_sha256": "t" * 64,
        "encoder": {"sha256": "e" * 64},
        **more,
    }  # fmt: skip


def test_a_finetuning_becomes_a_row_a_model() -> None:
    rows = benchmark_rows.rows_of(ENTRY, "probe", result(), (200, 200))
    table = pa.Table.from_pylist(rows, benchmark_rows.SCHEMA).to_pylist()
    assert {name for row in rows for name in row} == set(benchmark_rows.SCHEMA.names)
    head = next(row for row in table if row["head"])
    assert (head["test"], head["test_least"], head["test_most"], head["seeds"]) == (0.45, 0.4, 0.5, 2)
    assert head["test_clean"] == 0.35
    assert [head["low"], head["high"]] == pytest.approx([0.35, 0.45])  # of the seed that validation likes better
    said = {row["model"]: row["outcome"] for row in table}
    assert said == {
        "majority": "beats", "k-mer logistic": "loses", "CNN": "none: it has not converged",
        "scratch bpe probe": "ties", "pretrained bpe probe": "",
    }  # fmt: skip


def test_nothing_is_said_of_what_cannot_be_said() -> None:
    unfinished = result(head={"name": "pretrained bpe probe", "metric": "mcc", "converged": False})
    rows = benchmark_rows.rows_of(ENTRY, "probe", unfinished, (200, 200))
    assert {row["outcome"] for row in rows} == {"", "none: the head has not converged"}
    unknown = result(head={"name": "pretrained bpe probe", "metric": "mcc", "converged": None})
    rows = benchmark_rows.rows_of(ENTRY, "probe", unknown, (200, 200))
    assert {row["outcome"] for row in rows} == {"", "none: the head may not have converged"}
    of_one_class = {"rows": 60, "blocks": 50, **dict.fromkeys(("difference", "interval", "p_adjusted", "sign"))}
    alike = result(comparisons=[rival("majority", 0, clean=of_one_class)])
    rows = benchmark_rows.rows_of(ENTRY, "probe", alike, (200, 200))
    assert {row["outcome"] for row in rows} == {"", "none: the test rows that are not in training are of one class"}
    few = result(comparisons=[rival("majority", 0, clean={**rival("", 0), "blocks": 9})])
    rows = benchmark_rows.rows_of(ENTRY, "probe", few, (200, 200))
    assert {row["outcome"] for row in rows} == {"", "none: too few independent test rows"}


def test_the_table_says_where_the_encoder_loses() -> None:
    rows = benchmark_rows.rows_of(ENTRY, "probe", result(), (200, 200))
    names = ["nothing", "k-mers", "CNN", "frozen BPE", "frozen BPE, scratch"]
    assert benchmark_text.columns(rows) == names
    line = benchmark_text.table(rows)[-1]
    assert "| A 7 |" in line
    assert "**0.450**<br>0.35 to 0.45" in line
    assert "0.300*<br>" in line  # has not converged
    assert benchmark_text.verdicts(rows)[-1].split(" | ")[2:] == [
        "nothing (+0.200)", "frozen BPE, scratch (+0.000)", "k-mers (-0.200)", "CNN (-0.200): it has not converged |",
    ]  # fmt: skip
    settings = {"rows": 300, "seeds": 2, "scored_rows": 200, "crop": 0}
    written = {"config": settings, "encoder": {"sha256": "e" * 64, "about": {}}, "refused": {}}
    assert "bold: the encoder that validation chooses; \\*: has not converged" in "\n".join(
        benchmark._page(written, rows)
    )
    assert "k-mers 1.5 (longest 1.5), CNN" in benchmark_text.times(rows)
    said = "\n".join(benchmark_text.losses(rows))
    assert "frozen encoder against k-mers: beats it on 0 of 1 sets, cannot be told apart on 0, **loses on 1**" in said
    assert "(`ienhancer_layer1`)" in said


def test_the_picture_has_every_model_of_every_set() -> None:
    first = benchmark_rows.rows_of(ENTRY, "probe", result(), (200, 200))
    second = benchmark_rows.rows_of(TASKS["gue_emp_H3"], "probe", result(), (500, 500))
    drawn = benchmark_plot.picture([*first, *second])
    assert drawn.count("<title>") == 10
    assert "<title>gue_emp_H3, k-mers: 0.600</title>" in drawn
    assert drawn.startswith("<svg xmlns=")
