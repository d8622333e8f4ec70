"""A list of trials from one file, one after the other, without Ray; a finished one is only read.

    {"cache": "features", "trials": [
      {"encoder": "runs/encoder", "task": "runs/tasks/emp_h3", "output": "runs/trials/1", "how": "probe", "seed": 1}]}

A trial has the fields of `TrialConfig` beside its three folders; fields at the top are the default of all trials, and
a file may be one trial. Folders are relative to the file. Each output holds

predictions.parquet   split, locus, block, label, prediction of every row that is not for training
model.safetensors     weights of the head, where `save_weights` is true
result.json           scores, curve, hashes of all that decided them, sealed; written last
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from genomics_fm.artefacts import (
    read_json_object,
    read_sealed_json,
    sha256_file,
    write_bytes,
    write_sealed_json,
)
from genomics_fm.errors import CorruptArtefact, GenomicsFmError, InputError, one_line_errors
from genomics_fm.model.weights import write_tensors
from genomics_fm.tasks import identities, trial
from genomics_fm.tasks import task as tasks
from genomics_fm.tasks.task import Task
from genomics_fm.tasks.trial import Trial
from genomics_fm.tasks.trial_config import TrialConfig
from genomics_fm.vocabulary.ensemble import FILE_NAME, Ensemble

FORMAT_VERSION = 1
PREDICTIONS, RESULT, WEIGHTS = "predictions.parquet", "result.json", "model.safetensors"
_PLACES = ("encoder", "task", "output")


@dataclass(frozen=True)
class Planned:
    """A trial of a file: what, and where everything lies."""

    config: TrialConfig
    encoder: Path
    task: Path
    output: Path
    save_weights: bool


def read(path: Path) -> tuple[list[Planned], Path | None]:
    """The trials of a file, and the folder of features.

    Raises:
        InputError: no such file, a field missing or unknown or of another type, or an output named twice.
        CorruptArtefact: not a JSON object.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a JSON file of trials")
    value = read_json_object(path)
    base, cache = path.parent, value.pop("cache", None)
    listed = value.pop("trials", [{}])
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise InputError(f"{path}: trials: not a list of objects; give one object a trial")
    planned = [_planned(value | one, base, f"{path}: trial {number}") for number, one in enumerate(listed, start=1)]
    outputs = [one.output for one in planned]
    for place in outputs:
        if outputs.count(place) > 1:
            raise InputError(f"{path}: output {place}: of several trials; give each its own")
    return planned, None if cache is None else base / cache


def _planned(value: Mapping[str, Any], base: Path, where: str) -> Planned:
    given = dict(value)
    places = {}
    for name in _PLACES:
        folder = given.pop(name, None)
        if not isinstance(folder, str) or not folder:
            raise InputError(f"{where}: no {name}; give a folder")
        places[name] = base / folder
    save_weights = given.pop("save_weights", False)
    if not isinstance(save_weights, bool):
        raise InputError(f"{where}: save_weights {save_weights!r}; give true or false")
    return Planned(config=TrialConfig.from_json(given, where), **places, save_weights=save_weights)


def run_one(planned: Planned, cache: Path | None = None) -> tuple[dict[str, Any], bool]:
    """Run a trial and write its output, or read one that is finished.

    Returns:
        What `result.json` holds, and whether it was there already.

    Raises:
        InputError: as `trial.run`, or a folder is missing.
        CorruptArtefact: encoder or task are damaged.
    """
    task = tasks.load(planned.task)
    vocabulary = Ensemble.load(planned.encoder / FILE_NAME)
    encoder = identities.encoder_hashes(planned.encoder)
    identity = identities.of_trial(planned.config, encoder, task)
    hashes = {"encoder": encoder[0], "vocabulary": encoder[1], "task": task.sha256, **task.hashes}
    done = _finished(planned, identity)
    if done is not None:
        return done, True
    found = trial.run(planned.config, planned.encoder, vocabulary, task, cache=cache)
    write_bytes(planned.output / PREDICTIONS, predictions_file(task, found))
    if planned.save_weights:
        write_tensors(planned.output / WEIGHTS, found.module.state_dict())
    result = {
        "format_version": FORMAT_VERSION,
        "identity": identity,
        "task": task.name,
        "config": asdict(planned.config),
        "hashes": hashes,
        "predictions_sha256": sha256_file(planned.output / PREDICTIONS),
        "weights_sha256": sha256_file(planned.output / WEIGHTS) if planned.save_weights else None,
        **found.result.summary(),
        "converged": found.converged,
        "rows_seen": found.rows_seen,
        "train_rows": len(task.train),
        "curve": found.curve,
        "weights": found.weights,
    }
    result = json.loads(json.dumps(result))  # as it is read again: tuples are lists
    write_sealed_json(planned.output / RESULT, result)
    return result, False


