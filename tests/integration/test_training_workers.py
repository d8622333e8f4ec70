"""Trainings of several processes over gloo, without Ray."""

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import Tensor

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import InputError
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import MaskedLanguageModel, new_language_model
from genomics_fm.model.weights import load_encoder
from genomics_fm.storage import Folder
from genomics_fm.training.config import Parallel
from genomics_fm.training.happened import described
from genomics_fm.training.loop import Run
from genomics_fm.training.metrics import read_events, read_metrics
from genomics_fm.training.parallel import model_on
from genomics_fm.training.slices import held
from genomics_fm.training.workers import Workers
from tests.corpora import small_corpus
from tests.planted import Planted
from tests.runs import RUN, advance, in_a_group, run_of

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return small_corpus(tmp_path_factory.mktemp("made-up") / "corpus")


def first_losses(steps: list[dict[str, str]]) -> list[float]:
    return [float.fromhex(loss[name]) for loss in steps for name in ("bpe", "kmer")]


def hexes(losses: list[float]) -> list[str]:
    return [loss.hex() for loss in losses]


@dataclass(frozen=True)
class Group:
    """What three processes have done.

    Attributes:
        place: holds the runs' folders.
        expected: losses of one process left alone.
        started: at which step each run of the plan went on.
        losses: of each run of the plan.
    """

    place: Path
    expected: list[float]
    started: list[int]
    losses: list[list[float]]


