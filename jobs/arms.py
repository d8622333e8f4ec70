"""Arms of a comparison, each in a folder of its own, without Ray or MLflow; a finished one is only read.

arm.json              scores, all that decided them and sha256 of the other two, sealed; written last
test.parquet          locus, block, label, prediction of the test rows
calibration.parquet   the same of the calibration split, where there is one

The folder of a trial is that of its head besides (`inference.head`).
"""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genomics_fm.artefacts import read_sealed_json, sha256_file, sha256_json, write_bytes, write_sealed_json
from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.inference.card import read_card
from genomics_fm.inference.head import replace_card, save_head
from genomics_fm.inference.new_card import new_card
from genomics_fm.inference.predicted import Predicted
from genomics_fm.model.weights import encoder_about
from genomics_fm.tasks import baselines, hf_encoder, identities, trial
from genomics_fm.tasks.cnn_baseline import CnnConfig
from genomics_fm.tasks.fractions import subset_of
from genomics_fm.tasks.parallel import alone
from genomics_fm.tasks.results import ArmResult
from genomics_fm.tasks.task import Task, load
from genomics_fm.tasks.trial import Trial
from genomics_fm.tasks.trial_config import TrialConfig
from genomics_fm.training.workers import Workers
from genomics_fm.vocabulary.ensemble import FILE_NAME, Ensemble
from jobs import tracking

FORMAT_VERSION = 1
ARM_FILE = "arm.json"
TEST, CALIBRATION = "test.parquet", "calibration.parquet"
FOREIGN = hf_encoder.PREFIX
"""Begins the names of encoders of others."""


@dataclass(frozen=True)
class ArmConfig:
    """A trial: of an encoder, on a task."""

    encoder: str = field(default="", metadata={"help": "folder of a pretrained encoder"})
    task: str = field(default="", metadata={"help": "folder of a task's rows"})
    trial: TrialConfig = field(default_factory=TrialConfig)


def run(
    config: ArmConfig,
    folder: Path,
    on_update: Callable[[int, float], None] | None = None,
    cache: Path | None = None,
    workers: Workers | None = None,
) -> dict[str, Any]:
    """Run a trial and write its head.

    Args:
        config: of the trial.
        folder: of the arm.
        on_update: told of every update.
        cache: folder where a probe keeps the encoder's states.
        workers: of which this process is one; all call it together, and the first writes. None: it is alone.

    Returns:
        The arm as reports show it: `ArmResult.summary`, with `head`, its folder, `converged`, `rows_seen`, `curve` …
    """
    task = load(Path(config.task))
    encoder = Path(config.encoder)
    workers = workers or alone(trial.device_of(config.trial))
    arm = identities.of_trial(config.trial, identities.encoder_hashes(encoder), task, workers.world)
    done = workers.gather(finished(folder, arm))[0]
    if done is not None:
        return dict(done)
    if not workers.rank:  # of other settings: killed while this one is written, its head would stand under their scores
        (folder / ARM_FILE).unlink(missing_ok=True)
    vocabulary = Ensemble.load(encoder / FILE_NAME)
    found = trial.run(config.trial, encoder, vocabulary, task, on_update, cache, workers)
    summary = _summary(config, folder, arm, found) | {"hashes": _hashes(encoder, vocabulary, task)}
    summary["workers"] = workers.world
    if workers.rank:
        return summary
    _save_head(folder, task, vocabulary, summary, found)
    return _keep(folder, task, summary, found.result)


def _summary(config: ArmConfig, folder: Path, arm: str, found: Trial) -> dict[str, Any]:
    chosen = ("vocabulary", "start", "how", "seed", "updates")
    return {
        **found.result.summary(),
        "identity": arm,
        **{name: getattr(config.trial, name) for name in chosen},
        "learning_rate": config.trial.optimizer.learning_rate,
        "converged": found.converged,
        "rows_seen": found.rows_seen,
        "curve": found.curve,
        "head": str(folder),
    }


def _hashes(encoder: Path, vocabulary: Ensemble, task: Task) -> dict[str, str]:
    _, weights, about = encoder_about(encoder)
    known = {"encoder": weights, "vocabulary": vocabulary.sha256, **task.hashes}
    return known | ({"corpus": about["corpus_sha256"]} if "corpus_sha256" in about else {})


def _save_head(folder: Path, task: Task, vocabulary: Ensemble, summary: dict[str, Any], found: Trial) -> None:
    told = ("start", "how", "fraction", "labels_seen", "rows_seen", "seed", "updates", "learning_rate", "converged")
    card = new_card(
        task,
        summary["vocabulary"],
        found.module,
        found.result,
        weights=found.weights,
        hashes=summary["hashes"],
        training={name: summary[name] for name in told},
    )
    rows = Predicted.of(task.validation, found.result.validation_predictions)
    save_head(folder, found.module, card, vocabulary, rows)