def _finished(planned: Planned, identity: str) -> dict[str, Any] | None:
    """The result of the same trial, if all of it is there and whole."""
    if not (planned.output / RESULT).is_file():
        return None
    try:
        found = read_sealed_json(planned.output / RESULT, FORMAT_VERSION, "")
    except CorruptArtefact:
        return None
    wanted = {PREDICTIONS: found["predictions_sha256"], WEIGHTS: found["weights_sha256"]}
    if found["identity"] != identity or (planned.save_weights and found["weights_sha256"] is None):
        return None
    for name, sha256 in wanted.items():
        path = planned.output / name
        if sha256 is not None and not (path.is_file() and sha256_file(path) == sha256):
            return None
    return found


def predictions_file(task: Task, found: Trial) -> bytes:
    """Parquet of the predictions of a trial, rows in the order of their splits.

    `label` and `prediction` are lists of numbers: a class, labels or targets, or a class a base; a probability or
    value for each output, base after base where there are bases.
    """
    result = found.result
    predicted = {
        "validation": result.validation_predictions,
        "calibration": result.calibration_predictions,
        "test": result.test_predictions,
    }
    columns: dict[str, list[Any]] = {name: [] for name in ("split", "locus", "block", "label", "prediction")}
    for split, values in predicted.items():
        if values is None:
            continue
        rows = task.splits[split]
        columns["split"] += [split] * len(rows)
        columns["locus"] += rows.locus
        columns["block"] += rows.block.tolist()
        columns["label"] += [np.atleast_1d(label).astype(np.float32) for label in rows.labels]
        columns["prediction"] += [np.asarray(value, np.float32).reshape(-1) for value in values]
    numbers = pa.list_(pa.float32())
    types = {"split": pa.string(), "locus": pa.string(), "block": pa.int64(), "label": numbers, "prediction": numbers}
    table = pa.table({name: pa.array(columns[name], kind) for name, kind in types.items()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def line(result: Mapping[str, Any], was_there: bool) -> str:
    """A result for people."""
    metric = result["metric"]
    low, high = result["interval"]
    ended = {True: "", False: ", not converged", None: ""}[result["converged"]]
    done = "was there" if was_there else f"{result['seconds']:.1f} s"
    return (
        f"{result['task']}: {result['name']}, seed {result['config']['seed']}: {metric} "
        f"validation {result['validation'][metric]:.3f}, test {result['test'][metric]:.3f} ({low:.3f} to {high:.3f}), "
        f"{result['rows_seen']:,} rows seen of {result['train_rows']:,}{ended}, {done}"
    )


def run_file(path: Path) -> int:
    """Run the trials of a file and print a line each; one that fails is told, and the others go on.

    Returns:
        0, or the exit code of the last failure.
    """
    planned, cache = read(path)
    code = 0
    for number, one in enumerate(planned, start=1):
        try:
            result, was_there = run_one(one, cache)
            print(f"[{number}/{len(planned)}] {line(result, was_there)}", flush=True)
        except GenomicsFmError as error:
            print(f"[{number}/{len(planned)}] failed: {error}", file=sys.stderr, flush=True)
            code = error.exit_code
    return code


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of `python -m genomics_fm.tasks.trial`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    with one_line_errors():
        if len(given) != 1 or given[0].startswith("-"):
            raise InputError("usage: python -m genomics_fm.tasks.trial TRIALS.json; give one file")
        code = run_file(Path(given[0]))
    if code:
        sys.exit(code)
