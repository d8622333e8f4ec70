"""Which device a worker takes, and how much memory it has."""

import socket
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from genomics_fm.training import workers as workers_module
from genomics_fm.training.parallel import casts
from genomics_fm.training.workers import Workers, machine_bytes


@pytest.mark.parametrize(
    ("backend", "visible", "expected"),
    [
        ("gloo", None, "cpu"),
        ("nccl", None, "cuda:1"),
        (None, None, "cuda"),
        (None, "0", "cuda"),
        (None, "", "cpu"),
    ],
)
def test_the_device_on_a_node_with_gpus(
    backend: str | None, visible: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(dist, "is_initialized", lambda: backend is not None)
    monkeypatch.setattr(dist, "get_backend", lambda: backend)
    monkeypatch.setattr(dist, "get_rank", lambda: 1)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    assert Workers.current().device == torch.device(expected)


def test_a_container_has_the_memory_it_is_limited_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit, other = tmp_path / "memory.max", tmp_path / "absent"
    monkeypatch.setattr(workers_module, "CONTROL_GROUP_LIMITS", (other, limit))
    whole = machine_bytes()
    for text, expected in (("max\n", whole), ("1048576\n", 1 << 20), (f"{1 << 62}\n", whole)):
        limit.write_text(text)
        assert machine_bytes() == expected


@pytest.mark.parametrize(
    ("others", "expected"),
    [([], 900), ([("here", 900), ("here", 900)], 300), ([("there", 400)], 400), ([("there", 400)] * 3, 133)],
)
def test_workers_of_a_machine_share_its_memory(
    others: list[tuple[str, int]], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "here")
    monkeypatch.setattr(workers_module, "machine_bytes", lambda: 900)
    monkeypatch.setattr(Workers, "gather", lambda self, value: [value, *others])
    assert Workers(0, 1 + len(others), torch.device("cpu")).memory_bytes() == expected


def test_the_least_gpu_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_gpu(device: torch.device) -> Any:
        return type("", (), {"total_memory": 80})

    monkeypatch.setattr(torch.cuda, "get_device_properties", of_gpu)
    monkeypatch.setattr(Workers, "gather", lambda self, value: [value, 40])
    assert Workers(0, 2, torch.device("cuda", 0)).memory_bytes() == 40


@pytest.mark.parametrize(
    ("device", "sharded", "expected"), [("cuda", True, False), ("cuda", False, True), ("cpu", False, False)]
)
def test_only_fsdp_casts_by_itself(device: str, sharded: bool, expected: bool) -> None:
    assert casts(Workers(0, 2, torch.device(device)), sharded) is expected
