"""What decides an arm's numbers, as one hash: a finished arm of the same hash is only read."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from genomics_fm.artefacts import sha256_json
from genomics_fm.model.weights import encoder_about
from genomics_fm.tasks import baselines, learning, linear, linear_baseline
from genomics_fm.tasks.cnn_baseline import CnnConfig
from genomics_fm.tasks.task import Task
from genomics_fm.tasks.trial_config import TrialConfig
from genomics_fm.tasks.trials import NO_INFLUENCE
from genomics_fm.vocabulary.ensemble import FILE_NAME, Ensemble

NUMBERS_VERSION = 2
"""Raised by hand with every change of code after which the same settings give other numbers."""


def encoder_hashes(folder: Path) -> tuple[str, str]:
    """sha256 of an encoder's weights, which are verified, and of its vocabulary.

    Raises:
        InputError: there is none.
        CorruptArtefact: it is damaged.
    """
    _, weights, _ = encoder_about(folder)
    return weights, Ensemble.load(folder / FILE_NAME).sha256


def of_trial(trial: TrialConfig, encoder: tuple[str, str], task: Task) -> str:
    """Of a trial; `encoder` is from `encoder_hashes`."""
    settings = {name: value for name, value in asdict(trial).items() if name not in NO_INFLUENCE}
    return _hash(task, "trial", encoder, settings, _ends(), _linear(linear))


def of_baseline(name: str, task: Task, seed: int, cap: int | None, network: CnnConfig) -> str:
    """Of a baseline of `tasks.baselines`."""
    lengths = [baselines.KMERS, baselines.CONTEXTS]
    return _hash(task, name, seed, cap, asdict(network), lengths, _ends(), _linear(linear_baseline))


def of_foreign(name: str, task: Task, seed: int, cap: int | None) -> str:
    """Of another's encoder; what stands behind its name is not hashed."""
    return _hash(task, name, seed, cap, _linear(linear_baseline))


def _hash(task: Task, *decisive: Any) -> str:
    return sha256_json([NUMBERS_VERSION, task.sha256, *decisive])


def _ends() -> list[Any]:
    """What is called converged."""
    return [learning.PLATEAU, learning.LEAST_POINTS]


def _linear(module: Any) -> list[Any]:
    """How linear models are fitted."""
    return [module.PENALTIES, module.ITERATIONS, module.TOLERANCE]
