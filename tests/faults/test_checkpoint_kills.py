"""Killed anywhere inside a save, again and again: the newest whole checkpoint loads, never a mixture of two."""

import multiprocessing
import random
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch

from genomics_fm.storage import Folder
from tests.trained import Expected, newest, train_until_killed

torch.set_num_threads(1)
STEPS = 3
EVENTS = 30
"""Three saves by one worker have about as many moments to die at."""
SECONDS = 60.0


def _start(world: int, folder: str, meet: Path, dies: tuple[int, int]) -> list[BaseProcess]:
    context = multiprocessing.get_context("forkserver")
    processes: list[BaseProcess] = [
        context.Process(target=train_until_killed, args=(rank, world, folder, str(meet), STEPS, dies))
        for rank in range(world)
    ]
    for process in processes:
        process.start()
    return processes


def _kill_often(place: str, world: int, kills: int, tmp_path: Path) -> None:
    """Kill one worker at a random moment, the others with it, and look; the next ones go on from what is left."""
    draw, expected, step, inside = random.Random(world), Expected(), 0, 0
    for number in range(kills):
        dying = draw.randrange(world)
        processes = _start(world, place, tmp_path / f"meet-{number}", (dying, draw.randint(1, EVENTS)))
        processes[dying].join(SECONDS)
        assert not processes[dying].is_alive()
        for process in processes:
            process.kill()
            process.join()
        inside += processes[dying].exitcode == -9
        said: list[str] = []
        found = newest(Folder(place), said)
        assert all("the save did not finish" in line or "missing or changed" in line for line in said)
        assert (found.step if found else 0) >= step
        if found is not None:
            step = found.step
            expected.check(found)
    assert inside >= kills * 0.6  # the others had ended first
    for process in (processes := _start(world, place, tmp_path / "meet-last", (-1, 0))):
        process.join(SECONDS)
    assert [process.exitcode for process in processes] == [0] * world
    found = newest(Folder(place), [])
    assert found is not None and found.step == step + STEPS
    expected.check(found)


@pytest.mark.parametrize("world", [1, 2])
def test_ten_kills_inside_saves(world: int, tmp_path: Path) -> None:
    _kill_often(str(tmp_path / "checkpoints"), world, 5, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("kind", ["disk", "object store"])
def test_a_hundred_kills_inside_saves(world: int, kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    place = Folder(tmp_path if kind == "disk" else request.getfixturevalue("object_store")) / "checkpoints"
    _kill_often(str(place), world, 25, tmp_path)
