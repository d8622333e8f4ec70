"""The quickstart's check of the endpoint: what it answers is what the command line computes without Ray."""

import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from genomics_fm.client import Client
from genomics_fm.errors import EnvironmentFault, GenomicsFmError
from genomics_fm.tasks import fractions, rows
from jobs import launch, register, serve
from jobs.progress import Clock, rate, say

MAX_DIFFERENCE = 1e-5
REQUEST_SEQUENCES = 8


def check(config: serve.ServeConfig, task: Path, count: int, folder: Path) -> dict[str, Any]:
    """Serve, send held-out sequences, and compare with `genomics-fm predict` in a process of its own.

    Args:
        config: what to serve.
        task: folder whose test rows are sent.
        count: how many.
        folder: receives the sequences and both answers.

    Returns:
        `url`, `sequences`, `max_difference`, `p50_ms` (a request of eight sequences).

    Raises:
        GenomicsFmError: the two disagree by more than 1e-5.
    """
    test = rows.read(task / "test.parquet")
    chosen = test.take(fractions.nested_subset(test, 1.0, 0, count))
    folder.mkdir(parents=True, exist_ok=True)
    with launch.connect():
        endpoint = serve.run(config)
        try:
            say(f"[serving] {endpoint.url}: sending {len(chosen)} held-out sequences")
            served, milliseconds = _ask(endpoint.url, chosen.sequences)
        finally:
            serve.stop(endpoint)
    computed = _predict(register.resolve(config.model, config.tracking).folder, chosen.sequences, folder)
    difference = max(abs(a - b) for a, b in zip(served, computed, strict=True))
    if difference > MAX_DIFFERENCE:
        raise GenomicsFmError(f"{endpoint.url}: differs from `genomics-fm predict` by {difference:.1e}; see {folder}")
    say(f"[serving] equal to the command line within {difference:.0e}; p50 {milliseconds:.0f} ms a request")
    return {
        "url": endpoint.url,
        "sequences": len(chosen),
        "max_difference": difference,
        "p50_ms": milliseconds,
    }


def _ask(url: str, sequences: list[str]) -> tuple[list[float], float]:
    """Probabilities from the endpoint, and the median milliseconds of a request."""
    client, clock = Client(url), Clock()
    probabilities, milliseconds = [], []
    for start in range(0, len(sequences), REQUEST_SEQUENCES):
        request = Clock()
        answers = client.predict(sequences[start : start + REQUEST_SEQUENCES])
        milliseconds.append(1000 * request.seconds)
        probabilities += [answer["probability"] for answer in answers]
    say(f"[serving] {rate(len(sequences), clock.seconds, 'sequences')}")
    return probabilities, statistics.median(milliseconds)


def _predict(head: Path, sequences: list[str], folder: Path) -> list[float]:
    """Probabilities from `genomics-fm predict`, in another process that knows nothing of Ray."""
    import pyarrow.parquet as pq

    source, target = folder / "held_out.fa", folder / "predictions.parquet"
    source.write_text("".join(f">row{number}\n{sequence}\n" for number, sequence in enumerate(sequences)))
    command = [sys.executable, "-m", "genomics_fm.cli", "predict", "--head", str(head), str(source), "-o", str(target)]
    command += ["--threads", "1"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EnvironmentFault(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()[-300:]}")
    return pq.read_table(target, columns=["probability"])["probability"].to_pylist()
