"""What of the CUDA layout runs without a card: its mask, and its numbers through FlexAttention on CPU."""

import shutil

import numpy as np
import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.attention import flex_attention as torch_flex
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

from genomics_fm.model import encoder, flex
from genomics_fm.model.attention import Rectangles, alibi_slopes
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.flex import BLOCK, Flex, document_mask, laid_out_tokens, with_padding
from genomics_fm.model.heads import MaskedLanguageModel, new_language_model
from genomics_fm.training.parallel import replicated

CPU = torch.device("cpu")
ON_EDGES = [BLOCK, BLOCK, 2 * BLOCK, 3 * BLOCK]
OFF_EDGES = [BLOCK - 1, 1, BLOCK + 1, 2 * BLOCK - 1, 3, 517, 1]
SHORT = [1] * 150
FEW = [[BLOCK + 1], OFF_EDGES[:4], SHORT]
MIXES = [*FEW, [1], [BLOCK], [700], ON_EDGES, OFF_EDGES, [75] * 9]
LENGTHS = st.lists(
    st.one_of(st.integers(1, 5), st.integers(100, 400), st.sampled_from(ON_EDGES)), min_size=1, max_size=9
)
LISTS = [
    ("kv_num_blocks", "kv_indices"), ("full_kv_num_blocks", "full_kv_indices"),
    ("q_num_blocks", "q_indices"), ("full_q_num_blocks", "full_q_indices"),
]  # fmt: skip


def listed(mask: BlockMask, counts: str, indices: str) -> list[set[int]]:
    counted, at = getattr(mask, counts)[0, 0], getattr(mask, indices)[0, 0]
    assert counted.dtype == at.dtype == torch.int32 and at.is_contiguous()
    return [set(row[:count].tolist()) for row, count in zip(at, counted.tolist(), strict=True)]


@settings(max_examples=40, deadline=None)
@given(LENGTHS)
def test_the_mask_is_that_of_looking_at_every_pair(lengths: list[int]) -> None:
    tokens = laid_out_tokens(sum(lengths))
    made = document_mask(with_padding(lengths, tokens), CPU)
    reference = create_block_mask(made.mask_mod, None, None, tokens, tokens, device="cpu", BLOCK_SIZE=BLOCK)
    for counts, indices in LISTS:
        assert listed(made, counts, indices) == listed(reference, counts, indices)


@given(LENGTHS)
def test_the_mask_knows_documents(lengths: list[int]) -> None:
    tokens = laid_out_tokens(sum(lengths))
    mask_mod = document_mask(with_padding(lengths, tokens), CPU).mask_mod
    place_P = torch.arange(tokens)
    nothing = torch.zeros((), dtype=torch.int32)
    document_N = np.repeat(np.arange(len(lengths)), lengths)
    shared_PP = mask_mod(nothing, nothing, place_P[:, None], place_P).numpy()
    n = len(document_N)
    assert (shared_PP[:n, :n] == (document_N[:, None] == document_N)).all()
    assert not shared_PP[:n, n:].any()
    assert shared_PP[n:].sum(1).max(initial=0) <= BLOCK  # what fills the row up costs little


def test_rows_of_like_sizes_are_laid_out_alike() -> None:
    tokens = np.arange(1, 40_000)
    laid_out = np.array([laid_out_tokens(int(n)) for n in tokens])
    assert (laid_out >= tokens).all() and (laid_out % BLOCK == 0).all()
    long = tokens > 8 * BLOCK
    assert (laid_out[long] < tokens[long] * 1.125).all()
    assert len(set(laid_out[(tokens > 16_384) & (tokens <= 32_768)])) == flex.SIZES_PER_DOUBLING
    assert laid_out_tokens(32_768) == 32_768 == laid_out_tokens(32_500)


