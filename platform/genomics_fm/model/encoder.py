"""The published encoder: BERT with ALiBi, a gated FFN without bias and LayerNorm after each residual (SPEC 1.E).

Parameter names are those of the published MosaicBERT / DNABERT-2 checkpoints, so their weights load as they are.
Inputs are packed: documents stand one after the other in a flat tensor, with their lengths beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import MethodType
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from genomics_fm.errors import InputError, require
from genomics_fm.model.attention import alibi_slopes, layout_of

INITIAL_STD = 0.02
MOST_TRANSLATIONS = 64
"""Layers are compiled anew for each number of tokens laid out, with and without gradients; torch keeps 8 by default."""
ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
"""Whether the operator is there: it has no public name, and builds for other processors may lack it."""
Attend = Callable[[Tensor], Tensor]
"""Queries, keys and values (P, 3, H, K) to what was attended to, (P, H·K)."""


@dataclass(frozen=True)
class EncoderConfig:
    """Size of an encoder. Defaults are `tiny`, about 1.4 M parameters with a vocabulary of 7,266."""

    vocabulary_size: int = 7266
    layers: int = 2
    width: int = 128
    heads: int = 4
    ffn_width: int = 384
    position: Literal["alibi", "ape"] = "alibi"
    max_positions: int = 512
    type_vocabulary_size: int = 2
    layer_norm_eps: float = 1e-12

    def __post_init__(self) -> None:
        for name in ("vocabulary_size", "layers", "width", "heads", "ffn_width", "max_positions"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        if self.width % self.heads:
            raise InputError(f"width {self.width}: not a multiple of {self.heads} heads; change one of them")


ENCODERS = {
    "tiny": EncoderConfig(),
    "small": EncoderConfig(layers=6, width=512, heads=8, ffn_width=1536),
    "base": EncoderConfig(layers=12, width=768, heads=12, ffn_width=3072),
    "large": EncoderConfig(layers=24, width=1024, heads=16, ffn_width=4096),
}
"""Sizes by name: 1.4 M, 25 M, 119.5 M and 411.4 M parameters with ALiBi and 7,266 tokens; `base` and `large` are the
published ones (SPEC E2)."""


def positions(lengths: list[int]) -> Tensor:
    """Place of every packed token in its document, from 0: (N,)."""
    length_B = torch.tensor(lengths)
    start_B = torch.cumsum(length_B, 0) - length_B
    return torch.arange(sum(lengths)) - torch.repeat_interleave(start_B, length_B)


class Embeddings(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocabulary_size, config.width)
        self.token_type_embeddings = nn.Embedding(config.type_vocabulary_size, config.width)
        if config.position == "ape":
            self.position_embeddings = nn.Embedding(config.max_positions, config.width)
        self.LayerNorm = nn.LayerNorm(config.width, eps=config.layer_norm_eps)
        self.learned_positions = config.position == "ape"

    def forward(self, ids_N: Tensor, position_N: Tensor | None) -> Tensor:
        """Sum and normalise; `position_N` is looked at where positions are learned."""
        hidden_ND = self.word_embeddings(ids_N) + self.token_type_embeddings.weight[0]
        if self.learned_positions:
            hidden_ND = hidden_ND + self.position_embeddings(position_N)
        return self.LayerNorm(hidden_ND)


class Linear(nn.Linear):
    """`nn.Linear`, by oneDNN where a CPU infers in float32: 1.2 times as fast as torch's choice on an AMD EPYC at 512
    tokens, 1.5 times at 72. oneDNN's operator has no gradient."""

    def forward(self, given_PI: Tensor) -> Tensor:
        plain = torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu")
        if plain or given_PI.device.type != "cpu" or given_PI.dtype != torch.float32 or not ONEDNN:
            return super().forward(given_PI)
        return torch.ops.mkldnn._linear_pointwise(given_PI, self.weight, self.bias, "none", [], "")


