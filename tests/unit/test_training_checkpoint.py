import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.multiprocessing
from safetensors.torch import load

from genomics_fm.errors import CorruptArtefact
from genomics_fm.storage import Folder
from genomics_fm.training.shards import Found, hashes_of_shard, read_manifest
from genomics_fm.training.slices import Rows, Snapshot, copy_overlap, share
from genomics_fm.training.workers import Workers
from tests.trained import ABOUT, STREAM_STATES, TINY, Trained, checkpoints_of, newest

torch.set_num_threads(1)


def newest_of(place: Path) -> Found:
    found = newest(place.parent, [])
    assert found is not None and found.place.local == place
    return found


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
    assert again.load(newest_of(place)) == STREAM_STATES
    assert [again.step(number) for number in range(3, 6)] == losses
    assert all(torch.equal(a, b) for a, b in zip(again.everything(), trained.everything(), strict=True))
    assert {float(again.optimizer.state[p]["step"]) for p in again.model.parameters()} == {6.0}


def test_tied_weights_stay_tied(saved: Path) -> None:
    again = Trained(seed=1)
    again.load(newest_of(saved / "step-00000003"))
    model = again.model
    assert model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight


def test_a_checkpoint_before_the_first_update_is_none_the_worse(tmp_path: Path) -> None:
    trained, untouched = Trained(), Trained()
    place = trained.save(tmp_path, 0)
    losses = [untouched.step(number) for number in range(3)]
    assert [trained.step(number) for number in range(3)] == losses
    again = Trained(seed=1)
    again.load(newest_of(place))
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


def test_a_policy_keeps_every_so_many_steps_for_good(tmp_path: Path) -> None:
    trained, checkpoints = Trained(), checkpoints_of(tmp_path, 2, every_steps=3)
    for step in range(1, 9):
        trained.step(step)
        checkpoints.save(step, trained.model, trained.optimizer, STREAM_STATES, ABOUT)
    checkpoints.wait()
    assert names(tmp_path) == ["3", "6", "7", "8"]


def test_pruning_counts_no_checkpoint_that_was_found_damaged(saved: Path) -> None:
    """Else the one that a run resumed from could go, while a damaged one stays."""
    flip(saved / "step-00000003" / "rank-00000-of-00001.safetensors", 0.5)
    checkpoints = checkpoints_of(saved, 2)
    found = checkpoints.newest(lambda _: None)
    assert found is not None and found.step == 2
    trained = Trained(seed=1)
    checkpoints.load(found, trained.model, trained.optimizer)
    checkpoints.save(4, trained.model, trained.optimizer, STREAM_STATES, ABOUT)
    checkpoints.wait()
    assert names(saved) == ["2", "3", "4"]


def test_saving_goes_on_beside_the_training_from_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may_write, writing, write = threading.Event(), threading.Event(), Folder.write

    def slow_write(self: Folder, name: str, data: bytes | memoryview) -> None:
        writing.set()
        assert may_write.wait(20)
        write(self, name, data)

    monkeypatch.setattr(Folder, "write", slow_write)
    trained, checkpoints = Trained(), checkpoints_of(tmp_path)
    trained.step(0)
    expected = [tensor.clone() for tensor in trained.everything()]
    checkpoints.save(1, trained.model, trained.optimizer, STREAM_STATES, ABOUT)
    assert writing.wait(20)
    trained.step(1)  # changes every weight while they are written
    assert newest(tmp_path, []) is None
    threading.Timer(0.2, may_write.set).start()
    checkpoints.save(2, trained.model, trained.optimizer, STREAM_STATES, ABOUT)
    assert (tmp_path / "step-00000001" / "manifest.json").is_file()  # one at a time: it has waited
    checkpoints.wait()
    shutil.rmtree(tmp_path / "step-00000002")
    again = Trained(seed=1)
    again.load(newest_of(tmp_path / "step-00000001"))
    assert all(torch.equal(a, b) for a, b in zip(again.everything(), expected, strict=True))


def test_what_was_saved_or_loaded_last_is_not_written_again(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints, trained = checkpoints_of(saved), Trained()
    checkpoints.load(newest_of(saved / "step-00000003"), trained.model, trained.optimizer)
    monkeypatch.setattr(Folder, "write", lambda *_: pytest.fail("written again"))
    checkpoints.save(3, trained.model, trained.optimizer, STREAM_STATES, ABOUT)
    checkpoints.wait()


def test_files_of_an_earlier_attempt_are_not_taken_for_this_ones(saved: Path) -> None:
    """A worker that has not written yet may have left its files when an earlier save was cut short."""
    place = Folder(saved / "step-00000003")
    index = json.loads(place.read("rank-00000-of-00001.json"))
    assert hashes_of_shard(place, 0, 1, index["attempt"]) == read_manifest(place)["files"]
    assert hashes_of_shard(place, 0, 1, "another") is None
    assert hashes_of_shard(place, 1, 2, index["attempt"]) is None


def test_the_optimizer_goes_on_counting_its_own_updates(tmp_path: Path) -> None:
    trained = Trained()
    for number in range(3):
        trained.step(number)
    again = Trained(seed=1)
    again.load(newest_of(trained.save(tmp_path, 5)))  # two steps were left out
    assert {float(again.optimizer.state[p]["step"]) for p in again.model.parameters()} == {3.0}


def test_a_snapshot_is_a_safetensors_file() -> None:
    tensors = {
        "half": torch.tensor([1.5, 2.5, 3.5], dtype=torch.bfloat16),
        "b": torch.arange(6.0).view(2, 3),
        "a": torch.arange(10.0)[::2],
        "wide": torch.tensor([0.1], dtype=torch.float64),
    }
    snapshot = Snapshot()
    data = bytes(snapshot.take(tensors))
    read = load(data)
    assert sorted(read) == sorted(tensors)
    assert all(torch.equal(read[name], tensor) and read[name].dtype == tensor.dtype for name, tensor in tensors.items())
    assert bytes(Snapshot().take(dict(reversed(tensors.items())))) == data
    assert torch.equal(load(bytes(snapshot.take({"b": tensors["b"] + 1})))["b"], tensors["b"] + 1)


@pytest.mark.parametrize(("rows", "world"), [(7, 3), (2, 4), (8, 1)])
def test_replicas_share_the_rows_of_what_all_of_them_have(rows: int, world: int) -> None:
    tensor = torch.arange(2.0 * rows).view(rows, 2)
    back, copied = torch.zeros_like(tensor), 0
    for rank in range(world):
        part = share(tensor, Workers(rank, world, torch.device("cpu")))
        assert len(part.values) <= -(-rows // world)
        copied += copy_overlap(Rows(back, 0), part)
    assert copied == rows and torch.equal(back, tensor)


def test_a_model_that_is_not_the_one_saved_is_refused(saved: Path) -> None:
    trained = Trained()
    trained.model.bert.encoder.layer.append(trained.model.bert.encoder.layer[0].__class__(TINY))
    with pytest.raises(CorruptArtefact, match=f"{saved}/step-00000003: rows missing of .*layer.1"):
        trained.load(newest_of(saved / "step-00000003"))
