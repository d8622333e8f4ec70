"""Checkpoints under the published names: the same numbers from every spelling, and nothing in them is executed."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from typer.testing import CliRunner

from genomics_fm.cli import app
from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.model import from_published
from genomics_fm.model.weights import TIED, load_encoder
from tests.corpora import fixed_vocabulary

GOLDEN = Path(__file__).parents[1] / "golden" / "published_encoder"
WEIGHTS, CONFIG = GOLDEN / "weights.safetensors", GOLDEN / "config.json"
TABLE = "bert.embeddings.position_embeddings.weight"
runner = CliRunner()


def expected() -> dict[str, Tensor]:
    return load_file(GOLDEN / "expected.safetensors")


@pytest.mark.parametrize("position", ["alibi", "ape"])
def test_padded_rows_give_the_published_tensors(position: str) -> None:
    known = expected()
    with torch.inference_mode():
        out = from_published(WEIGHTS, CONFIG, position=position)(
            known["input_ids"], attention_mask=known["attention_mask"]
        )
    torch.testing.assert_close(out.logits, known[f"logits_{position}"], atol=1e-5, rtol=0)
    torch.testing.assert_close(out.last_hidden_state, known[f"hidden_{position}"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("position", ["alibi", "ape"])
def test_padding_may_stand_on_the_left_or_not_at_all(position: str) -> None:
    known, model = expected(), from_published(WEIGHTS, CONFIG, position)
    with torch.inference_mode():
        left = model(known["input_ids"].flip(1), known["attention_mask"].flip(1))
        # a row of one token read from either end is the same document; longer ones are compared to themselves reversed
        alone = model(known["input_ids"][1:2, :33].flip(1))
        whole = model(known["input_ids"][:1])
        nothing = model(known["input_ids"], torch.zeros_like(known["input_ids"]))
    torch.testing.assert_close(left.logits[1:2, 7:], alone.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(left.logits[3, -1], known[f"logits_{position}"][3, 0], atol=1e-5, rtol=0)
    assert not left.logits[1, :7].any() and not nothing.logits.any()
    torch.testing.assert_close(whole.logits[0], known[f"logits_{position}"][0], atol=1e-5, rtol=0)


def test_padding_between_tokens_is_refused_and_long_rows_run() -> None:
    model = from_published(WEIGHTS, CONFIG)
    with pytest.raises(InputError, match="padding between"):
        model(torch.ones(1, 3, dtype=torch.long), torch.tensor([[1, 0, 1]]))
    assert model(torch.full((2, 256), 7)).logits.shape == (2, 256, 64)  # the position table has 64 rows


def test_every_spelling_of_a_checkpoint_is_the_same_model(tmp_path: Path) -> None:
    known, tensors = expected(), load_file(WEIGHTS)
    pooler = {"bert.pooler.dense.weight": torch.zeros(48, 48), "bert.pooler.dense.bias": torch.zeros(48)}
    spellings = {
        "whole": tensors,
        "data_parallel": {f"module.{name}": value for name, value in tensors.items()},
        "no_table": {name: value for name, value in tensors.items() if name != TABLE},
        "no_decoder": {name: value for name, value in tensors.items() if name != TIED} | pooler,
    }
    for name, spelling in spellings.items():
        torch.save(spelling, tmp_path / f"{name}.bin")
        model = from_published(tmp_path / f"{name}.bin", CONFIG)
        with torch.inference_mode():
            logits = model(known["input_ids"], known["attention_mask"]).logits
        torch.testing.assert_close(logits, known["logits_alibi"], atol=1e-5, rtol=0)
    with pytest.raises(CorruptArtefact, match="position_embeddings"):
        from_published(tmp_path / "no_table.bin", CONFIG, "ape")


class Planted:
    """A pickle of it creates a file when it is executed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.filterwarnings("error:Detected pickle protocol")
