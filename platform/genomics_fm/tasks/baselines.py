"""What a model has to beat on a task: answers that need no pretrained encoder, of every kind of problem (SPEC R29).

All learn from the same training rows, make their choices on the validation rows and are scored once on the test rows.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genomics_fm.errors import InputError, require
from genomics_fm.tasks import cnn_baseline, composition, kmer_features, metrics, results
from genomics_fm.tasks import linear as linear_models
from genomics_fm.tasks.cnn_baseline import CnnConfig
from genomics_fm.tasks.fractions import subset_of
from genomics_fm.tasks.metrics import Predictions
from genomics_fm.tasks.objective import objective_of
from genomics_fm.tasks.problem import Kind, Problem
from genomics_fm.tasks.results import ArmResult
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.task import Task
from genomics_fm.tasks.trial_config import TrialConfig

KMERS = (4, 6)
"""Lengths of which validation picks one: few rows or short ones have not enough 6-mers."""
CONTEXTS = (3, 5, 7)

GC, CNN = "GC and length", "CNN"
NAMES: dict[Kind, tuple[str, ...]] = {
    "classification": ("majority", GC, "k-mer logistic", CNN),
    "multilabel": ("prevalence", GC, "k-mer logistic", CNN),
    "regression": ("mean", GC, "k-mer ridge", CNN),
    "per-base": ("majority", "k-mer around", CNN),
}


@dataclass(frozen=True)
class Fitted:
    """A baseline that has learnt.

    Attributes:
        predict: sequences to predictions.
        chosen: what validation picked, and what else is worth a column.
    """

    predict: Callable[[Sequence[str]], Predictions]
    chosen: dict[str, Any]


Features = Callable[[Sequence[str]], Any]  # sequences to (N, F)
Fit = Callable[[Problem, Rows, Rows], Fitted]  # training and validation rows to a baseline


def run(
    task: Task,
    names: Sequence[str] | None = None,
    *,
    seed: int = 0,
    fraction: float = 1.0,
    cap: int | None = None,
    network: CnnConfig | None = None,
    on_arm: Callable[[ArmResult], None] | None = None,
) -> list[ArmResult]:
    """Fit and score baselines.

    Args:
        task: rows and question.
        names: of `NAMES[task.problem.kind]`, in the order wanted; None for all.
        seed: of the subset of rows, and of the network.
        fraction: of the (capped) training rows, as `fractions.subset_of` draws them.
        cap: most training rows; None for none.
        network: of the CNN.
        on_arm: receives each result as it is there.

    Raises:
        InputError: an unknown name, or a fraction that leaves a class without rows.
    """
    known = NAMES[task.problem.kind]
    wanted = known if names is None else tuple(names)
    for name in wanted:
        require(name in known, "baseline", name, f"one of {', '.join(known)}")
    index = subset_of(task.problem, task.train, fraction, seed, cap)
    if not len(index):
        raise InputError(f"fraction {fraction}: leaves a class without any row; take more labels")
    train = task.train.take(index)
    found = []
    for name in wanted:
        arm = score(task, name, _fit_of(name, seed, network), train, fraction, len(train) < len(task.train))
        found.append(arm)
        if on_arm is not None:
            on_arm(arm)
    return found


def score(task: Task, name: str, fit: Fit, train: Rows, fraction: float = 1.0, capped: bool = False) -> ArmResult:
    """Fit one baseline on `train` and score it on the task's other splits."""
    began = time.perf_counter()
    fitted = fit(task.problem, train, task.validation)
    validation, test = fitted.predict(task.validation.sequences), fitted.predict(task.test.sequences)
    calibration = None if task.calibration is None else fitted.predict(task.calibration.sequences)
    return results.score(
        task.problem,
        task.validation,
        task.test,
        name=name,
        validation_predictions=validation,
        test_predictions=test,
        calibration_predictions=calibration,
        fraction=fraction,
        capped=capped,
        labels_seen=len(train),
        seconds=time.perf_counter() - began,
        chosen=fitted.chosen,
    )


def _fit_of(name: str, seed: int, network: CnnConfig | None) -> Fit:
    if name == GC:
        return lambda problem, train, validation: linear(problem, train, validation, composition.gc_and_length)
    if name == CNN:
        return lambda problem, train, validation: _cnn(problem, train, validation, seed, network or CnnConfig())
    if name == "k-mer around":
        return _context
    return _kmers if name.startswith("k-mer") else _constant


def _constant(problem: Problem, train: Rows, validation: Rows) -> Fitted:
    value_C = composition.constant(problem, train.labels)
    return Fitted(lambda sequences: composition.everywhere(problem, value_C, sequences), {})


def linear(problem: Problem, train: Rows, validation: Rows, features: Features) -> Fitted:
    """Logistic or ridge regression of any features of sequences."""
    objective = objective_of(TrialConfig(), problem, train.labels)
    found = linear_models.choose(
        objective,
        features(train.sequences),
        train.labels,
        lambda guess: metrics.evaluate(problem, validation.labels, guess)[problem.metric],
        features(validation.sequences),
    )
    chosen = {"penalty": found.penalty, "converged": found.converged}

    def predict(sequences: Sequence[str]) -> Predictions:
        return linear_models.predictions(objective, found.model(features(sequences))).astype(np.float32)

    return Fitted(predict, chosen)


def _kmers(problem: Problem, train: Rows, validation: Rows) -> Fitted:
    """Of the length that validation picks, of equal ones the shorter; canonical where the task is unstranded (R20)."""
    found = []
    for k in KMERS:

        def features(sequences: Sequence[str], k: int = k) -> Any:
            return kmer_features.matrix(sequences, k, both_strands=not problem.stranded)

        fitted = linear(problem, train, validation, features)
        guess = fitted.predict(validation.sequences)
        reached = metrics.evaluate(problem, validation.labels, guess)[problem.metric]
        found.append((reached, Fitted(fitted.predict, {"k": k} | fitted.chosen)))
    return found[int(np.argmax([reached for reached, _ in found]))][1]


def _context(problem: Problem, train: Rows, validation: Rows) -> Fitted:
    tables = [composition.Context(problem, train.sequences, train.labels, k) for k in CONTEXTS]
    reached = [
        metrics.evaluate(problem, validation.labels, table(validation.sequences))[problem.metric] for table in tables
    ]
    best = tables[int(np.argmax(reached))]
    return Fitted(best, {"k": best.k})


def _cnn(problem: Problem, train: Rows, validation: Rows, seed: int, network: CnnConfig) -> Fitted:
    trained = cnn_baseline.train(problem, train, validation, seed, network)
    seen = trained.updates * min(network.batch_rows, len(train))
    return Fitted(
        trained.predict,
        {
            "learning_rate": network.learning_rate,
            "updates": trained.updates,
            "rows_seen": seen,
            "converged": trained.converged,
            "seed": seed,
        },
    )
