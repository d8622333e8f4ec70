"""Baselines: rules by hand, learners on sequences made for them."""

import random
from dataclasses import replace

import numpy as np
import pytest

from genomics_fm.errors import InputError
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.tasks import coding_baselines as baselines
from genomics_fm.tasks import metrics
from genomics_fm.tasks.fractions import nested_subset
from genomics_fm.tasks.rows import Rows


def _rows(n: int, seed: int, length: int = 60) -> Rows:
    """Class 1 is richer in CG, so that every learner can find something."""
    draw = random.Random(seed)
    weights = [[30, 20, 20, 30], [20, 30, 30, 20]]
    sequences = ["".join(draw.choices("ACGT", weights[row % 2], k=length)) for row in range(n)]
    return Rows(sequences, np.arange(n) % 2, [str(row) for row in range(n)], np.arange(n) // 4)


def _open_by_hand(sequence: str) -> bool:
    for strand in (sequence, reverse_complement(sequence)):
        for frame in range(3):
            codons = [strand[i : i + 3] for i in range(frame, len(strand) - 2, 3)]
            if not set(codons) & {"TAA", "TAG", "TGA"}:
                return True
    return False


def test_open_frame_equals_the_rule_spelt_out() -> None:
    draw = random.Random(0)
    sequences = ["".join(draw.choices("ACGTN", [9, 9, 9, 9, 1], k=draw.randrange(300))) for _ in range(600)]
    expected = [_open_by_hand(sequence) for sequence in sequences]
    assert baselines.open_frame(sequences).tolist() == expected
    assert 100 < sum(expected) < 500


def test_open_frame_by_hand() -> None:
    closed = "TAACTAACTAACTTATTTATTTATTTA"  # a stop in all three frames of both strands
    assert baselines.open_frame([closed, closed.replace("TAACTAACTAA", "TAACTAACTCA"), "", "TA"]).tolist() == [
        0,
        1,
        1,
        1,
    ]


def test_majority() -> None:
    assert baselines.majority(np.array([0, 0, 1]), 4).tolist() == [0] * 4
    assert baselines.majority(np.array([0, 1, 1]), 2).tolist() == [1] * 2


@pytest.mark.parametrize("swap", [False, True])
def test_gc_threshold_finds_cut_and_side(swap: bool) -> None:
    sequences = ["AAAA", "AAAC", "AACC", "ACCC", "CCCC", "GGGG"]
    labels = np.array([0, 0, 1, 1, 1, 1])
    rows = Rows(sequences, 1 - labels if swap else labels, sequences, np.arange(6))
    cut, above = baselines.gc_threshold(rows)
    assert cut == pytest.approx(0.375)
    assert above is not swap
    assert baselines.gc_predict(sequences, cut, above).tolist() == rows.labels.tolist()


def test_logistic_regression_is_blind_to_strand_and_tunes_c_on_validation() -> None:
    train, validation = _rows(300, 1), _rows(100, 2)
    features, checked = baselines.kmer_features(train.sequences), baselines.kmer_features(validation.sequences)
    assert np.array_equal(checked, baselines.kmer_features([reverse_complement(s) for s in validation.sequences]))
    assert features.dtype == np.float32
    scores = {}
    for c in baselines.C_GRID:
        guess = (baselines.logistic(features, train.labels, c)(checked) >= 0.5).astype(np.int64)
        scores[c] = metrics.mcc(validation.labels, guess)
    chosen = baselines.choose_c(features, train.labels, checked, validation.labels)
    assert scores[chosen] == max(scores.values()) > 0.3


def test_run_all() -> None:
    train, validation, test = _rows(200, 1), _rows(60, 2), _rows(80, 3)
    arms = baselines.run_all(train, validation, test, (0.1, 1.0), cap=100, seed=0, cnn_updates=5)
    names = ["majority", "GC threshold", "6-mer logistic regression", "six-frame open", "CNN"]
    cells = [(False, 0.1, 20), (False, 1.0, 200), (True, 0.1, 10), (True, 1.0, 100)]
    assert [(arm.name, arm.capped, arm.fraction, arm.labels_seen) for arm in arms] == [
        (name, capped, fraction, 0 if name == "six-frame open" else seen)
        for capped, fraction, seen in cells
        for name in names
    ]
    for arm in arms:
        assert arm.validation_predictions.shape == (60, 2)
        assert arm.test_predictions.shape == (80, 2)
        assert {arm.validation_predictions.dtype, arm.test_predictions.dtype} == {np.dtype(np.float32)}
        assert arm.test["mcc"] == metrics.mcc(test.labels, (arm.test_predictions[:, 1] >= 0.5).astype(np.int64))
        assert arm.interval[0] <= arm.test["mcc"] <= arm.interval[1]
    by_name = {arm.name: arm for arm in arms if arm.fraction == 1.0 and not arm.capped}
    assert by_name["majority"].test["mcc"] == 0
    assert by_name["GC threshold"].test["mcc"] > 0.5
    assert len({arm.chosen["C"] for arm in arms if "C" in arm.chosen}) == 1


def test_learners_see_only_the_nested_subset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "C_GRID", (0.01,))  # C is chosen with all labels, the rest is not
    train, validation, test = _rows(200, 1), _rows(60, 2), _rows(80, 3)
    index = nested_subset(train, 0.1, 0)
    seen = set(index.tolist())

    def spoilt(which: bool) -> Rows:
        return replace(
            train, sequences=["A" * 60 if (i in seen) is which else s for i, s in enumerate(train.sequences)]
        )

    def probabilities(rows: Rows) -> dict[str, list[float]]:
        arms = baselines.run_all(rows, validation, test, (0.1,), cap=None, seed=0, cnn_updates=3)
        return {arm.name: arm.test_predictions.tolist() for arm in arms}

    expected = probabilities(train)
    assert probabilities(spoilt(False)) == expected
    changed = probabilities(spoilt(True))
    for name in ("GC threshold", "6-mer logistic regression", "CNN"):
        assert changed[name] != expected[name]


def test_omitted_fractions_and_unbinding_cap() -> None:
    train, validation, test = _rows(40, 1), _rows(20, 2), _rows(20, 3)
    arms = baselines.run_all(train, validation, test, (0.01, 0.5), cap=40, seed=0, cnn_updates=2)
    assert {(arm.fraction, arm.capped) for arm in arms} == {(0.5, False)}


def test_other_labels_are_refused() -> None:
    train = _rows(40, 1)
    with pytest.raises(InputError, match="classes 0 and 1"):
        baselines.run_all(replace(train, labels=train.labels + 1), train, train, (1.0,), cap=None, seed=0)
