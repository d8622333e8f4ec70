"""Finetune one head: `python -m jobs.finetune --encoder DIR --task DIR`."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from genomics_fm.artefacts import read_sealed_json, sha256_file, sha256_json, write_sealed_json
from genomics_fm.errors import InputError
from genomics_fm.inference.card import HeadCard, read_card
from genomics_fm.inference.head import save_head, write_card
from genomics_fm.model.heads import SequenceClassifier
from genomics_fm.model.weights import WEIGHTS, load_encoder
from genomics_fm.tasks import trial
from genomics_fm.tasks.results import ArmResult
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.task import Task, load
from genomics_fm.tasks.trial_config import TrialConfig
from genomics_fm.training.loop import VOCABULARY
from genomics_fm.vocabulary.ensemble import Ensemble
from jobs import launch, tracking
from jobs.progress import Clock, rate, say

FORMAT_VERSION = 1
ARM_FILE = "arm.json"


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
    if not task.problem.binary or config.trial.how == "probe":
        raise InputError(
            f"{config.task}: a head folder holds two classes and no probe; `python -m genomics_fm.tasks.trial` runs any"
        )
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
    module = cast(SequenceClassifier, done_trial.module)  # two classes of a sequence
    card = _card(config, task, module.bert.config, summary, hashes)
    save_head(folder, module, card, vocabulary, _columns(task.validation, result.validation_predictions[:, 1]))
    write_predictions(folder / "test.parquet", task.test, result)
    write_sealed_json(folder / ARM_FILE, summary)
    return summary


def _card(
    config: FinetuneConfig, task: Task, encoder: Any, summary: dict[str, Any], hashes: dict[str, str]
) -> HeadCard:
    return HeadCard(
        task=task.name,
        labels=(task.problem.names[0], task.problem.names[1]),
        vocabulary=config.trial.vocabulary,
        input_length_bp=task.length_bp[1],
        stranded=task.problem.stranded,
        pooling=config.trial.pooling,
        encoder=dataclasses.asdict(encoder),
        prevalence=task.prevalence[1],
        metrics={
            "metric": "mcc",
            "validation_mcc": summary["validation_mcc"],
            "test_mcc": summary["test_mcc"],
            "test_interval": summary["interval"],
        },
        hashes=hashes,
        training={k: summary[k] for k in ("start", "fraction", "labels_seen", "seed", "updates", "learning_rate")},
    )


def _columns(rows: Rows, probability: Any) -> dict[str, Any]:
    return {"locus": rows.locus, "block": rows.block, "label": rows.labels, "probability": probability}


def name_baselines(arm: dict[str, Any], baselines: dict[str, float]) -> None:
    """Put the validation scores of baselines on a head's card, which says which are better than the head (R30)."""
    folder = Path(arm["head"])
    card = read_card(folder / "config.json")
    write_card(folder, dataclasses.replace(card, metrics={**card.metrics, "baselines": baselines}))


def write_predictions(path: Path, rows: Rows, result: ArmResult) -> None:
    """An arm's test probabilities, for paired comparisons."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from genomics_fm.artefacts import write_bytes

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(_columns(rows, result.test_predictions[:, 1])), sink)
    write_bytes(path, sink.getvalue().to_pybytes())


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
        numbers = ("validation_mcc", "test_mcc", "labels_seen", "seconds", "fraction")
        run_record.metrics({name: arm[name] for name in numbers})


def _run_and_print(config: FinetuneConfig) -> None:
    arm = run(config)
    low, high = arm["interval"]
    print(f"{arm['name']}: {arm['labels_seen']:,} labels, validation MCC {arm['validation_mcc']:.3f}")
    print(f"test MCC {arm['test_mcc']:.3f} ({low:.3f} to {high:.3f}); head in {arm['head']}")


PRESETS = {"default": FinetuneConfig(), "smoke": FinetuneConfig(trial=TrialConfig(updates=4, batch_rows=16, cap=64))}


def main() -> None:
    """The command line."""
    launch.main(PRESETS, _run_and_print, "python -m jobs.finetune", "Finetune one head of a pretrained encoder.")


if __name__ == "__main__":
    from jobs.finetune import main  # by its own name, so that workers can import what they are sent

    main()
