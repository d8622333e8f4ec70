"""How well an encoder fills in hidden DNA it was not trained on, next to Markov models on the same bases (R17).

Everything masked becomes [MASK]; the softmax is over the pieces of the vocabulary that reads. These are
pseudo-likelihoods: they are never compared across vocabularies, mask geometries or rates.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genomics_fm.errors import InputError
from genomics_fm.model.heads import MaskedLanguageModel
from genomics_fm.pretraining.masking import MASKING
from genomics_fm.randomness import key
from genomics_fm.training.heldout import Stretch
from genomics_fm.training.hiding import Hidden, Reader
from genomics_fm.training.markov import Markov
from genomics_fm.training.markov_scores import posterior, teacher_forced
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.letters import letters_of, write_codes

FORMAT_VERSION = 1
BATCH_TOKENS = 8_192
ORDERS = (5, 11)
"""Of the Markov models that see the true letters before each base (R17)."""
BOTH_SIDES_ORDER = 5
"""Of the one that sees what the encoder sees."""
BOTH_SIDES = "both sides"
COMPARISON = (
    "Losses, accuracies and bits of different vocabularies, masks or rates are not comparable: "
    "each vocabulary is asked other questions. Compare within a vocabulary."
)
COLUMNS = ("segments", "tokens", "nats", "token_correct", "bases", "correct")
"""Of an encoder."""
Columns = dict[str, NDArray[np.float64]]
"""Sums by what they are of, one entry a stretch."""
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class EvaluationConfig:
    """What is hidden where.

    Attributes:
        seed: of stretches and masks.
        segments: stretches a file.
        segment_bp: their length in nucleotides.
        masking: preset of the mask.
    """

    seed: int = 0
    segments: int = 1_000
    segment_bp: int = 510
    masking: str = "default"


def evaluate(
    model: MaskedLanguageModel,
    ensemble: Ensemble,
    names: Sequence[str],
    stretches: Sequence[Stretch],
    markov: Markov | None,
    config: EvaluationConfig,
    report: Report,
) -> dict[str, Any]:
    """Score an encoder with each vocabulary.

    Args:
        model: in evaluation mode, on any device.
        ensemble: its vocabularies.
        names: which of them read.
        stretches: held-out sequence.
        markov: of order `max(ORDERS)`, counted from the training corpus; None for no baselines.
        config: seed and mask.
        report: receives a vocabulary, stretches done and stretches in all.

    Returns:
        By vocabulary: figures of `all`, `by_source` and `by_contig`; see `_figures`.
    """
    result = {}
    for name in names:
        reader = Reader.of(ensemble, name)
        hidden = hidden_of(reader, stretches, config)
        columns = encoder_columns(model, reader, hidden, stretches, report)
        if not np.isfinite(columns["nats"]).all():
            raise InputError(
                f"vocabulary {name}: a loss that is not finite: its weights are damaged; use another encoder"
            )
        if markov is not None:
            columns |= markov_columns(markov, name, hidden, stretches, report)
        by_contig = grouped(columns, [f"{s.source}: {s.contig}" for s in stretches], reader.overlap == 1)
        result[name] = {**by_source(columns, stretches, reader.overlap == 1), "by_contig": by_contig}
    return result


def by_source(columns: Columns, stretches: Sequence[Stretch], side_by_side: bool) -> dict[str, Any]:
    """Figures of `all` stretches and `by_source`."""
    return {
        "all": _figures({what: values.sum() for what, values in columns.items()}, side_by_side),
        "by_source": grouped(columns, [stretch.source for stretch in stretches], side_by_side),
    }


def hidden_of(reader: Reader, stretches: Sequence[Stretch], config: EvaluationConfig) -> list[Hidden]:
    """What is hidden of each stretch from one vocabulary; it depends on seed, vocabulary and place alone."""
    return [reader.hide(s.sequence, _mask_key(config.seed, reader.name, s), MASKING[config.masking]) for s in stretches]


def _mask_key(seed: int, name: str, stretch: Stretch) -> int:
    return key(seed, "evaluation mask", name, stretch.contig, stretch.start)


def codes_of(sequence: str) -> NDArray[np.int16]:
    """Letters by code, `N_CODE` for N."""
    letters_L = letters_of(sequence)
    codes_L = np.empty(letters_L.size, np.int16)
    write_codes(letters_L, codes_L)
    return codes_L


def batches_of(hidden: Sequence[Hidden]) -> list[range]:
    """Which documents go through the model together: neighbours of at most `BATCH_TOKENS`, or one alone."""
    made, first, tokens = list[range](), 0, 0
    for number, one in enumerate(hidden):
        if number > first and tokens + len(one.ids_T) > BATCH_TOKENS:
            made.append(range(first, number))
            first, tokens = number, 0
        tokens += len(one.ids_T)
    return [*made, range(first, len(hidden))] if hidden else made


def encoder_columns(
    model: MaskedLanguageModel,
    reader: Reader,
    hidden: Sequence[Hidden],
    stretches: Sequence[Stretch],
    report: Report,
    device: torch.device | None = None,
) -> Columns:
    """What an encoder makes of stretches: sums of each, which may be NaN where its weights are.

    Args:
        model: in evaluation mode.
        reader: the vocabulary.
        hidden: of each stretch.
        stretches: held-out sequence.
        report: receives the vocabulary, stretches done and stretches in all.
        device: where the model computes; by default where its embeddings are.
    """
    device = device or model.bert.embeddings.word_embeddings.weight.device
    columns: Columns = {name: np.zeros(len(hidden)) for name in COLUMNS}
    for batch in batches_of(hidden):
        report(reader.name, batch.start, len(hidden))
        nats_M, best_M = predict(model, reader, [hidden[number] for number in batch], device)
        first = 0
        for number in batch:
            one, codes_L = hidden[number], codes_of(stretches[number].sequence)
            last = first + len(one.select_M)
            best = best_M[first:last]
            letters_S = reader.letters_VW[best[one.token_S], one.offset_S]
            correct, matches = letters_S == codes_L[one.base_S], best == one.labels_M
            sums = (1, last - first, nats_M[first:last].sum(), matches.sum(), len(one.base_S), correct.sum())
            for name, value in zip(COLUMNS, sums, strict=True):
                columns[name][number] = value
            first = last
    report(reader.name, len(hidden), len(hidden))
    return columns


def predict(
    model: MaskedLanguageModel, reader: Reader, hidden: Sequence[Hidden], device: torch.device
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """−ln p of what stood at each masked place, and the rank of the likeliest piece there, (M,)."""
    lengths = [len(one.ids_T) for one in hidden]
    starts = np.cumsum([0, *lengths[:-1]])
    select_M = np.concatenate([start + one.select_M for start, one in zip(starts, hidden, strict=True)])
    labels_M = torch.from_numpy(np.concatenate([one.labels_M for one in hidden])).to(device)
    ids_N = torch.from_numpy(np.concatenate([one.ids_T for one in hidden])).long().to(device)
    pieces_V = torch.from_numpy(reader.pieces_V).long().to(device)
    # Not inference_mode: what a sharded model gathers here, its next training step may use again.
    with torch.no_grad():
        logits_MV = model(ids_N, lengths, torch.from_numpy(select_M).to(device), pieces_V).float()
        nats_M = torch.nn.functional.cross_entropy(logits_MV, labels_M, reduction="none")
        best_M = logits_MV.argmax(-1)
    return nats_M.double().cpu().numpy(), best_M.cpu().numpy()


def markov_columns(
    markov: Markov, name: str, hidden: Sequence[Hidden], stretches: Sequence[Stretch], report: Report
) -> Columns:
    """What Markov models make of the bases hidden of stretches; `name` is the vocabulary's, for `report`."""
    columns: Columns = {}
    for number, (one, stretch) in enumerate(zip(hidden, stretches, strict=True)):
        report(f"{name}, Markov", number, len(hidden))
        codes_L = codes_of(stretch.sequence)
        true_S = codes_L[one.base_S]
        answers = {}
        for order in ORDERS:
            nats_L, best_L = teacher_forced(markov, order, codes_L)
            answers[f"order {order}"] = nats_L[one.base_S], best_L[one.base_S]
        hidden_L = np.zeros(codes_L.size, bool)
        hidden_L[one.base_S] = True
        posterior_S4 = posterior(markov, BOTH_SIDES_ORDER, codes_L, hidden_L)[one.base_S]
        own_S = posterior_S4[np.arange(len(true_S)), true_S]
        answers[f"order {BOTH_SIDES_ORDER}, {BOTH_SIDES}"] = -np.log(own_S), posterior_S4.argmax(1)
        for markov_name, (nats_S, best_S) in answers.items():
            for what, value in (("nats", nats_S.sum()), ("correct", (best_S == true_S).sum())):
                columns.setdefault(f"{markov_name}:{what}", np.zeros(len(hidden)))[number] = value
    return columns


