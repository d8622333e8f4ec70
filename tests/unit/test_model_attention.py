"""Packed attention against the plain way: every document in a row of its own, padded, with a dense bias."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genomics_fm.model import attention, encoder
from genomics_fm.model.attention import Rectangle, Rectangles, alibi_slopes, rectangles
from genomics_fm.model.encoder import ENCODERS, EncoderConfig
from genomics_fm.model.heads import MaskedLanguageModel, new_language_model

CPU = torch.device("cpu")
FLOAT, HALF = torch.float32, torch.bfloat16
MIXES = {
    "one token": [1],
    "one document": [72],
    "equal": [100] * 5,
    "equal and long": [220] * 3,
    "like a row of segments": [75, 77, 82, 80, 81, 35, 75, 49],
    "mixed": [5, 7, 210, 210, 90, 1, 200, 200, 130, 260, 77, 75, 80],
    "growing": [1, 2, 3, 540],
}


class Padded:
    """Rows of the longest document's length, a dense bias, scores and softmax written out."""

    def __init__(self, lengths: list[int], slopes_H: Tensor | None, *_: object) -> None:
        self.keep_BT = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        position_T = torch.arange(max(lengths))
        distance_TT = (position_T[:, None] - position_T).abs()
        self.bias = torch.zeros(len(lengths), 1, 1, max(lengths)).masked_fill(~self.keep_BT[:, None, None], -torch.inf)
        if slopes_H is not None:
            self.bias = self.bias - slopes_H[:, None, None] * distance_TT

    def enter(self, values_N: Tensor) -> Tensor:
        padded = values_N.new_zeros(*self.keep_BT.shape, *values_N.shape[1:])
        return padded.index_put((self.keep_BT,), values_N).flatten(0, 1)

    def attend(self, qkv_P3HK: Tensor) -> Tensor:
        q, k, v = qkv_P3HK.unflatten(0, self.keep_BT.shape).permute(2, 0, 3, 1, 4)
        scores_BHTT = torch.einsum("bhik,bhjk->bhij", q, k) / q.shape[-1] ** 0.5 + self.bias
        attended = torch.einsum("bhij,bhjk->bihk", scores_BHTT.softmax(-1).to(v.dtype), v)
        return attended.flatten(0, 1).flatten(1)

    def leave(self, values_PD: Tensor) -> Tensor:
        return values_PD.unflatten(0, self.keep_BT.shape)[self.keep_BT]


def attended(layout: Rectangles | Padded, qkv_N3HK: Tensor, weight_ND: Tensor) -> tuple[Tensor, Tensor]:
    """What attention gives, and the gradient of its weighted sum."""
    given = qkv_N3HK.clone().requires_grad_()
    found_ND = layout.leave(layout.attend(layout.enter(given)))
    (found_ND.float() * weight_ND).sum().backward()
    return found_ND.detach(), torch.as_tensor(given.grad)


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("alibi", [True, False])
def test_attention_and_its_gradients_are_those_of_padded_rows(mix: str, alibi: bool) -> None:
    lengths = MIXES[mix]
    generator = torch.Generator().manual_seed(len(mix))
    for heads in (1, 3, 8):
        qkv_N3HK = torch.randn(sum(lengths), 3, heads, 8, generator=generator)
        weight_ND = torch.randn(sum(lengths), heads * 8, generator=generator)
        slopes_H = alibi_slopes(heads) if alibi else None
        found = attended(Rectangles(lengths, slopes_H, CPU, FLOAT), qkv_N3HK, weight_ND)
        expected = attended(Padded(lengths, slopes_H), qkv_N3HK, weight_ND)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kernel", ["matrix", "fused"])
