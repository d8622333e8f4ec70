"""A small encoder that reads every kind of vocabulary, and what it should say about a sequence, said plainly."""

import functools
from pathlib import Path

import numpy as np
import torch

from genomics_fm.inference.embed import EmbedSettings, EmbedSummary, embed_file
from genomics_fm.inference.embed_source import EmbedSource
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import MaskedLanguageModel, new_language_model
from genomics_fm.model.weights import save_encoder
from genomics_fm.vocabulary.ensemble import FILE_NAME
from tests.vocabularies import every_kind

torch.set_num_threads(1)  # two threads on two busy cores are ten times slower than one
WIDTH, LAYERS = 16, 3


@functools.cache
def small_model(position: str = "alibi", max_positions: int = 512) -> MaskedLanguageModel:
    shape = {"layers": LAYERS, "width": WIDTH, "heads": 2, "ffn_width": 24, "max_positions": max_positions}
    config = EncoderConfig(vocabulary_size=every_kind().size, position=position, **shape)  # type: ignore[arg-type]
    model = new_language_model(config, seed=3).eval()
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight *= 20  # or every token would look the same
    return model


def small_source(position: str = "alibi", max_positions: int = 512) -> EmbedSource:
    return EmbedSource(small_model(position, max_positions).bert, every_kind(), "bpe", "0" * 64)


def write_encoder(folder: Path) -> Path:
    """The same encoder as a folder."""
    every_kind().save(folder / FILE_NAME)
    save_encoder(folder, small_model(), {"vocabulary_sha256": every_kind().sha256})
    return folder


def alone(source: EmbedSource, name: str, sequence: str, layer: int = LAYERS) -> np.ndarray:
    """Hidden states of CLS, prompt, content and SEP of one sequence, (T + 3, D)."""
    ids_T = torch.from_numpy(source.vocabulary.document(name, sequence)).long()
    with torch.inference_mode():
        return source.encoder(ids_T, [len(ids_T)], layer).numpy()


def embed(source: EmbedSource, path: Path, target: Path, **settings: object) -> tuple[EmbedSummary, list[str]]:
    """Embed a file; also the lines that were said."""
    said: list[str] = []
    return embed_file(source, str(path), target, EmbedSettings(**settings), said.append), said  # type: ignore[arg-type]
