"""Register a head folder as a model version, promote it when R30 allows, and find registered heads again.

A version is the head folder behind a pyfunc that names this package's loader: safetensors and JSON, no pickle.
"""

import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genomics_fm import __version__
from genomics_fm.errors import CorruptArtefact, EnvironmentFault, InputError
from genomics_fm.inference.card import HeadCard, read_card
from genomics_fm.inference.head import FILES, MANIFEST, VALIDATION, verify
from genomics_fm.inference.promotion import Decision, decide, validation_hash, validation_score
from genomics_fm.tasks import rows as task_rows
from genomics_fm.tasks.rows import Rows
from jobs import launch, tracking

LOADER = "genomics_fm.inference.pyfunc"
ARTEFACT = "head"
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""MLflow's codes for an unknown model or version, and for an unknown alias."""


@dataclass(frozen=True)
class RegisterConfig:
    """What to register, where, and whether it may become champion."""

    head: str = field(default="", metadata={"help": "head folder to register"})
    name: str = field(default="", metadata={"help": "registered model; the head's task when empty"})
    alias: str = field(default="champion", metadata={"help": "alias to compete for"})
    promote: bool = field(default=True, metadata={"help": "compete for the alias"})
    validation: str = field(
        default="", metadata={"help": "validation.parquet of the head's task, to re-score an older champion"}
    )
    bootstrap: int = field(default=1000, metadata={"help": "paired block-bootstrap samples"})
    seed: int = field(default=0, metadata={"help": "of the bootstrap"})
    tracking: str | None = field(default=None, metadata={"help": "tracking URI; SQLite in the storage folder"})
    experiment: str = field(default="registry", metadata={"help": "MLflow experiment of the record"})


@dataclass(frozen=True)
class RegisterResult:
    """What became of the head.

    Attributes:
        uri: `models:/name/version`.
        promoted: it holds the alias now.
        why: of the decision, in words.
        metric: what heads of the task are compared by.
        validation: the head's `metric` on its validation rows; of classes and labels at a probability of one half.
        difference, interval: against the former champion, None when not compared.
        promotions: how often this validation set has decided a promotion of this model.
    """

    name: str
    version: str
    uri: str
    promoted: bool
    why: str
    metric: str
    validation: float
    difference: float | None
    interval: tuple[float, float] | None
    promotions: int


@dataclass(frozen=True)
class Located:
    """A head folder on this machine, and what it is called where it came from."""

    folder: Path
    name: str
    version: str


def run(config: RegisterConfig) -> RegisterResult:
    """Register a head; the same head again is the same version.

    Raises:
        InputError: no head folder, or rows that are not its validation rows.
        CorruptArtefact: the folder, or the champion's, disagrees with its manifest.
        EnvironmentFault: the tracking store does not answer.
    """
    if not config.head:
        raise InputError("--head: no head folder given; name one")
    checked_alias(config.alias)
    folder = Path(config.head)
    sha256 = verify(folder)
    card = read_card(folder / "config.json")
    name = config.name or card.task
    rows_hash = validation_hash(card, folder)
    session = tracking.start(config.tracking, config.experiment)
    version = _known_version(session.client, name, sha256) or _add_version(session, name, folder, card, sha256)
    decision, promotions = _compete(session, config, name, version, folder, rows_hash)
    return RegisterResult(
        name=name,
        version=version,
        uri=f"models:/{name}/{version}",
        promoted=decision.promote,
        why=decision.why,
        metric=card.metric,
        validation=validation_score(folder),
        difference=decision.difference,
        interval=decision.interval,
        promotions=promotions,
    )


def _compete(
    session: tracking.Session, config: RegisterConfig, name: str, version: str, folder: Path, rows_hash: str
) -> tuple[Decision, int]:
    """Decide by R30, move the alias, and count promotions on one validation set in a tag."""
    client, tag = session.client, f"promotions.{rows_hash[:16]}"
    promotions = int(client.get_registered_model(name).tags.get(tag, 0))
    holder = _version_of(client, name, config.alias)
    if not config.promote:
        return Decision(False, "promotion was not asked for"), promotions
    if holder == version:
        return Decision(True, f"is {config.alias} already"), promotions
    incumbent = None if holder is None else _fetch(client, session.uri, name, holder).folder
    if incumbent is not None:
        verify(incumbent)
    rows = _rows(config.validation) if config.validation else None
    decision = decide(folder, incumbent, rows, config.bootstrap, config.seed)
    client.set_model_version_tag(name, version, f"decision.{config.alias}", decision.why)
    if decision.promote:
        promotions += 1
        client.set_registered_model_alias(name, config.alias, version)
        client.set_registered_model_tag(name, tag, str(promotions))
    return decision, promotions


def _known_version(client: Any, name: str, sha256: str) -> str | None:
    """The version that holds exactly this head, if there is one."""
    found = client.search_model_versions(f"name = '{checked_name(name)}' and tag.head_sha256 = '{sha256}'")
    return str(min(int(v.version) for v in found)) if found else None


def checked_name(name: str) -> str:
    """A name that MLflow and our URIs take; raises InputError for others."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise InputError(f"--name {name!r}: only letters, digits, `_`, `.` and `-`; choose another")
    return name


def checked_alias(alias: str) -> str:
    """An alias that MLflow takes; raises InputError for others."""
    if not re.fullmatch(r"(?!v[0-9]+$|latest$)[A-Za-z0-9_-]+", alias, re.IGNORECASE):
        raise InputError(f"--alias {alias!r}: only letters, digits, `_` and `-`, no version as v1, not latest")
    return alias


def _rows(location: str) -> Rows:
    """The rows that both heads are scored on: of a task, not a head's predictions of them."""
    path = Path(location)
    if path.name == VALIDATION and (path.parent / MANIFEST).is_file():
        raise InputError(f"{location}: a head's predictions; give validation.parquet of its task's folder (`rows-…`)")
    return task_rows.read(path)


