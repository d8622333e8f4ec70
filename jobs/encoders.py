"""Which encoder a head starts from: the one that is named, the newest verified one, or a tiny one pretrained now."""

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genomics_fm.corpus.manifest import MANIFEST, Corpus
from genomics_fm.errors import CorruptArtefact, GenomicsFmError
from genomics_fm.model.weights import CONFIG, encoder_about
from genomics_fm.pretraining.stream import StreamConfig
from genomics_fm.storage import Folder, is_remote
from genomics_fm.training.presets import SMOKE
from genomics_fm.vocabulary.ensemble import FILE_NAME, Ensemble
from jobs import launch, pretrain_record, train_vocabulary
from jobs.pipeline import EncoderPlan, Pipeline, corpus_stage, pretraining_stage, vocabulary_stage
from jobs.progress import say

PLANS = {
    "default": ("quickstart", EncoderPlan()),
    "smoke": (
        "quickstart-smoke",
        EncoderPlan(
            vocabulary=train_vocabulary.PRESETS["smoke"],
            training=dataclasses.replace(SMOKE, stream=StreamConfig(streams=8)),
        ),
    ),
}
"""By preset: folder under the storage folder, shared with the quickstart of that preset, and what is made there."""


@dataclass(frozen=True)
class Encoder:
    """A verified encoder.

    Attributes:
        folder: of weights and vocabulary.
        sha256: of the weights.
        about: what its folder says of it: hashes of corpus and vocabulary, `steps`.
        vocabulary: its ensemble.
        why: how it came to be chosen, for people.
    """

    folder: Path
    sha256: str
    about: dict[str, Any]
    vocabulary: Ensemble
    why: str

    def __str__(self) -> str:
        steps = f", {self.about['steps']:,} updates" if "steps" in self.about else ""
        return f"{self.folder} ({self.why}; verified, sha256 {self.sha256[:12]}{steps}; {self._names})"

    @property
    def _names(self) -> str:
        return f"vocabularies {', '.join(self.vocabulary.names)}"


def opened(folder: Path, why: str) -> Encoder:
    """An encoder whose weights and vocabulary are what its folder says.

    Raises:
        InputError: none there, or its vocabulary is missing.
        CorruptArtefact: weights or vocabulary disagree with their hashes.
    """
    _, sha256, about = encoder_about(folder)
    vocabulary = Ensemble.load(folder / FILE_NAME)
    if about.get("vocabulary_sha256", vocabulary.sha256) != vocabulary.sha256:
        raise CorruptArtefact(f"{folder / FILE_NAME}: not the vocabulary it was pretrained with; restore it")
    return Encoder(folder, sha256, about, vocabulary, why)


def choose(preset: str, tracking: str | None = None) -> Encoder:
    """The encoder to start from where none is named: the newest under the storage folder, or else a new one.

    Args:
        preset: of `PLANS`.
        tracking: MLflow tracking URI, of a pretraining.
    """
    found = newest(launch.storage())
    if found is not None:
        return found
    name, plan = PLANS[preset]
    say(f"[encoder] none in {launch.storage()}: pretraining a tiny one first, on yeast; give yours with --checkpoint")
    return opened(_made(launch.storage() / name, dataclasses.replace(plan, tracking=tracking)), "pretrained just now")


def newest(storage: Path) -> Encoder | None:
    """The encoder written last of those that are whole; the others are told and passed over."""
    written = [path for place in ("encoders/*", "*/pretraining-*") for path in storage.glob(f"{place}/{CONFIG}")]
    for path in sorted(written, key=lambda path: (path.stat().st_mtime, str(path)), reverse=True):
        try:
            return opened(path.parent, f"the newest in {storage}")
        except GenomicsFmError as error:
            say(f"[encoder] passed over: {error}")
    return None


def _made(root: Path, plan: EncoderPlan) -> Path:
    """The folder of a new encoder, of the first three stages of the quickstart."""
    with contextlib.ExitStack() as stack:
        pipeline = Pipeline(root, stack)
        corpus = corpus_stage(pipeline, plan)
        vocabulary = vocabulary_stage(pipeline, plan, corpus)
        return Path(pretraining_stage(pipeline, plan, corpus, vocabulary)["folder"])


def corpus_of(encoder: Encoder) -> Corpus | None:
    """What an encoder was pretrained on, if it is on this machine."""
    wanted = encoder.about.get("corpus_sha256")
    for folder in _corpora(encoder.folder) if wanted else ():
        try:
            corpus = Corpus(folder)
        except GenomicsFmError as error:
            say(f"[encoder] corpus passed over: {error}")
            continue
        if corpus.sha256 == wanted:
            return corpus
    return None


def _corpora(encoder: Path) -> Iterator[Path]:
    """Folders of corpora: the one the pretraining read, then all in the storage folder."""
    of_encoder, run = Folder(encoder), {}
    if of_encoder.exists(pretrain_record.RECORD):  # not where an encoder was imported
        run = of_encoder.read_sealed_json(pretrain_record.RECORD, pretrain_record.FORMAT_VERSION, "")
    told = str(run.get("config", {}).get("corpus", ""))
    if told and not is_remote(told) and (Path(told) / MANIFEST).is_file():
        yield Path(told)
    for place in ("corpora/*", "*/corpus-*"):
        yield from sorted(path.parent for path in launch.storage().glob(f"{place}/{MANIFEST}"))
