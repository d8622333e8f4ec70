"""The encoder on a card: the published numbers, and the same numbers packed, compiled and in bfloat16.

They need neither Ray nor a corpus: `PYTHONPATH=platform python -m pytest tests/gpu`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from genomics_fm.model.attention import Rectangles, alibi_slopes
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.flex import BLOCK, Flex
from genomics_fm.model.heads import MaskedLanguageModel, new_language_model
from genomics_fm.model.published import load_published
from genomics_fm.model.weights import set_deterministic
from genomics_fm.pretraining.batches import MicroBatch
from genomics_fm.training.optimizer import OptimizerConfig, adamw
from genomics_fm.training.step import train_step
from genomics_fm.training.workers import Workers

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
GOLDEN = Path(__file__).parents[1] / "golden" / "published_encoder"
CUDA, CPU = torch.device("cuda"), torch.device("cpu")
MIX = [100, 28, 1, 517, BLOCK, 2 * BLOCK, 3, 300, 75, 75, 1, 2048]
TRAINED_TOKENS = 512


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Full precision of float32, and nothing compiled before."""
    torch._dynamo.reset()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.use_deterministic_algorithms(False)
    torch.cuda.empty_cache()


def config(heads: int, width: int, position: str = "alibi") -> EncoderConfig:
    return EncoderConfig(97, 2, width, heads, 2 * width, position=position)  # type: ignore[arg-type]


def loud(model: MaskedLanguageModel) -> MaskedLanguageModel:
    """Weights at which attention depends on its input."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    return model.eval()


def on_card(model: MaskedLanguageModel) -> MaskedLanguageModel:
    """The same weights on the card, its layers compiled."""
    copy = MaskedLanguageModel(model.bert.config)
    copy.load_state_dict(model.state_dict())
    copy.bert.compile()
    return copy.to(CUDA).eval()


def tokens(lengths: list[int], size: int = 97) -> Tensor:
    return torch.randint(5, size, (sum(lengths),), generator=torch.Generator().manual_seed(len(lengths)))


def relative(found: Tensor, expected: Tensor) -> float:
    return ((found.cpu().double() - expected.double()).norm() / expected.double().norm()).item()


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("position", ["alibi", "ape"])
def test_the_published_model_is_reproduced(position: str, compiled: bool) -> None:
    expected = load_file(GOLDEN / "expected.safetensors")
    model = load_published(GOLDEN / "weights.safetensors", GOLDEN / "config.json", position).eval()
    model = on_card(model) if compiled else model.to(CUDA)
    keep = expected["attention_mask"].bool()
    with torch.inference_mode():
        logits = model(expected["input_ids"][keep].to(CUDA), keep.sum(1).tolist()).cpu()
    torch.testing.assert_close(logits, expected[f"logits_{position}"][keep], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("heads", "width", "alibi"), [(1, 16, True), (3, 8, True), (12, 64, True), (12, 64, False)])
def test_attention_and_its_gradients(heads: int, width: int, alibi: bool) -> None:
    generator = torch.Generator().manual_seed(heads)
    qkv_N3HK = torch.randn(sum(MIX), 3, heads, width, generator=generator)
    weight_ND = torch.randn(sum(MIX), heads * width, generator=generator)
    slopes_H = alibi_slopes(heads) if alibi else None
    expected_in = qkv_N3HK.clone().requires_grad_()
    plain = Rectangles(MIX, slopes_H, CPU, torch.float32)
    expected = plain.leave(plain.attend(plain.enter(expected_in)))
    (expected * weight_ND).sum().backward()
    found_in = qkv_N3HK.to(CUDA).requires_grad_()
    layout = Flex(MIX, None if slopes_H is None else slopes_H.to(CUDA), CUDA)
    compiled = torch.compile(Flex.attend, fullgraph=True, dynamic=False)
    found = layout.leave(compiled(layout, layout.enter(found_in)))
    (found * weight_ND.to(CUDA)).sum().backward()
    torch.testing.assert_close(found.cpu(), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(found_in.grad.cpu(), expected_in.grad, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("position", ["alibi", "ape"])
def test_packed_equals_one_document_at_a_time(position: str) -> None:
    lengths = [length for length in MIX if position == "alibi" or length <= TRAINED_TOKENS]
    model = loud(new_language_model(config(6, 96, position), 0))
    ids = tokens(lengths)
    with torch.inference_mode():
        alone = torch.cat([model(document, [len(document)]) for document in ids.split(lengths)])
        packed = on_card(model)(ids.to(CUDA), lengths).cpu()
    assert relative(packed, alone) < 1e-5


def test_bfloat16_is_near_float32() -> None:
    model = new_language_model(config(12, 768), 0).eval()
    lengths = [75, 350, 512, 4 * TRAINED_TOKENS]
    ids = tokens(lengths)
    with torch.inference_mode():
        expected = model(ids, lengths)
        with torch.autocast("cuda", torch.bfloat16):
            packed = on_card(model)(ids.to(CUDA), lengths)
            padded = model.to(CUDA)(ids.to(CUDA), lengths)
    assert packed.dtype == torch.bfloat16
    assert relative(packed, expected) < 1e-2
    assert relative(packed, padded.cpu()) < 1e-2


def test_a_document_does_not_see_its_neighbours() -> None:
    model = on_card(loud(new_language_model(config(4, 64), 0)))
    lengths = [BLOCK + 7, 300, 85]
    ids = tokens(lengths).to(CUDA)
    other = ids.clone()
    other[: BLOCK + 7] = 5
    other[-85:] = 6
    middle = slice(BLOCK + 7, BLOCK + 307)
    with torch.inference_mode():
        assert torch.equal(model(ids, lengths)[middle], model(other, lengths)[middle])


def test_alibi_matters() -> None:
    model = loud(new_language_model(config(4, 64), 0))
    ids = tokens([300])
    with torch.inference_mode():
        card = on_card(model)
        with_alibi = card(ids.to(CUDA), [300]).cpu()
        card.bert.use_alibi = False
        assert relative(card(ids.to(CUDA), [300]), with_alibi) > 1e-3


def losses(device: torch.device, steps: int, autocast: bool, compiled: bool) -> list[float]:
    model = new_language_model(config(4, 64), 0)
    if compiled:
        model.bert.compile()
    model.to(device)
    optimizer = adamw(model, OptimizerConfig(learning_rate=3e-3))
    found = []
    for step in range(steps):
        lengths = MIX[step % 3 :]
        ids = tokens(lengths)
        select = torch.arange(0, len(ids), 7)
        batch = MicroBatch(ids, lengths, select, ids[select], torch.zeros_like(select))
        result = train_step(model, optimizer, [batch], ("one",), [1.0], 1.0, Workers(0, 1, device), autocast)
        found.append(result.loss["one"])
    return found


def test_training_takes_the_same_way() -> None:
    expected = losses(CPU, 12, False, False)
    assert losses(CUDA, 12, False, True) == pytest.approx(expected, rel=1e-3)
    assert losses(CUDA, 12, True, True) == pytest.approx(expected, rel=2e-2)
    assert expected[-1] < expected[0] - 0.1


def test_training_repeats_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    set_deterministic(1)
    assert losses(CUDA, 6, True, True) == losses(CUDA, 6, True, True)
