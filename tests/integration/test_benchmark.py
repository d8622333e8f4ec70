"""An encoder that has not seen the benchmark's tests, and the benchmark of it: each twice, the second reads."""

import dataclasses
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.pretraining.stream import StreamConfig
from genomics_fm.tasks import task as tasks
from genomics_fm.tasks.registry import TASKS
from genomics_fm.vocabulary.ensemble import Ensemble
from jobs import benchmark, benchmark_encoder
from tests.corpora import dna

ENTRY = TASKS["ienhancer_layer1"]
ROWS = {"train": 48, "test": 24}
LENGTH = 80


def made_up(root: Path) -> str:
    """A set whose classes differ in a motif, and a genome that holds its rows; the genome's source list."""
    folder, rows = root / "tasks" / ENTRY.folder, []
    folder.mkdir(parents=True)
    for number, file in enumerate(ENTRY.files):
        motif = "TTTTCCCC" if file.name == "enhancers" else "GAGATCAG"
        of = [dna(LENGTH // 2, 100 * number + row) + motif * 5 for row in range(ROWS[file.split])]
        (folder / file.path).write_text("".join(f">{row}\n{letters}\n" for row, letters in enumerate(of)))
        rows += of
    genome = "".join(dna(3_000, 10_000 + number) + row for number, row in enumerate(rows))
    (root / "genome.fa").write_text(f">1\n{genome}\n")
    (root / "sources.tsv").write_text("location\tspecies\tassembly\ngenome.fa\tMade up\ttoy\n")
    return str(root / "sources.tsv")


def test_an_encoder_without_the_test_rows_goes_through_the_benchmark(
    storage: Path, local_ray: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = made_up(tmp_path / "data")
    smoke = benchmark_encoder.PRESETS["smoke"]
    training = dataclasses.replace(smoke.training, steps=4, checkpoint_steps=4, stream=StreamConfig(streams=2))
    asked = dataclasses.replace(smoke, data_root=str(tmp_path / "data"), sources=sources, workers=1, training=training)
    made = benchmark_encoder.run(asked)
    task = tasks.load(next(storage.glob("finetuning/ienhancer_layer1/rows-*")))
    corpus = Corpus(next(storage.glob("benchmark/corpus-*")))
    letters = "".join(corpus.letters(row).tobytes().decode() for row in range(len(corpus)))
    scored = [*task.validation.sequences, *task.test.sequences]
    assert sum(row in letters for row in task.train.sequences) > 0.9 * len(task.train)
    assert not any(row[:31] in letters and row in letters for row in scored)
    assert Ensemble.load(Path(made["folder"]) / "vocabulary.json").names

    config = dataclasses.replace(
        benchmark.PRESETS["smoke"], data_root=str(tmp_path / "data"), checkpoint=made["folder"], vocabulary="bpe"
    )
    first = benchmark.run(config)
    assert (first["sets"], first["refused"]) == (1, {})
    folder = Path(first["folder"])
    rows = pq.read_table(folder / benchmark.TABLE).to_pylist()
    assert [row["model"] for row in rows] == [
        "majority", "GC and length", "k-mer logistic", "CNN", "pretrained bpe probe", "scratch bpe probe",
    ]  # fmt: skip
    assert {row["rows_seen_unlabelled"] for row in rows} == {0}
    assert rows[2]["test"] > 0.9  # the motif is easily found by its k-mers
    page = (folder / benchmark.PAGE).read_text()
    assert "`ienhancer_layer1`" in page and f"({benchmark.PICTURE})" in page
    capsys.readouterr()
    again = benchmark.run(config)
    assert again["folder"] == first["folder"]
    assert "6 of 6 arms were there already" in capsys.readouterr().err
    assert pq.read_table(folder / benchmark.TABLE).to_pylist() == rows
