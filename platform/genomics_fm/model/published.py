"""Checkpoints under the published names (MosaicBERT, DNABERT-2, the authors'): read, checked, run on padded rows."""

import errno
import warnings
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from genomics_fm.artefacts import read_json_object, sha256_file
from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import MaskedLanguageModel
from genomics_fm.model.weights import EMBEDDING, TIED, load_into, read_tensors

NAMES = {
    "vocab_size": "vocabulary_size",
    "num_hidden_layers": "layers",
    "hidden_size": "width",
    "num_attention_heads": "heads",
    "intermediate_size": "ffn_width",
    "max_position_embeddings": "max_positions",
    "type_vocab_size": "type_vocabulary_size",
    "layer_norm_eps": "layer_norm_eps",
}
"""Keys of a published `config.json`, and what we call them."""
DEFAULTED = ("max_position_embeddings", "type_vocab_size", "layer_norm_eps")
"""Keys without which BERT's own values hold, which are ours too."""
FRACTIONS = ("layer_norm_eps",)
"""What need not be whole."""
POSITIONS = ("alibi", "ape")
TORCH_SUFFIXES = (".bin", ".pt", ".pth")
POSITION_TABLE = "bert.embeddings.position_embeddings."
UNUSED = ("bert.pooler.", "bert.embeddings.position_ids", "cls.seq_relationship.", "cls.predictions.bias")
"""Tensors some checkpoints hold that masked language modelling does not need."""
_OF_DATA_PARALLEL = "module."


@dataclass(frozen=True)
class PaddedOutput:
    """What the model says of padded rows; zero at padding.

    Attributes:
        logits: over the vocabulary, (B, T, V).
        last_hidden_state: (B, T, D).
    """

    logits: Tensor
    last_hidden_state: Tensor


