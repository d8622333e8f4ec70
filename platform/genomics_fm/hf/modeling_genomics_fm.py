"""The Genomics-FM encoder and its heads as padded PyTorch, for transformers.

It needs torch, transformers and the files beside it: exported folders hold copies, opened with
`trust_remote_code=True`. With the package installed, `import genomics_fm.hf` registers faster classes of the same
names and numbers instead. Shapes: B rows, T tokens, D width, H heads, K head width, V vocabulary, C classes.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput, SequenceClassifierOutput

from .blocks_genomics_fm import AttentionPooling, Embeddings, Layers, MlmHead, dense_attend, dense_bias, positions_of
from .configuration_genomics_fm import GenomicsFmConfig

LEADING_TOKENS = 2
"""CLS and the vocabulary's prompt stand before the sequence, SEP behind it."""


def kept(ids_BT: Tensor, attention_mask: Tensor | None) -> Tensor:
    """True at tokens, False at padding."""
    return torch.ones_like(ids_BT, dtype=torch.bool) if attention_mask is None else attention_mask.bool()


class GenomicsFmPreTrainedModel(PreTrainedModel):
    config_class = GenomicsFmConfig
    base_model_prefix = "bert"
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False  # the Trainer then divides by accumulation steps itself
    _no_split_modules = ["Layer"]  # noqa: RUF012
    _keys_to_ignore_on_load_unexpected = [r"position_embeddings", r"bert\.pooler\."]  # noqa: RUF012

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, AttentionPooling):
            nn.init.zeros_(module.query)


class GenomicsFmModel(GenomicsFmPreTrainedModel):
    """Token ids to hidden states, which are zero at padding."""

    _keys_to_ignore_on_load_unexpected = [r"position_embeddings", r"^(cls|pooler|classifier|attention)\."]  # noqa: RUF012

    def __init__(self, config: GenomicsFmConfig) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.encoder = Layers(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.embeddings.word_embeddings = value

    def states(self, ids_BT: Tensor, keep_BT: Tensor, types_BT: Tensor | None, every: bool) -> list[Tensor]:
        """Hidden states after the last layer, (B, T, D); with `every` also before the first and after each."""
        hidden_BTD = self.embeddings(ids_BT, positions_of(keep_BT), types_BT)
        alibi = self.config.position == "alibi"
        bias = dense_bias(keep_BT, self.config.num_attention_heads, alibi, self.attention_dtype(ids_BT.device))
        return [state * keep_BT[..., None] for state in self.encoder(hidden_BTD, dense_attend(bias), every)]

    def attention_dtype(self, device: torch.device) -> torch.dtype:
        """What queries, keys and values are computed in."""
        if torch.is_autocast_enabled(device.type):
            return torch.get_autocast_dtype(device.type)
        return self.embeddings.word_embeddings.weight.dtype

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **others: Any,
    ) -> Any:
        """Encode rows.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 0 at padding, which may be left or right; without it every token counts.
            token_type_ids: (B, T); without them 0.
            output_hidden_states: also return those before the first layer and after each.
            return_dict: False for a tuple.
            others: must be None or False; there is no other input.
        """
        given = sorted(name for name, value in others.items() if value is not None and value is not False)
        if given:
            raise ValueError(f"{', '.join(given)}: this model does not take it")
        keep_BT = kept(input_ids, attention_mask)
        longest = self.config.max_position_embeddings
        if self.config.position == "ape" and int(keep_BT.sum(1).max()) > longest:
            raise ValueError(f"{int(keep_BT.sum(1).max())} tokens: over {longest} learned positions; split the row")
        every = bool(self.config.output_hidden_states if output_hidden_states is None else output_hidden_states)
        states = self.states(input_ids, keep_BT, token_type_ids, every)
        output = BaseModelOutput(states[-1], tuple(states) if every else None)
        return output.to_tuple() if return_dict is False else output


