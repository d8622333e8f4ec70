"""Trainings of several processes over gloo, without Ray."""

import json
import math
import multiprocessing
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import Tensor

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import InputError
from genomics_fm.model.weights import load_encoder
from genomics_fm.storage import Folder
from genomics_fm.training.loop import Run
from genomics_fm.training.metrics import read_metrics
from tests.corpora import small_corpus
from tests.planted import Planted
from tests.runs import RUN, advance, in_a_group, run_of

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return small_corpus(tmp_path_factory.mktemp("made-up") / "corpus")


def first_losses(steps: list[dict[str, str]]) -> list[float]:
    return [float.fromhex(loss[name]) for loss in steps for name in ("bpe", "kmer")]


def test_any_number_of_workers_goes_on_where_any_other_stopped(corpus: Corpus, tmp_path: Path) -> None:
    """R7: rows equal (so token counts are), losses within 1e-5, through 2 → 1, and 1 → 2 → 3."""
    alone = run_of(tmp_path / "alone", corpus)
    expected = advance(alone, RUN.steps)
    alone.finish()
    _, weights, _ = load_encoder(tmp_path / "alone")
    one, two = tmp_path / "from-one", tmp_path / "from-two"
    advance(run_of(one, corpus), 2)
    plan = [(2, str(two), 4), (2, str(one), 4), (3, str(one), RUN.steps)]
    multiprocessing.set_forkserver_preload(["tests.runs"])  # torch is imported once, not by each process
    arguments = (plan, str(corpus.folder), str(tmp_path))
    torch.multiprocessing.start_processes(in_a_group, arguments, nprocs=3, start_method="forkserver")
    losses = [json.loads((tmp_path / f"losses-{number}.json").read_text()) for number in range(3)]
    assert [started for started, _ in losses] == [0, 2, 4]
    assert first_losses(losses[0][1]) == pytest.approx(first_losses(expected[:4]), rel=1e-5)
    assert first_losses(losses[1][1] + losses[2][1]) == pytest.approx(first_losses(expected[2:]), rel=1e-5)
    back = run_of(two, corpus)
    assert back.step == 4
    assert first_losses(advance(back, RUN.steps)) == pytest.approx(first_losses(expected[4:]), rel=1e-5)
    back.finish()
    for folder in (one, two):
        tokens, expected_tokens = (
            [[line[k] for k in ("tokens", "predicted")] for line in read_metrics(Folder(place))]
            for place in (folder, tmp_path / "alone")
        )
        assert tokens == expected_tokens
        for name, tensor in load_encoder(folder)[1].items():
            torch.testing.assert_close(tensor, weights[name], atol=2e-5, rtol=0)


def in_a_pair(rank: int, corpus_folder: str, place: str) -> None:
    """One of two workers; what the other reads is bad in steps 3 and 4."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{place}/meet", rank=rank, world_size=2)
    run = run_of(Path(place, "run"), Corpus(Path(corpus_folder)), "skip", checkpoint_steps=99)
    advance(run, 2)
    before = snapshot_local(run)
    planted = [Planted(run, number, 11, math.nan) for number in range(rank)]
    said = [run.advance()["left_out"]]
    run.guard.on_nonfinite = "stop"
    for one in planted:
        one.calls = 0
    try:
        run.advance()
    except InputError as error:
        said.append(str(error))
    assert all(torch.equal(one, other) for one, other in zip(before, snapshot_local(run), strict=True))
    Path(place, f"said-{rank}.json").write_text(json.dumps(said))
    dist.destroy_process_group()


def snapshot_local(run: Run) -> list[Tensor]:
    return [parameter.to_local().detach().clone() for parameter in run.model.parameters()]  # type: ignore[attr-defined]


def test_all_workers_decide_together_and_name_the_one(corpus: Corpus, tmp_path: Path) -> None:
    torch.multiprocessing.spawn(in_a_pair, (str(corpus.folder), str(tmp_path)), nprocs=2)
    said = [json.loads((tmp_path / f"said-{rank}.json").read_text()) for rank in range(2)]
    assert said[0] == said[1]
    assert all("worker 1, block " in text and "worker 0" not in text for text in said[0])
    assert said[0][0].startswith("step 3: ") and said[0][0].endswith("left out")
    assert said[0][1].startswith("step 4: ") and said[0][1].endswith("--on-nonfinite skip")
