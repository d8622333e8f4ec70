from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.model.attention import alibi_slopes
from genomics_fm.model.encoder import ENCODERS, EncoderConfig
from genomics_fm.model.heads import MaskedLanguageModel, mean_of_content, new_classifier, new_language_model
from genomics_fm.model.published import load_published
from genomics_fm.model.weights import (
    load_encoder,
    load_into_classifier,
    parameter_count,
    save_encoder,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "published_encoder"
TINY = EncoderConfig(vocabulary_size=64, layers=2, width=32, heads=4, ffn_width=48)


def documents(*lengths: int, size: int = 64) -> tuple[torch.Tensor, list[int]]:
    generator = torch.Generator().manual_seed(sum(lengths))
    return torch.randint(5, size, (sum(lengths),), generator=generator), list(lengths)


@pytest.mark.parametrize("position", ["alibi", "ape"])
def test_the_published_model_is_reproduced(position: str) -> None:
    expected = load_file(GOLDEN / "expected.safetensors")
    model = load_published(GOLDEN / "weights.safetensors", GOLDEN / "config.json", position)
    keep = expected["attention_mask"].bool()
    lengths = keep.sum(1).tolist()
    ids = expected["input_ids"][keep]
    with torch.inference_mode():
        torch.testing.assert_close(model.bert(ids, lengths), expected[f"hidden_{position}"][keep], atol=1e-5, rtol=0)
        torch.testing.assert_close(model(ids, lengths), expected[f"logits_{position}"][keep], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "exact", "published_millions"),
    [
        ("tiny", 1_382_882, None),
        ("small", 24_468_066, None),
        ("base", 119_511_906, (119.5, 119.9)),
        ("large", 411_377_762, (411.4, 411.9)),
    ],
)
def test_parameter_counts_without_and_with_a_position_table(
    name: str, exact: int, published_millions: tuple[float, float] | None
) -> None:
    with torch.device("meta"):
        count = parameter_count(MaskedLanguageModel(ENCODERS[name]))
        learned = parameter_count(MaskedLanguageModel(replace(ENCODERS[name], position="ape")))
    assert (count, learned) == (exact, exact + 512 * ENCODERS[name].width)
    if published_millions:
        assert (round(count / 1e6, 1), round(learned / 1e6, 1)) == published_millions


def test_slopes_for_powers_of_two_and_others() -> None:
    assert alibi_slopes(8).tolist() == [2.0 ** -(i + 1) for i in range(8)]
    six = alibi_slopes(6).tolist()
    assert six[:4] == [2.0 ** -(2 * (i + 1)) for i in range(4)]
    assert six[4:] == [0.5, 0.125]


def test_a_document_does_not_see_its_neighbours() -> None:
    model = new_language_model(TINY, 0).eval()
    ids, lengths = documents(30, 7, 29, 1, 300)
    with torch.inference_mode():
        packed = model(ids, lengths).split(lengths)
        for document, together in zip(ids.split(lengths), packed, strict=True):
            torch.testing.assert_close(model(document, [len(document)]), together, atol=1e-5, rtol=0)


def test_alibi_matters_and_long_documents_run() -> None:
    model = new_classifier(TINY, 2, seed=0).eval()
    ids, lengths = documents(2048, 40)
    with torch.inference_mode():
        for parameter in model.parameters():
            parameter.mul_(8)  # at initialisation attention hardly depends on its input
        before = model(ids, lengths)
        model.bert.use_alibi = False
        after = model(ids, lengths)
    assert before.shape == (2, 2)
    assert (before - after).abs().max() > 1e-4


def test_learned_positions_refuse_what_they_have_no_row_for() -> None:
    model = new_language_model(EncoderConfig(vocabulary_size=64, layers=1, width=16, heads=2, position="ape"), 0)
    with pytest.raises(InputError, match="513"):
        model(*documents(513))


@pytest.mark.parametrize(("lengths", "tokens"), [([4, 0, 3], 7), ([4, -1, 4], 7), ([], 0), ([3, 3], 7)])
def test_documents_without_tokens_are_refused(lengths: list[int], tokens: int) -> None:
    with pytest.raises(InputError, match=f"in a row of {tokens}: give each at least 1, {tokens} in all"):
        new_language_model(TINY, 0)(torch.zeros(tokens, dtype=torch.int64), lengths)


@pytest.mark.parametrize("layers", [-1, TINY.layers + 1])
def test_layers_there_are_not_are_refused(layers: int) -> None:
    with pytest.raises(InputError, match=f"layers {layers}: give 0 to {TINY.layers}"):
        new_language_model(TINY, 0).bert(*documents(5), layers)


def test_mean_leaves_out_cls_prompt_and_sep() -> None:
    hidden = torch.arange(18, dtype=torch.float32).reshape(9, 2)
    pooled = mean_of_content(hidden, [5, 4])
    assert pooled.tolist() == [[5.0, 6.0], [14.0, 15.0]]


def test_weights_travel_through_a_folder(tmp_path: Path) -> None:
    model = new_language_model(TINY, 3)
    save_encoder(tmp_path, model, {"steps": 5})
    config, tensors, about = load_encoder(tmp_path)
    assert (config, about) == (TINY, {"steps": 5})
    classifier = new_classifier(config, 2, seed=1)
    load_into_classifier(classifier, tensors, "here")
    ids, lengths = documents(20, 10)
    torch.testing.assert_close(classifier.bert(ids, lengths), model.bert(ids, lengths))
    data = bytearray((tmp_path / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(bytes(data))
    with pytest.raises(CorruptArtefact, match="sha256"):
        load_encoder(tmp_path)


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second, third = (new_language_model(TINY, seed).state_dict() for seed in (1, 1, 2))
    name = "bert.encoder.layer.0.mlp.wo.weight"
    assert torch.equal(first[name], second[name]) and not torch.equal(first[name], third[name])
