"""Pretraining runs of a few seconds, in this process or in several."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from genomics_fm.artefacts import sha256_json
from genomics_fm.corpus.manifest import Corpus
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.training.config import Parallel, TrainingConfig
from genomics_fm.training.guard import OnNonfinite
from genomics_fm.training.loop import Run
from genomics_fm.training.optimizer import OptimizerConfig
from tests.corpora import STREAMS, fixed_vocabulary

RUN = TrainingConfig(
    steps=8,
    batch_rows=4,
    rows_per_microbatch=1,
    checkpoint_steps=2,
    keep_checkpoints=9,
    encoder=EncoderConfig(layers=2, width=32, heads=2, ffn_width=48),
    stream=STREAMS,
    optimizer=OptimizerConfig(learning_rate=3e-3, warmup_steps=3),
)


def run_of(folder: Path, corpus: Corpus, on_nonfinite: OnNonfinite = "stop", **changes: Any) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    return Run(dataclasses.replace(RUN, **changes), corpus, fixed_vocabulary(), folder, on_nonfinite)


def advance(run: Run, until: int) -> list[dict[str, str]]:
    """Losses of the steps up to `until`, as hex."""
    losses = []
    while run.step < until:
        line = run.advance()
        losses.append({name: float(loss).hex() for name, loss in line["loss"].items()})
    run.checkpoints.wait()
    if run.log is not None:
        run.log.flush()
    return losses


def row_hashes(run: Run) -> list[str]:
    """What this worker's rows of the next global batch are; moves the streams on."""
    fields = ("ids_N", "select_M", "labels_M", "vocabulary_M")
    parts = run.ahead.take().made
    return [sha256_json([part.lengths, *(getattr(part, name).tolist() for name in fields)]) for part in parts]


def in_a_group(rank: int, plan: list[tuple[int, str, int, Parallel]], corpus_folder: str, place: str) -> None:
    """One process of several that make the runs of a plan, one after the other.

    Args:
        rank: of this process.
        plan: (workers, folder of the run, step to go to, how they hold the model); ranks from `workers` on sit out.
        corpus_folder: of the corpus.
        place: where the processes meet; losses are left there as JSON.
    """
    torch.set_num_threads(1)
    for number, (world, folder, until, parallel) in enumerate(plan):
        if rank >= world:
            continue
        dist.init_process_group("gloo", init_method=f"file://{place}/meet-{number}", rank=rank, world_size=world)
        run = run_of(Path(folder), Corpus(Path(corpus_folder)), parallel=parallel)
        started = run.step
        losses = advance(run, until)
        if rank == 0:
            Path(place, f"losses-{number}.json").write_text(json.dumps([started, losses]))
        if run.step == run.config.steps:
            run.finish()
        dist.destroy_process_group()
