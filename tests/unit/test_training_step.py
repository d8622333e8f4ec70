from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import InputError
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import MaskedLanguageModel, new_language_model
from genomics_fm.pretraining.batches import Batches, MicroBatch, micro_batch
from genomics_fm.pretraining.lane import Row
from genomics_fm.training.optimizer import OptimizerConfig, adamw
from genomics_fm.training.step import StepResult, train_step
from genomics_fm.training.workers import Workers
from genomics_fm.vocabulary.ensemble import Ensemble
from tests.corpora import STREAMS

torch.set_num_threads(1)
ALONE = Workers(0, 1, torch.device("cpu"))
NAMES = ("bpe", "kmer")
UNCLIPPED = float("inf")
UNMOVED = 1e-300  # a rate that changes no float32 weight


@pytest.fixture
def model(vocabulary: Ensemble) -> MaskedLanguageModel:
    """Large weights, so that losses differ well from ln V."""
    config = EncoderConfig(vocabulary_size=vocabulary.size, layers=2, width=32, heads=2, ffn_width=48)
    model = new_language_model(config, 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 3 if parameter.ndim == 2 else 1
    return model


@pytest.fixture(scope="module")
def rows(corpus: Corpus, vocabulary: Ensemble) -> list[Row]:
    """Five rows: three of BPE and two of k-mers, so that counts differ."""
    return Batches(corpus, vocabulary, STREAMS, 5, 0, 1).rows(0)


def step(
    model: MaskedLanguageModel,
    parts: list[MicroBatch],
    weights: tuple[float, float] = (1.0, 1.0),
    clip_norm: float = UNCLIPPED,
    rate: float = UNMOVED,
    autocast: bool = False,
) -> StepResult:
    optimizer = adamw(model, OptimizerConfig(learning_rate=rate))
    return train_step(model, optimizer, parts, NAMES, list(weights), clip_norm, ALONE, autocast)


def gradients(model: MaskedLanguageModel) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def by_hand(
    model: MaskedLanguageModel, rows: list[Row], weights: tuple[float, float]
) -> tuple[Tensor, dict[str, float]]:
    """R16 over rows one by one."""
    sums, counts = dict.fromkeys(NAMES, torch.zeros(())), dict.fromkeys(NAMES, 0)
    for row in rows:
        logits_NV = model(torch.from_numpy(row.ids_N).long(), row.lengths)
        labels_N = torch.from_numpy(row.labels_N).long()
        sums[row.vocabulary] = sums[row.vocabulary] + F.cross_entropy(logits_NV, labels_N, reduction="sum")
        counts[row.vocabulary] += int((labels_N != -100).sum())
    means = {name: sums[name] / max(counts[name], 1) for name in NAMES}
    total = sum(weight * means[name] for name, weight in zip(NAMES, weights, strict=True))
    return torch.as_tensor(total), {name: means[name].item() for name in NAMES if counts[name]}


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.25, 3.0), (0.0, 1.0)])
def test_the_loss_is_r16(model: MaskedLanguageModel, rows: list[Row], weights: tuple[float, float]) -> None:
    loss, means = by_hand(model, rows, weights)
    loss.backward()
    expected = gradients(model)
    result = step(model, [micro_batch(rows, NAMES)], weights)
    assert result.loss == pytest.approx(means, rel=1e-5)
    found = gradients(model)
    assert set(found) == set(expected)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], atol=1e-6, rtol=1e-4)


def splits(rows: list[Row]) -> Iterator[list[list[Row]]]:
    yield [[row] for row in rows]
    yield [rows[:2], rows[2:]]
    yield [rows[3:], [], rows[:3]]
    yield [[], rows[::-1]]


def test_micro_batches_change_nothing(model: MaskedLanguageModel, rows: list[Row]) -> None:
    whole = step(model, [micro_batch(rows, NAMES)])
    expected = gradients(model)
    for split in splits(rows):
        result = step(model, [micro_batch(part, NAMES) for part in split])
        assert result.loss == pytest.approx(whole.loss, rel=1e-6)
        assert (result.predicted, result.tokens) == (whole.predicted, whole.tokens)
        assert result.gradient_norm == pytest.approx(whole.gradient_norm, rel=1e-5)
        for name, gradient in gradients(model).items():
            torch.testing.assert_close(gradient, expected[name], atol=1e-6, rtol=0)


