"""A real pretraining for the minutes that are left, for `benchmarks.train_step`: the job's own loop, on a corpus."""

import dataclasses
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.model.encoder import ENCODERS
from genomics_fm.pretraining.stream import StreamConfig
from genomics_fm.training.config import TrainingConfig
from genomics_fm.training.loop import Run
from genomics_fm.training.optimizer import OptimizerConfig
from genomics_fm.vocabulary.ensemble import Ensemble

ENCODER = {"cuda": "small", "cpu": "tiny"}
ROW_TOKENS = {"cuda": 2_048, "cpu": 1_024}
BATCH_ROWS = {"cuda": 32, "cpu": 1}
ROWS_AT_ONCE = {"cuda": 16, "cpu": 1}
WARM_STEPS = {"cuda": 30, "cpu": 1}
LEARNING_RATE, WARM_UP_SHARE = 5e-4, 0.05
USED_SHARE = 0.85
"""Of the seconds left, for which steps are planned: rates move, and the encoder is saved at the end."""
LEAST_STEPS, MOST_STEPS = 3, {"cuda": 100_000, "cpu": 4}


def config_of(device: str, steps: int, threads: int) -> TrainingConfig:
    """The run's configuration; it checkpoints at no step but the last, which saves the encoder."""
    return TrainingConfig(
        steps=steps,
        batch_rows=BATCH_ROWS[device],
        rows_per_microbatch=ROWS_AT_ONCE[device],
        checkpoint_steps=steps,
        threads=threads,
        encoder=ENCODERS[ENCODER[device]],
        stream=StreamConfig(row_tokens=ROW_TOKENS[device]),
        optimizer=OptimizerConfig(learning_rate=LEARNING_RATE, warmup_steps=int(WARM_UP_SHARE * steps)),
    )


def pretrained(
    corpus: Path, vocabulary: Path, output: Path, seconds: float, device: str, threads: int
) -> dict[str, Any]:
    """Pretrain for about `seconds`; the encoder, its metrics and `loss.png` are in `output`."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        warm = Run(
            config_of(device, WARM_STEPS[device], threads), Corpus(corpus), Ensemble.load(vocabulary), Path(folder)
        )
        lines = [warm.advance() for _ in range(WARM_STEPS[device])]
        warm.finish()
    step_seconds = statistics.median(line["seconds"] for line in lines[len(lines) // 2 :])
    left = USED_SHARE * (seconds - (time.perf_counter() - started))
    config = config_of(device, min(max(LEAST_STEPS, int(left / step_seconds)), MOST_STEPS[device]), threads)
    print(
        f"pretraining: compiled and warm after {time.perf_counter() - started:.0f} s; {config.steps} steps", flush=True
    )
    output.mkdir(parents=True, exist_ok=True)
    run = Run(config, Corpus(corpus), Ensemble.load(vocabulary), output)
    began, lines = time.perf_counter(), []
    for _ in range(config.steps):
        lines.append(run.advance())
        if lines[-1]["step"] % max(config.steps // 10, 1) == 0:
            print(f"pretraining: step {lines[-1]['step']}, {lines[-1]['loss']}", flush=True)
    wall = time.perf_counter() - began
    run.finish()
    draw(lines, output / "loss.png")
    tail = lines[-max(len(lines) // 20, 1) :]
    return {
        "encoder": ENCODER[device],
        "config": dataclasses.asdict(config),
        "seconds": wall,
        "tokens_a_second": sum(line["tokens"] for line in lines) / wall,
        "stall": sum(line["stall"] for line in lines) / wall,
        "first_loss": lines[0]["loss"],
        "last_loss": {
            name: statistics.mean(line["loss"][name] for line in tail if name in line["loss"])
            for name in sorted({name for line in tail for name in line["loss"]})
        },
    }


def draw(lines: list[dict[str, Any]], path: Path) -> None:
    """The loss of each vocabulary against the tokens seen."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    tokens = np.cumsum([line["tokens"] for line in lines]) / 1e6
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name in sorted({name for line in lines for name in line["loss"]}):
        axes.plot(tokens, [line["loss"].get(name, np.nan) for line in lines], label=name, linewidth=0.8)
    axes.set(xlabel="million tokens", ylabel="loss of a hidden token, nats", title="Pretraining")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)