def test_a_planted_pickle_is_refused_and_not_executed(tmp_path: Path) -> None:
    proof = tmp_path / "executed"
    (tmp_path / "old.bin").write_bytes(pickle.dumps({"weight": Planted(proof)}))
    torch.save({"weight": Planted(proof)}, tmp_path / "new.bin")
    for name in ("old.bin", "new.bin"):
        done = runner.invoke(app, ["import-weights", str(tmp_path / name), str(CONFIG), str(tmp_path / "out")])
        assert done.exit_code == 3 and not proof.exists()
        assert "never executed" in done.stderr and len(done.stderr.strip().splitlines()) == 1
        assert "weights_only" not in done.stderr, "torch's advice to execute it after all is not passed on"
    assert not (tmp_path / "out").exists()
    pickle.loads((tmp_path / "old.bin").read_bytes())
    assert proof.exists(), "the plant does nothing, so the test above shows nothing"


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    tensors = load_file(WEIGHTS)
    torch.save(tensors, tmp_path / "whole.bin")
    (tmp_path / "cut.bin").write_bytes((tmp_path / "whole.bin").read_bytes()[:5000])
    torch.save([torch.zeros(1)], tmp_path / "list.bin")
    (tmp_path / "text.safetensors").write_bytes(b"<html>")
    untied = tensors | {TIED: tensors[TIED] + 1}
    save_file({name: value.clone() for name, value in untied.items()}, tmp_path / "untied.safetensors")
    for name in ("cut.bin", "list.bin", "text.safetensors", "untied.safetensors"):
        with pytest.raises(CorruptArtefact, match=name):
            from_published(tmp_path / name, CONFIG)
    (tmp_path / "model.h5").write_bytes(b"")
    for name, what in (("model.h5", "neither"), ("absent.bin", "no such file")):
        with pytest.raises(InputError, match=what):
            from_published(tmp_path / name, CONFIG)


@pytest.mark.parametrize(
    ("change", "error", "what"),
    [
        ({"hidden_size": None}, InputError, "no hidden_size"),
        ({"hidden_size": "48"}, InputError, "width '48': not a whole number"),
        ({"num_hidden_layers": 3.0}, InputError, "layers 3.0: not a whole number"),
        ({"layer_norm_eps": "tiny"}, InputError, "layer_norm_eps 'tiny': not a number"),
        ({"hidden_act": "relu"}, InputError, "relu"),
        ({"num_hidden_layers": 4}, CorruptArtefact, "missing: bert.encoder.layer.3"),
        ({"vocab_size": 65}, CorruptArtefact, "of another shape"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(
    change: dict[str, object], error: type[Exception], what: str, tmp_path: Path
) -> None:
    values = json.loads(CONFIG.read_text()) | change
    (tmp_path / "config.json").write_text(
        json.dumps({key: value for key, value in values.items() if value is not None})
    )
    with pytest.raises(error, match=what):
        from_published(WEIGHTS, tmp_path / "config.json")


def test_import_weights_writes_an_encoder_folder(tmp_path: Path) -> None:
    done = runner.invoke(app, ["import-weights", str(WEIGHTS), str(CONFIG), str(tmp_path / "out"), "--position", "ape"])
    assert done.exit_code == 0, done.output
    config, tensors, about = load_encoder(tmp_path / "out")
    assert (config.position, config.heads) == ("ape", 6)
    assert torch.equal(tensors[TABLE], load_file(WEIGHTS)[TABLE])
    assert about["imported"]["weights"] == "weights.safetensors" and len(about["imported"]["weights_sha256"]) == 64
    again = runner.invoke(app, ["import-weights", str(WEIGHTS), str(CONFIG), str(tmp_path / "out")])
    assert again.exit_code == 2 and "there already" in again.stderr
    fixed_vocabulary().save(tmp_path / "vocabulary.json")
    foreign = ["--vocabulary", str(tmp_path / "vocabulary.json")]
    other = runner.invoke(app, ["import-weights", str(WEIGHTS), str(CONFIG), str(tmp_path / "other"), *foreign])
    assert other.exit_code == 2 and "but" in other.stderr and not (tmp_path / "other").exists()
