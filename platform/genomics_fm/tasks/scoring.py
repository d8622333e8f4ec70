"""Class probabilities of many sequences, in batches of like length; the same for training and serving."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.model.heads import SequenceClassifier
from genomics_fm.vocabulary.ensemble import Ensemble

BATCH_TOKENS = 8_192
"""Tokens scored at once: bounds memory at any mixture of lengths."""


def strand_probabilities(
    module: SequenceClassifier, vocabulary: Ensemble, name: str, sequences: Sequence[str], both_strands: bool
) -> np.ndarray:
    """Probability of class 1 for each strand of each sequence.

    Args:
        module: a classifier with two outputs, in evaluation mode.
        vocabulary: the ensemble.
        name: which of its vocabularies reads.
        sequences: upper case, A C G T N.
        both_strands: score the reverse complement too (unstranded tasks, R20).

    Returns:
        (1 or 2, B) float64: as given, then reverse complement. One sequence's value does not depend on the others
        beyond rounding.
    """
    strands = [*sequences, *map(reverse_complement, sequences)] if both_strands else list(sequences)
    documents = [vocabulary.document(name, sequence) for sequence in strands]
    probability = np.empty(len(documents))
    for rows in batches([len(document) for document in documents], BATCH_TOKENS):
        ids_N = torch.from_numpy(np.concatenate([documents[i] for i in rows])).long()
        with torch.inference_mode():
            logits_BC = module(ids_N, [len(documents[i]) for i in rows]).double()
        probability[rows] = torch.softmax(logits_BC, dim=-1)[:, 1].numpy()
    return probability.reshape(1 + both_strands, len(sequences))


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