class SelfAttention(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.Wqkv = Linear(config.width, 3 * config.width)

    def forward(self, hidden_PD: Tensor, attend: Attend) -> Tensor:
        return attend(self.Wqkv(hidden_PD).unflatten(-1, (3, self.heads, -1)))


class AttentionOutput(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.dense = Linear(config.width, config.width)
        self.LayerNorm = nn.LayerNorm(config.width, eps=config.layer_norm_eps)

    def forward(self, attended_ND: Tensor, residual_ND: Tensor) -> Tensor:
        return self.LayerNorm(self.dense(attended_ND) + residual_ND)


class Attention(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.self = SelfAttention(config)
        self.output = AttentionOutput(config)


class GatedFfn(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.gated_layers = Linear(config.width, 2 * config.ffn_width, bias=False)
        self.wo = Linear(config.ffn_width, config.width)
        self.layernorm = nn.LayerNorm(config.width, eps=config.layer_norm_eps)

    def forward(self, hidden_ND: Tensor) -> Tensor:
        gate_NF, value_NF = self.gated_layers(hidden_ND).chunk(2, dim=-1)
        return self.layernorm(self.wo(F.gelu(gate_NF) * value_NF) + hidden_ND)


class Layer(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.mlp = GatedFfn(config)

    def forward(self, hidden_PD: Tensor, attend: Attend) -> Tensor:
        attended_PD = self.attention.self(hidden_PD, attend)
        return self.mlp(self.attention.output(attended_PD, hidden_PD))


class Layers(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.layers))


class Encoder(nn.Module):
    """Packed token ids to hidden states.

    Attributes:
        use_alibi: whether scores carry the ALiBi bias.
        compiled: set by `compile`.
        checkpointing: training keeps a layer's input alone, and computes the layer once more for its gradients.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.encoder = Layers(config)
        self.use_alibi = config.position == "alibi"
        self.compiled = False
        self.checkpointing = False

    def forward(self, ids_N: Tensor, lengths: list[int], layers: int | None = None) -> Tensor:
        """Encode documents.

        Args:
            ids_N: token ids of all documents, one after the other.
            lengths: tokens of each document, in order; they add up to N.
            layers: how many layers to go through, 0 for the embeddings; all when None.

        Returns:
            (N, D) hidden states after that layer, in packed order. A document's do not depend on its neighbours.

        Raises:
            InputError: a document without tokens, lengths that do not add up to N, layers there are not, or, with
                learned positions, a document that is longer than the table.
        """
        self._check(len(ids_N), lengths)
        most = len(self.encoder.layer)
        require(layers is None or 0 <= layers <= most, "layers", layers, f"0 to {most}")
        device = ids_N.device
        slopes_H = alibi_slopes(self.config.heads).to(device, non_blocking=True) if self.use_alibi else None
        layout = layout_of(lengths, slopes_H, device, self._dtype(device), self.compiled)
        learned = self.embeddings.learned_positions
        position_P = layout.enter(positions(lengths).to(device)) if learned else None
        hidden_PD = self.embeddings(layout.enter(ids_N), position_P)
        again = self.checkpointing and torch.is_grad_enabled()
        for layer in self.encoder.layer[:layers]:
            if again:
                hidden_PD = checkpoint(layer, hidden_PD, layout.attend, use_reentrant=False)
            else:
                hidden_PD = layer(hidden_PD, layout.attend)
        return layout.leave(hidden_PD)

    def _check(self, tokens: int, lengths: list[int]) -> None:
        if min(lengths, default=0) < 1 or sum(lengths) != tokens:
            raise InputError(
                f"documents of {lengths[:8]} tokens in a row of {tokens}: give each at least 1, {tokens} in all"
            )
        most = self.config.max_positions
        if self.embeddings.learned_positions and max(lengths) > most:
            raise InputError(f"document of {max(lengths)} tokens: over {most} learned positions; split it")

    def compile(self, **options: Any) -> None:
        """Have `torch.compile` translate the layers, once for all of them; on CUDA, FlexAttention then attends.

        Their parameters keep their names, and hooks of FSDP and DDP stay outside. Numbers of tokens that are laid out
        alike share the code, of which the process keeps `MOST_TRANSLATIONS`; a failure to translate is an error, never
        a slow path.

        Args:
            options: of `torch.compile`, where they are not to be these.
        """
        torch._dynamo.config.recompile_limit = MOST_TRANSLATIONS
        # DDP would have a layer cut into pieces that send gradients one by one; layers are such pieces.
        torch._dynamo.config.optimize_ddp = False
        translated = torch.compile(Layer.forward, **{"fullgraph": True, "dynamic": False, **options})
        for layer in self.encoder.layer:
            layer.forward = MethodType(translated, layer)
        self.compiled = True

    def _dtype(self, device: torch.device) -> torch.dtype:
        """What queries, keys and values are computed in."""
        if torch.is_autocast_enabled(device.type):
            return torch.get_autocast_dtype(device.type)
        return self.embeddings.word_embeddings.weight.dtype


Draw = Callable[[Tensor], Tensor]
"""Fills a tensor in place, and returns it."""


def _put(parameter: Tensor, draw: Draw) -> None:
    draw(parameter)


def initialise(
    module: nn.Module,
    generator: torch.Generator,
    put: Callable[[Tensor, Draw], None] = _put,
) -> None:
    """BERT's initialisation, drawn from `generator`: matrices N(0, 0.02²), biases 0, LayerNorm 1 and 0.

    Args:
        module: whose parameters are drawn, in its modules' order.
        generator: of the CPU.
        put: gets every parameter with what fills a tensor of its shape, which it must call.
    """
    normal = partial(nn.init.normal_, std=INITIAL_STD, generator=generator)
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            put(part.weight, normal)
        if isinstance(part, nn.Linear) and part.bias is not None:
            put(part.bias, nn.init.zeros_)
        if isinstance(part, nn.LayerNorm):
            put(part.weight, nn.init.ones_)
            put(part.bias, nn.init.zeros_)
