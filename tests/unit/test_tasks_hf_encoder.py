"""Encoders of transformers as baselines: pooling, pieces, what is refused, and never a foreign line of code."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

from genomics_fm.errors import InputError
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.tasks import hf_encoder, linear, probe
from genomics_fm.tasks.objective import objective_of
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.task import Task
from genomics_fm.tasks.trial_config import TrialConfig
from tests.unit.test_tasks_coding_baselines import _rows

transformers = pytest.importorskip("transformers")


def _tokenizer(letters: str) -> Any:
    words = {token: i for i, token in enumerate(["[PAD]", "[CLS]", "[SEP]", "[UNK]", *letters])}
    plain = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    plain.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 1), ("[SEP]", 2)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]"
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random BERT of letters, as `save_pretrained` writes it."""
    made = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=66,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(made)
    _tokenizer("ACGT").save_pretrained(made)
    return made


def test_mean_of_content_tokens_whatever_else_is_in_the_batch(folder: Path) -> None:
    encoder = hf_encoder.load(f"hf:{folder}")
    sequences = ["ACGTACGT", "AC", "GGGNGGGT", "AC"]
    found = encoder(sequences)
    assert found.shape == (4, 16) and found.dtype == np.float32
    with torch.inference_mode():
        hidden = encoder.model(**encoder.tokenizer("ACGTACGT", return_tensors="pt")).last_hidden_state[0, 1:-1]
    assert np.allclose(found[0], hidden.mean(0).numpy(), atol=1e-5)
    alone = hf_encoder.load(f"hf:{folder}")(["AC"])[0]
    assert np.allclose(found[1], alone, atol=1e-5) and np.array_equal(found[1], found[3])


def test_long_sequences_are_read_in_pieces_and_nothing_is_cut_off(folder: Path) -> None:
    encoder = hf_encoder.load(f"hf:{folder}")
    assert encoder.limit == 64
    halves = encoder(["ACGGT" * 8, "TTTAC" * 8])
    assert np.allclose(encoder(["ACGGT" * 8 + "TTTAC" * 8])[0], halves.mean(0), atol=1e-5)


def test_a_probe_learns_and_says_what_is_not_known(folder: Path) -> None:
    problem = Problem("classification", ("poor", "rich"))
    task = Task("gc", problem, {"train": _rows(120, 1), "validation": _rows(40, 2), "test": _rows(60, 3)})
    arm = hf_encoder.probe(task, hf_encoder.load(f"hf:{folder}"), task.train, TrialConfig())
    assert arm.name == f"hf:{folder}"
    assert arm.test["mcc"] > 0.5
    assert arm.chosen["pretraining data"] == "unknown"


@pytest.mark.parametrize("stranded", [False, True])
def test_a_probe_is_tuned_as_our_own(stranded: bool, folder: Path) -> None:
    """Same penalties, same rows for both strands, the mean of their probabilities, same weights of classes."""
    problem = Problem("classification", ("poor", "rich"), stranded)
    task = Task("gc", problem, {"train": _rows(90, 1), "validation": _rows(40, 2), "test": _rows(20, 3)})
    config = TrialConfig(class_weights=True)
    encoder = hf_encoder.load(f"hf:{folder}")
    arm = hf_encoder.probe(task, encoder, task.train, config)

    def states(rows: Rows) -> np.ndarray:
        turned = [] if stranded else [encoder([*map(reverse_complement, rows.sequences)])]
        return np.stack([encoder(rows.sequences), *turned])

    objective = objective_of(config, problem, task.train.labels)
    ours = probe.choose(objective, states(task.train), task.train, states(task.validation), task.validation)
    assert arm.chosen["penalty"] == ours.penalty and list(ours.tried)[:2] == list(linear.PENALTIES[:2])
    expected = linear.predictions(objective, ours.model(states(task.test))).mean(0)
    np.testing.assert_allclose(arm.test_predictions, expected, atol=1e-6)


def test_the_first_token_where_it_is_asked_for(folder: Path) -> None:
    encoder = hf_encoder.load(f"hf:{folder}", "cls")
    with torch.inference_mode():
        hidden = encoder.model(**encoder.tokenizer("ACGTACGT", return_tensors="pt")).last_hidden_state[0]
    assert np.allclose(encoder(["AC", "ACGTACGT"])[1], hidden[0].numpy(), atol=1e-5)


def test_what_stands_behind_a_name_is_known(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    before = hf_encoder.contents(f"hf:{tmp_path}")
    assert before == hf_encoder.contents(f"hf:{folder}") and "model.safetensors" in before
    (tmp_path / "config.json").write_text("{}")
    assert hf_encoder.contents(f"hf:{tmp_path}") != before
    assert hf_encoder.contents("hf:nobody/nothing") == {}


def test_code_that_comes_with_a_model_is_refused_and_not_run(folder: Path, tmp_path: Path) -> None:
    for name in ("model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "their_own", "auto_map": {"AutoConfig": "code.C", "AutoModel": "code.M"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    ran = tmp_path / "ran"
    (tmp_path / "code.py").write_text(f"open({str(ran)!r}, 'w')\n")
    with pytest.raises(InputError, match=r"their_own is no architecture of transformers .* is not run"):
        hf_encoder.load(f"hf:{tmp_path}")
    assert not ran.exists()


def test_what_cannot_be_opened_is_one_line(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no such folder"):
        hf_encoder.load(f"hf:{tmp_path / 'nothing'}")
    with pytest.raises(InputError, match=r"no config\.json"):
        hf_encoder.load(f"hf:{tmp_path}")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(InputError, match="cannot be opened") as told:
        hf_encoder.load(f"hf:{tmp_path}")
    assert "\n" not in str(told.value)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"pip install 'genomics-fm\[hf\]'"):
        hf_encoder.load(f"hf:{folder}")


def test_weights_that_are_missing_are_not_drawn_at_random(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    kept = {name: value for name, value in load_file(folder / "model.safetensors").items() if "query" not in name}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"2 weights are not in its files, .*query"):
        hf_encoder.load(f"hf:{tmp_path}")


def test_a_tokenizer_of_something_else_is_refused(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    _tokenizer("WXYZ").save_pretrained(tmp_path)
    with pytest.raises(InputError, match="does not know ACGT"):
        hf_encoder.load(f"hf:{tmp_path}")(["ACGT"])


def test_a_gap_is_not_a_tokenizer_of_something_else(folder: Path) -> None:
    known = hf_encoder.load(f"hf:{folder}")
    assert np.isfinite(known(["N" * 50 + "ACG", "N" * 9])).all()