def _add_version(session: tracking.Session, name: str, folder: Path, card: HeadCard, sha256: str) -> str:
    """Log the folder as a pyfunc in a run of its own and make it a version of `name`."""
    import mlflow
    from mlflow.exceptions import MlflowException

    mlflow.set_tracking_uri(session.uri)
    client = session.client
    with session.run(f"register {name}", card.summary(), card.hashes, {"head_sha256": sha256}) as record:
        record.metrics(card.scores())
        with tempfile.TemporaryDirectory() as scratch, mlflow.start_run(run_id=record.run_id):
            staged = Path(scratch) / ARTEFACT
            staged.mkdir()
            for file in (*FILES, MANIFEST):
                shutil.copyfile(folder / file, staged / file)
            logged = mlflow.pyfunc.log_model(
                name=ARTEFACT,
                loader_module=LOADER,
                data_path=str(staged),
                pip_requirements=[f"genomics-fm=={__version__}"],
            )
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        tags = {
            "task": card.task,
            "head_sha256": sha256,
            "validation_sha256": card.hashes["validation"],
            f"validation_{card.metric}": f"{validation_score(folder):.6f}",
        }
        made = client.create_model_version(name, logged.model_uri, record.run_id, tags=tags)
    return str(made.version)


def _version_of(client: Any, name: str, alias: str) -> str | None:
    from mlflow.exceptions import MlflowException

    try:
        return str(client.get_model_version_by_alias(name, alias).version)
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise


def resolve(uri: str, tracking_uri: str | None = None) -> Located:
    """Find the head folder behind `models:/name@alias`, `models:/name/version` or a path.

    Raises:
        InputError: no such model, alias, version or folder.
        EnvironmentFault: the tracking store does not answer, or its files are not reachable from here.
    """
    if not uri.startswith("models:/"):
        folder = Path(uri)
        sha256 = verify(folder)
        return Located(folder, read_card(folder / "config.json").task, sha256[:12])
    match = re.fullmatch(r"models:/([A-Za-z0-9_.-]+)(?:@([A-Za-z0-9_.-]+)|/([0-9]+))", uri)
    if match is None:
        raise InputError(f"{uri}: not a model; write models:/name@alias, models:/name/version or a folder")
    where = tracking.resolve_uri(tracking_uri)
    client = tracking.client(where)
    name, alias, version = match.groups()
    if alias and (version := _version_of(client, name, alias)) is None:
        raise InputError(
            f"{uri}: not registered in {where}; register a head with `python -m jobs.register --head FOLDER`"
        )
    return _fetch(client, where, name, version)


def _fetch(client: Any, tracking_uri: str, name: str, version: str) -> Located:
    """The head folder of a version: in place when it lies on a file system, else downloaded once."""
    from mlflow.exceptions import MlflowException

    try:
        source = client.get_model_version_download_uri(name, version)
    except MlflowException as error:
        if error.error_code in ABSENT:
            raise InputError(
                f"models:/{name}/{version}: no such version in {tracking_uri}; list them in MLflow"
            ) from error
        raise
    if source.startswith("file://") or source.startswith("/"):
        model = launch.local_folder(source, "artifact")
    else:
        model = _download_folder(client, name, version)
        if not (model / "MLmodel").is_file():
            _download(source, model, tracking_uri)
    if not (model / "MLmodel").is_file():
        raise EnvironmentFault(
            f"{model}: models:/{name}/{version} is registered there, but this machine has no such folder; "
            "mount the storage folder here"
        )
    return Located(_data_folder(model), name, version)


def _download_folder(client: Any, name: str, version: str) -> Path:
    """Where a version is kept here; the content's hash tells version 1 of one server from another's."""
    found = client.get_model_version(name, version)
    content = str(found.tags.get("head_sha256") or found.run_id)
    return launch.storage() / "heads" / f"{name}-{version}-{content[:16]}"


def _download(source: str, target: Path, tracking_uri: str) -> None:
    """Download beside `target` and rename; what another process put there meanwhile is the same, and stays."""
    import mlflow

    with tempfile.TemporaryDirectory(dir=_made(target.parent)) as scratch:
        path = mlflow.artifacts.download_artifacts(artifact_uri=source, dst_path=scratch, tracking_uri=tracking_uri)
        try:
            Path(path).rename(target)
        except OSError:
            if not (target / "MLmodel").is_file():
                raise


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _data_folder(model: Path) -> Path:
    """Where MLflow put the head inside its own layout; only our loader's models qualify."""
    from mlflow.models import Model

    flavor = Model.load(str(model / "MLmodel")).flavors.get("python_function", {})
    if flavor.get("loader_module") != LOADER or not flavor.get("data"):
        raise CorruptArtefact(f"{model}: not a head of this package; register a head folder")
    return model / flavor["data"]


def _run_and_print(config: RegisterConfig) -> None:
    result = run(config)
    print(f"{result.uri}: {'holds' if result.promoted else 'does not hold'} @{config.alias}: {result.why}")
    print(f"promotions decided on this validation set so far: {result.promotions}")


def main() -> None:
    """The command line."""
    launch.main(
        {"default": RegisterConfig()},
        _run_and_print,
        "python -m jobs.register",
        "Register a head folder in MLflow and let it compete for an alias.",
    )


if __name__ == "__main__":
    main()
