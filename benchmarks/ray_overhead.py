"""What Ray Train costs: the same training steps under `jobs.pretrain` and under bare torchrun, in turns.

`PYTHONPATH=platform python -m benchmarks.ray_overhead CORPUS [--workers 2] [--pairs 7] [--steps 200] [-- FLAGS]`

Gloo workers, one thread each, the same config, rows and log; losses are compared as hex. Under Ray there are also its
own processes, the gauges of rank 0, and the driver with its terminal and MLflow: all that a user gets. A run's rate is
its tokens over the time between the log's lines, so that whatever happens between steps counts; the first steps and the
start of Ray do not. Ray's own processes need a share of a core: with as many workers as cores they take it from the
workers, with fewer they do not; run both to tell the two apart. Pairs that are in the output folder are not run again.
Run it on a machine where nothing else runs.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.pairs import split, spread
from genomics_fm.storage import Folder
from genomics_fm.training.config import TrainingConfig
from genomics_fm.training.metrics import read_metrics
from jobs.config import parse
from jobs.pretrain import PRESETS

ROOT = Path(__file__).parents[1]
AIM = 0.03
WAIT_AIM = 0.005
WARM_STEPS = 20
WAYS = ("torchrun", "Ray Train")


def settings(args: argparse.Namespace) -> list[str]:
    """The command line of `jobs.pretrain` that both ways share; no checkpoint falls between the steps."""
    vocabulary = ["--vocabulary", args.vocabulary] if args.vocabulary else []
    steps = ["--training.steps", str(args.steps), "--training.checkpoint-steps", str(args.steps)]
    shared = ["--preset", "tiny", "--corpus", args.corpus, "--workers", str(args.workers)]
    return [*shared, *vocabulary, *steps, *args.more]


def run(way: str, name: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Train once; the lines of its log.

    Raises:
        CalledProcessError: it failed.
    """
    folder = args.output / "encoders" / name
    shared = settings(args)
    if way == "Ray Train":
        command = ["jobs.pretrain", *shared, "--name", name]
    else:
        torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(args.workers), "-m"]
        command = [*torchrun, "benchmarks.ray_overhead", "--bare", str(folder), args.corpus, "--", *shared]
    environment = {**os.environ, "GENOMICS_FM_STORAGE": str(args.output), "PYTHONPATH": "platform"}
    with (args.output / f"{name}.txt").open("w") as log:
        subprocess.run([sys.executable, "-m", *command], cwd=ROOT, env=environment, stdout=log, stderr=log, check=True)
    return read_metrics(Folder(folder))


def bare(folder: str, shared: list[str]) -> None:
    """A worker of torchrun."""
    import torch.distributed as dist

    from genomics_fm.training.loop import pretrain

    config, _ = parse(PRESETS, shared, "benchmarks.ray_overhead")
    vocabulary = config.vocabulary or str(Path(config.corpus) / "vocabulary.json")
    dist.init_process_group("gloo")
    training: TrainingConfig = config.training
    pretrain(training, config.corpus, vocabulary, folder, lambda line: None)
    dist.destroy_process_group()


def measured(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Rate and waiting of a run after its first steps, and its losses."""
    first, rest = lines[WARM_STEPS - 1], lines[WARM_STEPS:]
    seconds = rest[-1]["unixtime"] - first["unixtime"]
    return {
        "tokens_a_second": sum(line["tokens"] for line in rest) / seconds,
        "waiting": sum(line["stall"] for line in rest) / seconds,
        "losses": [{name: float(loss).hex() for name, loss in line["loss"].items()} for line in lines],
    }


def pair(number: int, args: argparse.Namespace) -> dict[str, Any]:
    """One pair, or what is known of it; who is first changes from pair to pair."""
    path = args.output / f"pair-{number:02d}.json"
    if not path.is_file():
        order = WAYS if number % 2 else WAYS[::-1]
        found = {way: measured(run(way, f"pair-{number:02d}-{way.split()[0].lower()}", args)) for way in order}
        same = found[WAYS[0]].pop("losses") == found[WAYS[1]].pop("losses")
        path.write_text(json.dumps({**found, "same_losses": same}, indent=1) + "\n")
    return dict(json.loads(path.read_text()))


def table(pairs: list[dict[str, Any]]) -> str:
    """The figures as Markdown."""
    slower = spread([one["torchrun"]["tokens_a_second"] / one["Ray Train"]["tokens_a_second"] - 1 for one in pairs])
    lines = ["| pair | torchrun, tokens/s | Ray Train, tokens/s | slower by | waits for rows | same losses |",
             "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for number, one in enumerate(pairs, 1):
        bare_rate, ray_rate = (one[way]["tokens_a_second"] for way in WAYS)
        same = "yes" if one["same_losses"] else "NO"
        waiting = " / ".join(f"{one[way]['waiting']:.3%}" for way in WAYS)
        lines.append(f"| {number} | {bare_rate:,.0f} | {ray_rate:,.0f} | {bare_rate / ray_rate - 1:+.2%} | {waiting} "
                     f"| {same} |")  # fmt: skip
    waits = spread([one["Ray Train"]["waiting"] for one in pairs])
    lines += [
        "",
        f"Ray Train is slower by {slower} as a share of torchrun's time, median of {len(pairs)} pairs; aim ≤ {AIM:g}.",
        f"Waiting for rows under Ray Train, share of the time: {waits}; aim < {WAIT_AIM:g}.",
    ]
    return "\n".join(lines) + "\n"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ray_overhead", description="What Ray Train costs.")
    parser.add_argument("corpus", help="folder of a finished corpus")
    parser.add_argument("--vocabulary", default="", help="JSON of the ensemble; default: vocabulary.json in the corpus")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument(
        "--steps", type=int, default=200, help=f"of each run, the first {WARM_STEPS} of which count not"
    )
    parser.add_argument("--output", type=Path, default=Path("runs/ray_overhead"), help="folder for runs and figures")
    parser.add_argument("--bare", default="", help=argparse.SUPPRESS)
    own, more = split(argv)
    args = parser.parse_args(own, argparse.Namespace(more=more))
    if args.bare:
        bare(args.bare, args.more)
        return 0
    if args.steps <= WARM_STEPS:
        parser.error(f"--steps {args.steps}: more than {WARM_STEPS}")
    args.output, args.corpus = args.output.absolute(), str(Path(args.corpus).absolute())
    args.vocabulary = args.vocabulary and str(Path(args.vocabulary).absolute())
    args.output /= f"{args.workers}-workers"
    args.output.mkdir(parents=True, exist_ok=True)
    pairs = []
    for number in range(1, args.pairs + 1):
        pairs.append(pair(number, args))
        print(f"pair {number} of {args.pairs}: {json.dumps(pairs[-1])}", file=sys.stderr, flush=True)
    text = table(pairs)
    (args.output / "ray_overhead.md").write_text(text)
    print(text, end="")
    return 0 if all(one["same_losses"] for one in pairs) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
