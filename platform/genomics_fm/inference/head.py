"""A head folder: written once, verified whenever it is loaded, and what it predicts.

config.json          the card (`HeadCard`)
model.safetensors    weights of `model.heads.SequenceClassifier`, or of `TokenClassifier` for a per-base problem
vocabulary.json      the ensemble vocabulary
validation.parquet   locus, block, label, prediction: what promotion compares (R30)
README.md            the model card
manifest.json        sha256 of each of the above, written last
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np

from genomics_fm.artefacts import read_sealed_json, sha256_file, write_bytes, write_json, write_sealed_json
from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.inference import prediction
from genomics_fm.inference.card import FORMAT_VERSION, HeadCard, read_card
from genomics_fm.inference.card_text import model_card
from genomics_fm.inference.predicted import Predicted, read_predicted
from genomics_fm.inference.prediction import Prediction
from genomics_fm.inference.prior import Prior
from genomics_fm.inference.prior import shares as prior_shares
from genomics_fm.inference.sequences import Familiar, Prepared
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import Pooling, SequenceClassifier, TokenClassifier
from genomics_fm.model.weights import load_into, read_tensors, write_tensors
from genomics_fm.tasks import metrics, scoring
from genomics_fm.tasks.scoring import Predictions, Strands
from genomics_fm.vocabulary.ensemble import Ensemble

MANIFEST = "manifest.json"
VALIDATION = "validation.parquet"
CARD_FILES = ("config.json", "README.md")
"""What a card is written to; baselines that are scored later change it."""
FILES = ("config.json", "model.safetensors", "vocabulary.json", VALIDATION, "README.md")
_KEPT = tuple(name for name in FILES if name not in CARD_FILES)
_CURE = "give a folder that `python -m jobs.finetune` or `jobs.quickstart` wrote"

Module = SequenceClassifier | TokenClassifier


def save_head(folder: Path, module: Module, card: HeadCard, vocabulary: Ensemble, rows: Predicted) -> str:
    """Write a head folder; without its manifest, written last, it does not count.

    Args:
        folder: made when absent; a head that is there is replaced.
        module: the trained classifier.
        card: what it is.
        vocabulary: the ensemble it reads.
        rows: its predictions of the validation rows.

    Returns:
        The head's sha256 (of its manifest).

    Raises:
        InputError: the module, or the predictions, are not what the card says.
    """
    shape = (isinstance(module, TokenClassifier), module.classifier.out_features)
    if shape != (card.problem.kind == "per-base", card.problem.outputs):
        raise InputError(f"{folder}: the module's outputs are not those of the card's problem; give its own card")
    metrics.rows_of(card.problem, rows.labels, rows.predictions)
    (folder / MANIFEST).unlink(missing_ok=True)
    write_tensors(folder / "model.safetensors", module.state_dict())
    vocabulary.save(folder / "vocabulary.json")
    write_bytes(folder / VALIDATION, rows.to_parquet())
    return _seal(folder, card)


def replace_card(folder: Path, card: HeadCard) -> str:
    """Replace the card of a complete head, whose other files must be as they were written; returns its sha256.

    Raises:
        InputError: no manifest.
        CorruptArtefact: one of the other files is missing or changed.
    """
    _compare(folder, _KEPT)
    return _seal(folder, card)


def _seal(folder: Path, card: HeadCard) -> str:
    write_json(folder / "config.json", card.to_json())
    write_bytes(folder / "README.md", model_card(card).encode())
    files = {name: sha256_file(folder / name) for name in FILES}
    write_sealed_json(folder / MANIFEST, {"format_version": FORMAT_VERSION, "files": files})
    return sha256_file(folder / MANIFEST)


def verify(folder: Path) -> str:
    """Compare every file of a head folder with its manifest.

    Returns:
        The head's sha256 (of its manifest).

    Raises:
        InputError: no such folder, or no manifest in it.
        CorruptArtefact: a file is missing or changed, or the format is newer; names the file.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; {_CURE}")
    _compare(folder, FILES)
    return sha256_file(folder / MANIFEST)


def _compare(folder: Path, names: Sequence[str]) -> None:
    """Compare some files of a head folder with its manifest; raises as `verify`."""
    manifest = read_sealed_json(folder / MANIFEST, FORMAT_VERSION, f"this is no complete head folder; {_CURE}")
    files = manifest.get("files")
    if not isinstance(files, dict) or set(files) != set(FILES):
        raise CorruptArtefact(f"{folder / MANIFEST}: does not list a head's files; restore the folder")
    for name in names:
        path = folder / name
        if not path.is_file():
            raise CorruptArtefact(f"{path}: missing, though the manifest lists it; restore the folder")
        if sha256_file(path) != files[name]:
            raise CorruptArtefact(f"{path}: does not match the manifest's sha256; restore the folder")


