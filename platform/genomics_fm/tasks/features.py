"""Pooled states of an encoder that stays as it is, computed once for a set of sequences and kept on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from genomics_fm.artefacts import read_sealed_json, sha256_file, sha256_json, write_sealed_json
from genomics_fm.errors import CorruptArtefact
from genomics_fm.model.heads import SequenceClassifier
from genomics_fm.model.pieces import encode_any_length
from genomics_fm.model.weights import read_tensors, write_tensors
from genomics_fm.tasks.documents import batches, strands
from genomics_fm.vocabulary.ensemble import Ensemble

FORMAT_VERSION = 1
STATES_VERSION = 1
"""Raised by hand, with `identities.NUMBERS_VERSION`, where code changes what the states of the same weights are."""
_TENSOR = "features"


@dataclass(frozen=True)
class Features:
    """How sequences become numbers.

    Attributes:
        module: whose encoder and pooling are used; in evaluation mode, on its device.
        vocabulary: the ensemble.
        name: which of its vocabularies reads.
        encoder: what tells this encoder's weights from all others.
        both_strands: each sequence is read on its reverse complement too (R20).
        batch_tokens: computed at once, or one document.
        bf16: compute in bfloat16.
        cache: folder where they are kept; None: nowhere.
    """

    module: SequenceClassifier
    vocabulary: Ensemble
    name: str
    encoder: str
    both_strands: bool
    batch_tokens: int
    bf16: bool
    cache: Path | None

    def of(self, sequences: Sequence[str]) -> NDArray[np.float32]:
        """(S, N, D): each sequence as given, and reverse-complemented where both strands are read.

        What is in the cache is read; what is damaged there, or of a newer format, is computed again.
        """
        if self.cache is None:
            return self._compute(sequences)
        made_of = self._made_of(sequences)
        path = self.cache / f"{sha256_json(made_of)}.safetensors"
        found = _read(path)
        if found is None:
            found = self._compute(sequences)
            write_tensors(path, {_TENSOR: torch.from_numpy(found)})
            about = {"format_version": FORMAT_VERSION, "made_of": made_of, "features_sha256": sha256_file(path)}
            write_sealed_json(path.with_suffix(".json"), about)
        return found

    def _made_of(self, sequences: Sequence[str]) -> dict[str, str | bool | int]:
        """All that the numbers depend on beyond rounding."""
        return {
            "version": STATES_VERSION,
            "encoder": self.encoder,
            "vocabulary": f"{self.name} of {self.vocabulary.sha256}",
            "pooling": self.module.pooling,
            "both_strands": self.both_strands,
            "bf16": self.bf16,
            "sequences": sha256_json(list(sequences)),
        }

    def _compute(self, sequences: Sequence[str]) -> NDArray[np.float32]:
        read = strands(self.vocabulary, self.name, sequences, self.both_strands)
        given = [document.ids_T for strand in read for document in strand]
        found_RD = np.empty((len(given), self.module.bert.config.width), np.float32)
        device = next(self.module.parameters()).device
        for rows in batches([len(ids_T) for ids_T in given], self.batch_tokens):
            ids_N = torch.from_numpy(np.concatenate([given[row] for row in rows])).long().to(device)
            lengths = [len(given[row]) for row in rows]
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
                pooled_BD = self.module.pool(encode_any_length(self.module.bert, ids_N, lengths), lengths)
            found_RD[rows] = pooled_BD.float().cpu().numpy()
        return found_RD.reshape(len(read), len(sequences), -1)


def _read(path: Path) -> NDArray[np.float32] | None:
    """Features that are there and whole."""
    sealed = path.with_suffix(".json")
    if not (path.is_file() and sealed.is_file()):
        return None
    try:
        about = read_sealed_json(sealed, FORMAT_VERSION, "")
        if about.get("features_sha256") == sha256_file(path):
            return read_tensors(path)[_TENSOR].numpy()
    except (CorruptArtefact, KeyError):
        pass  # computed again, which costs time and loses nothing
    return None
