"""The calculation before a run, held against what torch keeps and against figures worked out elsewhere."""

import dataclasses
import math

import pytest
import torch

from genomics_fm.errors import InputError
from genomics_fm.model.encoder import ENCODERS, EncoderConfig
from genomics_fm.model.heads import new_language_model
from genomics_fm.pretraining.batches import MicroBatch
from genomics_fm.pretraining.masking import MASKING
from genomics_fm.pretraining.stream import StreamConfig
from genomics_fm.training.config import TrainingConfig, identity
from genomics_fm.training.estimate import (
    GIB,
    HIDDEN_SHARE,
    activation_bytes,
    choose,
    estimate,
    flops_per_token,
    lines_of,
)
from genomics_fm.training.presets import PRESETS
from genomics_fm.training.step import cross_entropies
from jobs.pretrain import PretrainConfig, needs

torch.set_num_threads(1)
TOKENS, DOCUMENT = 512, 32
H100 = 80 * GIB


def kept_bytes(encoder: EncoderConfig) -> int:
    """Distinct storages that a forward pass leaves for the backward pass, weights left out."""
    model, hidden = new_language_model(encoder, 0), int(TOKENS * HIDDEN_SHARE)
    places, ids = torch.arange(hidden) * 2, torch.arange(TOKENS) % encoder.vocabulary_size
    batch = MicroBatch(ids, [DOCUMENT] * (TOKENS // DOCUMENT), places, ids[places], torch.zeros_like(places))
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        cross_entropies(model, batch, 1, torch.device("cpu"))
    return sum(storage.nbytes() for place, storage in kept.items() if place not in weights)


@pytest.mark.parametrize(
    "encoder",
    [
        EncoderConfig(layers=4, width=256, heads=4, ffn_width=768, vocabulary_size=512),
        EncoderConfig(layers=6, width=128, heads=4, ffn_width=512, vocabulary_size=512),
        EncoderConfig(layers=3, width=192, heads=3, ffn_width=192, vocabulary_size=512),
    ],
)
def test_activations_are_what_torch_keeps(encoder: EncoderConfig) -> None:
    config = TrainingConfig(rows_per_microbatch=1, stream=StreamConfig(row_tokens=TOKENS), encoder=encoder)
    assert activation_bytes(config, bfloat16=False) == pytest.approx(kept_bytes(encoder), rel=0.1)
    assert activation_bytes(dataclasses.replace(config, rows_per_microbatch=3), False) == pytest.approx(
        3 * activation_bytes(config, False), rel=1e-6
    )
    again = dataclasses.replace(config, activation_checkpointing=True)
    assert activation_bytes(again, False) < activation_bytes(config, False)


@pytest.mark.parametrize(("name", "mflop"), [("base", 741.7), ("large", 2_574.5)])
def test_operations_are_those_of_the_benchmark(name: str, mflop: float) -> None:
    """`benchmarks.train_step` counts documents of 512 tokens, 15 % of them predicted."""
    assert flops_per_token(ENCODERS[name]) / 1e6 == pytest.approx(mflop, rel=0.01)


def test_an_estimate_by_hand() -> None:
    found = estimate(PRESETS["base"], 7266, 8, True, 989.0, 0.4, H100)
    assert found.parameters == 119_511_906
    assert found.state_bytes == 119_511_906 * 16
    assert found.accumulation == math.ceil(512 / 8 / 32) == 2
    assert found.tokens == int(512 * 1024 * 0.99)
    assert found.hours == pytest.approx(found.flops * 500_000 / (8 * 989e12 * 0.4) / 3600)
    assert estimate(PRESETS["base"], 7266, 16, True, 989.0, 0.4, H100).hours == pytest.approx(found.hours / 2)
    many = estimate(PRESETS["base"], 7266, 64, True, 989.0, 0.4, H100)  # 8 rows each: no micro-batch has 32
    assert many.accumulation == 1 and many.activation_bytes == pytest.approx(found.activation_bytes / 4, rel=1e-6)
    text = "\n".join(lines_of(found, 8, 989.0, 0.4))
    assert "parallel          ddp: a whole copy" in text and "whole on each" in text
    for word in ("calculated, not measured", "119,511,906", "2 micro-batches", "500,000", "8 workers of 989", "40%"):
        assert word in text


def test_a_shard_is_estimated_where_a_whole_copy_does_not_fit() -> None:
    found = estimate(PRESETS["base"], 7266, 8, True, 989.0, 0.4, 10 * GIB)
    assert found.choice.parallel == "fsdp"
    assert found.state_bytes == pytest.approx(119_511_906 * 16 / 8, abs=16)
    assert "(sharded over 8)" in "\n".join(lines_of(found, 8, 989.0, 0.4))


@pytest.mark.parametrize("name", ["small", "base", "large", "authors"])
@pytest.mark.parametrize("workers", [2, 8, 64])
def test_the_presets_fit_one_gpu_of_80_gib(name: str, workers: int) -> None:
    assert choose(PRESETS[name], 7266, workers, H100, gpu=True).parallel == "ddp"


def test_the_choice_turns_where_the_memory_does_not_hold_a_copy() -> None:
    run = PRESETS["small"]
    needed = 24_468_066 * 16 + activation_bytes(run, bfloat16=True)
    found = [choose(run, 7266, 2, int(memory * needed / 0.8), gpu=True) for memory in (0.99, 1.01)]
    assert [choice.parallel for choice in found] == ["fsdp", "ddp"]
    assert all(f"takes about {needed / GIB:.3g} GiB, a worker has 80% of " in choice.why for choice in found)


def test_a_dry_run_says_how_the_model_is_held() -> None:
    run = PretrainConfig(training=PRESETS["large"], gpu=True, workers=8)
    assert any(line.startswith("parallel          ddp: a whole copy") for line in needs(run))
    assert any(line.startswith("parallel          fsdp: ") for line in needs(dataclasses.replace(run, gpu_gib=16.0)))


def test_what_is_asked_for_is_done_and_one_worker_needs_neither() -> None:
    run = dataclasses.replace(PRESETS["large"], parallel="fsdp")
    assert choose(run, 7266, 8, H100, gpu=True).parallel == "fsdp"
    run = dataclasses.replace(run, parallel="ddp")
    assert choose(run, 7266, 8, 1, gpu=True).parallel == "ddp"
    assert choose(run, 7266, 1, 1, gpu=True).parallel == "alone"


def test_how_workers_hold_the_model_is_no_part_of_what_a_run_is() -> None:
    runs = [dataclasses.replace(PRESETS["tiny"], parallel=parallel) for parallel in ("auto", "ddp", "fsdp")]
    assert len({tuple(identity(run, "c", "v").values()) for run in runs}) == 1
    assert identity(runs[0], "c", "v") != identity(PRESETS["smoke"], "c", "v")


def test_the_authors_run_has_the_published_numbers() -> None:
    """SPEC 1.F."""
    run = PRESETS["authors"]
    optimizer = run.optimizer
    assert (optimizer.learning_rate, optimizer.betas, optimizer.eps) == (1e-4, (0.9, 0.98), 1e-6)
    assert (optimizer.weight_decay, optimizer.clip_norm, optimizer.warmup_steps) == (0.01, 1.0, 10_000)
    assert (run.steps, run.checkpoint_steps, run.keep_checkpoints) == (1_000_000, 25_000, 2)
    assert (run.rows_per_microbatch, run.stream.row_tokens, run.stream.seed) == (192, 512, 42)
    assert run.batch_rows % 192 == 0 and run.stream.masking == MASKING["authors"]
    assert run.encoder == ENCODERS["base"]


@pytest.mark.parametrize("name", ["small", "base", "large", "authors"])
@pytest.mark.parametrize("workers", [1, 8, 64])
def test_large_presets_share_rows_and_streams_evenly(name: str, workers: int) -> None:
    run = PRESETS[name]
    assert run.batch_rows % workers == 0 and run.stream.streams % workers == 0
    assert run.batch_rows % run.stream.streams == 0
    if name != "authors":
        assert run.encoder == ENCODERS[name]


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="rows_per_microbatch 0"):
        dataclasses.replace(PRESETS["small"], rows_per_microbatch=0)