def _keep(folder: Path, task: Task, summary: dict[str, Any], result: ArmResult) -> dict[str, Any]:
    """Write predictions and, last, the summary, which is returned as it will be read."""
    files = {TEST: Predicted.of(task.test, result.test_predictions).to_parquet()}
    if task.calibration is not None and result.calibration_predictions is not None:
        files[CALIBRATION] = Predicted.of(task.calibration, result.calibration_predictions).to_parquet()
    for name, content in files.items():
        write_bytes(folder / name, content)
    sums = {name: sha256_file(folder / name) for name in files}
    summary = json.loads(json.dumps(summary | {"files": sums, "format_version": FORMAT_VERSION}))
    write_sealed_json(folder / ARM_FILE, summary)
    return summary


def run_baseline(
    task_folder: Path, name: str, folder: Path, seed: int = 0, cap: int | None = None, network: CnnConfig | None = None
) -> dict[str, Any]:
    """Fit a baseline of `tasks.baselines`; its summary, as `run` gives a trial's."""
    task = load(task_folder)
    network = network or CnnConfig()
    arm = identities.of_baseline(name, task, seed, cap, network)
    done = finished(folder, arm)
    if done is not None:
        return done
    (result,) = baselines.run(task, [name], seed=seed, cap=cap, network=network)
    summary = {**result.summary(), "identity": arm, "seed": seed, "hashes": task.hashes}
    return _keep(folder, task, summary | {"converged": result.chosen.get("converged")}, result)


def run_foreign(task_folder: Path, name: str, folder: Path, config: TrialConfig) -> dict[str, Any]:
    """Probe a frozen encoder of `transformers`, `hf:FOLDER` or `hf:ID`; its summary, as of a baseline.

    Args:
        task_folder: of the task.
        name: of the encoder.
        folder: of the arm.
        config: its `hf_encoder.SETTINGS` count.

    Raises:
        InputError: the cap leaves a class without rows; as `hf_encoder.load`.
    """
    task = load(task_folder)
    arm = identities.of_foreign(name, task, config)
    done = finished(folder, arm)
    if done is not None:
        return done
    index = subset_of(task.problem, task.train, 1.0, config.seed, config.cap)
    if not len(index):
        raise InputError(f"--trial.cap {config.cap}: leaves a class without any row; allow more")
    train, encoder = task.train.take(index), hf_encoder.load(name, config.pooling)
    result = hf_encoder.probe(task, encoder, train, config, capped=len(train) < len(task.train))
    hashes = {**task.hashes, "encoder": sha256_json(hf_encoder.contents(name))}
    summary = {**result.summary(), "identity": arm, "seed": config.seed, "hashes": hashes}
    return _keep(folder, task, summary | {"converged": result.chosen.get("converged")}, result)


def finished(folder: Path, arm: str) -> dict[str, Any] | None:
    """The summary of an arm, if it is there and of this identity (`identities`).

    Raises:
        CorruptArtefact: its file, or one with its predictions, is damaged.
    """
    if not (folder / ARM_FILE).is_file():
        return None
    done = read_sealed_json(folder / ARM_FILE, FORMAT_VERSION, "")
    if done["identity"] != arm:
        return None
    for name, sha256 in done["files"].items():
        path = folder / name
        if not path.is_file() or sha256_file(path) != sha256:
            raise CorruptArtefact(f"{path}: not as {ARM_FILE} says that it was written; delete {folder}")
    return done


def name_baselines(arm: dict[str, Any], scores: dict[str, float]) -> None:
    """Put the validation scores of baselines on a head's card, which says which are better than the head (R30).

    Raises:
        CorruptArtefact: a file of the head was changed.
    """
    folder = Path(arm["head"])
    card = read_card(folder / "config.json")
    beside = {"baselines": scores, "compared": arm["validation"][arm["metric"]]}
    replace_card(folder, dataclasses.replace(card, metrics={**card.metrics, **beside}))


def record(session: tracking.Session, config: Any, arm: dict[str, Any]) -> None:
    """Put a finished arm into MLflow."""
    with session.run(f"{arm['name']} {arm['fraction']:g}", config, arm.get("hashes")) as run_record:
        numbers = (f"validation_{arm['metric']}", f"test_{arm['metric']}", "labels_seen", "seconds", "fraction")
        run_record.metrics({name: arm[name] for name in numbers})
