"""What the driver of a pretraining keeps beside the log: how it was started, what it is scored on, and its page."""

import dataclasses
import math
import re
import time
from collections.abc import Mapping
from typing import Any

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import InputError
from genomics_fm.model.weights import CONFIG, encoder_about
from genomics_fm.report.pretraining_page import Record, pretraining_page
from genomics_fm.storage import Folder
from genomics_fm.training.estimate import parameters_of
from genomics_fm.training.evaluation import EvaluationConfig
from genomics_fm.training.loop import CHECKPOINTS
from genomics_fm.training.metrics import LogReader
from genomics_fm.training.validation import ValidationPlan, read_set, validations_of
from genomics_fm.training.validation_set import prepare, told
from genomics_fm.vocabulary.ensemble import Ensemble
from jobs.progress import say

RECORD = "run.json"
"""Of a run's folder."""
FORMAT_VERSION = 1
REPORT = "report.html"
NOT_KEPT = ("name", "watch", "stop", "report", "dry_run", "peak_tflops", "peak_share", "gpu_gib")
"""Of a config, what starts no run."""
_PASSWORD = re.compile(r"//[^/@\s]+@")
MEMBER_KEYS = ("kind", "k", "frame")
"""What names a vocabulary; pieces stand in vocabulary.json."""


def keep(folder: Folder, config: Any, vocabulary: Ensemble, hashes: Mapping[str, str]) -> None:
    """Write how a run was started, for its page; a later start writes its own.

    Args:
        folder: of the run.
        config: of the job, a dataclass with `training`.
        vocabulary: the ensemble.
        hashes: sha256 by what it is of.
    """
    settings = {name: value for name, value in dataclasses.asdict(config).items() if name not in NOT_KEPT}
    encoder = dataclasses.replace(config.training.encoder, vocabulary_size=vocabulary.size)
    members = {name: member.to_json() for name, member in vocabulary.members.items()}
    folder.write_sealed_json(
        RECORD,
        {
            "format_version": FORMAT_VERSION,
            "config": _shown(settings),
            "parameters": parameters_of(encoder),
            "vocabulary_size": vocabulary.size,
            "vocabularies": {
                name: {key: about[key] for key in MEMBER_KEYS if key in about} for name, about in members.items()
            },
            "hashes": dict(hashes),
        },
    )


def refuse_another(folder: Folder, about: Mapping[str, str]) -> None:
    """Refuse a folder that holds an encoder, or checkpoints, of another corpus, vocabulary or config.

    Args:
        folder: of the run.
        about: as `training.config.identity` gives it.

    Raises:
        InputError: it does; names what differs.
    """
    if folder.exists(CONFIG):
        what, (_, _, found) = "a finished encoder", encoder_about(folder)
    elif folder.exists(RECORD) and (folder / CHECKPOINTS).folders():
        what, found = "a run", folder.read_sealed_json(RECORD, FORMAT_VERSION, "use another --name")["hashes"]
    else:
        return
    different = [name for name, value in about.items() if found.get(name) != value]
    if different:
        raise InputError(f"{folder}: holds {what} of another {', '.join(different)}; use another --name")


def _shown(value: Any) -> Any:
    """Settings as JSON that may be shown: no infinity, and no password of an address."""
    if isinstance(value, dict):
        return {name: _shown(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(inner) for inner in value]
    if isinstance(value, str):
        return _PASSWORD.sub("//…@", value)
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def validation(
    files: tuple[str, ...], segments: int, steps: int, corpus: Corpus, vocabulary: Ensemble, folder: Folder
) -> ValidationPlan | None:
    """What the run is scored on, drawn and kept in its folder; None where nothing was asked for.

    Args:
        files: `[NAME=]FASTA` or `recipe` each.
        segments: drawn of each.
        steps: updates between scorings; 0: at the end alone.
        corpus, vocabulary, folder: of the run.

    Raises:
        InputError: steps without files, or what `prepare` raises.
    """
    if not files:
        if steps:
            raise InputError(f"--validation-steps {steps}: scored on what? give files with --validation, or 0")
        return None
    config = EvaluationConfig(segments=segments)
    name = prepare(files, config, corpus, vocabulary, folder, lambda text: say(f"[validation] {text}"))
    return ValidationPlan(name, steps)


def _held_out(folder: Folder, log: list[dict[str, Any]]) -> list[str]:
    """Sentences on the stretches of the last scoring, for the page."""
    scored = validations_of(log)
    if not scored:
        return []
    found = read_set(folder, scored[-1]["set"])
    counted = f"the Markov models were counted on {found['markov']['nucleotides']:,} nt of the corpus"
    homologs = "whether relatives of these stretches stand in the corpus is not known"
    return [f"{line[0].upper()}{line[1:]}." for line in (*told(found), counted, homologs)]


def write_report(folder: Folder, name: str) -> str:
    """Write the page of a run, wherever it is and however far it got.

    Returns:
        Where the page is.

    Raises:
        InputError: there is no such run.
    """
    finished = folder.exists(CONFIG)  # asked first, so that a page that says so has all steps
    log = LogReader(folder).new()
    if not log:
        raise InputError(f"{folder}: no run has begun there; see --report NAME and GENOMICS_FM_STORAGE")
    about = folder.read_sealed_json(RECORD, FORMAT_VERSION, "") if folder.exists(RECORD) else {}
    weights = encoder_about(folder)[1] if finished else ""
    page = pretraining_page(Record(name, log, finished, time.time(), about, weights, _held_out(folder, log)))
    folder.write(REPORT, page.encode())
    return folder.shown(REPORT)
