import json
import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing
from torch import Tensor

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import new_language_model
from genomics_fm.model.weights import load_encoder
from genomics_fm.storage import Folder
from genomics_fm.training.checkpoint import Checkpoints, KeepPolicy
from genomics_fm.training.optimizer import OptimizerConfig, adamw
from genomics_fm.training.shards import Found
from genomics_fm.training.workers import Workers
from tests.runs import RUN, advance, in_a_group, run_of

torch.set_num_threads(1)
ALONE = Workers(0, 1, torch.device("cpu"))
TINY = EncoderConfig(vocabulary_size=40, layers=1, width=16, heads=2, ffn_width=24)
ABOUT = {"corpus_sha256": "c"}
STREAM_STATES = {"0": {"rows_made": 3}, "1": {"rows_made": 2}}


def checkpoints_of(folder: Path | Folder, keep: int = 9, every_steps: int = 0) -> Checkpoints:
    return Checkpoints(Folder(folder), ALONE, KeepPolicy(keep, every_steps))


def newest(folder: Path | Folder, said: list[str]) -> Found | None:
    return checkpoints_of(folder).newest(said.append)


class Trained:
    """A tiny model, and updates that need no data."""

    def __init__(self, seed: int = 0) -> None:
        self.model = new_language_model(TINY, seed)
        self.optimizer = adamw(self.model, OptimizerConfig(learning_rate=1e-2))

    def step(self, number: int) -> float:
        ids_N = (torch.arange(20) * (number + 3)) % 40
        loss = self.model(ids_N, [12, 8]).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def save(self, folder: Path, step: int, keep: int = 9) -> Path:
        checkpoints = checkpoints_of(folder, keep)
        checkpoints.save(step, self.model, self.optimizer, STREAM_STATES, ABOUT)
        checkpoints.wait()
        return folder / f"step-{step:08d}"

    def load(self, place: Path) -> dict[str, Any]:
        checkpoints = checkpoints_of(place.parent)
        found = checkpoints.newest(lambda _: None)
        assert found is not None and found.place.local == place
        return checkpoints.load(found, self.model, self.optimizer)

    def everything(self) -> list[Tensor]:
        states = [self.optimizer.state[p] for p in self.model.parameters()]
        return [p.detach() for p in self.model.parameters()] + [s[k] for s in states for k in sorted(s)]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Checkpoints 1, 2 and 3."""
    trained = Trained()
    for step in (1, 2, 3):
        trained.step(step)
        trained.save(tmp_path, step)
    return tmp_path


def test_weights_moments_and_states_come_back_bit_by_bit(tmp_path: Path) -> None:
    trained = Trained()
    for number in range(3):
        trained.step(number)
    place = trained.save(tmp_path, 3)
    losses = [trained.step(number) for number in range(3, 6)]
    again = Trained(seed=1)
    assert again.load(place) == STREAM_STATES
    assert [again.step(number) for number in range(3, 6)] == losses
    assert all(torch.equal(a, b) for a, b in zip(again.everything(), trained.everything(), strict=True))
    assert {float(again.optimizer.state[p]["step"]) for p in again.model.parameters()} == {6.0}


def test_tied_weights_stay_tied(saved: Path) -> None:
    again = Trained(seed=1)
    again.load(saved / "step-00000003")
    model = again.model
    assert model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight


def test_a_checkpoint_before_the_first_update_is_none_the_worse(tmp_path: Path) -> None:
    trained, untouched = Trained(), Trained()
    place = trained.save(tmp_path, 0)
    losses = [untouched.step(number) for number in range(3)]
    assert [trained.step(number) for number in range(3)] == losses
    again = Trained(seed=1)
    again.load(place)
    assert [again.step(number) for number in range(3)] == losses


def test_nothing_of_a_checkpoint_is_a_pickle(saved: Path) -> None:
    place = saved / "step-00000003"
    assert {path.suffix for path in place.iterdir()} == {".json", ".safetensors"}
    assert sorted(json.loads((place / "manifest.json").read_text())["files"]) == [
        "rank-00000-of-00001.json",
        "rank-00000-of-00001.safetensors",
    ]


def flip(path: Path, place: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 4
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped bit in the weights": lambda p: flip(p / "rank-00000-of-00001.safetensors", 0.7),
    "flipped bit in the header": lambda p: flip(p / "rank-00000-of-00001.safetensors", 0.001),
    "flipped bit in the states": lambda p: flip(p / "rank-00000-of-00001.json", 0.5),
    "weights cut short": lambda p: (p / "rank-00000-of-00001.safetensors").write_bytes(b""),
    "weights gone": lambda p: (p / "rank-00000-of-00001.safetensors").unlink(),
    "states gone": lambda p: (p / "rank-00000-of-00001.json").unlink(),
    "manifest cut short": lambda p: (p / "manifest.json").write_bytes((p / "manifest.json").read_bytes()[:-9]),
    "no manifest: the save was interrupted": lambda p: (p / "manifest.json").unlink(),
    "weights of another step": lambda p: shutil.copy(
        p.with_name("step-00000002") / "rank-00000-of-00001.safetensors", p
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_checkpoint_that_does_not_verify_is_skipped_by_name(saved: Path, damage: str) -> None:
    DAMAGES[damage](saved / "step-00000003")
    said: list[str] = []
    found = newest(saved, said)
    assert found is not None and (found.place.local, found.step) == (saved / "step-00000002", 2)
    assert len(said) == 1 and said[0].startswith(f"skipping checkpoint step-00000003: {saved}/step-00000003/")


def test_a_flipped_bit_anywhere_in_the_manifest_is_noticed(saved: Path) -> None:
    path = saved / "step-00000003" / "manifest.json"
    sound = path.read_bytes()
    value = json.loads(sound)
    for place in range(len(sound)):
        damaged = bytearray(sound)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        try:
            if json.loads(damaged) == value:
                continue  # white space
        except ValueError:
            pass
        found = newest(saved, [])
        assert found is not None and found.step == 2, (place, damaged)


def test_a_newer_format_is_skipped_by_name(saved: Path) -> None:
    path = saved / "step-00000003" / "manifest.json"
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 2'))
    said: list[str] = []
    found = newest(saved, said)
    assert found is not None and found.step == 2
    assert "upgrade genomics-fm" in said[0]


def test_nothing_there_or_nothing_whole_is_none(tmp_path: Path, saved: Path) -> None:
    assert newest(tmp_path / "absent", []) is None
    for place in saved.glob("step-*"):
        (place / "manifest.json").unlink()
    said: list[str] = []
    assert newest(saved, said) is None
    assert len(said) == 3


def names(folder: Path) -> list[str]:
    return sorted(path.name[-1] for path in folder.glob("step-*"))


def test_pruning_keeps_the_newest_whole_ones_and_what_is_newer(saved: Path) -> None:
    Trained().save(saved, 4)
    (saved / "step-00000002" / "manifest.json").unlink()
    (saved / "step-00000005").mkdir()  # being written
    checkpoints_of(saved, 3).prune(4)
    assert names(saved) == ["1", "2", "3", "4", "5"]
    checkpoints_of(saved, 2).prune(4)
    assert names(saved) == ["3", "4", "5"]
    checkpoints_of(saved, 1).prune(4)
    assert names(saved) == ["4", "5"]


def test_pruning_without_a_whole_one_removes_nothing(tmp_path: Path) -> None:
    (tmp_path / "step-00000001").mkdir()
    checkpoints_of(tmp_path, 1).prune(1)
    assert names(tmp_path) == ["1"]


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
        tokens = [[json.loads(line)[k] for k in ("tokens", "predicted")] for line in (folder / "metrics.jsonl").open()]
        assert tokens == [
            [json.loads(line)[k] for k in ("tokens", "predicted")]
            for line in (tmp_path / "alone" / "metrics.jsonl").open()
        ]
        for name, tensor in load_encoder(folder)[1].items():
            torch.testing.assert_close(tensor, weights[name], atol=2e-5, rtol=0)
