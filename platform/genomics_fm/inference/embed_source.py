"""An encoder to embed with, from any folder that holds one."""

from dataclasses import dataclass
from pathlib import Path

import torch

from genomics_fm.artefacts import sha256_file
from genomics_fm.errors import InputError
from genomics_fm.inference.sources import TORCH_WEIGHTS, load_any
from genomics_fm.model.encoder import Encoder
from genomics_fm.model.weights import WEIGHTS
from genomics_fm.vocabulary.ensemble import FILE_NAME, Ensemble


@dataclass(frozen=True)
class EmbedSource:
    """An encoder that is ready to embed.

    Attributes:
        encoder: in evaluation mode.
        vocabulary: its ensemble.
        default: the vocabulary that reads where none is named.
        sha256: of its weights file.
    """

    encoder: Encoder
    vocabulary: Ensemble
    default: str
    sha256: str


def open_source(folder: Path) -> EmbedSource:
    """Load the encoder of a folder that `load_any` opens, onto a GPU where there is one.

    Raises:
        InputError: no such folder, no model in it, or no vocabulary beside the model.
        CorruptArtefact: a file is damaged.
    """
    model, vocabulary, about = load_any(folder)
    if vocabulary is None:
        raise InputError(
            f"{folder}: no {FILE_NAME} beside the model, so nothing makes tokens of letters; "
            "put the one it was trained with there"
        )
    weights = next(path for name in (WEIGHTS, TORCH_WEIGHTS) if (path := folder / name).is_file())
    return EmbedSource(
        encoder=model.bert.eval().to("cuda" if torch.cuda.is_available() else "cpu"),
        vocabulary=vocabulary,
        default=about.get("vocabulary") or vocabulary.names[0],
        sha256=sha256_file(weights),
    )
