"""Baselines of every kind of problem: that they learn what they can, and know no strand where there is none."""

import dataclasses
import random
from typing import Any

import numpy as np
import pytest

from genomics_fm.errors import InputError
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.tasks import baselines, cnn_baseline, composition, kmer_features, kmers, rows
from genomics_fm.tasks.cnn_baseline import CnnConfig
from genomics_fm.tasks.problem import UNLABELLED, Problem
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.task import Task
from tests.unit.test_tasks_cnn import planted

QUICK = CnnConfig(epochs=1, fewest_updates=6, most_updates=6, batch_rows=16, evaluations=2)
LEARNS = CnnConfig(learning_rate=4e-3, fewest_updates=60, most_updates=60, batch_rows=32, evaluations=3)


def _sequences(count: int, seed: int, length: int = 40) -> tuple[list[str], np.ndarray]:
    """Random ones of unlike length, and their GC shares."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        gc = draw.uniform(0.2, 0.8)
        made.append("".join(draw.choices("ACGT", [1 - gc, gc, gc, 1 - gc], k=length + draw.randrange(5))))
    return made, np.array([(s.count("G") + s.count("C")) / len(s) for s in made])


def _labels(kind: str, gc: np.ndarray, sequences: list[str]) -> np.ndarray:
    match kind:
        case "classification":
            return np.digitize(gc, [0.4, 0.6])
        case "multilabel":
            labels = np.stack([gc > 0.5, gc < 0.3, np.zeros(len(gc))], axis=1).astype(np.float32)
            labels[::7, 0] = np.nan
            return labels
        case "regression":
            return np.stack([3 * gc + 5, -gc], axis=1).astype(np.float32)
        case _:
            return rows.of_bases([np.isin(list(s), list("GC")).astype(np.int8) for s in sequences])


NAMES = {"classification": "abc", "multilabel": "abc", "regression": "xy", "per-base": "nm"}


def _task(kind: Any) -> Task:
    """The second half of the test rows are the first half's reverse complements."""
    splits = {}
    for number, (split, count) in enumerate([("train", 120), ("validation", 50), ("test", 60), ("calibration", 20)]):
        sequences, gc = _sequences(count, number)
        if split == "test":
            sequences, gc = [*sequences[:30], *map(reverse_complement, sequences[:30])], np.tile(gc[:30], 2)
        labels = _labels(kind, gc, sequences)
        splits[split] = Rows(sequences, labels, list(map(str, range(count))), np.arange(count) // 2)
    return Task("made up", Problem(kind, tuple(NAMES[kind])), splits)


@pytest.mark.parametrize("kind", ["classification", "multilabel", "regression", "per-base"])
def test_every_baseline_of_a_kind_scores_every_split(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "KMERS", (2, 3))
    task = _task(kind)
    told: list[str] = []
    arms = baselines.run(task, cap=100, network=QUICK, on_arm=lambda arm: told.append(arm.name))
    assert tuple(told) == tuple(arm.name for arm in arms) == baselines.NAMES[kind]
    for arm in arms:
        assert (arm.labels_seen, arm.capped, arm.metric) == (100, True, task.problem.metric)
        assert len(arm.calibration_predictions) == 20
        first = arm.test_predictions[0]
        assert first.dtype == np.float32
        outputs = task.problem.outputs
        assert first.shape == ((len(task.test.sequences[0]), outputs) if kind == "per-base" else (outputs,))
        if kind in ("classification", "per-base"):
            assert np.allclose(first.sum(-1), 1, atol=1e-5)
        assert arm.interval[0] <= arm.test[arm.metric] <= arm.interval[1]
        for one, two in zip(arm.test_predictions[:30], arm.test_predictions[30:], strict=True):
            assert np.allclose(one, two[::-1] if kind == "per-base" else two, atol=1e-4), arm.name
    scores = {arm.name: arm.test[arm.metric] for arm in arms}
    learnt = [score for name, score in scores.items() if name.startswith(("GC", "k-mer"))]
    constant = next(iter(scores.values()))
    assert constant in (0, 0.5)
    assert min(learnt) > constant + 0.3, scores


def test_a_network_finds_a_motif_that_is_planted() -> None:
    problem = Problem("classification", ("without", "with"))
    task = Task("planted", problem, {"train": planted(800, 1), "validation": planted(100, 2), "test": planted(200, 5)})
    (arm,) = baselines.run(task, ["CNN"], network=LEARNS)
    assert arm.test["mcc"] > 0.9
    assert arm.chosen["rows_seen"] == arm.chosen["updates"] * 32
    assert arm.chosen["converged"] is None  # three evaluations tell nothing


def test_a_network_that_learns_no_more_slows_down_and_stops() -> None:
    problem = Problem("classification", ("without", "with"))
    rows, checked = planted(200, 1), planted(100, 2)
    random.Random(0).shuffle(checked.labels)  # no score rises for long
    patient = dataclasses.replace(LEARNS, fewest_updates=400, most_updates=400, evaluations=80, patience=6)
    slow, slower = (
        cnn_baseline.train(problem, rows, checked, 0, dataclasses.replace(patient, decay=decay))
        for decay in (0.99, 0.01)
    )
    assert slow.converged and slower.converged
    assert slow.updates == 5 * len(slow.scores) < 400
    assert len(slow.scores) == int(np.argmax(slow.scores)) + 1 + 6
    assert slow.scores[:4] == slower.scores[:4] and slow.scores != slower.scores
    with pytest.raises(InputError, match="decay"):
        CnnConfig(decay=1.0)


def test_shuffled_labels_teach_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "KMERS", (4,))
    task = _task("classification")
    two = Problem("classification", ("a", "b"))
    held = 0
    for seed in range(10):
        draw = np.random.default_rng(seed)
        splits = {
            split: Rows(found.sequences, draw.integers(0, 2, len(found)), found.locus, found.block)
            for split, found in task.splits.items()
        }
        (arm,) = baselines.run(Task("shuffled", two, splits), ["k-mer logistic"])
        held += arm.interval[0] <= 0 <= arm.interval[1]
    assert held >= 9


