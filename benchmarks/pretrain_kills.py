"""A pretraining with workers killed, and the same one left alone: do they end in the same weights?

`PYTHONPATH=platform python -m benchmarks.pretrain_kills CORPUS [--vocabulary FILE] [--steps 2400] [-- FLAGS]`

Both are ordinary runs of `jobs.pretrain`, in `GENOMICS_FM_STORAGE/encoders`, under NAME-alone and NAME-killed, and go
on where they are when this is started again; `--only` makes one of them. In the second a worker is ended with SIGKILL
at steps drawn from the seed, while the run goes on by itself. Losses of every step are compared as hex, weights by
their sha256. Left behind: NAME.json, NAME.md, and what the runs printed, in the output folder.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pairs import split
from genomics_fm.artefacts import write_json
from genomics_fm.model.weights import CONFIG, encoder_about
from genomics_fm.storage import Folder
from genomics_fm.training.metrics import START, LogReader, read_events, read_metrics
from jobs import launch

ROOT = Path(__file__).parents[1]
ALONE, KILLED = "alone", "killed"
LOOK_SECONDS = 0.1
QUIET_SHARE = 0.1
"""Of the steps, at the beginning and at the end, nothing is killed."""
WORKER_TITLE = "RayTrainWorker"
AIM_SECONDS = 30.0
REPORT = "report.html"


def kill_steps(steps: int, kills: int, seed: int) -> list[int]:
    """Steps after which a worker is killed, each in its own part of the run."""
    draw = np.random.default_rng(seed)
    ends = np.linspace(QUIET_SHARE * steps, (1 - QUIET_SHARE) * steps, kills + 1).astype(int)
    return [int(draw.integers(first, max(last, first + 1))) for first, last in pairwise(ends)]


def start(name: str, args: argparse.Namespace) -> subprocess.Popen[bytes]:
    vocabulary = ["--vocabulary", args.vocabulary] if args.vocabulary else []
    command = [sys.executable, "-m", "jobs.pretrain", "--preset", "tiny", "--corpus", args.corpus, *vocabulary]
    command += ["--name", name, "--workers", str(args.workers), "--training.steps", str(args.steps), *args.more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "platform")}
    with (args.output / f"{name}.txt").open("a") as log:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)


def ended(process: subprocess.Popen[bytes], name: str, args: argparse.Namespace) -> None:
    """Wait for a run.

    Raises:
        SystemExit: it failed.
    """
    if process.wait():
        sys.exit(f"{name} ended with {process.returncode}; see {args.output / name}.txt, then the same command again")


def workers_below(pid: int) -> list[int]:
    """Processes of Ray Train's workers that a process has started, however deep below it."""
    parents: dict[int, tuple[int, str]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            parents[int(path.name)] = parent, (path / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
    family = {pid}
    while more := {one for one, (parent, _) in parents.items() if parent in family} - family:
        family |= more
    return sorted(one for one in family if WORKER_TITLE in parents.get(one, (0, ""))[1])


def run_killed(name: str, args: argparse.Namespace) -> None:
    """Make the run whose workers are killed, or go on with it; what was killed is kept."""
    folder = launch.storage_folder() / "encoders" / name
    record = args.output / f"{name}-kills.json"
    done: list[dict[str, Any]] = json.loads(record.read_text()) if record.is_file() else []
    due = kill_steps(args.steps, args.kills, args.seed)[len(done) :]
    draw = np.random.default_rng((args.seed, len(done)))
    process = start(name, args)
    for step in steps_of_a_run(folder, process):
        if due and step >= due[0]:
            workers = workers_below(process.pid)
            if not workers:
                continue
            rank = int(draw.integers(len(workers)))
            os.kill(workers[rank], signal.SIGKILL)
            done.append({"wanted": due.pop(0), "step": step, "unixtime": time.time(), "workers": len(workers)})
            record.write_text(json.dumps(done, indent=1) + "\n")
            print(f"{name}: killed one of {len(workers)} workers after step {step}", file=sys.stderr, flush=True)
    ended(process, name, args)


def steps_of_a_run(folder: Folder, process: subprocess.Popen[bytes]) -> Iterator[int]:
    """The newest step of a run's log whenever it has grown, until the run's process ends."""
    reader = LogReader(folder)
    while process.poll() is None:
        steps = [line["step"] for line in reader.new() if "event" not in line]
        if steps:
            yield steps[-1]
        time.sleep(LOOK_SECONDS)


def kills_of(name: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """What each kill cost: seconds until the next new update, and updates made a second time."""
    folder = launch.storage_folder() / "encoders" / name
    lines = LogReader(folder).new()
    costs = []
    for kill in json.loads((args.output / f"{name}-kills.json").read_text()):
        after = [line for line in lines if line["unixtime"] > kill["unixtime"]]
        resumed = next(line for line in after if line.get("event") == START)
        again = next(line for line in after if "event" not in line and line["unixtime"] > resumed["unixtime"])
        before = [line["step"] for line in lines if "event" not in line and line["unixtime"] < resumed["unixtime"]]
        seconds = again["unixtime"] - again["seconds"] - kill["unixtime"]
        costs.append({**kill, "resumed_at": resumed["step"], "repeated": before[-1] - resumed["step"],
                      "seconds_to_train_again": seconds})  # fmt: skip
    return costs


def compared(args: argparse.Namespace) -> dict[str, Any]:
    """Both runs side by side; they have ended."""
    folders = {way: launch.storage_folder() / "encoders" / f"{args.name}-{way}" for way in (ALONE, KILLED)}
    losses = {way: [(line["step"], {name: float(loss).hex() for name, loss in line["loss"].items()})
                    for line in read_metrics(folder)] for way, folder in folders.items()}  # fmt: skip
    different = [a[0] for a, b in zip(*losses.values(), strict=False) if a != b]
    lines = {way: read_metrics(folder) for way, folder in folders.items()}
    return {
        "steps": args.steps,
        "workers": args.workers,
        "runs": {way: str(folder) for way, folder in folders.items()},
        "pages": {way: folder.shown(REPORT) for way, folder in folders.items() if folder.exists(REPORT)},
        "weights_sha256": {way: encoder_about(folder)[1] for way, folder in folders.items()},
        "logged_steps": {way: len(values) for way, values in losses.items()},
        "steps_with_other_losses": different,
        "starts": {
            way: len([e for e in read_events(folder) if e["event"] == START]) for way, folder in folders.items()
        },
        "minutes": {way: (made[-1]["unixtime"] - made[0]["unixtime"]) / 60 for way, made in lines.items()},
        "waiting": {
            way: sum(m["stall"] for m in made) / sum(m["seconds"] for m in made) for way, made in lines.items()
        },
        "kills": kills_of(f"{args.name}-{KILLED}", args),
    }


def same(found: dict[str, Any]) -> bool:
    """Whether weights, steps and every loss are the same."""
    equal = all(len(set(found[what].values())) == 1 for what in ("weights_sha256", "logged_steps"))
    return equal and not found["steps_with_other_losses"]


def table(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = ["| | left alone | killed |", "| --- | --- | --- |"]
    for what, shown in (("minutes", "{:.1f}"), ("starts", "{}"), ("logged_steps", "{:,}"), ("waiting", "{:.3%}"),
                        ("weights_sha256", "`{:.12}`")):  # fmt: skip
        cells = (shown.format(found[what][way]) for way in (ALONE, KILLED))
        lines.append(f"| {what.replace('_', ' ')} | {' | '.join(cells)} |")
    lines += ["", "| killed after step | wanted | resumed at | steps repeated | s to train again |",
              "| --- | --- | --- | --- | --- |"]  # fmt: skip
    for kill in found["kills"]:
        lines.append(f"| {kill['step']:,} | {kill['wanted']:,} | {kill['resumed_at']:,} | {kill['repeated']:,} "
                     f"| {kill['seconds_to_train_again']:.1f} |")  # fmt: skip
    different = len(found["steps_with_other_losses"])
    lines += ["", f"Steps whose losses differ in a bit: {different}. "
              f"Weights, steps and losses the same: {'yes' if same(found) else 'NO'}. "
              f"Aim for training again: {AIM_SECONDS:g} s."]  # fmt: skip
    lines += [f"Page of the run {'left alone' if way == ALONE else 'killed'}: {page}"
              for way, page in found["pages"].items()]  # fmt: skip
    return "\n".join(lines) + "\n"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pretrain_kills", description="Killed or left alone.")
    parser.add_argument("corpus", help="folder of a finished corpus")
    parser.add_argument("--vocabulary", default="", help="JSON of the ensemble; default: vocabulary.json in the corpus")
    parser.add_argument("--steps", type=int, default=2_400, help="20 minutes or more on two cores")
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of steps and workers that are killed")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--name", default="kills", help="first word of both runs' names")
    parser.add_argument("--only", choices=(ALONE, KILLED), help="one of the two; else what is missing of both")
    parser.add_argument("--output", type=Path, default=Path("runs/pretrain_kills"))
    own, more = split(argv)
    args = parser.parse_args(own, argparse.Namespace(more=more))
    args.output, args.corpus = args.output.absolute(), str(Path(args.corpus).absolute())
    args.vocabulary = args.vocabulary and str(Path(args.vocabulary).absolute())
    args.output.mkdir(parents=True, exist_ok=True)
    whole = []
    for way in (ALONE, KILLED):
        name = f"{args.name}-{way}"
        place = launch.storage_folder() / "encoders" / name
        if args.only in (None, way) and not place.exists(CONFIG):
            print(f"{name}: {args.steps:,} steps, what it says is in {args.output / name}.txt", file=sys.stderr)
            if way == KILLED:
                run_killed(name, args)
            else:
                ended(start(name, args), name, args)
        whole.append(place.exists(CONFIG))
    if not all(whole):
        print("one of the two runs is missing: nothing to compare yet")
        return 0
    found = compared(args)
    write_json(args.output / f"{args.name}.json", found)
    (args.output / f"{args.name}.md").write_text(table(found))
    print(table(found), end="")
    return 0 if same(found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