def attended(
    lengths: list[int], heads: int, width: int, alibi: bool, attend: object, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """By FlexAttention, run by `attend`, and by rectangles."""
    generator = torch.Generator().manual_seed(sum(lengths))
    qkv_N3HK = torch.randn(sum(lengths), 3, heads, width, generator=generator, dtype=dtype)
    slopes_H = alibi_slopes(heads) if alibi else None
    layout, plain = Flex(lengths, slopes_H, CPU), Rectangles(lengths, slopes_H, CPU, dtype)
    with torch.inference_mode():
        made = layout.leave(attend(layout, layout.enter(qkv_N3HK)))  # type: ignore[operator]
        return made, plain.leave(plain.attend(plain.enter(qkv_N3HK)))


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize(("heads", "width"), [(1, 16), (3, 8), (4, 32), (12, 4)])
@pytest.mark.parametrize("alibi", [True, False])
def test_it_attends_as_rectangles_do(heads: int, width: int, alibi: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_flex, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)  # operators one by one
    for lengths in MIXES if heads < 4 else FEW:
        made, expected = attended(lengths, heads, width, alibi, Flex.attend)
        torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)
    made, expected = attended(OFF_EDGES[:4], heads, width, alibi, Flex.attend, torch.float64)
    torch.testing.assert_close(made, expected, atol=1e-12, rtol=0)


@pytest.mark.full
@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling for a CPU needs g++")
def test_compiled_kernels_attend_as_rectangles_do() -> None:
    compiled = torch.compile(Flex.attend, fullgraph=True, dynamic=False)
    for lengths in (ON_EDGES, OFF_EDGES, SHORT):
        made, expected = attended(lengths, 4, 16, True, compiled)
        torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)


def flexed(config: EncoderConfig, monkeypatch: pytest.MonkeyPatch) -> tuple[MaskedLanguageModel, list[int]]:
    """A model whose layers are traced and whose layout is CUDA's; the list grows with every trace."""
    traces: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> object:
        traces.append(len(inputs))
        return torch._dynamo.lookup_backend("aot_eager")(graph, inputs)

    def layout(lengths: list[int], slopes_H: Tensor | None, device: torch.device, *_: object) -> Flex:
        return Flex(lengths, slopes_H, device)

    monkeypatch.setattr(torch_flex, "_validate_device", lambda *_: None)  # refuses gradients on CPU
    monkeypatch.setattr(encoder, "layout_of", layout)
    model = new_language_model(config, 0)
    model.bert.compile(backend=backend)
    return model, traces


def gradients(model: MaskedLanguageModel, lengths: list[int]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(len(lengths))
    ids_N = torch.randint(0, 64, (sum(lengths),), generator=generator)
    model.zero_grad()
    model(ids_N, lengths).square().mean().backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("position", ["alibi", "ape"])
def test_a_compiled_model_learns_what_an_uncompiled_one_does(position: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = EncoderConfig(64, 3, 32, 2, 48, position=position)  # type: ignore[arg-type]
    mixes = [[100, 28, 300, 1, 5, 78], [128, 256, 128], [512]]
    plain = new_language_model(config, 0)
    expected = [gradients(plain, lengths) for lengths in mixes]
    expected = [{name: gradient.clone() for name, gradient in found.items()} for found in expected]
    model, traces = flexed(config, monkeypatch)
    assert list(model.state_dict()) == list(plain.state_dict())
    for lengths, gradient in zip(mixes, expected, strict=True):
        torch.testing.assert_close(gradients(model, lengths), gradient, atol=1e-6, rtol=1e-4)
    # The first layer's input and the others' differ in nothing that asks for other code; nor do documents.
    assert len(traces) == 1


def test_ddp_leaves_a_compiled_layer_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    model, traces = flexed(EncoderConfig(64, 2, 256, 2, 512), monkeypatch)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        replica = replicated(model)
        replica(torch.zeros(258, dtype=torch.int64), [100, 28, 130])
    finally:
        dist.destroy_process_group()
    assert len(traces) == 1
