"""Made-up genomes, corpora and vocabularies, small enough to build in every test."""

import contextlib
import dataclasses
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from genomics_fm.artefacts import sha256_file
from genomics_fm.corpus.build import build_unit
from genomics_fm.corpus.commit import commit
from genomics_fm.corpus.manifest import PROVENANCE, Corpus
from genomics_fm.corpus.plan import Plan, Unit, request_identity, units
from genomics_fm.corpus.sources import Source
from genomics_fm.corpus.windows import Recipe
from genomics_fm.pretraining.stream import StreamConfig
from genomics_fm.storage import Folder
from genomics_fm.vocabulary.bpe import BpeVocabulary
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.kmer import KmerVocabulary
from jobs import build_corpus, launch

RECIPE = Recipe(window_bp=1_024, overlap_bp=100, min_contig_bp=1, rows_per_block=8)
STREAMS = StreamConfig(streams=4, row_tokens=256, pending=12, max_segment_bp={"bpe": 240, "kmer": 127})


def dna(length: int, seed: int, letters: str = "ACGT") -> str:
    """Independent letters, each as likely as it is frequent in `letters`."""
    codes = np.frombuffer(letters.encode(), dtype=np.uint8)
    return codes[np.random.default_rng(seed).integers(0, len(codes), length)].tobytes().decode()


def write_fasta(path: Path, contigs: Mapping[str, str]) -> Path:
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in contigs.items()))
    return path


def build(folder: Path | Folder, sources: list[Source], recipe: Recipe = RECIPE, **more: object) -> Corpus:
    """What the job does, in this process; `more` are further fields of the plan."""
    plan, storage = Plan(recipe=recipe, **more), Folder(folder)  # type: ignore[arg-type]
    work = units(sources)
    build_here(work, plan, storage)
    commit(storage, work, plan, request_identity(sources, plan))
    return Corpus(storage)


def build_here(
    work: list[Unit], plan: Plan, folder: Folder, workers: int = 0, keep_downloads: bool = False
) -> list[str]:
    """Stands in for `jobs.build_corpus.build`, which does the same on Ray."""
    for unit in work:
        build_unit(unit, plan, folder, Path("no cache"), unit.identity(plan.identity()))
    return []


def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `jobs.build_corpus` build in this process."""
    monkeypatch.setattr(build_corpus, "build", build_here)
    monkeypatch.setattr(launch, "connect", contextlib.nullcontext)


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, and every folder, but the provenance."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.name != PROVENANCE}
    return {name: "" if path.is_dir() else sha256_file(path) for name, path in found.items()}


def corpus_of(folder: Path, contigs: Mapping[str, str], recipe: Recipe = RECIPE) -> Corpus:
    """A corpus of one made-up genome that stands beside `folder`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fasta = write_fasta(folder.with_suffix(".fa"), contigs)
    return build(folder, [Source(str(fasta), "Fictus exemplaris", "one")], recipe)


def small_corpus(folder: Path, windows: int = 21) -> Corpus:
    """Two contigs cut into `windows` windows of at most 1,024 nt, in blocks of 8."""
    step = RECIPE.window_bp - RECIPE.overlap_bp
    first = windows // 2
    lengths = {"one": step * first + 100, "two": step * (windows - first) - 200}
    return corpus_of(folder, {name: dna(length, seed) for seed, (name, length) in enumerate(lengths.items())})


def fixed_vocabulary() -> Ensemble:
    """BPE of all words of two letters and some of four, and 3-mers: nothing is trained, so ids never move."""
    pairs = ["".join(letters) for letters in product("ACGT", repeat=2)]
    longer = [(left, right) for left, right in product(pairs, repeat=2)][::5]
    merges = [(pair[0], pair[1]) for pair in pairs] + longer
    pieces = [*"ACGT", *(left + right for left, right in merges)]
    return Ensemble({"bpe": BpeVocabulary(pieces, merges), "kmer": KmerVocabulary(3)})


def streams(**changes: object) -> StreamConfig:
    """`STREAMS` with other values."""
    return dataclasses.replace(STREAMS, **changes)  # type: ignore[arg-type]


def kolmogorov_smirnov(values: np.ndarray, low: float, high: float) -> float:
    """Largest distance between the values' distribution and the uniform one on [low, high), times sqrt(n).

    Above 1.95 with probability 0.001 when they are uniform.
    """
    place = (np.sort(values) - low) / (high - low)
    steps = np.arange(len(values) + 1) / len(values)
    return float(max(np.max(steps[1:] - place), np.max(place - steps[:-1])) * np.sqrt(len(values)))
