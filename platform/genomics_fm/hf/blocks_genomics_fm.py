"""The blocks of the Genomics-FM encoder as plain PyTorch: embeddings, layers, the head of masked language modelling.

Layers know nothing of rows: all that reaches over tokens is `attend`, which is given to them.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .configuration_genomics_fm import GenomicsFmConfig

Attend = Callable[[Tensor], Tensor]
"""Queries, keys and values (…, 3, H, K) to what was attended to, (…, D)."""


def alibi_slopes(heads: int) -> Tensor:
    """Slopes of Press et al. 2022 (H,): a geometric series for powers of two, interleaved otherwise."""

    def of_power(count: int) -> list[float]:
        first = 2.0 ** (-(2.0 ** -(math.log2(count) - 3)))
        return [first ** (rank + 1) for rank in range(count)]

    closest = 2 ** math.floor(math.log2(heads))
    slopes = of_power(closest)
    if closest < heads:
        slopes += of_power(2 * closest)[0::2][: heads - closest]
    return torch.tensor(slopes, dtype=torch.float32)


def positions_of(keep_BT: Tensor) -> Tensor:
    """Place of each token among those of its row that are kept, from 0; (B, T). Padding may be on either side."""
    return (keep_BT.cumsum(1) - 1).clamp(min=0)


def dense_bias(keep_BT: Tensor, heads: int, alibi: bool, dtype: torch.dtype) -> Tensor | None:
    """What is added to attention scores, (B or 1, H or 1, T, T): −slope·|i − j|, and no weight for padding."""
    place_T = torch.arange(keep_BT.shape[1], device=keep_BT.device)
    bias = None
    if alibi:
        distance_TT = (place_T[:, None] - place_T).abs()
        bias = (-alibi_slopes(heads).to(keep_BT.device)[:, None, None] * distance_TT)[None].to(dtype)
    if bool(keep_BT.all()):
        return bias
    scores = keep_BT.new_zeros(1, dtype=dtype) if bias is None else bias
    return torch.where(keep_BT[:, None, None, :], scores, torch.finfo(dtype).min)


def dense_attend(bias: Tensor | None) -> Attend:
    """Attention over whole rows, (B, T, 3, H, K) to (B, T, D)."""

    def attend(qkv_BT3HK: Tensor) -> Tensor:
        q, k, v = qkv_BT3HK.permute(2, 0, 3, 1, 4)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).flatten(2)

    return attend


class Embeddings(nn.Module):
    def __init__(self, config: GenomicsFmConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        if config.position == "ape":
            self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.learned_positions = config.position == "ape"

    def forward(self, ids: Tensor, positions: Tensor, types: Tensor | None = None) -> Tensor:
        """Embed tokens of any shape; without `types` every token is of type 0."""
        of_type = self.token_type_embeddings.weight[0] if types is None else self.token_type_embeddings(types)
        hidden = self.word_embeddings(ids) + of_type
        return self.LayerNorm(hidden + self.position_embeddings(positions) if self.learned_positions else hidden)


class SelfAttention(nn.Module):
    def __init__(self, config: GenomicsFmConfig) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.Wqkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)

    def forward(self, hidden: Tensor, attend: Attend) -> Tensor:
        return attend(self.Wqkv(hidden).unflatten(-1, (3, self.heads, -1)))


class AttentionOutput(nn.Module):
    def __init__(self, config: GenomicsFmConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, attended: Tensor, residual: Tensor) -> Tensor:
        return self.LayerNorm(self.dense(attended) + residual)


class Attention(nn.Module):
    def __init__(self, config: GenomicsFmConfig) -> None:
        super().__init__()
        self.self = SelfAttention(config)
        self.output = AttentionOutput(config)


class GatedFfn(nn.Module):
    def __init__(self, config: GenomicsFmConfig) -> None:
        super().__init__()
        self.gated_layers = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.wo = nn.Linear(config.intermediate_size, config.hidden_size)
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden: Tensor) -> Tensor:
        gate, value = self.gated_layers(hidden).chunk(2, dim=-1)
        return self.layernorm(self.wo(F.gelu(gate) * value) + hidden)


class Layer(nn.Module):
    def __init__(self, config: GenomicsFmConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.mlp = GatedFfn(config)

    def forward(self, hidden: Tensor, attend: Attend) -> Tensor:
        return self.mlp(self.attention.output(self.attention.self(hidden, attend), hidden))


class Layers(nn.Module):
    """The stack; `PreTrainedModel.gradient_checkpointing_enable` sets the two attributes below."""

    gradient_checkpointing = False
    _gradient_checkpointing_func: Callable[..., Tensor]

    def __init__(self, config: GenomicsFmConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))

    def forward(self, hidden: Tensor, attend: Attend, every: bool) -> list[Tensor]:
        """Hidden states after the last layer; with `every` also before the first and after each."""
        states = [hidden]
        for layer in self.layer:
            if self.gradient_checkpointing and self.training:
                hidden = self._gradient_checkpointing_func(layer.__call__, hidden, attend)
            else:
                hidden = layer(hidden, attend)
            states = [*states, hidden] if every else [hidden]
        return states


class AttentionPooling(nn.Module):
    """Mean over content tokens, weighted by the softmax of their products with one learned query."""

    def __init__(self, config: GenomicsFmConfig) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(config.hidden_size))

    def forward(self, hidden_BTD: Tensor, content_BT: Tensor) -> Tensor:
        """Weights, (B, T) float32; 0 where there is no content."""
        score_BT = hidden_BTD.float() @ self.query.float() / math.sqrt(len(self.query))
        return score_BT.masked_fill(~content_BT, torch.finfo(torch.float32).min).softmax(1) * content_BT


class Transform(nn.Module):
    def __init__(self, config: GenomicsFmConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.LayerNorm(F.gelu(self.dense(hidden)))


class Predictions(nn.Module):
    def __init__(self, config: GenomicsFmConfig) -> None:
        super().__init__()
        self.transform = Transform(config)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.decoder(self.transform(hidden))


class MlmHead(nn.Module):
    def __init__(self, config: GenomicsFmConfig) -> None:
        super().__init__()
        self.predictions = Predictions(config)
