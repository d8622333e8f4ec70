"""One function opens every folder that holds a model, and says what is wrong with the others."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.inference.export import export
from genomics_fm.inference.sources import load_any
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import MaskedLanguageModel, SequenceClassifier, new_language_model
from genomics_fm.model.weights import save_encoder
from genomics_fm.vocabulary.ensemble import FILE_NAME
from tests.corpora import fixed_vocabulary
from tests.heads import write_head

GOLDEN = Path(__file__).parents[1] / "golden" / "published_encoder"


def encoder_folder(folder: Path) -> Path:
    vocabulary = fixed_vocabulary()
    model = new_language_model(EncoderConfig(vocabulary.size, 1, 16, 2, 16), 0)
    save_encoder(folder, model, {"license": "cc-by-4.0"})
    vocabulary.save(folder / FILE_NAME)
    return folder


def test_encoders_heads_exports_and_checkpoints_open(tmp_path: Path) -> None:
    encoder, head = encoder_folder(tmp_path / "encoder"), write_head(tmp_path / "head")
    for source in (encoder, head):
        export(source, tmp_path / f"{source.name}_out")
        export(tmp_path / f"{source.name}_out", tmp_path / f"{source.name}_again")
        kind = MaskedLanguageModel if source == encoder else SequenceClassifier
        known, vocabulary, _ = load_any(source)
        for folder in (f"{source.name}_out", f"{source.name}_again"):
            model, same, about = load_any(tmp_path / folder)
            assert type(model) is kind and same == vocabulary and about["vocabulary"] == "bpe" and not model.training
            assert all(torch.equal(value, known.state_dict()[name]) for name, value in model.state_dict().items())
    assert "license: cc-by-4.0" in (tmp_path / "encoder_out" / "README.md").read_text()
    published = tmp_path / "published"
    published.mkdir()
    shutil.copy(GOLDEN / "config.json", published)
    torch.save(load_file(GOLDEN / "weights.safetensors"), published / "pytorch_model.bin")
    model, vocabulary, about = load_any(published)
    assert model.bert.config.heads == 6 and vocabulary is None and about == {}


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        load_any(tmp_path / "absent")
    with pytest.raises(InputError, match=r"no config\.json"):
        load_any(tmp_path)
    for text in ("{", "[]"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(CorruptArtefact, match="not"):
            load_any(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5"}))
    with pytest.raises(InputError, match="no vocab_size"):
        load_any(tmp_path)
    other = encoder_folder(tmp_path / "other")
    fixed_vocabulary().with_member("kmer1", fixed_vocabulary().member("kmer")).save(other / FILE_NAME)
    with pytest.raises(CorruptArtefact, match="but the model has"):
        load_any(other)


def test_without_transformers_the_line_to_install_it_is_said() -> None:
    code = (
        "import importlib.util as util; find = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'transformers' else find(name, *more)\n"
        "import genomics_fm.hf"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "InputError" in done.stderr and "pip install 'genomics-fm[hf]'" in done.stderr
