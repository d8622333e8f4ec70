"""Which device a worker takes."""

import pytest
import torch
import torch.distributed as dist

from genomics_fm.training.workers import Workers


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
