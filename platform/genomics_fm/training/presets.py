"""Pretraining runs by name (SPEC 1.F): sizes, batches and schedules that belong together."""

from dataclasses import replace

from genomics_fm.model.encoder import ENCODERS
from genomics_fm.pretraining.masking import MASKING
from genomics_fm.pretraining.stream import StreamConfig
from genomics_fm.training.config import TrainingConfig
from genomics_fm.training.optimizer import OptimizerConfig

TINY = TrainingConfig(
    steps=320,
    checkpoint_steps=20,
    optimizer=OptimizerConfig(learning_rate=2e-3, warmup_steps=30),
)
"""A few minutes on a laptop."""
SMOKE = TrainingConfig(
    steps=16,
    checkpoint_steps=4,
    stream=StreamConfig(streams=4),
    optimizer=OptimizerConfig(learning_rate=2e-3, warmup_steps=4),
)
"""A few seconds, to see that everything works."""
_ROWS = StreamConfig(streams=256)
"""Any power of two up to 256 workers read streams of their own."""
SMALL = TrainingConfig(
    steps=100_000,
    batch_rows=256,
    rows_per_microbatch=32,
    checkpoint_steps=1_000,
    encoder=ENCODERS["small"],
    stream=_ROWS,
    optimizer=OptimizerConfig(learning_rate=5e-4, warmup_steps=2_000),
)
"""0.26 M tokens a step, 26 G in all."""
BASE = TrainingConfig(
    steps=500_000,
    batch_rows=512,
    rows_per_microbatch=32,
    checkpoint_steps=1_000,
    encoder=ENCODERS["base"],
    stream=_ROWS,
    optimizer=OptimizerConfig(learning_rate=4e-4, warmup_steps=10_000),
)
"""0.52 M tokens a step, 262 G in all."""
LARGE = replace(
    BASE,
    batch_rows=1_024,
    rows_per_microbatch=16,
    encoder=ENCODERS["large"],
    optimizer=OptimizerConfig(learning_rate=2e-4, warmup_steps=10_000),
)
"""1.05 M tokens a step, 524 G in all."""
AUTHORS_GPUS = 8
"""The published runs' number of GPUs is not known; each had 192 sequences of at most 512 tokens."""
AUTHORS = TrainingConfig(
    steps=1_000_000,
    batch_rows=192 * AUTHORS_GPUS,
    rows_per_microbatch=192,
    checkpoint_steps=25_000,
    keep_checkpoints=2,
    encoder=ENCODERS["base"],
    stream=StreamConfig(seed=42, streams=256, row_tokens=512, masking=MASKING["authors"]),
    optimizer=OptimizerConfig(
        learning_rate=1e-4, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.01, clip_norm=1.0, warmup_steps=10_000
    ),
)
"""The published code's optimizer, schedule, masks and rows of 512 slots, for as many GPUs as we suppose. Not its
dropout, nor fp16, nor learned positions on half of the workers; documents are packed."""
PRESETS = {"tiny": TINY, "smoke": SMOKE, "small": SMALL, "base": BASE, "large": LARGE, "authors": AUTHORS}
