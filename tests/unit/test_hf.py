"""transformers: the plain classes give the published tensors, the packed ones the same, and exported folders open."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from typer.testing import CliRunner

from genomics_fm.cli import app
from genomics_fm.errors import InputError
from genomics_fm.inference.export import UNLIMITED, export
from genomics_fm.inference.sources import load_any
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import SequenceClassifier, new_classifier, new_language_model
from genomics_fm.model.weights import save_encoder
from genomics_fm.vocabulary.ensemble import FILE_NAME
from tests.heads import write_head
from tests.vocabularies import DIRTY, every_kind, sequences

transformers = pytest.importorskip("transformers")
from genomics_fm import hf  # noqa: E402
from genomics_fm.hf import modeling_genomics_fm as plain  # noqa: E402

GOLDEN = Path(__file__).parents[1] / "golden" / "published_encoder"
MASK = torch.tensor([[1] * 9, [1] * 5 + [0] * 4, [0] * 7 + [1] * 2, [0] * 9])
HOLED = torch.tensor([[1] * 4 + [0] * 2 + [1] * 3])
IDS = torch.randint(5, 64, (4, 9), generator=torch.Generator().manual_seed(0))
runner = CliRunner()


def config(**changes: Any) -> hf.GenomicsFmConfig:
    sizes = {"vocab_size": 64, "num_hidden_layers": 2, "hidden_size": 24, "num_attention_heads": 3}
    return hf.GenomicsFmConfig(**{**sizes, "intermediate_size": 40, "initializer_range": 0.15, **changes})


def twins(name: str, **changes: Any) -> tuple[Any, Any]:
    """A plain and a packed model of one class with the same weights, in which attention matters."""
    torch.manual_seed(0)
    first = getattr(plain, name)(config(**changes)).eval()
    second = getattr(hf, name)(config(**changes)).eval()
    second.load_state_dict(first.state_dict())
    return first, second


def close(left: Tensor, right: Tensor) -> None:
    torch.testing.assert_close(left, right, atol=1e-5, rtol=0)


@pytest.mark.parametrize("position", ["alibi", "ape"])
def test_the_plain_model_gives_the_published_tensors(position: str) -> None:
    known, sizes = load_file(GOLDEN / "expected.safetensors"), json.loads((GOLDEN / "config.json").read_text())
    model = plain.GenomicsFmForMaskedLM(hf.GenomicsFmConfig(**sizes, position=position)).eval()
    assert not model.load_state_dict(load_file(GOLDEN / "weights.safetensors"), strict=False).missing_keys
    with torch.inference_mode():
        out = model(known["input_ids"], known["attention_mask"], output_hidden_states=True)
    close(out.logits, known[f"logits_{position}"])
    close(out.hidden_states[-1], known[f"hidden_{position}"])
    assert len(out.hidden_states) == sizes["num_hidden_layers"] + 1


@pytest.mark.parametrize("position", ["alibi", "ape"])
@pytest.mark.parametrize("mask", [MASK, MASK[:1], HOLED, None], ids=["either side", "full", "holed", "none"])
def test_packed_rows_give_the_plain_models_numbers(position: str, mask: Tensor | None) -> None:
    ids = IDS if mask is None else IDS[: len(mask)]
    types = (ids % 2 == 0).long()
    for name in ("GenomicsFmForMaskedLM", "GenomicsFmForSequenceClassification"):
        first, second = twins(name, position=position)
        with torch.inference_mode():
            given = {"attention_mask": mask, "token_type_ids": types, "output_hidden_states": True}
            one, other = first(ids, **given), second(ids, **given)
        close(other.logits, one.logits)
        for left, right in zip(one.hidden_states, other.hidden_states, strict=True):
            close(left, right)
        bare = first(ids, mask).logits
        assert (bare - one.logits).abs().max() > 1e-3, "token types make no difference"


def test_a_row_does_not_depend_on_its_padding() -> None:
    for model in twins("GenomicsFmForMaskedLM"):
        with torch.inference_mode():
            padded = model(IDS, MASK).logits
            close(model(IDS[1:2, :5]).logits[0], padded[1, :5])
            close(model(IDS[2:3, 7:]).logits[0], padded[2, 7:])
            assert not padded[1, 5:].any() and not padded[3].any()


@pytest.mark.parametrize("pooling", ["mean", "cls", "attention"])
def test_pooling_is_that_of_our_heads(pooling: Any) -> None:
    ours = new_classifier(EncoderConfig(64, 2, 24, 3, 40), 2, seed=1, pooling=pooling).eval()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.normal_(std=0.3)
    for model in twins("GenomicsFmForSequenceClassification", pooling=pooling):
        model.load_state_dict(ours.state_dict())
        with torch.inference_mode():
            expected = ours(torch.cat([IDS[0], IDS[1, :5], IDS[2, 7:]]), [9, 5, 2])
            close(model(IDS[:3], MASK[:3]).logits, expected)


def gradients(model: Any) -> dict[str, Tensor]:
    model.zero_grad()
    model(IDS[:3], MASK[:3], labels=IDS[:3].where(MASK[:3] > 0, -100)).loss.backward()
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


def test_gradients_are_the_same_packed_and_with_checkpointing() -> None:
    first, second = twins("GenomicsFmForMaskedLM")
    known = gradients(first.train())
    assert len(known) > 20
    calls: list[int] = []
    for model in (first, second):
        model.train().gradient_checkpointing_enable()
        assert model.is_gradient_checkpointing
        hook = model.bert.encoder.layer[0].mlp.register_forward_pre_hook(lambda *_: calls.append(1))
        found = gradients(model)
        hook.remove()
        assert found.keys() == known.keys()
        for name, value in found.items():
            close(value, known[name])
    assert len(calls) == 4, "checkpointing runs each layer a second time"


def test_losses_by_problem_type() -> None:
    labels = {"single_label_classification": torch.tensor([0, 1, 1, 0]), "regression": torch.rand(4, 2)}
    labels["multi_label_classification"] = (labels["regression"] > 0.5).float()
    losses = set()
    for problem, of_rows in labels.items():
        _, model = twins("GenomicsFmForSequenceClassification", problem_type=problem)
        out = model(IDS, MASK, labels=of_rows)
        losses.add(round(out.loss.item(), 6))
        assert model(IDS, MASK, labels=of_rows, return_dict=False)[0].item() == pytest.approx(out.loss.item())
    assert len(losses) == 3


def test_what_the_model_cannot_do_is_refused() -> None:
    assert hf.GenomicsFmForMaskedLM.accepts_loss_kwargs is False, "or the Trainer would pass num_items_in_batch"
    model = hf.GenomicsFmModel(config(position="ape", max_position_embeddings=8))
    with pytest.raises(ValueError, match="8 learned positions"):
        model(IDS)
    with pytest.raises(ValueError, match="inputs_embeds"):
        model(IDS[:, :4], inputs_embeds=torch.zeros(4, 4, 24))
    for wrong in ({"position": "mixed"}, {"pooling": "max"}, {"num_attention_heads": 5}):
        with pytest.raises(ValueError, match=r"unknown|multiple"):
            config(**wrong)


def encoder_folder(folder: Path) -> Path:
    ensemble = every_kind()
    model = new_language_model(EncoderConfig(ensemble.size, 2, 24, 3, 40), 0)
    save_encoder(folder, model, {"vocabulary_sha256": ensemble.sha256, "steps": 7})
    ensemble.save(folder / FILE_NAME)
    return folder


def test_an_exported_encoder_opens_with_every_tokenizer(tmp_path: Path) -> None:
    source = encoder_folder(tmp_path / "encoder")
    done = runner.invoke(app, ["export", str(source), str(tmp_path / "out"), "--vocabulary", "codon1"])
    assert done.exit_code == 0, done.output
    ours, ensemble, about = load_any(source)
    assert ensemble is not None and about["steps"] == 7
    model = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "out").eval()
    base = transformers.AutoModel.from_pretrained(tmp_path / "out").eval()
    assert type(model) is hf.GenomicsFmForMaskedLM and type(base) is hf.GenomicsFmModel
    texts = [*sequences(40, DIRTY), "acgtNNacgtta", "AC-GT acgt\nryk", "ACGTéßACGTA"]
    for name in ("", *ensemble.names):
        folder = tmp_path / "out" / "tokenizers" / name if name else tmp_path / "out"
        tokenizer, name = transformers.AutoTokenizer.from_pretrained(folder), name or "codon1"
        assert (tokenizer.unk_token_id, tokenizer.pad_token_id, tokenizer.mask_token_id) == (0, 3, 4)
        documents = [ensemble.document(name, text) for text in texts]
        assert tokenizer(texts).input_ids == [document.tolist() for document in documents]
        if not tokenizer.is_fast:
            decoded = [tokenizer.decode(document, skip_special_tokens=True) for document in documents]
            assert decoded == [ensemble.decode(name, document[2:-1]) for document in documents]
        rows = tokenizer(texts[-5:], padding=True, return_tensors="pt")
        with torch.inference_mode():
            found, states = model(**rows).logits[rows.attention_mask.bool()], base(**rows).last_hidden_state
            packed = torch.cat([torch.from_numpy(document).long() for document in documents[-5:]])
            lengths = [len(document) for document in documents[-5:]]
            close(found, ours(packed, lengths))
            close(states[rows.attention_mask.bool()], ours.bert(packed, lengths))


@pytest.mark.parametrize(("position", "longest"), [("ape", 64), ("alibi", UNLIMITED)])
def test_a_tokenizer_knows_how_long_a_row_may_be(position: Any, longest: int, tmp_path: Path) -> None:
    ensemble = every_kind()
    size = EncoderConfig(ensemble.size, 1, 24, 3, 40, position, max_positions=64)
    save_encoder(tmp_path / "encoder", new_language_model(size, 0), {})
    ensemble.save(tmp_path / "encoder" / FILE_NAME)
    export(tmp_path / "encoder", tmp_path / "out")
    for folder in (tmp_path / "out", *(tmp_path / "out" / "tokenizers" / name for name in ensemble.names)):
        assert transformers.AutoTokenizer.from_pretrained(folder).model_max_length == longest


def test_an_exported_head_says_what_ours_says(tmp_path: Path) -> None:
    source = write_head(tmp_path / "head", seed=3)
    export(source, tmp_path / "out")
    ours, ensemble, about = load_any(source)
    assert ensemble is not None and about["vocabulary"] == "bpe"
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    assert model.config.id2label == {0: "intergenic", 1: "coding"}
    assert model.config.problem_type == "single_label_classification"
    texts = ["ACGTAGGCAT" * 5, "TTGACA"]
    rows = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")(texts, padding=True, return_tensors="pt")
    documents = [torch.from_numpy(ensemble.document("bpe", text)).long() for text in texts]
    lengths = [len(document) for document in documents]
    again, vocabulary, origin = load_any(tmp_path / "out")
    assert isinstance(again, SequenceClassifier) and vocabulary == ensemble and origin["vocabulary"] == "bpe"
    with torch.inference_mode():
        expected = ours(torch.cat(documents), lengths)
        close(model(**rows).logits, expected)
        close(again(torch.cat(documents), lengths), expected)
    card = (tmp_path / "out" / "README.md").read_text()
    assert about["sha256"] in card and ensemble.sha256 in card and "average the two" in card


def test_a_model_saved_by_transformers_keeps_its_code_and_is_read_back(tmp_path: Path) -> None:
    _, model = twins("GenomicsFmForMaskedLM")
    model.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.glob("*.py")} == {
        f"{part}_genomics_fm.py" for part in ("configuration", "blocks", "modeling", "tokenization")
    }
    assert "AutoModel" in json.loads((tmp_path / "config.json").read_text())["auto_map"]
    ours, vocabulary, _ = load_any(tmp_path)
    assert vocabulary is None
    with torch.inference_mode():
        close(ours(IDS[0], [9]), model(IDS[:1]).logits[0])


def test_export_is_the_same_every_time_and_overwrites_nothing(tmp_path: Path) -> None:
    source = encoder_folder(tmp_path / "encoder")
    for name in ("one", "two"):
        export(source, tmp_path / name)
    first, second = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "one", tmp_path / "two")
    )
    assert first == second and len(first) > 20
    for arguments, what in ((["one"], "there already"), (["three", "--vocabulary", "nope"], "choose one of")):
        done = runner.invoke(app, ["export", str(source), str(tmp_path / arguments[0]), *arguments[1:]])
        assert done.exit_code == 2 and what in done.stderr
    (source / FILE_NAME).unlink()
    with pytest.raises(InputError, match="no vocabulary 'bpe'"):
        export(source, tmp_path / "three", "bpe")
    export(source, tmp_path / "three")
    assert not (tmp_path / "three" / "tokenizer_config.json").exists()
