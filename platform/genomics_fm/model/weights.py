"""Weights in and out: safetensors with the published names, never a pickle."""

import dataclasses
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from genomics_fm.artefacts import sha256_bytes, write_bytes
from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import MaskedLanguageModel, SequenceClassifier, TokenClassifier
from genomics_fm.storage import Folder

FORMAT_VERSION = 1
WEIGHTS = "model.safetensors"
CONFIG = "config.json"
"""The commit of an encoder's folder."""
TIED = "cls.predictions.decoder.weight"
EMBEDDING = "bert.embeddings.word_embeddings.weight"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file.

    Raises:
        InputError: no such file.
        CorruptArtefact: not a whole safetensors file.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a folder that holds weights")
    try:
        return load_file(path)
    except (safetensors.SafetensorError, ValueError) as error:
        raise CorruptArtefact(f"{path}: not readable as safetensors ({error}); restore it") from error


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors whole or not at all, in name order, so that equal weights give equal bytes."""
    write_bytes(path, _file_of(tensors))


def _file_of(tensors: dict[str, Tensor]) -> bytes:
    return save({name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)})


def load_into(module: nn.Module, tensors: dict[str, Tensor], where: str, ignore: tuple[str, ...] = ()) -> None:
    """Copy tensors into a module by name.

    Args:
        module: receives the tensors.
        tensors: by published name.
        where: file, for messages.
        ignore: prefixes of tensors the module has no place for.

    Raises:
        CorruptArtefact: a tensor is missing, unexpected, or of another shape.
    """
    wanted = {name: value for name, value in tensors.items() if not name.startswith(ignore or ("\0",))}
    own = module.state_dict()
    missing = sorted(set(own) - set(wanted))
    unexpected = sorted(set(wanted) - set(own))
    shapes = [name for name in own if name in wanted and own[name].shape != wanted[name].shape]
    for problem, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes)):
        if names:
            raise CorruptArtefact(f"{where}: {problem}: {', '.join(names[:3])}; weights and config do not fit together")
    module.load_state_dict(wanted)


def save_encoder(folder: Path | Folder, model: MaskedLanguageModel, about: dict[str, Any]) -> None:
    """Write a pretrained model: `model.safetensors`, then `config.json`, which is the commit.

    Args:
        folder: made if absent; of any storage.
        model: encoder and MLM head.
        about: hashes of corpus and vocabulary, steps, tokens; kept in `config.json`.
    """
    place = Folder(folder)
    data = _file_of({name: value for name, value in model.state_dict().items() if name != TIED})
    place.write(WEIGHTS, data)
    place.write_sealed_json(
        CONFIG,
        {
            "format_version": FORMAT_VERSION,
            "encoder": dataclasses.asdict(model.bert.config),
            "weights_sha256": sha256_bytes(data),
            "about": about,
        },
    )


def encoder_about(folder: Path | Folder) -> tuple[EncoderConfig, str, dict[str, Any]]:
    """Config, sha256 of the weights and `about` of a folder from `save_encoder`; the weights are hashed, not loaded.

    Raises:
        InputError: no encoder there.
        CorruptArtefact: the weights disagree with their hash, or a newer format.
    """
    place = Folder(folder)
    value = place.read_sealed_json(CONFIG, FORMAT_VERSION, "pretrain one with `python -m jobs.pretrain`")
    if not place.exists(WEIGHTS) or place.sha256(WEIGHTS) != value["weights_sha256"]:
        where = place.shown(WEIGHTS)
        raise CorruptArtefact(f"{where}: does not match its sha256 in config.json; restore it or pretrain again")
    return EncoderConfig(**value["encoder"]), value["weights_sha256"], value["about"]


def load_encoder(folder: Path) -> tuple[EncoderConfig, dict[str, Tensor], dict[str, Any]]:
    """Config, tensors and `about` of a folder from `save_encoder`, its hash checked; raises as `encoder_about`."""
    config, _, about = encoder_about(folder)
    return config, read_tensors(folder / WEIGHTS), about


def load_language_model(folder: Path) -> tuple[MaskedLanguageModel, dict[str, Any]]:
    """Model and `about` of a folder from `save_encoder`; raises as `load_encoder`."""
    config, tensors, about = load_encoder(folder)
    model = MaskedLanguageModel(config)
    load_into(model, tensors | {TIED: tensors[EMBEDDING]}, str(folder / WEIGHTS))
    model.tie()
    return model.eval(), about


def load_into_classifier(
    classifier: SequenceClassifier | TokenClassifier, tensors: dict[str, Tensor], where: str
) -> None:
    """Give a classifier the encoder of a pretrained masked language model; its own layers stay."""
    prefix = "bert."
    load_into(classifier.bert, {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}, where)


def parameter_count(module: nn.Module) -> int:
    """Number of parameters, tied ones once."""
    return sum(parameter.numel() for parameter in module.parameters())


def set_deterministic(threads: int) -> None:
    """One thread count and deterministic kernels, so that a run repeats bit by bit."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Nothing here reads what it has not written; torch would fill every new tensor first, which takes a pass over it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
