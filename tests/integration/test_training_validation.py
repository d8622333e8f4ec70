"""Any number of workers, sharded or not, finds the same scores on held-out stretches."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.storage import Folder
from genomics_fm.training import evaluation
from genomics_fm.training.evaluation import EvaluationConfig
from genomics_fm.training.loop import Run, pretrain
from genomics_fm.training.metrics import LogReader
from genomics_fm.training.validation import ValidationPlan, validations_of
from genomics_fm.training.validation_set import prepare
from jobs.pretrain_record import write_report
from tests.corpora import dna, fixed_vocabulary, small_corpus, write_fasta
from tests.runs import RUN

torch.set_num_threads(1)
STEPS = 3
HELD_OUT = EvaluationConfig(segments=13, segment_bp=240)


def scored(rank: int, world: int, parallel: str, name: str, corpus_folder: str, folder: str) -> None:
    """One worker of a run that is scored after steps 2 and 3."""
    torch.set_num_threads(1)
    evaluation.BATCH_TOKENS = 300  # so that the workers need unequal numbers of passes
    if world > 1:
        dist.init_process_group("gloo", init_method=f"file://{folder}-meet", rank=rank, world_size=world)
    config = dataclasses.replace(RUN, steps=STEPS, parallel=parallel)
    run = Run(config, Corpus(corpus_folder), fixed_vocabulary(), folder, validation=ValidationPlan(name, 2))
    lines = [run.advance() for _ in range(STEPS)]
    if rank == world - 1:
        Path(f"{folder}-losses.json").write_text(json.dumps([line["loss"] for line in lines]))
    run.finish()
    if run.log is not None:
        run.log.close()
    if world > 1:
        dist.destroy_process_group()


def test_a_set_in_an_object_store_is_read_from_there(
    object_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "ORDERS", (2, 5))
    corpus = small_corpus(tmp_path / "corpus")
    fixed_vocabulary().save(tmp_path / "vocabulary.json")
    held_out = str(write_fasta(tmp_path / "a.fa", {"x": dna(2_300, 70)}))
    found = []
    for folder in (Folder(object_store) / "run", Folder(tmp_path / "run")):
        name = prepare([held_out], HELD_OUT, corpus, fixed_vocabulary(), folder, list[str]().append)
        config, plan = dataclasses.replace(RUN, steps=2), ValidationPlan(name)
        pretrain(config, corpus.folder, tmp_path / "vocabulary.json", folder, lambda _: None, validation=plan)
        found.append(validations_of(LogReader(folder).new())[0]["vocabularies"])
        assert write_report(folder, "run") == folder.shown("report.html")
        assert b"Finished." in folder.read("report.html")
    assert found[0] == found[1]


def flat(value: Any) -> dict[str, float]:
    """Every number of nested dicts by its dotted name."""
    if not isinstance(value, dict):
        return {"": value}
    return {f"{name}.{rest}": one for name, inner in value.items() for rest, one in flat(inner).items()}


def test_three_workers_that_share_the_model_find_what_one_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "ORDERS", (2, 5))
    corpus = small_corpus(tmp_path / "corpus")
    files = [str(write_fasta(tmp_path / f"{name}.fa", {"x": dna(2_300, seed)})) for seed, name in enumerate("ab", 70)]
    found, losses = {}, {}
    for world in (1, 3):
        folder = tmp_path / f"run-{world}"
        name = prepare(files, HELD_OUT, corpus, fixed_vocabulary(), Folder(folder), list[str]().append)
        arguments = (world, "fsdp", name, str(corpus.folder), str(folder))
        if world == 1:
            scored(0, *arguments)
        else:
            torch.multiprocessing.start_processes(scored, arguments, nprocs=world, start_method="forkserver")
        found[world] = validations_of(LogReader(Folder(folder)).new())
        losses[world] = json.loads((tmp_path / f"run-{world}-losses.json").read_text())
    assert [one["step"] for one in found[1]] == [2, 3]
    for ours, alone in zip(found[3], found[1], strict=True):
        figures, expected = flat(ours["vocabularies"]), flat(alone["vocabularies"])
        assert figures == pytest.approx(expected, rel=1e-5, abs=2e-3)  # one of some 500 hidden bases may tip over
        names = [name for name in expected if name.endswith(".loss.")]
        assert len(names) == 6
        assert [figures[name] for name in names] == pytest.approx([expected[name] for name in names], rel=1e-5)
    assert [flat(one) for one in losses[3]] == [pytest.approx(flat(one), rel=1e-5) for one in losses[1]]
