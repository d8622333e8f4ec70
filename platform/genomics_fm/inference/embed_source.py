"""An encoder to embed with, from any folder that holds one."""

from dataclasses import dataclass
from pathlib import Path

from genomics_fm.artefacts import sha256_file
from genomics_fm.errors import InputError
from genomics_fm.inference.head import MANIFEST, load_head
from genomics_fm.model.encoder import Encoder
from genomics_fm.model.heads import MaskedLanguageModel
from genomics_fm.model.weights import TIED, WEIGHTS, load_encoder, load_into
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
    """Load the encoder of an encoder folder or of a head folder.

    Raises:
        InputError: no such folder, or nothing of ours in it.
        CorruptArtefact: a hash differs.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give one that holds an encoder or a head")
    sha256 = sha256_file(folder / WEIGHTS) if (folder / WEIGHTS).is_file() else ""
    if (folder / MANIFEST).is_file():
        head = load_head(folder)
        return EmbedSource(head.module.bert.eval(), head.vocabulary, head.card.vocabulary, sha256)
    config, tensors, _ = load_encoder(folder)
    model = MaskedLanguageModel(config)
    load_into(model, tensors | {TIED: tensors["bert.embeddings.word_embeddings.weight"]}, str(folder / WEIGHTS))
    vocabulary = Ensemble.load(folder / FILE_NAME)
    return EmbedSource(model.bert.eval(), vocabulary, vocabulary.names[0], sha256)
