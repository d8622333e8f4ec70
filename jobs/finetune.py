"""From a table of labels to a registered head: `python -m jobs.finetune --data labels.csv`.

Reads and divides the data, looks for leaks, takes an encoder or makes one, tries its vocabularies from pretrained
weights and from none, fits all baselines on the same rows, lets validation choose, and registers the head.
Everything that is there already is only read: the same command goes on where it was stopped.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from genomics_fm import __version__
from genomics_fm.artefacts import read_sealed_json, sha256_json, write_sealed_json
from genomics_fm.errors import InputError
from genomics_fm.tasks import audit, hf_encoder
from genomics_fm.tasks import task as tasks
from genomics_fm.tasks.task import Task
from jobs import (
    arms,
    encoders,
    finetune_arms,
    finetune_report,
    finetune_result,
    finetune_task,
    finetune_text,
    launch,
    register,
    tracking,
)
from jobs.encoders import Encoder
from jobs.finetune_arms import Planned
from jobs.finetune_config import FinetuneConfig, name_of, refuse_contradictions, vocabularies_of
from jobs.progress import Clock, say
from jobs.register import RegisterConfig

FORMAT_VERSION = 1
RECORDED = "recorded.json"
EXPERIMENT = "finetuning"


def run(config: FinetuneConfig) -> dict[str, Any]:
    """Everything from data to a registered head.

    Returns:
        What `result.json` holds; `folder` is where it lies.

    Raises:
        InputError: data, flags or encoder are wrong.
        CorruptArtefact: an artefact was changed.
        EnvironmentFault: tracking does not answer, or a worker was lost twice.
    """
    clock = Clock()
    refuse_contradictions(config)
    name = register.checked_name(name_of(config))
    root = launch.storage() / EXPERIMENT / name
    session = tracking.start(config.tracking, EXPERIMENT)  # before minutes of work
    asked = encoders.opened(Path(config.checkpoint).absolute(), "as asked for") if config.checkpoint else None
    folder = finetune_task.task_folder(config, root, name)
    _refuse_question(config, tasks.load(folder))
    encoder = asked or encoders.choose(config.preset, config.tracking)
    names = vocabularies_of(config, tuple(encoder.vocabulary.names))
    folder = finetune_task.with_audit(folder, root, encoders.corpus_of(encoder))
    task = tasks.load(folder)
    _refuse_leaks(task)
    for line in (*finetune_text.of_task(task), f"encoder: {encoder}"):
        say(f"[finetune] {line}")
    plan = finetune_arms.planned(config, str(folder), task.problem, str(encoder.folder), names, len(task.train))
    place = root / f"arms-{_identity(plan, task, encoder)[:10]}"
    say(f"[finetune] {len(plan)} arms, {config.concurrent} at a time → {place}")
    found = finetune_arms.run(place, plan, task, config, lambda one, arm: _record(session, place, one, arm))
    result = _result(config, task, encoder, place, plan, found)
    registered = _register(config, name, folder, Path(result["head"]["head"])) if config.register else None
    result |= {"name": name, "task_folder": str(folder), "registered": registered, "seconds": round(clock.seconds, 3)}
    write_sealed_json(place / finetune_report.RESULT, result)
    finetune_report.write(place)
    return result


def _refuse_question(config: FinetuneConfig, task: Task) -> None:
    """What would fail after minutes: other people's encoders that cannot be opened, probes of bases."""
    if task.problem.kind == "per-base" and (config.how == "probe" or config.encoder):
        what = "--how probe" if config.how == "probe" else f"--encoder {config.encoder[0]}"
        raise InputError(f"{what}: a class of every base is not a question to pooled states; give full or lora")
    for name in config.encoder:
        hf_encoder.load(name)


def _refuse_leaks(task: Task) -> None:
    """Test rows in training, of a split that is not the publisher's (SPEC R28)."""
    graded, split = task.about.get("audit", {}), task.about.get("split", {})
    if graded.get("grade") == "A" and split.get("how") != audit.OFFICIAL:
        raise InputError(f"{task.name}: {graded['verdict']}; leave them out, or divide its rows anew with --data")


