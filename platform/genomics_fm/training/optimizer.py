"""AdamW as published, and its schedule (SPEC 1.F)."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from genomics_fm.errors import require


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW with linear warm-up and linear decay to zero.

    Attributes:
        learning_rate: at the end of the warm-up.
        betas: of AdamW.
        eps: of AdamW.
        weight_decay: on matrices; biases and LayerNorm have none.
        clip_norm: largest norm of the whole gradient.
        warmup_steps: steps of linear increase.
    """

    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-6
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    warmup_steps: int = 10_000

    def __post_init__(self) -> None:
        for name in ("learning_rate", "eps"):
            require(0 < getattr(self, name) < math.inf, name, getattr(self, name), "a number above 0")
        require(self.clip_norm > 0, "clip_norm", self.clip_norm, "a number above 0 (inf for no clipping)")
        require(0 <= self.weight_decay < math.inf, "weight_decay", self.weight_decay, "a number from 0 up")
        require(all(0 <= beta < 1 for beta in self.betas), "betas", self.betas, "two numbers from 0 up, below 1")
        require(self.warmup_steps >= 0, "warmup_steps", self.warmup_steps, "0 or more")


def learning_rate(config: OptimizerConfig, step: int, steps: int) -> float:
    """Rate of update `step` (from 0) of `steps`."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    return config.learning_rate * max(steps - step, 0) / max(steps - config.warmup_steps, 1)


def adamw(model: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW over a model's parameters, each once, in name order."""
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in sorted(model.named_parameters()):
        (plain if name.endswith("bias") or "layernorm" in name.lower() else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    on_cuda = all(parameter.is_cuda for parameter in model.parameters())
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=config.betas, eps=config.eps, fused=True if on_cuda else None
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