class GenomicsFmForMaskedLM(GenomicsFmPreTrainedModel):
    """Encoder and masked-language-modelling head; logits are zero at padding."""

    _tied_weights_keys = {"cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight"}  # noqa: RUF012
    backbone: type[GenomicsFmModel] = GenomicsFmModel

    def __init__(self, config: GenomicsFmConfig) -> None:
        super().__init__(config)
        self.bert = self.backbone(config)
        self.cls = MlmHead(config)
        self.post_init()

    def predictions(self, hidden_BTD: Tensor, keep_BT: Tensor) -> Tensor:
        """Logits of every token, (B, T, V)."""
        return self.cls.predictions(hidden_BTD) * keep_BT[..., None]

    def get_output_embeddings(self) -> nn.Module:
        return self.cls.predictions.decoder

    def set_output_embeddings(self, value: nn.Linear) -> None:
        self.cls.predictions.decoder = value

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        **others: Any,
    ) -> Any:
        """As `GenomicsFmModel`, and `labels` (B, T), −100 where nothing is to be predicted."""
        encoded = self.bert(input_ids, attention_mask, **others)
        logits_BTV = self.predictions(encoded.last_hidden_state, kept(input_ids, attention_mask))
        loss = None if labels is None else F.cross_entropy(logits_BTV.flatten(0, 1), labels.flatten())
        output = MaskedLMOutput(loss, logits_BTV, encoded.hidden_states)
        return output.to_tuple() if return_dict is False else output


def content_of(keep_BT: Tensor) -> Tensor:
    """True at tokens of the sequence itself, without CLS, prompt, SEP and padding; (B, T)."""
    place_BT = positions_of(keep_BT)
    return keep_BT & (place_BT >= LEADING_TOKENS) & (place_BT < keep_BT.sum(1, keepdim=True) - 1)


def classification_loss(logits_BC: Tensor, labels: Tensor, problem: str) -> Tensor:
    """Loss of a `problem_type` of transformers."""
    if problem == "regression":
        return F.mse_loss(logits_BC.float(), labels.float().view_as(logits_BC))
    if problem == "multi_label_classification":
        return F.binary_cross_entropy_with_logits(logits_BC.float(), labels.float())
    return F.cross_entropy(logits_BC.float(), labels.flatten())


class GenomicsFmForSequenceClassification(GenomicsFmPreTrainedModel):
    """Encoder, one vector a sequence, dense-tanh and a linear layer."""

    backbone: type[GenomicsFmModel] = GenomicsFmModel

    def __init__(self, config: GenomicsFmConfig) -> None:
        super().__init__(config)
        self.bert = self.backbone(config)
        if config.pooling == "attention":
            self.attention = AttentionPooling(config)
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def pool(self, hidden_BTD: Tensor, keep_BT: Tensor) -> Tensor:
        """One vector a row by `config.pooling`, (B, D)."""
        if self.config.pooling == "cls":
            return hidden_BTD[torch.arange(len(hidden_BTD)), keep_BT.int().argmax(1)].float()
        content_BT = content_of(keep_BT)
        attended = self.config.pooling == "attention"
        weight_BT = self.attention(hidden_BTD, content_BT) if attended else content_BT.float()
        total_B1 = weight_BT.sum(1, keepdim=True)
        return torch.einsum("bt,btd->bd", weight_BT / total_B1.where(total_B1 > 0, 1), hidden_BTD.float())

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        **others: Any,
    ) -> Any:
        """As `GenomicsFmModel`, and `labels`: classes (B,), or (B, C) for several labels or regression."""
        encoded = self.bert(input_ids, attention_mask, **others)
        keep_BT = kept(input_ids, attention_mask)
        pooled_BD = self.pool(encoded.last_hidden_state, keep_BT).to(self.pooler.weight.dtype)
        logits_BC = self.classifier(torch.tanh(self.pooler(pooled_BD)))
        problem = self.config.problem_type or "single_label_classification"
        loss = None if labels is None else classification_loss(logits_BC, labels, problem)
        output = SequenceClassifierOutput(loss, logits_BC, encoded.hidden_states)
        return output.to_tuple() if return_dict is False else output
