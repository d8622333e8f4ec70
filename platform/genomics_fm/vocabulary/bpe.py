"""Byte-pair encoding over A C G T (Genomic Vocabulary-1, SPEC B1, R13)."""

import json
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, trainers

from genomics_fm.artefacts import sha256_json
from genomics_fm.vocabulary import bpe_kernel, bpe_tables
from genomics_fm.vocabulary.member import encode_each, encode_one
from genomics_fm.vocabulary.special import UNKNOWN


class BpeVocabulary:
    """Pieces and merges. Local ids are the order of pieces: A, C, G, T, then one piece a merge."""

    kind = "bpe"
    overlap = 1

    def __init__(self, pieces: list[str], merges: list[tuple[str, str]]) -> None:
        self.pieces = pieces
        self.merges = merges

    @classmethod
    def train(cls, texts: Iterable[str], size: int, max_piece_length: int = 32) -> "BpeVocabulary":
        """Learn merges by frequency.

        Args:
            texts: nucleotide sequences; each is one text without word boundaries. N splits nothing here:
                texts must be over A C G T.
            size: number of pieces, the four letters included. Fewer come back when the texts are too short.
            max_piece_length: longest piece, in nucleotides (the published vocabulary's is 32).
        """
        tokenizer = Tokenizer(models.BPE())
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            initial_alphabet=list("ACGT"),
            max_token_length=max_piece_length,
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        model = json.loads(tokenizer.to_str())["model"]
        pieces = sorted(model["vocab"], key=model["vocab"].__getitem__)
        return cls(pieces, [(left, right) for left, right in model["merges"]])

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The same vocabulary for `tokenizers`; its extra last id stands for every letter but A C G T, in any case."""
        vocabulary = {piece: rank for rank, piece in enumerate(self.pieces)}
        vocabulary["[UNK]"] = len(self.pieces)
        tokenizer = Tokenizer(models.BPE(vocabulary, self.merges, unk_token="[UNK]", fuse_unk=False))
        upper = [normalizers.Replace(letter.lower(), letter) for letter in "ACGT"]
        tokenizer.normalizer = normalizers.Sequence([*upper, normalizers.Replace(Regex("[^ACGT]"), "N")])
        return tokenizer

    @cached_property
    def _tables(self) -> bpe_tables.Tables | None:
        """None for merges that have to be applied one by one, which `tokenizers` does."""
        return bpe_tables.build(self.pieces, self.merges)

    def encode(self, sequence: str) -> np.ndarray:
        """Local ids, (T,) int64; each letter outside A C G T is one `UNKNOWN`."""
        if self._tables is None:
            ids_T = np.array(self.tokenizer.encode(sequence).ids, dtype=np.int64)
            ids_T[ids_T == len(self.pieces)] = UNKNOWN
            return ids_T
        return encode_one(self.encode_many, sequence)

    def encode_many(self, letters_L: np.ndarray, offsets_D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Member.encode_many`."""
        if self._tables is None:
            return encode_each(self, letters_L, offsets_D)
        return bpe_kernel.encode(letters_L, offsets_D, self._tables)

    def decode(self, local_ids: np.ndarray) -> str:
        """The sequence; one N for each unknown token, so its length is kept (R14)."""
        return "".join("N" if token == UNKNOWN else self.pieces[token] for token in local_ids.tolist())

    def intervals(self, local_ids: np.ndarray) -> np.ndarray:
        """Half-open base interval of every token, (T, 2) int64, from the segment's start."""
        lengths = np.array([len(piece) for piece in self.pieces] + [1], dtype=np.int64)
        end_T = np.cumsum(lengths[local_ids])  # UNKNOWN is −1: the last entry, one base
        return np.stack([end_T - lengths[local_ids], end_T], axis=1)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "pieces": self.pieces, "merges": [f"{a} {b}" for a, b in self.merges]}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "BpeVocabulary":
        merges = [(left, right) for left, right in (merge.split(" ") for merge in value["merges"])]
        parts = {part for left, right in merges for part in (left, right, left + right)}
        if strangers := parts.difference(value["pieces"]):
            raise ValueError(f"merges of {min(strangers)!r}, which is no piece")
        return cls(value["pieces"], merges)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BpeVocabulary) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(sha256_json(self.to_json()))
