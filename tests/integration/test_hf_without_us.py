"""Exported folders where this package is not installed: same ids, same logits, from torch and transformers alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from genomics_fm.inference.export import export
from genomics_fm.inference.sources import load_any
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import SequenceClassifier, new_language_model
from genomics_fm.model.weights import save_encoder
from genomics_fm.vocabulary.ensemble import FILE_NAME
from tests.heads import write_head
from tests.vocabularies import every_kind

pytest.importorskip("transformers")
TEXTS = ["ACGTACGTAANNACGTAGTACGATT", "TTGACA", "acgtRYacg", ""]
PROGRAM = r"""
import json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("genomics_fm", "jobs", "numba"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
try:
    import genomics_fm
except ModuleNotFoundError:
    pass
else:
    sys.exit("the package is there: this run shows nothing")
import torch, transformers

folder, classes, vocabularies, texts = json.loads(sys.argv[1])
said = {}
for name in classes:
    model = getattr(transformers, name).from_pretrained(folder, trust_remote_code=True).eval()
    for vocabulary in vocabularies:
        where = f"{folder}/tokenizers/{vocabulary}" if vocabulary else folder
        tokenizer = transformers.AutoTokenizer.from_pretrained(where, trust_remote_code=True)
        rows = tokenizer(texts, padding=True, return_tensors="pt")
        with torch.inference_mode():
            values = model(**rows)[0]
        kept = values if "Classification" in name else values[rows["attention_mask"].bool()]
        said[f"{name} {vocabulary}"] = [tokenizer(texts).input_ids, kept.tolist()]
assert "genomics_fm" not in sys.modules
print("SAID" + json.dumps(said))
"""


def said_without_us(folder: Path, classes: list[str], vocabularies: list[str], home: Path) -> dict[str, list]:
    """Ids and values by class and vocabulary, from a process in which this package cannot be imported."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    arguments = json.dumps([str(folder), classes, vocabularies, TEXTS])
    command = [sys.executable, "-I", "-c", PROGRAM, arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=home, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.split("SAID")[1])


def test_an_encoder_folder_opens_without_us(tmp_path: Path) -> None:
    ensemble = every_kind()
    save_encoder(tmp_path / "encoder", new_language_model(EncoderConfig(ensemble.size, 2, 24, 3, 40), 0), {})
    ensemble.save(tmp_path / "encoder" / FILE_NAME)
    export(tmp_path / "encoder", tmp_path / "out", "kmer")
    model, _, _ = load_any(tmp_path / "encoder")
    classes = ["AutoModelForMaskedLM", "AutoModel"]
    said = said_without_us(tmp_path / "out", classes, ["", *ensemble.names], tmp_path)
    for key, (ids, values) in said.items():
        name, vocabulary = key.split(" ")
        documents = [ensemble.document(vocabulary or "kmer", text) for text in TEXTS]
        assert ids == [document.tolist() for document in documents], key
        packed, lengths = torch.cat([torch.tensor(row) for row in ids]), [len(row) for row in ids]
        with torch.inference_mode():
            ours = model(packed, lengths) if name == "AutoModelForMaskedLM" else model.bert(packed, lengths)
        torch.testing.assert_close(torch.tensor(values), ours, atol=1e-5, rtol=0)
    assert len(said) == 2 * (1 + len(ensemble.names))


def test_a_head_folder_opens_without_us(tmp_path: Path) -> None:
    export(write_head(tmp_path / "head"), tmp_path / "out")
    model, _, _ = load_any(tmp_path / "head")
    assert isinstance(model, SequenceClassifier)
    said = said_without_us(tmp_path / "out", ["AutoModelForSequenceClassification"], [""], tmp_path)
    ((ids, logits),) = said.values()
    with torch.inference_mode():
        ours = model(torch.cat([torch.tensor(row) for row in ids]), [len(row) for row in ids])
    torch.testing.assert_close(torch.tensor(logits), ours, atol=1e-5, rtol=0)
