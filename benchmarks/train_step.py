"""Training steps on one device, packed and padded, and what they reach of its measured rate.

`PYTHONPATH=platform python -m benchmarks.train_step [--minutes 8] [--corpus DIR --vocabulary FILE] [--output DIR]`

Five parts, each in a process of its own: the card's rate at bf16 matrix products of random data; steps of `base`, and
of `large`; tests/gpu; a pretraining of `small` through the loader for the time left, where a corpus is given. A part
prints as it goes and leaves PART.json; one that fails says so, the others go on, and the exit code is 1. All of it
stands in train_step.json, tables in train_step.md.

Steps are those of `training.step`: forward, the loss of R16 on the hidden tokens, backward, clipping and AdamW, in
bfloat16 under float32 weights. Tokens are those of documents: padding counts for nothing. Without CUDA the shapes are
tiny and nothing is compiled, which shows that all of it runs.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from benchmarks.train_step_table import figures, report

SHARES = {"card": 0.1, "base": 0.33, "large": 0.25, "parity": 0.3, "pretrain": 1.0}
"""Of the whole time, what a part may take before it leaves rows out; the last takes what is left."""
GRACE_SECONDS = 60.0
"""A part that has gone on for so long after its time is ended."""
LEAST_PRETRAINING_SECONDS = {"cuda": 60.0, "cpu": 0.0}
ROOT = Path(__file__).parents[1]


def card(args: argparse.Namespace) -> None:
    from benchmarks.train_step_parts import measured_rate
    from genomics_fm.training.workers import Workers

    found = measured_rate(Workers.current())
    print(
        f"{found['device']}, torch {found['torch']}: {found['tflops']:.1f} TFLOP/s, bf16 products of {found['matrix']}³"
    )
    _write(args, found)


def steps(args: argparse.Namespace) -> None:
    from benchmarks.train_step_parts import size_rows
    from benchmarks.train_step_table import line
    from genomics_fm.model.weights import set_deterministic
    from genomics_fm.training.workers import Workers
    from genomics_fm.vocabulary.ensemble import Ensemble

    until = time.perf_counter() + args.seconds
    set_deterministic(os.cpu_count() or 1)
    rate = json.loads((args.output / "card.json").read_text())["tflops"]
    vocabulary = Ensemble.load(args.vocabulary) if args.vocabulary else None
    found: list[dict[str, Any]] = []
    for row in size_rows(args.part, vocabulary, rate, until, Workers.current()):
        found.append(row)
        print(f"{args.part}: {line(row)}", flush=True)
        _write(args, {"rows": found, "lengths": "of the vocabulary" if vocabulary else "by rule"})


def parity(args: argparse.Namespace) -> None:
    import pytest

    junit = args.output / "parity.xml"
    code = pytest.main(["tests/gpu", "-q", "-p", "no:cacheprovider", f"--junitxml={junit}"])
    suite = ElementTree.parse(junit).getroot()[0].attrib
    _write(args, {name: int(suite[name]) for name in ("tests", "failures", "errors", "skipped")})
    sys.exit(code)


def pretrain(args: argparse.Namespace) -> None:
    from benchmarks.train_step_pretrain import pretrained
    from genomics_fm.training.workers import Workers

    device = Workers.current().device.type
    if not (args.corpus and args.vocabulary) or args.seconds < LEAST_PRETRAINING_SECONDS[device]:
        why = f"{args.seconds:.0f} s left" if args.corpus and args.vocabulary else "no --corpus and --vocabulary"
        print(f"pretraining: left out, {why}")
        _write(args, {"left_out": why})
        return
    folder = args.output / "pretrained"
    threads = os.cpu_count() or 1
    found = pretrained(args.corpus, args.vocabulary, folder, args.seconds, device, threads)
    print(
        f"pretraining: {found['tokens_a_second']:,.0f} tokens/s, {100 * found['stall']:.2f} % of the time without rows"
    )
    _write(args, found)


PARTS = {"card": card, "base": steps, "large": steps, "parity": parity, "pretrain": pretrain}


def _write(args: argparse.Namespace, found: dict[str, Any]) -> None:
    (args.output / f"{args.part}.json").write_text(json.dumps(found, indent=1) + "\n")


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train_step", description="Measure training steps.")
    parser.add_argument("--minutes", type=float, default=8.0, help="for all parts together")
    parser.add_argument("--corpus", type=Path, help="folder of a finished corpus, to pretrain on")
    parser.add_argument("--vocabulary", type=Path, help="vocabulary.json with bpe and kmer")
    parser.add_argument("--output", type=Path, default=Path("runs/train_step"), help="folder for JSON, table, figure")
    parser.add_argument("--part", choices=list(PARTS), help="this part alone, in this process")
    parser.add_argument("--seconds", type=float, default=120.0, help="for --part")
    return parser.parse_args(argv)


def run_part(name: str, args: argparse.Namespace, seconds: float) -> str | None:
    """Run a part in its own process; returns why it failed."""
    (args.output / f"{name}.json").unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.train_step", "--part", name, f"--seconds={seconds}"]
    command += [
        f"--{given}={getattr(args, given)}" for given in ("output", "corpus", "vocabulary") if getattr(args, given)
    ]
    try:
        code = subprocess.run(command, cwd=ROOT, timeout=seconds + GRACE_SECONDS).returncode
    except subprocess.TimeoutExpired:
        return f"ended after {seconds + GRACE_SECONDS:.0f} s"
    return f"exit code {code}" if code else None


def main(argv: list[str]) -> int:
    args = arguments(argv)
    for given in ("output", "corpus", "vocabulary"):
        if getattr(args, given):
            setattr(args, given, getattr(args, given).absolute())
    args.output.mkdir(parents=True, exist_ok=True)
    if args.part:
        PARTS[args.part](args)
        return 0
    started, whole, failed = time.perf_counter(), 60 * args.minutes, {}
    for name, share in SHARES.items():
        left = whole - (time.perf_counter() - started)
        why = run_part(name, args, max(min(share * whole, left), 0.0))
        print(f"-- {name}: {why or 'done'}, {time.perf_counter() - started:.0f} s since the start", flush=True)
        if why:
            failed[name] = why
    found = figures(args.output, list(SHARES))
    (args.output / "train_step.json").write_text(json.dumps({"failed": failed, **found}, indent=1) + "\n")
    text = report(found, failed)
    (args.output / "train_step.md").write_text(text)
    print(text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
