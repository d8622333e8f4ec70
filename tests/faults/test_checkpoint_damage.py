"""Damage to checkpoints on a disk and in an S3-like store: found before use, never a mixture, nothing executed."""

import random
from pathlib import Path

import pytest
import torch

from genomics_fm.artefacts import sha256_bytes
from genomics_fm.errors import CorruptArtefact
from genomics_fm.storage import Folder
from genomics_fm.training.shards import MANIFEST, Found
from tests.planted import planted_pickle
from tests.trained import Expected, Trained, newest

torch.set_num_threads(1)
STEPS = (1, 2, 3)
INDEX, TENSORS = "rank-00000-of-00001.json", "rank-00000-of-00001.safetensors"


@pytest.fixture(params=["disk", "object store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """Checkpoints 1, 2 and 3."""
    folder = Folder(tmp_path if request.param == "disk" else request.getfixturevalue("object_store")) / "checkpoints"
    trained = Trained()
    for step in STEPS:
        trained.step(step - 1)
        trained.save(folder, step)
    return folder


def _flip(data: bytes, draw: random.Random, _: bytes) -> bytes:
    place = draw.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << draw.randrange(8)]) + data[place + 1 :]


def _truncate(data: bytes, draw: random.Random, _: bytes) -> bytes:
    return data[: draw.randrange(len(data))]


def _delete(data: bytes, draw: random.Random, _: bytes) -> None:
    return None


def _swap(data: bytes, draw: random.Random, other: bytes) -> bytes:
    return other


DAMAGES = (_flip, _truncate, _delete, _swap)


def _damage_often(folder: Folder, count: int) -> None:
    """Damage a file of the newest checkpoint, look, and mend it again."""
    draw, expected = random.Random(0), Expected()
    for number in range(count):
        damage = DAMAGES[number % len(DAMAGES)]
        place, other = folder / "step-00000003", folder / f"step-{draw.choice((1, 2)):08d}"
        name = draw.choice((MANIFEST, INDEX, TENSORS))
        sound = place.read(name)
        damaged = damage(sound, draw, other.read(name))
        if damaged is None:
            place.delete(name)
        else:
            place.write(name, damaged)
        said: list[str] = []
        found = newest(folder, said)
        assert found is not None
        # Without its last line feed a manifest says the same; every other file is hashed to the byte.
        if damaged != sound and not (name == MANIFEST and damaged == sound.rstrip()):
            _expect_skipped(found, place, name, said)
        expected.check(Found(folder / f"step-{found.step:08d}", found.manifest))
        place.write(name, sound)


def _expect_skipped(found: Found, place: Folder, name: str, said: list[str]) -> None:
    """The one before is used, and the file named; unless the manifest of another step was put in its place."""
    assert found.step == 2
    assert len(said) == 1 and said[0].startswith("skipping checkpoint step-00000003: ")
    assert place.shown("") in said[0] and (name in said[0] or name == MANIFEST)


def test_fifty_damages(folder: Folder) -> None:
    _damage_often(folder, 25)


@pytest.mark.full
def test_a_thousand_damages(folder: Folder) -> None:
    _damage_often(folder, 500)


def test_damage_after_the_newest_was_chosen_is_found_too(folder: Folder) -> None:
    found = newest(folder, [])
    assert found is not None and found.step == 3
    data = found.place.read(TENSORS)
    found.place.write(TENSORS, _flip(data, random.Random(1), b""))
    with pytest.raises(CorruptArtefact, match=f"step-00000003/{TENSORS}: missing or changed") as caught:
        Trained().load(found)
    assert caught.value.exit_code == 3
    found.place.delete(INDEX)
    with pytest.raises(CorruptArtefact, match=f"step-00000003/{INDEX}: missing or changed"):
        Trained().load(found)


@pytest.mark.parametrize("name", [MANIFEST, INDEX, TENSORS])
@pytest.mark.parametrize("hashed", [False, True])
def test_a_planted_pickle_is_never_executed(folder: Folder, name: str, hashed: bool, tmp_path: Path) -> None:
    """Not even one whose hash has been put into the manifest."""
    trace = tmp_path / "executed"
    place, data = folder / "step-00000003", planted_pickle(trace)
    place.write(name, data)
    if hashed and name != MANIFEST:
        manifest = place.read_sealed_json(MANIFEST, 1, "")
        manifest["files"][name] = sha256_bytes(data)
        place.write_sealed_json(MANIFEST, manifest)
        found = newest(folder, [])
        assert found is not None and found.step == 3
        with pytest.raises(CorruptArtefact, match=f"step-00000003/{name}: not "):
            Trained().load(found)
    else:
        found = newest(folder, [])
        assert found is not None and found.step == 2
        Trained().load(found)
    assert not trace.exists()
