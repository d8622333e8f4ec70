"""What must do no harm where it is planted: values that are not finite, and pickles."""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genomics_fm.model.attention import layout_of
from genomics_fm.training.loop import Run


class Planted:
    """Puts a value into what the layers get, at one packed position of one micro-batch of the next step."""

    def __init__(self, run: Run, micro_batch: int, position: int, value: float) -> None:
        self.calls, self.micro_batch, self.position, self.value = 0, micro_batch, position, value
        encoder = run.model.bert
        self.handles = [
            encoder.register_forward_pre_hook(self.look), encoder.embeddings.register_forward_hook(self.plant),
        ]  # fmt: skip

    def look(self, _module: Any, given: Any) -> None:
        ids_N, lengths = given[:2]
        layout = layout_of(lengths, None, ids_N.device, torch.float32, False)
        self.here_P = layout.enter(torch.arange(1, len(ids_N) + 1)) == 1 + self.position % len(ids_N)

    def plant(self, _module: Any, _given: Any, embedded_PD: Tensor) -> Tensor:
        self.calls += 1
        bad_PD = torch.where(self.here_P[:, None], self.value, embedded_PD)
        return bad_PD if self.calls - 1 == self.micro_batch else embedded_PD

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()


class _Touch:
    """Creates a file when a pickle of it is loaded."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self._trace,)


def planted_pickle(trace: Path) -> bytes:
    """A pickle that leaves a file behind where it is executed; that it would is tried here."""
    data = pickle.dumps(_Touch(trace))
    pickle.loads(data)
    trace.unlink()
    return data