def test_both_kernels_are_right_at_every_length(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    longest = 10_000 if kernel == "matrix" else 0
    monkeypatch.setattr(attention, "MATRIX_TOKENS", {FLOAT: longest, HALF: longest})
    for lengths in MIXES.values():
        qkv_N3HK = torch.randn(sum(lengths), 3, 4, 8, generator=torch.Generator().manual_seed(1))
        weight_ND = torch.randn(sum(lengths), 32, generator=torch.Generator().manual_seed(2))
        expected = attended(Padded(lengths, alibi_slopes(4)), qkv_N3HK, weight_ND)
        found = attended(Rectangles(lengths, alibi_slopes(4), CPU, FLOAT), qkv_N3HK, weight_ND)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
        rough = attended(Rectangles(lengths, alibi_slopes(4), CPU, HALF), qkv_N3HK.to(HALF), weight_ND)
        torch.testing.assert_close(rough[0].float(), expected[0], atol=3e-2, rtol=0)


def test_every_document_is_in_one_rectangle_with_little_padding() -> None:
    lengths = sorted([5, 500, 490, 3, 3, 400, 100, 80, 130, 500], reverse=True)
    runs = rectangles(lengths)
    assert [length for run in runs for length in run] == lengths
    assert [500, 500] in runs and [490] in runs and [130, 100] in runs and [80] in runs
    assert all(min(run) >= (1 - attention.MAX_PADDING) * max(run) for run in runs)
    many = rectangles([512] * 20)
    assert [len(run) for run in many] == [16, 4]
    assert rectangles([20_000, 20_000]) == [[20_000], [20_000]]


@pytest.mark.parametrize("dtype", [FLOAT, HALF, torch.float64])
def test_the_bias_of_a_long_document_takes_few_bytes(dtype: torch.dtype) -> None:
    """Dense, twelve heads of 32,000 tokens would take 49 GB."""
    long = Rectangle.of([32_000], alibi_slopes(12), CPU, dtype)
    assert long.bias is not None and long.bias.shape == (1, 12, 32_000, 32_000)
    assert long.bias.untyped_storage().nbytes() < 7e6
    assert Rectangle.of([32_000], None, CPU, dtype).bias is None


def shaped(heads: int, width: int, vocabulary: int = 64) -> MaskedLanguageModel:
    """A model of large weights, so that what attention gives matters."""
    config = EncoderConfig(vocabulary_size=vocabulary, layers=2, width=width, heads=heads, ffn_width=2 * width)
    model = new_language_model(config, heads)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 4 if parameter.ndim == 2 else 1
    return model.eval()


def drawn(lengths: list[int]) -> Tensor:
    return torch.randint(5, 64, (sum(lengths),), generator=torch.Generator().manual_seed(sum(lengths)))


def padded_logits(model: MaskedLanguageModel, lengths: list[int], monkeypatch: pytest.MonkeyPatch) -> Tensor:
    with monkeypatch.context() as patch:
        patch.setattr(encoder, "layout_of", Padded)
        return model(drawn(lengths), lengths)


@pytest.mark.parametrize("heads", [1, 3, 4, 6, 8, 12])
def test_packed_logits_are_padded_ones(heads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = shaped(heads, 24)
    with torch.inference_mode():
        expected = padded_logits(model, MIXES["mixed"], monkeypatch)
        torch.testing.assert_close(model(drawn(MIXES["mixed"]), MIXES["mixed"]), expected, atol=1e-5, rtol=0)


def test_logits_are_right_at_four_times_the_length_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    model, lengths = shaped(3, 24), [2048, 40]
    with torch.inference_mode():
        expected = padded_logits(model, lengths, monkeypatch)
        torch.testing.assert_close(model(drawn(lengths), lengths), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("mix", ["mixed", "like a row of segments", "growing"])
def test_packed_logits_are_padded_ones_in_bfloat16(mix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = MIXES[mix]
    config = ENCODERS["tiny"]
    model = new_language_model(EncoderConfig(64, 2, config.width, config.heads, config.ffn_width), 0).eval()
    with torch.inference_mode(), torch.autocast("cpu", HALF):
        expected = padded_logits(model, lengths, monkeypatch).float()
        found = model(drawn(lengths), lengths).float()
    assert (found - expected).abs().max() < 1e-2 * expected.abs().max()


def gradients(model: MaskedLanguageModel, parts: list[list[int]]) -> dict[str, Tensor]:
    """Of the summed cross entropy of predicting each token's own id, over passes of some documents each."""
    ids_N, done = drawn([n for part in parts for n in part]), 0
    model.zero_grad()
    for part in parts:
        some_N = ids_N[done : done + sum(part)]
        F.cross_entropy(model(some_N, part), some_N, reduction="sum").backward()
        done += sum(part)
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


def test_gradients_of_a_row_are_those_of_its_documents() -> None:
    lengths = [75, 80, 7, 220, 75, 60, 1, 220]
    model = new_language_model(EncoderConfig(64, 2, 24, 3, 48), 0)
    packed, alone = gradients(model, [lengths]), gradients(model, [[length] for length in lengths])
    assert set(packed) == {name for name, _ in model.named_parameters()}
    for name, gradient in packed.items():
        torch.testing.assert_close(gradient, alone[name], atol=1e-5 * float(alone[name].abs().max()) + 1e-6, rtol=1e-4)


def test_checkpointing_changes_no_bit() -> None:
    model = new_language_model(EncoderConfig(64, 2, 24, 3, 48), 0)
    plain = gradients(model, [MIXES["mixed"]])
    saved: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda kept: saved.append(kept.nbytes) or kept, lambda kept: kept):
        gradients(model, [MIXES["mixed"]])
        before = sum(saved)
        saved.clear()
        model.bert.checkpointing = True
        again = gradients(model, [MIXES["mixed"]])
    assert sum(saved) < before / 2
    assert all(torch.equal(gradient, again[name]) for name, gradient in plain.items())


def test_linear_layers_infer_as_they_train() -> None:
    model, lengths = shaped(3, 24), MIXES["mixed"]
    with torch.no_grad():
        found = model(drawn(lengths), lengths)
    torch.testing.assert_close(found, model(drawn(lengths), lengths).detach(), atol=1e-5, rtol=0)