class PublishedModel(nn.Module):
    """A masked language model that takes padded rows and computes them packed; `packed` takes packed tokens."""

    def __init__(self, packed: MaskedLanguageModel) -> None:
        super().__init__()
        self.packed = packed

    @property
    def config(self) -> EncoderConfig:
        return self.packed.bert.config

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> PaddedOutput:
        """Encode rows and predict every token.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 0 at padding, left or right of a row's tokens; without it every token counts.

        Raises:
            InputError: a row has padding between its tokens; or, with learned positions, too many tokens.
        """
        keep_BT = torch.ones_like(input_ids, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
        if not stands_together(keep_BT):
            raise InputError("attention_mask: padding between a row's tokens; mask only what is left or right of them")
        hidden_BTD = input_ids.new_zeros(*keep_BT.shape, self.config.width, dtype=self._dtype)
        logits_BTV = input_ids.new_zeros(*keep_BT.shape, self.config.vocabulary_size, dtype=self._dtype)
        lengths = [length for length in keep_BT.sum(1).tolist() if length]
        if not lengths:
            return PaddedOutput(logits_BTV, hidden_BTD)
        hidden_ND = self.packed.bert(input_ids[keep_BT], lengths)
        logits_NV = self.packed.cls.predictions(hidden_ND)
        hidden_BTD = hidden_BTD.to(hidden_ND.dtype).index_put((keep_BT,), hidden_ND)
        return PaddedOutput(logits_BTV.to(logits_NV.dtype).index_put((keep_BT,), logits_NV), hidden_BTD)

    @property
    def _dtype(self) -> torch.dtype:
        return self.packed.bert.embeddings.word_embeddings.weight.dtype


def stands_together(keep_BT: Tensor) -> bool:
    """Whether what is kept of each row is one run, or nothing."""
    begins_BT = keep_BT.clone()
    begins_BT[:, 1:] &= ~keep_BT[:, :-1]
    return bool((begins_BT.sum(1) <= 1).all())


def published_config(path: Path, position: str = "alibi") -> EncoderConfig:
    """Our config from a published `config.json`.

    Raises:
        InputError: no such file, a key it must have is missing, a size nobody can build, or not GELU.
        CorruptArtefact: not a JSON object.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the config.json that belongs to the weights")
    if position not in POSITIONS:
        raise InputError(f"position {position!r}: unknown; choose one of {', '.join(POSITIONS)}")
    values = read_json_object(path)
    missing = [name for name in NAMES if name not in values and name not in DEFAULTED]
    if missing:
        raise InputError(f"{path}: no {', '.join(missing)}; give the config.json that belongs to the weights")
    if values.get("hidden_act", "gelu") != "gelu":
        raise InputError(f"{path}: hidden_act {values['hidden_act']!r}: only 'gelu' is built; check the config")
    sizes = {ours: values[theirs] for theirs, ours in NAMES.items() if theirs in values}
    for name, value in sizes.items():
        if type(value) is not int and not (name in FRACTIONS and type(value) is float):
            what = "number" if name in FRACTIONS else "whole number"
            raise InputError(f"{path}: {name} {value!r}: not a {what}; give the config.json of the weights")
    return EncoderConfig(position=position, **sizes)  # type: ignore[arg-type]


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file or of a torch file, which is read as data: nothing in it is ever executed.

    Raises:
        InputError: no such file, or its name ends otherwise.
        CorruptArtefact: damaged, or it holds more than tensors.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the checkpoint's weights")
    if path.suffix == ".safetensors":
        return read_tensors(path)
    if path.suffix not in TORCH_SUFFIXES:
        raise InputError(f"{path}: neither .safetensors nor {', '.join(TORCH_SUFFIXES)}; give one of these")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of pickle's dialect: what cannot be read is an error below
            value = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # that is how a file cut short shows
            raise
        raise CorruptArtefact(
            f"{path}: damaged, or holds more than tensors, which is never executed ({_reason(error)}); "
            "get it again or ask for safetensors"
        ) from error
    if not isinstance(value, dict) or not all(isinstance(tensor, Tensor) for tensor in value.values()):
        raise CorruptArtefact(f"{path}: not a dict of tensors by name; give the state dict of a model")
    return value


def _reason(error: Exception) -> str:
    """What torch says in one line; of an unpickling, only its kind: torch then advises to execute the file."""
    said = "" if isinstance(error, UnpicklingError) else str(error).partition("\n")[0]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _cleaned(tensors: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """Tensors under their published names, the decoder's from the word embeddings it is tied to."""
    if tensors and all(name.startswith(_OF_DATA_PARALLEL) for name in tensors):
        tensors = {name.removeprefix(_OF_DATA_PARALLEL): tensor for name, tensor in tensors.items()}
    embedding = tensors.get(EMBEDDING)
    if embedding is None:
        raise CorruptArtefact(f"{where}: no {EMBEDDING}; give the weights of a masked language model")
    if TIED in tensors and not torch.equal(tensors[TIED], embedding):
        raise CorruptArtefact(f"{where}: its decoder is not tied to the word embeddings; no such model is built")
    bias = "cls.predictions.bias"
    older = {} if bias not in tensors else {"cls.predictions.decoder.bias": tensors[bias]}
    return {**older, **tensors, TIED: embedding}


def load_published(weights: Path, config: Path, position: str = "alibi") -> MaskedLanguageModel:
    """The authors' or DNABERT-2's masked language model, which takes packed tokens.

    Args:
        weights: safetensors or torch file with the published parameter names; a `module.` before all of them, a
            pooler, and a decoder tied to the embeddings or absent make no difference.
        config: the published `config.json`.
        position: `alibi`, or `ape` for learned absolute positions.

    Raises:
        InputError: no such file, or a config that names no encoder we build.
        CorruptArtefact: damaged, more than tensors, or tensors that do not fit the config.
    """
    model = MaskedLanguageModel(published_config(config, position))
    tensors = _cleaned(read_checkpoint(weights), str(weights))
    dtype = model.bert.embeddings.word_embeddings.weight.dtype
    ignored = UNUSED if position == "ape" else (*UNUSED, POSITION_TABLE)
    load_into(model, {name: tensor.to(dtype) for name, tensor in tensors.items()}, str(weights), ignored)
    model.tie()
    return model.eval()


def from_published(weights: Path | str, config: Path | str, position: str = "alibi") -> PublishedModel:
    """`load_published` for padded rows: `from_published(…)(input_ids, attention_mask=mask).logits`."""
    return PublishedModel(load_published(Path(weights), Path(config), position))


def about_published(weights: Path, config: Path) -> dict[str, Any]:
    """Where an imported encoder comes from: names and hashes of both files, not their folders."""
    return {
        "imported": {
            "weights": weights.name,
            "weights_sha256": sha256_file(weights),
            "config": config.name,
            "config_sha256": sha256_file(config),
        }
    }
