"""What decides the numbers of a trial or a baseline, as one hash: a finished one of the same hash is only read."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from genomics_fm.artefacts import sha256_json
from genomics_fm.model.weights import encoder_about
from genomics_fm.tasks import baselines, fractions, hf_encoder, learning, linear, newton
from genomics_fm.tasks.cnn_baseline import CnnConfig
from genomics_fm.tasks.task import Task
from genomics_fm.tasks.trial_config import SCORED_IN, TrialConfig
from genomics_fm.vocabulary.ensemble import FILE_NAME, Ensemble

NUMBERS_VERSION = 4
"""Raised by hand with every change of code after which the same settings give other numbers; states that probes keep
have a version of their own (`features.STATES_VERSION`)."""
NO_INFLUENCE = ("threads", "batch_tokens")
"""Settings of a trial that change numbers by rounding at most; of adapters packed parts decide what dropout draws."""


def encoder_hashes(folder: Path) -> tuple[str, str]:
    """sha256 of an encoder's weights, which are verified, and of its vocabulary.

    Raises:
        InputError: there is none.
        CorruptArtefact: it is damaged.
    """
    _, weights, _ = encoder_about(folder)
    return weights, Ensemble.load(folder / FILE_NAME).sha256


def of_trial(trial: TrialConfig, encoder: tuple[str, str], task: Task, workers: int = 1) -> str:
    """Of a trial; `encoder` is from `encoder_hashes`.

    Parts and workers count for adapters: dropout is drawn for packed tokens as they lie, by each worker.
    """
    settings = {name: value for name, value in asdict(trial).items() if name not in NO_INFLUENCE}
    if trial.precision != SCORED_IN:
        settings["scored_in"] = SCORED_IN
    draws = [workers, trial.batch_tokens] if trial.how == "lora" else []
    if trial.fraction < 1:
        draws.append(fractions.ORDER_VERSION)
    return _hash(task, "trial", encoder, settings, _ends(), _linear(), *draws)


def of_baseline(name: str, task: Task, seed: int, cap: int | None, network: CnnConfig) -> str:
    """Of a baseline of `tasks.baselines`."""
    settings = [asdict(network), _ends()] if name == baselines.CNN else [baselines.KMERS, baselines.CONTEXTS, _linear()]
    return _hash(task, name, seed, cap, settings)


def of_foreign(name: str, task: Task, config: TrialConfig) -> str:
    """Of another's encoder, `hf:…`: what its files hold, as `hf_encoder.contents` has it, and how it is probed."""
    decisive = {setting: getattr(config, setting) for setting in hf_encoder.SETTINGS}
    return _hash(task, name, hf_encoder.contents(name), decisive, _linear())


def _hash(task: Task, *decisive: Any) -> str:
    return sha256_json([NUMBERS_VERSION, task.sha256, *decisive])


def _ends() -> list[Any]:
    """What is called converged."""
    return [learning.PLATEAU, learning.LEAST_POINTS]


def _linear() -> list[Any]:
    """How linear models are fitted."""
    return [linear.PENALTIES, linear.PATIENCE, newton.ITERATIONS, newton.TOLERANCE, newton.CONVERGED]
