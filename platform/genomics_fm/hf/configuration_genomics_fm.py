"""Size and head of a Genomics-FM encoder, for transformers. Needs nothing else: exported folders hold a copy."""

from typing import Any

from transformers import PretrainedConfig

POSITIONS = ("alibi", "ape")
POOLINGS = ("mean", "cls", "attention")


class GenomicsFmConfig(PretrainedConfig):
    """What `config.json` of a folder says; names are BERT's, defaults those of the preset `tiny`.

    Args:
        position: `alibi`, or `ape` for learned absolute positions.
        pooling: how a sequence classifier makes one vector of a sequence: `mean` over content tokens, `cls`, or
            `attention`, a learned weight for each content token.
        genomics_fm: where weights and vocabularies come from, by hash; for people.
    """

    model_type = "genomics_fm"

    def __init__(
        self,
        vocab_size: int = 7266,
        num_hidden_layers: int = 2,
        hidden_size: int = 128,
        num_attention_heads: int = 4,
        intermediate_size: int = 384,
        position: str = "alibi",
        max_position_embeddings: int = 512,
        type_vocab_size: int = 2,
        layer_norm_eps: float = 1e-12,
        initializer_range: float = 0.02,
        pooling: str = "mean",
        pad_token_id: int = 3,
        genomics_fm: dict[str, Any] | None = None,
        **others: Any,
    ) -> None:
        for name, value, known in (("position", position, POSITIONS), ("pooling", pooling, POOLINGS)):
            if value not in known:
                raise ValueError(f"{name} {value!r}: unknown; one of {', '.join(known)}")
        if hidden_size % num_attention_heads:
            raise ValueError(f"hidden_size {hidden_size}: not a multiple of {num_attention_heads} heads")
        self.vocab_size = vocab_size
        self.num_hidden_layers = num_hidden_layers
        self.hidden_size = hidden_size
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.position = position
        self.max_position_embeddings = max_position_embeddings
        self.type_vocab_size = type_vocab_size
        self.layer_norm_eps = layer_norm_eps
        self.initializer_range = initializer_range
        self.pooling = pooling
        self.pad_token_id = pad_token_id
        self.genomics_fm = genomics_fm or {}
        super().__init__(**{"tie_word_embeddings": True, **others})
