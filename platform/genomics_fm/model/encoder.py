"""The published encoder: BERT with ALiBi, a gated FFN without bias and LayerNorm after each residual (SPEC 1.E).

Parameter names are those of the published MosaicBERT / DNABERT-2 checkpoints, so their weights load as they are.
Inputs are packed: documents stand one after the other in a flat tensor, with their lengths beside it.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genomics_fm.errors import InputError, require
from genomics_fm.model.attention import Rectangle, alibi_slopes, packed_attention, rectangle_bias, rectangles

INITIAL_STD = 0.02


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


class Embeddings(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocabulary_size, config.width)
        self.token_type_embeddings = nn.Embedding(config.type_vocabulary_size, config.width)
        if config.position == "ape":
            self.position_embeddings = nn.Embedding(config.max_positions, config.width)
        self.LayerNorm = nn.LayerNorm(config.width, eps=config.layer_norm_eps)
        self.learned_positions = config.position == "ape"

    def forward(self, ids_N: Tensor, position_N: Tensor) -> Tensor:
        hidden_ND = self.word_embeddings(ids_N) + self.token_type_embeddings.weight[0]
        if self.learned_positions:
            hidden_ND = hidden_ND + self.position_embeddings(position_N)
        return self.LayerNorm(hidden_ND)


class SelfAttention(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.Wqkv = nn.Linear(config.width, 3 * config.width)

    def forward(self, hidden_ND: Tensor, groups: list[Rectangle], biases: list[Tensor | None]) -> Tensor:
        qkv_N3HK = self.Wqkv(hidden_ND).unflatten(-1, (3, self.heads, -1))
        return packed_attention(qkv_N3HK, groups, biases)


class AttentionOutput(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.width, config.width)
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
        self.gated_layers = nn.Linear(config.width, 2 * config.ffn_width, bias=False)
        self.wo = nn.Linear(config.ffn_width, config.width)
        self.layernorm = nn.LayerNorm(config.width, eps=config.layer_norm_eps)

    def forward(self, hidden_ND: Tensor) -> Tensor:
        gate_NF, value_NF = self.gated_layers(hidden_ND).chunk(2, dim=-1)
        return self.layernorm(self.wo(F.gelu(gate_NF) * value_NF) + hidden_ND)


class Layer(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.mlp = GatedFfn(config)

    def forward(self, hidden_ND: Tensor, groups: list[Rectangle], biases: list[Tensor | None]) -> Tensor:
        attended_ND = self.attention.self(hidden_ND, groups, biases)
        return self.mlp(self.attention.output(attended_ND, hidden_ND))


class Layers(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.layers))


class Encoder(nn.Module):
    """Packed token ids to hidden states."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.encoder = Layers(config)
        self.use_alibi = config.position == "alibi"

    def forward(self, ids_N: Tensor, lengths: list[int]) -> Tensor:
        """Encode documents.

        Args:
            ids_N: token ids of all documents, one after the other.
            lengths: tokens of each document, in order; they add up to N.

        Returns:
            (N, D) last hidden states, in the same order. A document's states do not depend on its neighbours.

        Raises:
            InputError: with learned positions, a document is longer than the table.
        """
        config = self.config
        if config.position == "ape" and max(lengths) > config.max_positions:
            raise InputError(
                f"document of {max(lengths)} tokens: over {config.max_positions} learned positions; split it"
            )
        position_N = torch.cat([torch.arange(length, device=ids_N.device) for length in lengths])
        hidden_ND = self.embeddings(ids_N, position_N)
        groups = rectangles(lengths, ids_N.device)
        slopes_H = alibi_slopes(config.heads).to(ids_N.device) if self.use_alibi else None
        dtype = torch.get_autocast_dtype(ids_N.device.type) if torch.is_autocast_enabled(ids_N.device.type) else None
        biases = [rectangle_bias(group, slopes_H, dtype or hidden_ND.dtype) for group in groups]
        for layer in self.encoder.layer:
            hidden_ND = layer(hidden_ND, groups, biases)
        return hidden_ND


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """BERT's initialisation, drawn from `generator`: matrices N(0, 0.02²), biases 0, LayerNorm 1 and 0."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            nn.init.normal_(part.weight, std=INITIAL_STD, generator=generator)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)
        if isinstance(part, nn.LayerNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