def documents_of(row: Row) -> list[Row]:
    """A row for each document."""
    ends = np.cumsum(row.lengths_D)[:-1]
    parts = zip(np.split(row.ids_N, ends), np.split(row.labels_N, ends), row.lengths_D, strict=True)
    return [Row(row.vocabulary, ids, labels, np.array([n]), row.segments_D6[:0]) for ids, labels, n in parts]


def test_packing_changes_nothing(model: MaskedLanguageModel, rows: list[Row]) -> None:
    whole = step(model, [micro_batch(rows, NAMES)])
    expected = gradients(model)
    apart = [document for row in rows for document in documents_of(row)]
    assert len(apart) > 2 * len(rows)
    order = np.random.default_rng(0).permutation(len(apart))
    result = step(model, [micro_batch([apart[i] for i in half], NAMES) for half in np.array_split(order, 2)])
    assert result.loss == pytest.approx(whole.loss, rel=1e-6)
    assert (result.predicted, result.tokens) == (whole.predicted, whole.tokens)
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-6, rtol=0)


def test_counts_are_of_the_global_batch(model: MaskedLanguageModel, rows: list[Row]) -> None:
    result = step(model, [micro_batch(rows, NAMES), micro_batch([], NAMES)])
    for name in NAMES:
        assert result.predicted[name] == sum((row.labels_N != -100).sum() for row in rows if row.vocabulary == name)
    assert result.tokens == sum(len(row.ids_N) for row in rows)


def test_a_vocabulary_without_predicted_tokens_adds_nothing_and_is_logged(
    model: MaskedLanguageModel, rows: list[Row]
) -> None:
    only = [micro_batch([row for row in rows if row.vocabulary == "kmer"], NAMES)]
    result = step(model, only)
    assert set(result.loss) == {"kmer"}
    assert result.predicted["bpe"] == 0 and result.predicted["kmer"] > 0
    assert result.gradient_norm > 0
    expected = gradients(model)
    assert step(model, only, weights=(1_000.0, 1.0)).loss == result.loss
    for name, gradient in gradients(model).items():
        assert torch.equal(gradient, expected[name])


def test_gradients_of_the_step_before_are_forgotten(model: MaskedLanguageModel, rows: list[Row]) -> None:
    step(model, [micro_batch(rows, NAMES)])
    first = gradients(model)
    step(model, [micro_batch(rows, NAMES)])
    for name, gradient in gradients(model).items():
        assert torch.equal(gradient, first[name])


def test_the_whole_gradient_is_clipped_and_its_norm_reported(model: MaskedLanguageModel, rows: list[Row]) -> None:
    unclipped = step(model, [micro_batch(rows, NAMES)])
    norm = torch.cat([g.flatten() for g in gradients(model).values()]).norm().item()
    assert unclipped.gradient_norm == pytest.approx(norm, rel=1e-4)
    clipped = step(model, [micro_batch(rows, NAMES)], clip_norm=norm / 10)
    assert clipped.gradient_norm == pytest.approx(norm, rel=1e-4)
    assert torch.cat([g.flatten() for g in gradients(model).values()]).norm().item() == pytest.approx(
        norm / 10, rel=1e-3
    )


def test_a_step_lowers_the_loss_of_both_vocabularies(model: MaskedLanguageModel, rows: list[Row]) -> None:
    parts = [micro_batch(rows, NAMES)]
    first = step(model, parts, rate=1e-2)
    second = step(model, parts)
    assert all(second.loss[name] < first.loss[name] - 0.05 for name in NAMES)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 1e38])
def test_a_loss_that_is_not_finite_updates_nothing(model: MaskedLanguageModel, rows: list[Row], wrong: float) -> None:
    optimizer = adamw(model, OptimizerConfig(learning_rate=1e-2))
    with torch.no_grad():
        model.bert.encoder.layer[0].mlp.wo.weight[3, 5] = wrong  # type: ignore[union-attr]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(InputError, match="not finite, nothing was updated; lower the learning rate"):
        train_step(model, optimizer, [micro_batch(rows, NAMES)], NAMES, [1.0, 1.0], 1.0, ALONE, False)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0, equal_nan=True)
    assert not optimizer.state


def test_bfloat16_gives_about_the_same(model: MaskedLanguageModel, rows: list[Row]) -> None:
    exact = step(model, [micro_batch(rows, NAMES)])
    rough = step(model, [micro_batch(rows, NAMES)], autocast=True)
    assert rough.loss == pytest.approx(exact.loss, rel=0.02)
    assert rough.loss != exact.loss
    assert (
        {p.dtype for p in model.parameters()}
        == {p.grad.dtype for p in model.parameters() if p.grad is not None}
        == {torch.float32}
    )
