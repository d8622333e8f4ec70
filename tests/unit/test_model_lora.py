"""Adapters through peft; the only unit tests here that import it."""

import functools
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import SequenceClassifier, new_classifier, new_token_classifier
from genomics_fm.model.lora import LoraSettings, add_lora, load_lora, merge_lora, save_lora, trainable_parameters
from genomics_fm.model.losses import head_loss
from genomics_fm.tasks import trial
from genomics_fm.tasks.trial_config import TrialConfig
from genomics_fm.vocabulary.ensemble import Ensemble
from tests.meeting import together
from tests.unit.trial_tasks import encoder, task_of

torch.set_num_threads(1)
pytest.importorskip("peft")
TINY = EncoderConfig(vocabulary_size=64, layers=2, width=32, heads=4, ffn_width=48)
LENGTHS = [30, 9, 3, 21]
SETTINGS = LoraSettings(r=4, alpha=16)


def ids() -> Tensor:
    return torch.randint(5, 64, (sum(LENGTHS),), generator=torch.Generator().manual_seed(1))


def qkv(model: torch.nn.Module) -> Tensor:
    return model.bert.encoder.layer[1].attention.self.Wqkv.weight.detach().clone()  # type: ignore[union-attr, index]


def trained(model: SequenceClassifier, updates: int = 4) -> SequenceClassifier:
    """Weight decay too must not move what is 0 for ever."""
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.02, weight_decay=0.1)
    model.train()
    for _ in range(updates):
        optimizer.zero_grad()
        head_loss("classification", model(ids(), LENGTHS), torch.tensor([0, 1, 2, 0])).backward()
        optimizer.step()
    return model.eval()


def test_it_changes_nothing_at_first_and_merging_nothing_at_last() -> None:
    plain = new_classifier(TINY, 3, 0).eval()
    start, weight = plain(ids(), LENGTHS), qkv(plain)
    model = add_lora(plain, SETTINGS).eval()
    assert torch.equal(model(ids(), LENGTHS), start)
    unmerged = trained(plain)(ids(), LENGTHS)
    assert (unmerged - start).abs().max() > 0.01
    merged = merge_lora(model)
    torch.testing.assert_close(merged(ids(), LENGTHS), unmerged, atol=1e-5, rtol=0)
    assert set(merged.state_dict()) == set(new_classifier(TINY, 3, 0).state_dict())
    assert all(parameter.requires_grad for parameter in merged.parameters())
    query, key, value = (qkv(merged) - weight).split(32)
    assert not key.any()
    for part in (query, value):
        assert torch.linalg.matrix_rank(part, rtol=1e-4) == SETTINGS.r


def test_what_is_added_is_the_formula() -> None:
    model = add_lora(new_classifier(TINY, 3, 0), LoraSettings(r=4, alpha=24, dropout=0.9))
    layer = model.bert.encoder.layer[1].attention.self.Wqkv  # type: ignore[union-attr, index]
    first, second = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    before = qkv(merge_lora(add_lora(new_classifier(TINY, 3, 0), SETTINGS)))
    with torch.no_grad():
        second[:32, :4] = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
        second[64:, 4:] = torch.randn(32, 4, generator=torch.Generator().manual_seed(1))
    query, value = second[:32, :4] @ first[:4], second[64:, 4:] @ first[4:]
    expected = 24 / 4 * torch.cat([query, torch.zeros(32, 32), value])
    torch.testing.assert_close(qkv(merge_lora(model)) - before, expected, atol=1e-5, rtol=1e-5)


def test_only_adapters_and_the_head_train() -> None:
    model = new_classifier(TINY, 3, 0, "attention")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trained(add_lora(model, SETTINGS))  # type: ignore[arg-type]
    for name, value in model.state_dict().items():
        plain = name.replace(".base_layer", "")
        if "lora_" in name or plain.startswith(("attention.", "pooler.", "classifier.")):
            assert plain not in before or not torch.equal(value, before[plain]), name
        else:
            assert torch.equal(value, before[plain]), name
    head = 32 + 32 * 33 + 3 * 33
    assert trainable_parameters(model) == head + TINY.layers * 2 * SETTINGS.r * (32 + 32)


