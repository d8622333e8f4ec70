"""Any folder that holds a model: an encoder or a head of ours, an exported one, or a published checkpoint."""

from pathlib import Path
from typing import Any

from genomics_fm.artefacts import read_json_object
from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.inference.head import MANIFEST, load_head
from genomics_fm.model.heads import MaskedLanguageModel, SequenceClassifier, TokenClassifier
from genomics_fm.model.published import POSITIONS, load_published, published_config
from genomics_fm.model.weights import WEIGHTS, load_into, load_language_model, read_tensors
from genomics_fm.vocabulary.ensemble import FILE_NAME, Ensemble

CONFIG = "config.json"
MODEL_TYPE = "genomics_fm"
"""What transformers calls our exported folders."""
TORCH_WEIGHTS = "pytorch_model.bin"


Loaded = MaskedLanguageModel | SequenceClassifier | TokenClassifier


def load_any(folder: Path) -> tuple[Loaded, Ensemble | None, dict[str, Any]]:
    """A model, whatever kind of folder holds it.

    Args:
        folder: from `save_encoder`, `save_head` or `export`, or with a published `config.json` and
            `model.safetensors` or `pytorch_model.bin`.

    Returns:
        The model, ready to predict: its encoder is `.bert`; its vocabularies, None where the folder has none; and
        what the folder says of itself, with `vocabulary` naming a head's or an export's own one.

    Raises:
        InputError: no such folder, or no model in it.
        CorruptArtefact: a file is damaged or does not fit the others; names it.
    """
    values = _config(folder)
    if (folder / MANIFEST).is_file():
        head = load_head(folder)
        return head.module, head.vocabulary, head.card.to_json() | {"sha256": head.sha256}
    model: Loaded
    if "encoder" in values:
        model, about = load_language_model(folder)
    elif values.get("model_type") == MODEL_TYPE:
        model, about = _exported(folder, values), dict(values.get(MODEL_TYPE) or {})
    else:
        model, about = load_published(_weights(folder), folder / CONFIG), {}
    return model, _vocabulary(folder, model), about


def _config(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give one with an encoder, a head or an exported model")
    path = folder / CONFIG
    if not path.is_file():
        raise InputError(f"{folder}: no {CONFIG} in it; give a folder with an encoder, a head or an exported model")
    return read_json_object(path)


def _weights(folder: Path) -> Path:
    return folder / (WEIGHTS if (folder / WEIGHTS).is_file() else TORCH_WEIGHTS)


def _exported(folder: Path, values: dict[str, Any]) -> Loaded:
    """Masked language model or sequence classifier of a folder that `export` or transformers wrote."""
    position = values.get("position", POSITIONS[0])
    if not any("SequenceClassification" in str(name) for name in values.get("architectures") or ()):
        return load_published(_weights(folder), folder / CONFIG, position)
    config = published_config(folder / CONFIG, position)
    outputs = len(values.get("id2label") or (0, 1))  # transformers writes no labels where they are its two defaults
    model = SequenceClassifier(config, outputs, values.get("pooling", "mean"))
    load_into(model, read_tensors(folder / WEIGHTS), str(folder / WEIGHTS))
    return model.eval()


def _vocabulary(folder: Path, model: Loaded) -> Ensemble | None:
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    vocabulary, size = Ensemble.load(path), model.bert.config.vocabulary_size
    if vocabulary.size != size:
        raise CorruptArtefact(f"{path}: {vocabulary.size} tokens, but the model has {size}; restore it")
    return vocabulary