def _identity(plan: list[Planned], task: Task, encoder: Encoder) -> str:
    """Of everything that decides the numbers, so that a folder of arms holds arms of one comparison."""
    settings = [{**dataclasses.asdict(one), "task": "", "encoder": "", "seed": 0} for one in plan if one.seed == 0]
    return sha256_json([__version__, settings, task.sha256, task.name, task.about, encoder.sha256])


def _record(session: tracking.Session, place: Path, one: Planned, arm: dict[str, Any]) -> None:
    """An arm as a run of MLflow, once a tracking store; again if it was run again."""
    path, version = place / one.folder / RECORDED, {"format_version": FORMAT_VERSION, "identity": arm["identity"]}
    known = read_sealed_json(path, FORMAT_VERSION, "") if path.is_file() else {}
    stores = known["stores"] if known.get("identity") == arm["identity"] else []
    if session.uri not in stores:
        arms.record(session, dataclasses.asdict(one), arm)
        write_sealed_json(path, {**version, "stores": [*stores, session.uri]})


def _result(
    config: FinetuneConfig,
    task: Task,
    encoder: Encoder,
    place: Path,
    plan: list[Planned],
    found: list[dict[str, Any]],
) -> dict[str, Any]:
    best = finetune_result.chosen(plan, found)
    head, folder = found[best], place / plan[best].folder
    comparisons = finetune_result.compared(task, place, plan, found, best)
    arms.name_baselines(head, {one["name"]: round(one["validation"], 6) for one in comparisons})
    return {
        "format_version": finetune_report.FORMAT_VERSION,
        "config": dataclasses.asdict(config),
        "folder": str(place),
        "problem": task.problem.to_json(),
        "rows": {split: len(rows) for split, rows in task.splits.items()},
        "about": {name: value for name, value in task.about.items() if name != "audit"},
        "audit": task.about.get("audit", {}),
        "encoder": {"folder": str(encoder.folder), "sha256": encoder.sha256, "why": encoder.why},
        "hashes": head["hashes"],
        "groups": finetune_result.groups(plan, found),
        "arms": [{**arm, "folder": str(place / one.folder)} for one, arm in zip(plan, found, strict=True)],
        "comparisons": comparisons,
        "head": head,
        "clean": finetune_result.clean_score(task, finetune_result.predictions(task, folder)),
        "calibration": finetune_result.calibration(folder),
        "decision": finetune_result.decision(folder),
        "verdict": finetune_result.verdict(head, comparisons),
    }


def _register(config: FinetuneConfig, name: str, task: Path, head: Path) -> dict[str, Any]:
    settings = RegisterConfig(
        head=str(head), name=name, validation=str(task / "validation.parquet"), tracking=config.tracking
    )
    return dataclasses.asdict(register.run(settings))


def last_line(result: dict[str, Any]) -> dict[str, Any]:
    """What programs read: the head's folder, metric and scores on test, and those of everything beside it."""
    head = result["head"]
    return {
        "head": head["head"],
        "metric": head["metric"],
        "test": head["test"][head["metric"]],
        "interval": head["interval"],
        "baselines": {one["name"]: one["score"] for one in result["comparisons"]},
        "converged": head["converged"],
        "seconds": result["seconds"],
    }


def _run_and_print(config: FinetuneConfig) -> None:
    result = run(config)
    print(finetune_text.table(result["groups"], result["head"]["name"], result["head"]["metric"]))
    for line in finetune_text.of_head(result):
        print(line)
    print(f"report: {Path(result['folder']) / finetune_report.REPORT}")
    print(f"all of it: {Path(result['folder']) / finetune_report.RESULT}")
    print(json.dumps(last_line(result)))


PRESETS = {
    "default": FinetuneConfig(),
    "smoke": FinetuneConfig(
        preset="smoke",
        trial=dataclasses.replace(FinetuneConfig().trial, updates=8, batch_rows=16, cap=64, evaluations=4, patience=0),
    ),
}


def main() -> None:
    """The command line."""
    launch.main(PRESETS, _run_and_print, "python -m jobs.finetune", "From labelled sequences to a registered head.")


if __name__ == "__main__":
    from jobs.finetune import main  # by its own name, so that workers can import what they are sent

    main()
