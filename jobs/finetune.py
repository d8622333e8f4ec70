"""Finetune one head: `python -m jobs.finetune --encoder DIR --task DIR`."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genomics_fm.artefacts import read_sealed_json, sha256_file, sha256_json, write_bytes, write_sealed_json
from genomics_fm.errors import InputError
from genomics_fm.inference.card import read_card
from genomics_fm.inference.head import save_head, write_card
from genomics_fm.inference.new_card import new_card
from genomics_fm.inference.predicted import Predicted
from genomics_fm.model.weights import WEIGHTS, load_encoder
from genomics_fm.tasks import trial
from genomics_fm.tasks.task import Task, load
from genomics_fm.tasks.trial_config import TrialConfig
from genomics_fm.training.loop import VOCABULARY
from genomics_fm.vocabulary.ensemble import Ensemble
from jobs import launch, tracking
from jobs.progress import Clock, rate, say

FORMAT_VERSION = 1
ARM_FILE = "arm.json"
TEST = "test.parquet"
"""An arm's predictions of the test rows, for paired comparisons."""


@dataclass(frozen=True)
class FinetuneConfig:
    """One head from one encoder on one task."""

    encoder: str = field(default="", metadata={"help": "folder of a pretrained encoder"})
    task: str = field(default="", metadata={"help": "folder of a task's rows"})
    output: str = field(default="", metadata={"help": "folder of the head; default: storage/heads/<hash>"})
    tracking: str | None = field(default=None, metadata={"help": "MLflow tracking URI"})
    trial: TrialConfig = field(default_factory=TrialConfig)


def identity(config: FinetuneConfig, task: Task) -> str:
    """Hash of everything that decides an arm's numbers; the encoder is verified on the way."""
    load_encoder(Path(config.encoder))
    encoder = sha256_file(Path(config.encoder) / WEIGHTS)
    return sha256_json([encoder, task.hashes, dataclasses.asdict(config.trial)])


def finetune(
    config: FinetuneConfig, folder: Path, on_update: Callable[[int, float], None] | None = None
) -> dict[str, Any]:
    """Run a trial and write its head; no Ray, no MLflow. An arm that is there already is only read.

    Returns:
        The arm as the report shows it, with `head`, its folder.
    """
    task = load(Path(config.task))
    arm = identity(config, task)
    if (folder / ARM_FILE).is_file():
        done = read_sealed_json(folder / ARM_FILE, FORMAT_VERSION, "")
        if done["identity"] == arm:
            return done
    vocabulary = Ensemble.load(Path(config.encoder) / VOCABULARY)
    done_trial = trial.run(config.trial, Path(config.encoder), vocabulary, task, on_update)
    result = done_trial.result
    _, _, about = load_encoder(Path(config.encoder))
    hashes = {
        "corpus": about["corpus_sha256"],
        "encoder": sha256_file(Path(config.encoder) / WEIGHTS),
        "vocabulary": vocabulary.sha256,
        **task.hashes,
    }
    summary = {
        **result.summary(),
        "format_version": FORMAT_VERSION,
        "identity": arm,
        "vocabulary": config.trial.vocabulary,
        "start": config.trial.start,
        "seed": config.trial.seed,
        "updates": config.trial.updates,
        "learning_rate": config.trial.optimizer.learning_rate,
        "head": str(folder),
        "hashes": hashes,
    }
    training = {k: summary[k] for k in ("start", "fraction", "labels_seen", "seed", "updates", "learning_rate")}
    training |= {"how": config.trial.how, "converged": done_trial.converged, "rows_seen": done_trial.rows_seen}
    card = new_card(
        task, config.trial.vocabulary, done_trial.module, result, weights=done_trial.weights, hashes=hashes,
        training=training,
    )  # fmt: skip
    save_head(folder, done_trial.module, card, vocabulary, Predicted.of(task.validation, result.validation_predictions))
    write_bytes(folder / TEST, Predicted.of(task.test, result.test_predictions).to_parquet())
    write_sealed_json(folder / ARM_FILE, summary)
    return summary


def name_baselines(arm: dict[str, Any], baselines: dict[str, float]) -> None:
    """Put the validation scores of baselines on a head's card, which says which are better than the head (R30)."""
    folder = Path(arm["head"])
    card = read_card(folder / "config.json")
    write_card(folder, dataclasses.replace(card, metrics={**card.metrics, "baselines": baselines}))


def run(config: FinetuneConfig) -> dict[str, Any]:
    """Finetune one head in this process and record it in MLflow.

    Returns:
        The arm, with `head`, the folder of the head.

    Raises:
        InputError: encoder or task are missing or do not exist.
    """
    if not config.encoder or not config.task:
        raise InputError("--encoder and --task: both are needed; see `python -m jobs.pretrain` and `jobs.build_task`")
    session = tracking.start(config.tracking, "finetuning")
    task = load(Path(config.task))
    folder = Path(config.output or launch.storage() / "heads" / identity(config, task)[:10]).absolute()
    clock = Clock()

    def on_update(update: int, loss: float) -> None:
        if update % 8 == 0 or update == config.trial.updates:
            speed = rate(update * config.trial.batch_rows, clock.seconds, "sequences")
            say(f"[finetune] {config.trial.name}: update {update}/{config.trial.updates}  loss {loss:.3f}  {speed}")

    arm = finetune(config, folder, on_update)
    record(session, config, arm)
    return arm


def record(session: tracking.Session, config: Any, arm: dict[str, Any]) -> None:
    """Put a finished arm into MLflow."""
    with session.run(f"{arm['name']} {arm['fraction']:g}", config, arm.get("hashes")) as run_record:
        numbers = (f"validation_{arm['metric']}", f"test_{arm['metric']}", "labels_seen", "seconds", "fraction")
        run_record.metrics({name: arm[name] for name in numbers})


def _run_and_print(config: FinetuneConfig) -> None:
    arm = run(config)
    low, high = arm["interval"]
    metric = arm["metric"]
    print(f"{arm['name']}: {arm['labels_seen']:,} labels, validation {metric} {arm[f'validation_{metric}']:.3f}")
    print(f"test {metric} {arm[f'test_{metric}']:.3f} ({low:.3f} to {high:.3f}); head in {arm['head']}")


PRESETS = {"default": FinetuneConfig(), "smoke": FinetuneConfig(trial=TrialConfig(updates=4, batch_rows=16, cap=64))}


def main() -> None:
    """The command line."""
    launch.main(PRESETS, _run_and_print, "python -m jobs.finetune", "Finetune one head of a pretrained encoder.")


if __name__ == "__main__":
    from jobs.finetune import main  # by its own name, so that workers can import what they are sent

    main()
