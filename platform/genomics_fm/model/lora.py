"""Low-rank adapters on the encoder's queries and values, through peft (SPEC 1.G: r 8, alpha 32, dropout 0.05).

Queries, keys and values come from one matrix, Wqkv (3·D, D). An adapter of twice the rank whose second factor is
block-sparse is exactly two adapters, one on the rows of the queries and one on those of the values; the keys stay:

    ΔWqkv = alpha / r · [B_q 0; 0 0; 0 B_v] [A_q; A_v],   A (D wide) and B (D high) of rank r each.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from genomics_fm.artefacts import read_sealed_json, sha256_file, write_sealed_json
from genomics_fm.errors import CorruptArtefact, InputError, require
from genomics_fm.model.encoder import Encoder
from genomics_fm.model.weights import read_tensors, write_tensors

FORMAT_VERSION = 1
WEIGHTS, CONFIG = "adapter.safetensors", "adapter.json"
ADAPTED = "Wqkv"
_NAME = "default"
"""What peft calls an adapter."""


@dataclass(frozen=True)
class LoraSettings:
    """Of an adapter.

    Attributes:
        r: rank, of the queries' and of the values' part each.
        alpha: what is added is scaled by alpha / r.
        dropout: of the adapter's input while training; drawn from torch's global generator.
        seed: of the first factors; the second ones start at 0, so that nothing changes at first.
    """

    r: int = 8
    alpha: float = 32.0
    dropout: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.r >= 1, "r", self.r, "at least 1")
        require(self.alpha > 0, "alpha", self.alpha, "above 0")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "a share below 1")


def _peft() -> ModuleType:
    try:
        import peft
    except ImportError as error:
        raise InputError("peft is not installed; `pip install 'genomics-fm[hf]'`") from error
    return peft


def _live(width: int, r: int) -> Tensor:
    """Which entries of the second factor (3·D, 2·r) are not 0 for ever."""
    live = torch.zeros(3 * width, 2 * r)
    live[:width, :r] = 1
    live[2 * width :, r:] = 1
    return live


def _keep_sparse(factor: nn.Parameter, r: int) -> None:
    """Let no gradient reach the entries that are 0, so that no optimizer moves them."""
    live = _live(len(factor) // 3, r)

    def masked(gradient: Tensor) -> Tensor:
        return gradient * live.to(gradient)

    factor.register_hook(masked)


def _adapted(module: nn.Module) -> list[tuple[str, Any]]:
    """Layers with an adapter, by name."""
    return [(name, part) for name, part in module.named_modules() if hasattr(part, "lora_B")]


def add_lora(module: nn.Module, settings: LoraSettings) -> nn.Module:
    """Put adapters into every layer of a classifier's encoder, in place; only they and the head go on training.

    The module keeps its class and goes on taking packed documents. A deep copy of it trains a plain adapter of Wqkv,
    because hooks on parameters are not copied: save and load it instead.

    Args:
        module: with an `Encoder` as `bert`: `SequenceClassifier`, `TokenClassifier`.
        settings: of the adapters.

    Raises:
        InputError: peft is not installed, or the module has adapters already, or no encoder.
    """
    peft = _peft()
    if _adapted(module):
        raise InputError("the module has adapters already; merge them first with merge_lora")
    encoder = getattr(module, "bert", None)
    if not isinstance(encoder, Encoder):
        raise InputError(f"{type(module).__name__}: has no encoder; give a classifier")
    config = peft.LoraConfig(
        r=2 * settings.r, lora_alpha=2 * settings.alpha, lora_dropout=settings.dropout, target_modules=[ADAPTED]
    )
    peft.inject_adapter_in_model(config, encoder, _NAME)
    generator = torch.Generator().manual_seed(settings.seed)
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_("lora_" in name)
    for _, layer in _adapted(encoder):
        first = layer.lora_A[_NAME].weight
        values = torch.empty(first.shape).uniform_(-1, 1, generator=generator) / first.shape[1] ** 0.5
        with torch.no_grad():
            first.copy_(values)  # uniform within 1/√D, which is peft's own start but from our seed
        _keep_sparse(layer.lora_B[_NAME].weight, settings.r)
    return module


def merge_lora(module: nn.Module) -> nn.Module:
    """Add adapters to the weights they adapt, in place, and leave none; everything may train again.

    Raises:
        InputError: there is no adapter.
    """
    found = _adapted(module)
    if not found:
        raise InputError(f"{type(module).__name__}: has no adapter; add_lora gives it one")
    for name, layer in found:
        layer.merge()
        parent, _, child = name.rpartition(".")
        setattr(module.get_submodule(parent), child, layer.get_base_layer())
    for parameter in module.parameters():
        parameter.requires_grad_(True)
    return module


def trainable_parameters(module: nn.Module) -> int:
    """Parameters that training moves; of an adapter's second factor, those that are not 0 for ever."""
    total = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    factors = [layer.lora_B[_NAME].weight for _, layer in _adapted(module)]
    return total - sum(factor.numel() - int(_live(len(factor) // 3, factor.shape[1] // 2).sum()) for factor in factors)


def _trained(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def save_lora(folder: Path, module: nn.Module, settings: LoraSettings, about: dict[str, Any]) -> None:
    """Write what was trained, adapters and head: `adapter.safetensors`, then `adapter.json`, which is the commit.

    Args:
        folder: made if absent.
        module: from `add_lora`.
        settings: what it was given.
        about: sha256 of the encoder's weights, of the data; kept in `adapter.json`.
    """
    write_tensors(folder / WEIGHTS, dict(_trained(module)))
    sha256 = sha256_file(folder / WEIGHTS)
    content = {"format_version": FORMAT_VERSION, "lora": asdict(settings), "weights_sha256": sha256, "about": about}
    write_sealed_json(folder / CONFIG, content)


def load_lora(folder: Path, module: nn.Module) -> dict[str, Any]:
    """Give a classifier the adapters and the head of `save_lora`, in place; its encoder must be the one they are of.

    Returns:
        `about`.

    Raises:
        InputError: no such adapter, the module has one already, or peft is not installed.
        CorruptArtefact: the weights disagree with their hash or the module; the module then has fresh adapters.
    """
    value = read_sealed_json(folder / CONFIG, FORMAT_VERSION, "give a folder that holds an adapter")
    path = folder / WEIGHTS
    if not path.is_file() or sha256_file(path) != value["weights_sha256"]:
        raise CorruptArtefact(f"{path}: does not match its sha256 in {CONFIG}; restore it or train it again")
    tensors = read_tensors(path)
    own = _trained(add_lora(module, LoraSettings(**value["lora"])))
    if {name: tensor.shape for name, tensor in tensors.items()} != {name: own[name].shape for name in own}:
        raise CorruptArtefact(f"{path}: does not fit this encoder and head; give those it was trained with")
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(tensors[name])
    return value["about"]
