"""What a pretraining run is: size, batch, schedule, rows; and what its checkpoints are known by."""

import math
from dataclasses import asdict, dataclass, field
from typing import Literal

from genomics_fm.artefacts import sha256_json
from genomics_fm.errors import require
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.pretraining.stream import StreamConfig
from genomics_fm.training.optimizer import OptimizerConfig

Parallel = Literal["auto", "ddp", "fsdp"]


@dataclass(frozen=True)
class TrainingConfig:
    """One pretraining run; together with corpus and vocabulary it decides every number.

    Attributes:
        steps: updates.
        batch_rows: rows in a global batch.
        rows_per_microbatch: rows a worker puts through the model at once.
        checkpoint_steps: updates between checkpoints.
        keep_checkpoints: newest whole checkpoints kept.
        keep_every_steps: checkpoints of steps that are multiples of this are kept for good; 0: none.
        threads: torch threads of a CPU worker.
        parallel: whether every worker has the whole model (`ddp`) or its shard of it (`fsdp`); `auto` asks whether it
            fits. As the number of workers it may change when a run goes on, and is no part of its identity.
        autocast: compute in bfloat16; on CUDA that is always so. Weights and moments stay in float32.
        activation_checkpointing: keep a layer's input alone for the backward pass, and compute the layer twice.
        vocabulary_weights: w_v of the loss by vocabulary; 1 where absent.
        skip_spikes: make no update where a loss or the gradient jumps (`guard.Guard.accepts`).
        encoder: size; its vocabulary_size is taken from the vocabulary.
        stream: rows, segments and masks.
        optimizer: AdamW and schedule.
    """

    steps: int = 300
    batch_rows: int = 4
    rows_per_microbatch: int = 2
    checkpoint_steps: int = 20
    keep_checkpoints: int = 2
    keep_every_steps: int = 0
    threads: int = 1
    parallel: Parallel = "auto"
    autocast: bool = False
    activation_checkpointing: bool = False
    vocabulary_weights: dict[str, float] = field(default_factory=dict)
    skip_spikes: bool = False
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    stream: StreamConfig = field(default_factory=StreamConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        for name in (
            "steps", "batch_rows", "rows_per_microbatch", "checkpoint_steps", "keep_checkpoints", "threads",
        ):  # fmt: skip
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(self.keep_every_steps >= 0, "keep_every_steps", self.keep_every_steps, "0 (none) or more")
        for name, weight in self.vocabulary_weights.items():
            require(0 <= weight < math.inf, f"vocabulary_weights {name}", weight, "a number from 0 up")


def identity(config: TrainingConfig, corpus_sha256: str, vocabulary_sha256: str) -> dict[str, str]:
    """What a run belongs to; its checkpoints and its encoder carry it, and others refuse them."""
    decisive = {name: value for name, value in asdict(config).items() if name != "parallel"}
    return {
        "corpus_sha256": corpus_sha256,
        "vocabulary_sha256": vocabulary_sha256,
        "training_sha256": sha256_json(decisive),
    }
