"""The small CNN: strands, seeds, and that it learns."""

import random

import numpy as np
import pytest
import torch

from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.tasks import cnn, metrics
from genomics_fm.tasks.rows import Rows


def planted(rows: int, seed: int, length: int = 60) -> Rows:
    """Class 1 carries a motif on a random strand."""
    draw = random.Random(seed)
    sequences, labels = [], []
    for row in range(rows):
        sequence = "".join(draw.choices("ACGT", k=length))
        motif = draw.choice(["TGACGTCATT", reverse_complement("TGACGTCATT")])
        place = draw.randrange(length - 10)
        labels.append(row % 2)
        sequences.append(sequence[:place] + motif + sequence[place + 10 :] if row % 2 else sequence)
    return Rows(sequences, np.array(labels), [str(row) for row in range(rows)], np.arange(rows))


def test_one_hot_and_its_reverse_complement() -> None:
    bases = cnn.one_hot(["ACGTN", "GA"])
    assert bases.shape == (2, 4, 5)
    assert bases[0].T.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert bases[1].T.tolist() == [[0, 0, 1, 0], [1, 0, 0, 0], [0] * 4, [0] * 4, [0] * 4]
    sequence = "GATTACANGG"
    turned = cnn.reverse_complement(cnn.one_hot([sequence]))
    assert torch.equal(turned, cnn.one_hot([reverse_complement(sequence)]))


@pytest.fixture(scope="module")
def trained() -> cnn.PredictFunction:
    return cnn.train(planted(400, 1), planted(100, 2), learning_rate=0.02, updates=60, seed=3)


def test_it_learns_a_motif_on_either_strand(trained: cnn.PredictFunction) -> None:
    test = planted(200, 5)
    probability = trained(test.sequences)
    assert probability.dtype == np.float32
    assert metrics.mcc(test.labels, (probability >= 0.5).astype(np.int64)) > 0.8


def test_both_strands_get_the_same_probability_and_batching_does_not_matter(trained: cnn.PredictFunction) -> None:
    sequences = planted(40, 6).sequences
    forward = trained(sequences)
    assert np.allclose(forward, trained([reverse_complement(s) for s in sequences]), atol=1e-6)
    assert np.allclose(forward[7:8], trained(sequences[7:8]), atol=1e-6)
    assert forward.std() > 0.1


def test_seed_decides_everything_and_global_state_is_left_alone(trained: cnn.PredictFunction) -> None:
    sequences = planted(40, 6).sequences
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    threads = torch.get_num_threads()
    again = cnn.train(planted(400, 1), planted(100, 2), learning_rate=0.02, updates=60, seed=3)
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_num_threads() == threads
    assert np.array_equal(again(sequences), trained(sequences))
    other = cnn.train(planted(400, 1), planted(100, 2), learning_rate=0.02, updates=60, seed=4)
    assert not np.array_equal(other(sequences), trained(sequences))


def test_every_row_is_seen_before_any_is_seen_twice() -> None:
    seen = np.concatenate([rows.numpy() for rows, _ in cnn._batches(150, 7, seed=0)])
    assert len(seen) == 7 * cnn.BATCH_ROWS
    counts = np.bincount(seen, minlength=150)
    assert counts.max() - counts.min() <= 1
    flipped = np.concatenate([flips.numpy() for _, flips in cnn._batches(150, 30, seed=0)])
    assert 0.45 < flipped.mean() < 0.55


def test_fewer_rows_than_a_batch() -> None:
    predict = cnn.train(planted(10, 1), planted(10, 2), learning_rate=0.01, updates=3, seed=0)
    assert predict(planted(10, 2).sequences).shape == (10,)
