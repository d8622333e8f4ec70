"""Pooling, heads and their losses, against loops over documents."""

from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from genomics_fm.errors import InputError
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import Pooling, new_classifier, new_language_model, new_token_classifier
from genomics_fm.model.losses import Problem, class_weights, head_loss, positive_weights
from genomics_fm.model.pooling import AttentionPooling, cls_of, content_of, mean_of_content, mean_over_bases
from tests.corpora import dna
from tests.vocabularies import every_kind

torch.set_num_threads(1)
TINY = EncoderConfig(vocabulary_size=64, layers=2, width=32, heads=4, ffn_width=48)
LENGTHS = [9, 4, 3, 50, 2, 1, 17]
"""Documents with and without content: one of 3 tokens is CLS, prompt, SEP."""
POOLINGS = get_args(Pooling)


def hidden_of(lengths: list[int], width: int = 6) -> Tensor:
    return torch.randn(sum(lengths), width, generator=torch.Generator().manual_seed(3))


def contents(hidden_ND: Tensor, lengths: list[int]) -> list[Tensor]:
    return [document[2:-1] for document in hidden_ND.split(lengths)]


def strong(model: torch.nn.Module) -> torch.nn.Module:
    """With weights so large that outputs depend on inputs."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(6)
    return model.eval()


def test_content_is_what_stands_between_prompt_and_sep() -> None:
    content = content_of(LENGTHS, torch.device("cpu"))
    place = torch.arange(sum(LENGTHS))
    assert content.place_T.tolist() == torch.cat(contents(place, LENGTHS)).tolist()
    assert content.count_B.tolist() == [len(document) for document in contents(place, LENGTHS)]
    assert torch.bincount(content.document_T, minlength=len(LENGTHS)).tolist() == content.count_B.tolist()


def test_pooling_is_a_loop_over_documents() -> None:
    hidden = hidden_of(LENGTHS)
    expected = torch.stack([c.sum(0) / max(len(c), 1) for c in contents(hidden, LENGTHS)])
    torch.testing.assert_close(mean_of_content(hidden, LENGTHS), expected, atol=1e-6, rtol=0)
    assert torch.equal(cls_of(hidden, LENGTHS), torch.stack([d[0] for d in hidden.split(LENGTHS)]))


def test_attention_pooling_is_a_softmax_in_each_document() -> None:
    hidden, pooling = hidden_of(LENGTHS), AttentionPooling(6)
    torch.testing.assert_close(pooling(hidden, LENGTHS), mean_of_content(hidden, LENGTHS), atol=1e-6, rtol=0)
    with torch.no_grad():
        pooling.query.copy_(torch.arange(6.0) * 40)  # exponentials of raw scores would overflow
    weights = [torch.softmax(c @ pooling.query / 6**0.5, 0) for c in contents(hidden, LENGTHS)]
    expected = torch.stack([w @ c for w, c in zip(weights, contents(hidden, LENGTHS), strict=True)])
    found = pooling(hidden, LENGTHS)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert (found - mean_of_content(hidden, LENGTHS)).abs().max() > 0.1
    found.square().sum().backward()
    assert pooling.query.grad is not None and bool(torch.isfinite(pooling.query.grad).all())


@pytest.mark.parametrize("name", every_kind().names)
def test_a_base_is_the_mean_of_the_tokens_that_cover_it(name: str) -> None:
    ensemble, sequence = every_kind(), dna(83, 1, "ACGT" * 9 + "N")
    interval_T2 = ensemble.intervals(name, ensemble.encode(name, sequence))
    values_TD = hidden_of([len(interval_T2)], 3)
    found = mean_over_bases(values_TD, torch.from_numpy(interval_T2), len(sequence))
    for base in range(len(sequence)):
        covering = [value for value, (start, end) in zip(values_TD, interval_T2, strict=True) if start <= base < end]
        expected = torch.stack(covering).mean(0) if covering else torch.zeros(3)
        torch.testing.assert_close(found[base], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_documents_logits_depend_on_nothing_but_itself(pooling: Pooling) -> None:
    model = strong(new_classifier(TINY, 3, 0, pooling))
    ids = torch.randint(5, 64, (sum(LENGTHS),), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        together = model(ids, LENGTHS)
        alone = torch.cat([model(document, [len(document)]) for document in ids.split(LENGTHS)])
    assert together.shape == (len(LENGTHS), 3) and together.dtype == torch.float32
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_parameter_of_a_head_learns(pooling: Pooling) -> None:
    model = new_classifier(TINY, 2, 0, pooling, dropout=0.1).train()
    ids = torch.randint(5, 64, (40,), generator=torch.Generator().manual_seed(1))
    head_loss("classification", model(ids, [25, 15]), torch.tensor([0, 1])).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_dropout_acts_in_training_only() -> None:
    model = strong(new_classifier(TINY, 2, 0, dropout=0.5))
    ids = torch.randint(5, 64, (40,), generator=torch.Generator().manual_seed(1))
    plain = strong(new_classifier(TINY, 2, 0))
    assert torch.equal(model(ids, [40]), plain(ids, [40]))
    torch.manual_seed(0)
    assert not torch.equal(model.train()(ids, [40]), plain(ids, [40]))


def test_heads_of_every_pooling_run_at_four_times_the_length_and_use_alibi() -> None:
    ids = torch.randint(5, 64, (2048,), generator=torch.Generator().manual_seed(1))
    models = [*(new_classifier(TINY, 2, 0, pooling) for pooling in POOLINGS), new_token_classifier(TINY, 2, 0)]
    for model in map(strong, models):
        with torch.inference_mode():
            before = model(ids, [2048])
            model.bert.use_alibi = False
            assert (model(ids, [2048]) - before).abs().max() > 1e-4


def test_a_token_head_answers_for_content_tokens() -> None:
    model = strong(new_token_classifier(TINY, 4, 0))
    ids = torch.randint(5, 64, (sum(LENGTHS),), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        hidden = model.bert(ids, LENGTHS)
        expected = model.classifier(torch.cat(contents(hidden, LENGTHS)))
        found = model(ids, LENGTHS)
    assert found.shape == (sum(max(n - 3, 0) for n in LENGTHS), 4)
    torch.testing.assert_close(found, expected)


def test_logits_of_some_places_and_tokens_are_those_of_all() -> None:
    model = strong(new_language_model(TINY, 0))
    ids = torch.randint(5, 64, (sum(LENGTHS),), generator=torch.Generator().manual_seed(1))
    places, tokens = torch.tensor([3, 4, 11, 60]), torch.tensor([7, 63, 5])
    with torch.inference_mode():
        every = model(ids, LENGTHS)
        torch.testing.assert_close(model(ids, LENGTHS, places), every[places], atol=1e-5, rtol=1e-5)
        some = model(ids, LENGTHS, places, tokens)
        torch.testing.assert_close(some, every[places][:, tokens], atol=1e-5, rtol=1e-5)


def test_losses_are_their_formulas() -> None:
    logits = torch.tensor([[1.0, -2.0], [0.5, 0.0], [3.0, 4.0]])
    log_p = torch.log_softmax(logits, -1)
    labels, weight = torch.tensor([0, 1, 1]), torch.tensor([1.0, 3.0])
    by_hand = -(log_p[0, 0] + 3 * log_p[1, 1] + 3 * log_p[2, 1]) / 7
    assert head_loss("classification", logits, labels, weight).item() == pytest.approx(by_hand.item())
    targets = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    p = torch.sigmoid(logits)
    by_hand = -(weight * targets * torch.log(p) + (1 - targets) * torch.log(1 - p)).mean()
    assert head_loss("multilabel", logits, targets, weight).item() == pytest.approx(by_hand.item())
    assert head_loss("regression", logits, targets).item() == pytest.approx(((logits - targets) ** 2).mean().item())
    one = head_loss("regression", logits[:, :1], targets[:, 0])
    assert one.item() == pytest.approx(((logits - targets)[:, 0] ** 2).mean().item())


@pytest.mark.parametrize("problem", ["classification", "multilabel", "regression"])
def test_what_is_not_labelled_counts_for_nothing(problem: str) -> None:
    logits = hidden_of([8], 3).requires_grad_()
    if problem == "classification":
        labels = torch.tensor([0, 1, 2, 0, -100, -100, -100, -100])
        nothing, weight = torch.full((8,), -100), torch.tensor([1.0, 0.2, 5.0])
    else:
        labels = (hidden_of([8], 3) > 0).float()
        labels[4:] = float("nan")
        nothing, weight = torch.full((8, 3), float("nan")), torch.tensor([1.0, 0.2, 5.0])
    weights = [None] if problem == "regression" else [None, weight]
    for given in weights:
        loss = head_loss(problem, logits, labels, given)  # type: ignore[arg-type]
        expected = head_loss(problem, logits[:4], labels[:4], given)  # type: ignore[arg-type]
        assert loss.item() == pytest.approx(expected.item())
        (gradient,) = torch.autograd.grad(loss, logits)
        assert not gradient[4:].any() and bool(torch.isfinite(gradient).all()) and bool(gradient[:4].any())
        none = head_loss(problem, logits, nothing, given)  # type: ignore[arg-type]
        assert none.item() == 0 and not torch.autograd.grad(none, logits)[0].any()


def test_weights_balance_classes_and_labels() -> None:
    labels = torch.tensor([0] * 6 + [2] * 2 + [-100])
    weight = class_weights(labels, 3)
    assert weight.tolist() == pytest.approx([8 / 12, 0.0, 2.0])
    assert np.mean([weight[i] for i in labels.tolist() if i >= 0]) == pytest.approx(1)
    table = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, float("nan"), 1.0], [0.0, 0.0, 1.0]])
    assert positive_weights(table).tolist() == [3.0, 1.0, 1.0]


def test_losses_refuse_what_they_cannot_mean() -> None:
    logits = torch.zeros(4, 2)
    with pytest.raises(InputError, match="problem ranking: give one of classification, multilabel, regression"):
        head_loss("ranking", logits, torch.zeros(4))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"labels of shape \(4,\): give \(4, 2\)"):
        head_loss("regression", logits, torch.zeros(4))
    with pytest.raises(InputError, match=r"labels of shape \(4, 2\): give \(4,\)"):
        head_loss("classification", logits, torch.zeros(4, 2))
    with pytest.raises(InputError, match="weight_C given: give none for regression"):
        head_loss("regression", logits, torch.zeros(4, 2), torch.ones(2))


def test_an_unknown_pooling_is_refused() -> None:
    with pytest.raises(InputError, match="pooling max: give one of mean, cls, attention"):
        new_classifier(EncoderConfig(), 2, 0, "max")  # type: ignore[arg-type]


def fitted(model: torch.nn.Module, problem: Problem, labels: Tensor, updates: int = 30) -> tuple[float, float]:
    """First and last loss of training on four documents."""
    ids = torch.randint(5, 64, (120,), generator=torch.Generator().manual_seed(2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3)
    losses = []
    for _ in range(updates):
        loss = head_loss(problem, model(ids, [30, 40, 20, 30]), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses[0], losses[-1]


TABLE = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize(
    ("problem", "labels"),
    [("classification", torch.tensor([1, 0, 1, 0])), ("multilabel", TABLE), ("regression", 3 * TABLE - 1)],
)
def test_a_head_learns_four_documents_by_heart(pooling: Pooling, problem: Problem, labels: Tensor) -> None:
    first, last = fitted(new_classifier(TINY, 2, 0, pooling), problem, labels)
    assert last < 0.1 * first


def test_a_token_head_learns_its_tokens_by_heart() -> None:
    labels = torch.arange(120 - 4 * 3) % 3
    labels[::5] = -100
    first, last = fitted(new_token_classifier(TINY, 3, 0), "classification", labels, updates=60)
    assert first == pytest.approx(np.log(3), rel=0.1) and last < 0.2 * first