def test_documents_stay_apart() -> None:
    model = trained(add_lora(new_classifier(TINY, 3, 0), SETTINGS))  # type: ignore[arg-type]
    with torch.inference_mode():
        together = model(ids(), LENGTHS)
        alone = torch.cat([model(document, [len(document)]) for document in ids().split(LENGTHS)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_adapter_and_head_travel_through_a_folder(tmp_path: Path) -> None:
    model = trained(add_lora(new_classifier(TINY, 3, 0), SETTINGS))  # type: ignore[arg-type]
    save_lora(tmp_path, model, SETTINGS, {"encoder_sha256": "a"})
    other = new_classifier(TINY, 3, 0)
    with torch.no_grad():
        other.classifier.weight.zero_()
    assert load_lora(tmp_path, other) == {"encoder_sha256": "a"}
    assert torch.equal(other.eval()(ids(), LENGTHS), model(ids(), LENGTHS))
    weight = model.bert.encoder.layer[0].attention.self.Wqkv.lora_B["default"].weight  # type: ignore[union-attr, index]
    again = other.bert.encoder.layer[0].attention.self.Wqkv.lora_B["default"].weight  # type: ignore[union-attr, index]
    trained(other)
    assert torch.equal(again == 0, weight == 0), "what is loaded keeps its zeros in training"
    with pytest.raises(CorruptArtefact, match="does not fit this encoder and head"):
        load_lora(tmp_path, new_classifier(TINY, 2, 0))
    data = bytearray((tmp_path / "adapter.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "adapter.safetensors").write_bytes(bytes(data))
    with pytest.raises(CorruptArtefact, match="sha256"):
        load_lora(tmp_path, new_classifier(TINY, 3, 0))


def test_the_seed_draws_the_adapters() -> None:
    first, second, third = (
        add_lora(new_token_classifier(TINY, 3, 0), LoraSettings(seed=seed)).state_dict() for seed in (1, 1, 2)
    )
    name = "bert.encoder.layer.0.attention.self.Wqkv.lora_A.default.weight"
    assert torch.equal(first[name], second[name]) and not torch.equal(first[name], third[name])


def test_it_refuses_twice_and_nothing() -> None:
    model = new_classifier(TINY, 3, 0)
    with pytest.raises(InputError, match="has no adapter"):
        merge_lora(model)
    add_lora(model, SETTINGS)
    with pytest.raises(InputError, match="adapters already"):
        add_lora(model, SETTINGS)
    with pytest.raises(InputError, match="has no encoder"):
        add_lora(torch.nn.Linear(2, 2), SETTINGS)


def test_without_peft_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(InputError, match=r"^peft is not installed; `pip install 'genomics-fm\[hf\]'`$"):
        add_lora(new_classifier(TINY, 3, 0), SETTINGS)


def test_a_trial_trains_adapters_alone_and_merges_them(tmp_path: Path, vocabulary: Ensemble) -> None:
    folder, task = encoder(tmp_path, vocabulary), task_of("classification")
    config = TrialConfig(how="lora", updates=3, evaluations=1, batch_rows=8, evaluation_rows=12)
    fresh = trial.new_head(config, folder, vocabulary, task.problem).state_dict()
    done = trial.run(config, folder, vocabulary, task)
    found = done.module.state_dict()
    changed = {name for name, value in found.items() if not torch.equal(value, fresh[name])}
    attention = "bert.encoder.layer.0.attention.self.Wqkv.weight"
    assert changed == {attention, "pooler.weight", "pooler.bias", "classifier.weight", "classifier.bias"}
    assert done.result.name == "pretrained bpe lora" and set(found) == set(fresh)
    torch.manual_seed(99)  # dropout has a seed of its own
    again = trial.run(config, folder, vocabulary, task).module.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in found.items())


def test_adapters_of_two_workers_are_those_of_one_but_for_dropout(
    tmp_path: Path, vocabulary: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "LoraSettings", functools.partial(LoraSettings, dropout=0.0))
    folder, task = encoder(tmp_path, vocabulary), task_of("multilabel")
    config = TrialConfig(how="lora", lora_rank=2, updates=3, evaluations=1, batch_rows=7)
    whole = trial.run(config, folder, vocabulary, task)
    for part in together(2, lambda workers: trial.run(config, folder, vocabulary, task, workers=workers)):
        assert part.curve[0] == pytest.approx(whole.curve[0], rel=1e-5)
        for name, value in whole.module.state_dict().items():
            torch.testing.assert_close(part.module.state_dict()[name], value, rtol=1e-4, atol=1e-5)