@pytest.fixture(scope="module")
def group(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Group:
    place = tmp_path_factory.mktemp("group")
    alone = run_of(place / "alone", corpus)
    expected = advance(alone, RUN.steps)
    alone.finish()
    one, two, whole, stopped = (str(place / name) for name in ("from-one", "from-two", "whole", "stopped"))
    advance(run_of(place / "from-one", corpus), 2)
    plan = [
        (2, two, 4, "fsdp"), (2, one, 4, "ddp"), (3, one, RUN.steps, "fsdp"), (3, two, 6, "ddp"),
        (3, whole, 7, "ddp"), (3, stopped, 4, "ddp"), (3, stopped, 7, "ddp"),
    ]  # fmt: skip
    arguments = (plan, str(corpus.folder), str(place))
    torch.multiprocessing.start_processes(in_a_group, arguments, nprocs=3, start_method="forkserver")
    made = [json.loads((place / f"losses-{number}.json").read_text()) for number in range(len(plan))]
    return Group(place, first_losses(expected), [n for n, _ in made], [first_losses(losses) for _, losses in made])


def of_steps(losses: list[float], first: int, end: int) -> list[float]:
    return losses[2 * first : 2 * end]


def test_any_number_of_workers_goes_on_where_any_other_stopped(corpus: Corpus, group: Group) -> None:
    """R7: rows equal (so token counts are), losses within 1e-6, through 2 → 3 → 1, and 1 → 2 → 3, DDP and FSDP2."""
    assert group.started == [0, 2, 4, 4, 0, 0, 4]
    two, one = group.losses[0] + group.losses[3], group.losses[1] + group.losses[2]
    assert two == pytest.approx(of_steps(group.expected, 0, 6), rel=1e-6)
    assert one == pytest.approx(of_steps(group.expected, 2, RUN.steps), rel=1e-6)
    back = run_of(group.place / "from-two", corpus)
    assert back.step == 6
    last = first_losses(advance(back, RUN.steps))
    assert last == pytest.approx(of_steps(group.expected, 6, RUN.steps), rel=1e-6)
    back.finish()
    _, weights, _ = load_encoder(group.place / "alone")
    for name in ("from-one", "from-two"):
        tokens, expected_tokens = (
            [[line[k] for k in ("tokens", "predicted")] for line in read_metrics(Folder(place))]
            for place in (group.place / name, group.place / "alone")
        )
        assert tokens == expected_tokens
        for tensor_name, tensor in load_encoder(group.place / name)[1].items():
            torch.testing.assert_close(tensor, weights[tensor_name], atol=2e-5, rtol=0)


def test_three_copies_resume_to_the_bit(group: Group) -> None:
    """Three summands round differently in another order, which DDP would take after its first step."""
    whole, cut = group.losses[4], group.losses[5] + group.losses[6]
    assert whole == pytest.approx(of_steps(group.expected, 0, 7), rel=1e-6)
    assert hexes(cut) == hexes(whole)


def test_how_the_model_is_held_is_logged(group: Group) -> None:
    starts = [described(event) for event in read_events(Folder(group.place / "from-two"))]
    assert [text.rsplit("; ", 1)[1] for text in starts[:2]] == [
        "fsdp: the config asks for it",
        "ddp: the config asks for it",
    ]
    assert starts[2].endswith("; alone: there is one worker")


ENCODER = EncoderConfig(vocabulary_size=1_001, layers=8, width=384, heads=4, ffn_width=1_023)


def highest_bytes() -> int:
    """The most memory this process has had in use at once, since it was last told to forget."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1_024


def new_models(rank: int, place: str) -> None:
    """One of three processes that make new models in groups of two and three, and measure what they need for it."""
    torch.set_num_threads(1)
    for world in (2, 3):
        if rank >= world:
            continue
        needed = []
        dist.init_process_group("gloo", init_method=f"file://{place}/new-{world}", rank=rank, world_size=world)
        workers = Workers.current()
        model_on(workers, dataclasses.replace(ENCODER, layers=1), 0, sharded=True)  # what torch keeps for good
        for sharded in (True, False):
            Path("/proc/self/clear_refs").write_text("5")  # forget
            before = highest_bytes()
            model = model_on(workers, ENCODER, 5, sharded)
            needed.append(highest_bytes() - before)
            if sharded:
                kept = {name: (held(parameter), parameter) for name, parameter in model.named_parameters()}
        expected = dict(model.named_parameters())
        assert kept.keys() == expected.keys() == dict(new_language_model(ENCODER, 5).named_parameters()).keys()
        for name, (rows, parameter) in kept.items():
            assert parameter.shape == expected[name].shape
            assert torch.equal(rows.values, expected[name][rows.first_row : rows.end])
        dist.destroy_process_group()
        Path(place, f"needed-{world}-{rank}.json").write_text(json.dumps(needed))


def test_a_sharded_model_is_drawn_tensor_by_tensor_to_the_same_weights(tmp_path: Path) -> None:
    torch.multiprocessing.start_processes(new_models, (str(tmp_path),), nprocs=3, start_method="forkserver")
    with torch.device("meta"):
        sizes = [4 * parameter.numel() for parameter in MaskedLanguageModel(ENCODER).parameters()]
    slack = 6 << 20
    # What a process has freed it takes again, and is not seen: only its first group says what a whole model takes.
    for world, rank in ((2, 0), (2, 1), (3, 2)):
        sharded, whole = json.loads((tmp_path / f"needed-{world}-{rank}.json").read_text())
        assert sharded < sum(sizes) / world + max(sizes) + slack and whole > 0.9 * sum(sizes), (rank, world)


def in_a_pair(rank: int, corpus_folder: str, place: str, parallel: Parallel) -> None:
    """One of two workers; what the other reads is bad in steps 3 and 4."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{place}/meet", rank=rank, world_size=2)
    run = run_of(Path(place, "run"), Corpus(Path(corpus_folder)), "skip", checkpoint_steps=99, parallel=parallel)
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
    return [held(parameter).values.clone() for parameter in run.model.parameters()]


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_all_workers_decide_together_and_name_the_one(corpus: Corpus, tmp_path: Path, parallel: Parallel) -> None:
    arguments = (str(corpus.folder), str(tmp_path), parallel)
    torch.multiprocessing.start_processes(in_a_pair, arguments, nprocs=2, start_method="forkserver")
    said = [json.loads((tmp_path / f"said-{rank}.json").read_text()) for rank in range(2)]
    assert said[0] == said[1]
    assert all("worker 1, block " in text and "worker 0" not in text for text in said[0])
    assert said[0][0].startswith("step 3: ") and said[0][0].endswith("left out")
    assert said[0][1].startswith("step 4: ") and said[0][1].endswith("--on-nonfinite skip")
