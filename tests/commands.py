"""Commands run as a user would, and small genomes for them to read."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]


def write_genome(path: Path, contigs: int = 3, length: int = 30_000, seed: int = 0) -> Path:
    """A FASTA of random contigs whose codons are not quite random, so that there is something to learn."""
    draw = np.random.default_rng(seed)
    words = ["".join(draw.choice(list("ACGT"), size=3)) for _ in range(20)]
    with path.open("w") as file:
        for number in range(contigs):
            file.write(f">contig{number}\n{''.join(draw.choice(words, size=length // 3))}\n")
    return path


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def command(*arguments: str, **environment: str) -> Ended:
    """Run `python -m <arguments>` in the repository, as a user would."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)