def test_stranded_tasks_tell_strands_apart() -> None:
    sequences = [("AAACC" if i % 2 else "GGTTT") * 8 for i in range(40)]
    split = Rows(sequences, np.arange(40) % 2, [""] * 40, np.arange(40))
    for stranded, expected in ((True, 1), (False, 0)):
        problem = Problem("classification", ("a", "b"), stranded)
        task = Task("strands", problem, {"train": split, "validation": split, "test": split})
        (arm,) = baselines.run(task, ["k-mer logistic"])
        assert arm.test["mcc"] == expected


def test_unknown_baselines_and_empty_subsets_are_refused() -> None:
    with pytest.raises(InputError, match="baseline k-mer ridge: give one of majority"):
        baselines.run(_task("classification"), ["k-mer ridge"])
    with pytest.raises(InputError, match=r"fraction 0.01: leaves a class"):
        baselines.run(_task("classification"), fraction=0.01)


def test_counts_equal_the_canonical_ones_and_unknown_letters_count_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kmer_features, "_CHUNK_LETTERS", 50)
    sequences, _ = _sequences(20, 0)
    sequences += ["", "AC", "ACGTNACGT"]
    expected = np.log1p(kmers.counts(sequences, 3))
    assert np.allclose(kmer_features.matrix(sequences, 3, both_strands=True).toarray(), expected)
    plain = kmer_features.matrix(["ACGNAC", "CA"], 2, both_strands=False).toarray()
    assert plain.shape == (2, 16)
    counts = {"ACGT"[i // 4] + "ACGT"[i % 4]: round(float(np.expm1(plain[0, i]))) for i in np.flatnonzero(plain[0])}
    assert counts == {"AC": 2, "CG": 1}
    assert kmer_features.matrix([], 2, both_strands=False).shape == (0, 16)


@pytest.mark.parametrize("name", [baselines.GC, baselines.CNN])
def test_a_target_that_training_rows_do_not_measure_harms_no_other(name: str) -> None:
    task = _task("regression")
    task.train.labels[:, 1] = np.nan
    (found,) = baselines.run(task, [name], seed=0, network=QUICK)
    assert np.isfinite(found.test_predictions).all() and np.isfinite(found.test["pearson"])


def test_composition() -> None:
    found = composition.gc_and_length(["GCNN", "AAAG", ""])
    assert found[:, 0].tolist() == [1, 0.25, 0]
    assert found[:, 2] == pytest.approx(np.log([5, 5, 1]))
    labels = np.array([[1, 0], [np.nan, 0], [0, 3]], np.float32)
    assert composition.constant(Problem("regression", ("a", "b")), labels).tolist() == [0.5, 1]
    bases = rows.of_bases([np.array([1, 1, UNLABELLED], np.int8), np.array([0, 1], np.int8)])
    assert composition.constant(Problem("per-base", ("a", "b")), bases).tolist() == [0.25, 0.75]
