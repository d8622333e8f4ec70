"""What sits on the encoder: masked language modelling, and classes, labels or numbers for sequences and tokens."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genomics_fm.errors import require
from genomics_fm.model.encoder import Encoder, EncoderConfig, initialise
from genomics_fm.model.pieces import encode_any_length
from genomics_fm.model.pooling import AttentionPooling, cls_of, content_of, mean_of_content

Pooling = Literal["mean", "cls", "attention"]


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

    def forward(self, hidden_MD: Tensor, tokens_V: Tensor | None = None) -> Tensor:
        hidden_MD = self.transform(hidden_MD)
        if tokens_V is None:
            return self.decoder(hidden_MD)
        return F.linear(hidden_MD, self.decoder.weight[tokens_V], self.decoder.bias[tokens_V])


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

    def forward(
        self, ids_N: Tensor, lengths: list[int], select_M: Tensor | None = None, tokens_V: Tensor | None = None
    ) -> Tensor:
        """Logits over the ensemble, or over some of its tokens.

        Args:
            ids_N: packed token ids.
            lengths: tokens of each document.
            select_M: positions to predict, as indices into the packed tokens; all when None.
            tokens_V: ids of the tokens wanted, as those of one vocabulary; all when None.

        Returns:
            (M, V) or (N, V).
        """
        hidden_ND = self.bert(ids_N, lengths)
        return self.cls.predictions(hidden_ND if select_M is None else hidden_ND[select_M], tokens_V)


class SequenceClassifier(nn.Module):
    """Encoder, pooling over the sequence, dense-tanh, one linear layer (SPEC E6, R21); a probe has no dense-tanh.

    Its logits mean what the loss it is trained with makes of them; see `model.losses`. Sequences may be of any
    length, also where positions are learned (R18).
    """

    def __init__(
        self,
        config: EncoderConfig,
        outputs: int,
        pooling: Pooling = "mean",
        dropout: float = 0.0,
        dense: bool = True,
    ) -> None:
        """A classifier whose weights are not yet drawn.

        Args:
            config: of the encoder.
            outputs: classes, labels or targets.
            pooling: over content tokens, or the CLS token, which masked language modelling leaves untrained.
            dropout: of the pooled vector, while training; drawn from torch's global generator.
            dense: with the dense-tanh `pooler` between pooling and the last layer.

        Raises:
            InputError: an unknown pooling.
        """
        super().__init__()
        require(pooling in get_args(Pooling), "pooling", pooling, f"one of {', '.join(get_args(Pooling))}")
        self.bert = Encoder(config)
        self.pooling = pooling
        self.dense = dense
        if pooling == "attention":
            self.attention = AttentionPooling(config.width)
        if dense:
            self.pooler = nn.Linear(config.width, config.width)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(config.width, outputs)

    def forward(self, ids_N: Tensor, lengths: list[int]) -> Tensor:
        """Logits of each document, (B, C) float32."""
        pooled_BD = self.pool(encode_any_length(self.bert, ids_N, lengths), lengths)
        if self.dense:
            pooled_BD = torch.tanh(self.pooler(pooled_BD))
        return self.classifier(self.dropout(pooled_BD)).float()

    def pool(self, hidden_ND: Tensor, lengths: list[int]) -> Tensor:
        """One vector a document, (B, D) float32."""
        match self.pooling:
            case "mean":
                return mean_of_content(hidden_ND, lengths)
            case "cls":
                return cls_of(hidden_ND, lengths)
            case "attention":
                return self.attention(hidden_ND, lengths)


class TokenClassifier(nn.Module):
    """Encoder and one linear layer on every content token; `pooling.mean_over_bases` makes it one on every base.

    Sequences may be of any length, also where positions are learned (R18).
    """

    def __init__(self, config: EncoderConfig, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.bert = Encoder(config)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(config.width, outputs)

    def forward(self, ids_N: Tensor, lengths: list[int]) -> Tensor:
        """Logits of content tokens in packed order, (T, C) float32, without CLS, prompts and SEP."""
        place_T = content_of(lengths, ids_N.device).place_T
        hidden_ND = encode_any_length(self.bert, ids_N, lengths)
        return self.classifier(self.dropout(hidden_ND[place_T])).float()


def new_language_model(config: EncoderConfig, seed: int) -> MaskedLanguageModel:
    """A freshly initialised masked language model; the same seed gives the same weights."""
    model = MaskedLanguageModel(config)
    initialise(model, torch.Generator().manual_seed(seed))
    return model


def new_classifier(
    config: EncoderConfig,
    outputs: int,
    seed: int,
    pooling: Pooling = "mean",
    dropout: float = 0.0,
    dense: bool = True,
) -> SequenceClassifier:
    """A freshly initialised classifier; the same seed gives the same weights."""
    model = SequenceClassifier(config, outputs, pooling, dropout, dense)
    initialise(model, torch.Generator().manual_seed(seed))
    return model


def new_token_classifier(config: EncoderConfig, outputs: int, seed: int, dropout: float = 0.0) -> TokenClassifier:
    """A freshly initialised classifier of tokens; the same seed gives the same weights."""
    model = TokenClassifier(config, outputs, dropout)
    initialise(model, torch.Generator().manual_seed(seed))
    return model