def counted(hidden: Sequence[Hidden]) -> Columns:
    """The columns of an encoder that none is needed for; its own are 0."""
    columns: Columns = {name: np.zeros(len(hidden)) for name in COLUMNS}
    columns["segments"] += 1
    columns["tokens"] += [len(one.select_M) for one in hidden]
    columns["bases"] += [len(one.base_S) for one in hidden]
    return columns


def grouped(columns: Columns, groups: Sequence[str], side_by_side: bool) -> dict[str, Any]:
    """Figures of each group, in order of first appearance."""
    number_of = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    group_D = np.array([number_of[group] for group in groups])
    sums = {what: np.bincount(group_D, values, len(number_of)) for what, values in columns.items()}
    return {
        group: _figures({what: values[number] for what, values in sums.items()}, side_by_side)
        for group, number in number_of.items()
    }


def _figures(sums: dict[str, float], side_by_side: bool) -> dict[str, Any]:
    """What is told of some stretches.

    Args:
        sums: by column.
        side_by_side: tokens cover each base once, so that their probabilities add up to bits a base.

    Returns:
        `loss`: nats a masked token; `base_accuracy`: share of hidden bases read rightly; `bits_per_nucleotide`:
        Σ −log2 p / Σ bases; `markov`: the latter two of each model on the same bases. None where nothing is hidden.
    """
    tokens, bases = sums["tokens"], sums["bases"]

    def ratio(over: float, under: float) -> float | None:
        return float(over / under) if under and np.isfinite(over) else None

    figures: dict[str, Any] = {
        "segments": int(sums["segments"]),
        "masked_tokens": int(tokens),
        "hidden_bases": int(bases),
        "loss": ratio(sums["nats"], tokens),
        "token_accuracy": ratio(sums["token_correct"], tokens),
        "base_accuracy": ratio(sums["correct"], bases),
    }
    if side_by_side:
        figures["bits_per_nucleotide"] = ratio(sums["nats"] / math.log(2), bases)
    models = [what.removesuffix(":nats") for what in sums if what.endswith(":nats")]
    figures["markov"] = {
        name: {
            "base_accuracy": ratio(sums[f"{name}:correct"], bases),
            "bits_per_nucleotide": ratio(sums[f"{name}:nats"] / math.log(2), bases),
        }
        for name in models
    }
    return figures


def about(config: EvaluationConfig, markov: Markov | None) -> dict[str, Any]:
    """How the figures were made, for the JSON beside them."""
    settings = asdict(config) | {"mask": asdict(MASKING[config.masking]), "positions": "[MASK] only"}
    if markov is None:
        return {"settings": settings, "markov": None, "comparison": COMPARISON}
    counted = {"nucleotides": markov.nucleotides, "strands": 2, "strengths": list(markov.strengths)}
    return {"settings": settings, "markov": counted, "comparison": COMPARISON}
