"""What sits on the encoder: masked language modelling, and classification of whole sequences."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genomics_fm.model.encoder import Encoder, EncoderConfig, initialise

Pooling = Literal["mean", "cls"]
LEADING_TOKENS = 2
"""CLS and the prompt stand before a document's content, SEP behind it."""


class Transform(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.width, config.width)
        self.LayerNorm = nn.LayerNorm(config.width, eps=config.layer_norm_eps)

    def forward(self, hidden_MD: Tensor) -> Tensor:
        return self.LayerNorm(F.gelu(self.dense(hidden_MD)))


class Predictions(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.transform = Transform(config)
        self.decoder = nn.Linear(config.width, config.vocabulary_size)

    def forward(self, hidden_MD: Tensor) -> Tensor:
        return self.decoder(self.transform(hidden_MD))


class MlmHead(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.predictions = Predictions(config)


class MaskedLanguageModel(nn.Module):
    """Encoder and masked-language-modelling head, the decoder tied to the word embeddings (SPEC D7)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.bert = Encoder(config)
        self.cls = MlmHead(config)
        self.tie()

    def tie(self) -> None:
        """Make decoder and word embeddings one parameter; call again after loading or moving weights."""
        self.cls.predictions.decoder.weight = self.bert.embeddings.word_embeddings.weight

    def forward(self, ids_N: Tensor, lengths: list[int], select_M: Tensor | None = None) -> Tensor:
        """Logits over the ensemble.

        Args:
            ids_N: packed token ids.
            lengths: tokens of each document.
            select_M: positions to predict, as indices into the packed tokens; all when None.

        Returns:
            (M, V) or (N, V).
        """
        hidden_ND = self.bert(ids_N, lengths)
        return self.cls.predictions(hidden_ND if select_M is None else hidden_ND[select_M])


def mean_of_content(hidden_ND: Tensor, lengths: list[int]) -> Tensor:
    """Mean hidden state over each document's content tokens, without CLS, prompt and SEP: (B, D), float32."""
    device = hidden_ND.device
    length_B = torch.tensor(lengths, device=device)
    end_B = torch.cumsum(length_B, 0)
    document_N = torch.repeat_interleave(torch.arange(len(lengths), device=device), length_B)
    offset_N = torch.arange(len(hidden_ND), device=device) - (end_B - length_B)[document_N]
    content_N1 = ((offset_N >= LEADING_TOKENS) & (offset_N < length_B[document_N] - 1))[:, None]
    sums_BD = hidden_ND.new_zeros(len(lengths), hidden_ND.shape[1], dtype=torch.float32)
    sums_BD = sums_BD.index_add(0, document_N, hidden_ND.float() * content_N1)
    return sums_BD / (length_B - LEADING_TOKENS - 1).clamp(min=1)[:, None]


class SequenceClassifier(nn.Module):
    """Encoder, pooling over the sequence, dense-tanh, one linear layer (SPEC E6, R21)."""

    def __init__(self, config: EncoderConfig, outputs: int, pooling: Pooling = "mean") -> None:
        super().__init__()
        self.bert = Encoder(config)
        self.pooling = pooling
        self.pooler = nn.Linear(config.width, config.width)
        self.classifier = nn.Linear(config.width, outputs)

    def forward(self, ids_N: Tensor, lengths: list[int]) -> Tensor:
        """Logits of each document, (B, C) float32."""
        hidden_ND = self.bert(ids_N, lengths)
        if self.pooling == "mean":
            pooled_BD = mean_of_content(hidden_ND, lengths)
        else:
            length_B = torch.tensor(lengths, device=ids_N.device)
            pooled_BD = hidden_ND[torch.cumsum(length_B, 0) - length_B].float()
        return self.classifier(torch.tanh(self.pooler(pooled_BD))).float()


def new_language_model(config: EncoderConfig, seed: int) -> MaskedLanguageModel:
    """A freshly initialised masked language model; the same seed gives the same weights."""
    model = MaskedLanguageModel(config)
    initialise(model, torch.Generator().manual_seed(seed))
    return model


def new_classifier(config: EncoderConfig, outputs: int, seed: int, pooling: Pooling = "mean") -> SequenceClassifier:
    """A freshly initialised classifier; the same seed gives the same weights."""
    model = SequenceClassifier(config, outputs, pooling)
    initialise(model, torch.Generator().manual_seed(seed))
    return model
