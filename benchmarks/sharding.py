"""FSDP2 against DDP: the same training steps of the same shape on two gloo workers, in turns, without Ray.

`PYTHONPATH=platform python -m benchmarks.sharding --corpus DIR [--vocabulary FILE] [--preset tiny] [--pairs 7]`

One thread a worker. A run's rate is its tokens over the time between the log's lines after the first steps; no
checkpoint falls between them. Losses of the two are compared, and the share of the time is given that a worker waits
for rows. Run it on a machine where nothing else runs.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing

from benchmarks.pairs import spread
from genomics_fm.corpus.manifest import Corpus
from genomics_fm.training.config import Parallel, TrainingConfig
from genomics_fm.training.loop import Run
from genomics_fm.training.presets import PRESETS
from genomics_fm.vocabulary.ensemble import FILE_NAME, Ensemble

WORKERS = 2
WARM_STEPS = 10
WAIT_AIM = 0.005
WAYS: tuple[Parallel, Parallel] = ("ddp", "fsdp")
FIGURES = "pair-{number:02d}.json"


def config_of(preset: str, steps: int, parallel: Parallel) -> TrainingConfig:
    """So many steps of a preset, and no checkpoint among them."""
    return replace(PRESETS[preset], steps=steps, checkpoint_steps=steps, threads=1, parallel=parallel)


def measured(config: TrainingConfig, corpus: str, vocabulary: str, folder: Path) -> dict[str, Any] | None:
    """Rate, waiting and losses of one run of this group of workers; None but for rank 0."""
    if dist.get_rank() == 0:
        folder.mkdir()
    dist.barrier()
    run = Run(config, Corpus(corpus), Ensemble.load(vocabulary), folder)
    try:
        lines = [run.advance() for _ in range(config.steps)]
    finally:
        run.ahead.close()
        if run.log is not None:
            run.log.close()
    if run.workers.rank != 0:
        return None
    seconds = lines[-1]["unixtime"] - lines[WARM_STEPS - 1]["unixtime"]
    return {
        "tokens_a_second": sum(line["tokens"] for line in lines[WARM_STEPS:]) / seconds,
        "waiting": sum(line["stall"] for line in lines[WARM_STEPS:]) / seconds,
        "losses": [line["loss"] for line in lines],
    }


def worker(rank: int, args: argparse.Namespace, meet: str) -> None:
    """One of the workers: all pairs, who is first changing from one to the next."""
    dist.init_process_group("gloo", init_method=f"file://{meet}/meet", rank=rank, world_size=WORKERS)
    for number in range(args.pairs):
        found = {}
        for way in WAYS if number % 2 else WAYS[::-1]:
            config, folder = config_of(args.preset, args.steps, way), Path(meet, f"{number}-{way}")
            found[way] = measured(config, args.corpus, args.vocabulary, folder)
        if rank == 0:
            Path(meet, FIGURES.format(number=number)).write_text(json.dumps(found))
            print(f"pair {number + 1} of {args.pairs}", file=sys.stderr, flush=True)
    dist.destroy_process_group()


def apart(pair: dict[str, Any]) -> float:
    """The largest relative difference between the two runs' losses."""
    lines = zip(*(pair[way]["losses"] for way in WAYS), strict=True)
    return max(abs(one[name] / other[name] - 1) for one, other in lines for name in one)


def table(pairs: list[dict[str, Any]], preset: str, steps: int) -> str:
    """The figures as Markdown."""
    lines = [
        f"`{preset}`, {steps} steps, {WORKERS} gloo workers of one thread; the first {WARM_STEPS} steps count not.",
        "",
        "| pair | DDP, tokens/s | FSDP2, tokens/s | FSDP2 takes | DDP / FSDP2 wait for rows | losses apart by |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    ratios = [pair["ddp"]["tokens_a_second"] / pair["fsdp"]["tokens_a_second"] for pair in pairs]
    for number, (pair, ratio) in enumerate(zip(pairs, ratios, strict=True), 1):
        ddp, fsdp = (pair[way] for way in WAYS)
        lines.append(
            f"| {number} | {ddp['tokens_a_second']:,.0f} | {fsdp['tokens_a_second']:,.0f} | {ratio:.3f} times | "
            f"{ddp['waiting']:.3%} / {fsdp['waiting']:.3%} | {apart(pair):.1e} |"
        )
    waits = spread([100 * pair[way]["waiting"] for pair in pairs for way in WAYS])
    return "\n".join([
        *lines,
        "",
        f"FSDP2 takes {spread(ratios)} times as long as DDP, median of {len(pairs)} pairs.",
        f"Waiting for rows, per cent of the time: {waits}; aim < {100 * WAIT_AIM:g}.",
    ]) + "\n"  # fmt: skip


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sharding", description="FSDP2 against DDP.")
    parser.add_argument("--corpus", required=True, help="folder of a finished corpus")
    parser.add_argument("--vocabulary", default="", help="JSON of the ensemble; default: vocabulary.json in the corpus")
    parser.add_argument("--preset", default="tiny", choices=PRESETS)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--steps", type=int, default=100, help="of each run")
    args = parser.parse_args(argv)
    if args.steps <= WARM_STEPS:
        parser.error(f"--steps {args.steps}: more than {WARM_STEPS}")
    args.vocabulary = args.vocabulary or str(Path(args.corpus) / FILE_NAME)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as meet:
        torch.multiprocessing.spawn(worker, (args, meet), nprocs=WORKERS)
        pairs = [json.loads(Path(meet, FIGURES.format(number=n)).read_text()) for n in range(args.pairs)]
    print(table(pairs, args.preset, args.steps), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