class Head:
    """A loaded head. Use `load_head`."""

    def __init__(self, folder: Path, sha256: str, card: HeadCard, vocabulary: Ensemble, module: Module) -> None:
        self.folder = folder
        self.sha256 = sha256
        self.card = card
        self.vocabulary = vocabulary
        self.module = module.eval()
        self.familiar = Familiar(card.length_bp, card.gc)

    def prepare(self, text: str, where: str) -> Prepared:
        """Normalise a sequence for this head; raises `InputError` naming `where`."""
        return self.familiar.prepare(text, where)

    def predict(self, sequences: Sequence[str], prior: Prior | None = None) -> list[Prediction]:
        """Score sequences of 10 to 2,000 letters, or four times the longest training sequence if that is more.

        Args:
            sequences: letters in either case.
            prior: how frequent classes or labels are where the sequences come from; as in training otherwise.

        Raises:
            InputError: a sequence R11 refuses (names it as `sequence <number from 1>`), or a prior that
                `prior.shares` refuses.
        """
        return self.score([self.prepare(text, f"sequence {i}") for i, text in enumerate(sequences, start=1)], prior)

    def score(self, prepared: Sequence[Prepared], prior: Prior | None = None, bf16: bool = False) -> list[Prediction]:
        """Score prepared sequences; the answer for one does not depend on the others to 1e-5 (in float32)."""
        problem, thresholds = self.card.problem, self.card.thresholds
        shares = None if prior is None else prior_shares(self.card, prior)
        mean, gaps = prediction.mean_and_gaps(self.strands([item.sequence for item in prepared], bf16))
        values = self.card.answers(mean, shares)
        limits = None if thresholds is None else np.array(thresholds)
        found = [
            prediction.decided(problem, row, gap, item.warnings, limits)
            for row, gap, item in zip(values, gaps, prepared, strict=True)
        ]
        return self._bounded(found, mean)

    def _bounded(self, found: list[Prediction], mean: Predictions) -> list[Prediction]:
        """The predictions with the sets or intervals that the head was calibrated for."""
        calibration, names = self.card.calibrator, self.card.problem.names
        sets, intervals = calibration.sets(mean), calibration.intervals(mean)
        if sets is not None:
            possible = [tuple(name for name, is_in in zip(names, row, strict=True) if is_in) for row in sets]
            return [replace(one, possible=those) for one, those in zip(found, possible, strict=True)]
        if intervals is not None:
            both = np.stack(intervals, axis=-1)
            return [replace(one, interval=bounds) for one, bounds in zip(found, both, strict=True)]
        return found

    def strands(self, sequences: Sequence[str], bf16: bool = False) -> Strands:
        """What the model itself says of each strand of normalised sequences; see `scoring.predict`."""
        name, problem = self.card.vocabulary, self.card.problem
        return scoring.predict(self.module, self.vocabulary, name, sequences, problem, bf16=bf16)


def load_head(folder: Path | str) -> Head:
    """Load a head folder after verifying it.

    Raises:
        InputError: no such folder, or no manifest in it.
        CorruptArtefact: a hash differs, the weights do not fit the card, or a newer format; names the file.
    """
    folder = Path(folder)
    sha256 = verify(folder)
    card = read_card(folder / "config.json")
    vocabulary = Ensemble.load(folder / "vocabulary.json")
    module = _module(card, folder / "config.json")
    if card.vocabulary not in vocabulary.names or vocabulary.size != module.bert.config.vocabulary_size:
        raise CorruptArtefact(
            f"{folder / 'vocabulary.json'}: does not fit config.json (vocabulary, size); save the head again"
        )
    path = folder / "model.safetensors"
    load_into(module, read_tensors(path), str(path))
    return Head(folder, sha256, card, vocabulary, module)


def _module(card: HeadCard, path: Path) -> Module:
    """The classifier a card describes, its weights not yet loaded."""
    if card.pooling not in get_args(Pooling):
        raise CorruptArtefact(f"{path}: unknown pooling {card.pooling!r}; upgrade genomics-fm")
    try:
        config = EncoderConfig(**card.encoder)
    except (TypeError, InputError) as error:
        raise CorruptArtefact(f"{path}: not an encoder ({error}); save the head again") from error
    if card.problem.kind == "per-base":
        return TokenClassifier(config, card.problem.outputs)
    return SequenceClassifier(config, card.problem.outputs, card.pooling, dense=card.dense)  # type: ignore[arg-type]


def read_validation(folder: Path) -> Predicted:
    """A head's predictions of its validation rows, before any prior.

    Raises:
        CorruptArtefact: card or rows are damaged.
    """
    return read_predicted(folder / VALIDATION, read_card(folder / "config.json").problem)
