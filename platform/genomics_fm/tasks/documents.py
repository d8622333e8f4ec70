"""Labelled sequences as the token documents a model reads, on one strand or both, and batches of them."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.model.heads import TokenClassifier
from genomics_fm.model.pooling import mean_over_bases
from genomics_fm.randomness import bits, key
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.letters import letters_of
from genomics_fm.vocabulary.special import CLS_ID, SEP_ID


@dataclass(frozen=True)
class Document:
    """A sequence as one vocabulary reads it.

    Attributes:
        ids_T: with CLS, prompt and SEP.
        bases: letters of the sequence.
        interval_T2: half-open base interval of each content token; None where nobody asks for bases.
    """

    ids_T: NDArray[np.int32]
    bases: int
    interval_T2: NDArray[np.int64] | None


def documents(vocabulary: Ensemble, name: str, sequences: Sequence[str], per_base: bool = False) -> list[Document]:
    """Every sequence as a document of a vocabulary; with intervals for outputs of bases.

    Raises:
        InputError: the ensemble has no such vocabulary.
    """
    prompt = vocabulary.prompt_id(name)
    letters_L = letters_of("".join(sequences)).copy()
    starts_D = np.cumsum([0, *map(len, sequences)], dtype=np.int64)
    ids_T, ends_D = vocabulary.encode_many(name, letters_L, starts_D)
    found = []
    for sequence, (begin, end) in zip(sequences, itertools.pairwise(ends_D), strict=True):
        content_T = ids_T[begin:end]
        interval_T2 = vocabulary.intervals(name, content_T) if per_base else None
        framed_T = np.concatenate([[CLS_ID, prompt], content_T, [SEP_ID]]).astype(np.int32)
        found.append(Document(framed_T, len(sequence), interval_T2))
    return found


def strands(
    vocabulary: Ensemble, name: str, sequences: Sequence[str], both: bool, per_base: bool = False
) -> list[list[Document]]:
    """Documents of the sequences as they stand and, with `both`, of their reverse complements (R20)."""
    read = [list(sequences), [*map(reverse_complement, sequences)]] if both else [list(sequences)]
    return [documents(vocabulary, name, strand, per_base) for strand in read]


def outputs(module: nn.Module, given: Sequence[Document], device: torch.device) -> Tensor:
    """What a head says about documents computed together: (B, C), or (bases of all, C) of a `TokenClassifier`."""
    ids_N = torch.from_numpy(np.concatenate([document.ids_T for document in given])).long().to(device)
    values = module(ids_N, [len(document.ids_T) for document in given])
    return _of_bases(values, given) if isinstance(module, TokenClassifier) else values


def _of_bases(values_TC: Tensor, given: Sequence[Document]) -> Tensor:
    """Values of content tokens as those of bases, document after document; 0 where no token covers a base."""
    first_B = np.cumsum([0, *(document.bases for document in given)])
    shifted = [
        document.interval_T2 + first
        for document, first in zip(given, first_B, strict=False)
        if document.interval_T2 is not None and len(document.interval_T2)
    ]
    interval_T2 = np.concatenate([np.empty((0, 2), np.int64), *shifted])
    return mean_over_bases(values_TC, torch.from_numpy(interval_T2).to(values_TC.device), int(first_B[-1]))


def batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Indices in batches of rising length, each of at most `batch_tokens` tokens or one document."""
    batch: list[int] = []
    tokens = 0
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and tokens + lengths[i] > batch_tokens:
            yield batch
            batch, tokens = [], 0
        batch.append(i)
        tokens += lengths[i]
    if batch:
        yield batch


def parts(given: Sequence[Document], batch_tokens: int) -> list[list[int]]:
    """Numbers of the documents of an update, in order where they fit into one part, else by length."""
    lengths = [len(document.ids_T) for document in given]
    if sum(lengths) <= batch_tokens:
        return [list(range(len(given)))] if given else []
    return list(batches(lengths, batch_tokens))


def picked_rows(order_key: int, update: int, rows: int, size: int) -> NDArray[np.int64]:
    """Rows of one update: every row once an epoch, in an order that depends on epoch and key alone."""
    index = np.arange(update * size, (update + 1) * size)
    epochs = {epoch: np.argsort(bits(key(order_key, epoch), rows)) for epoch in set((index // rows).tolist())}
    return np.array([epochs[int(i) // rows][i % rows] for i in index])
