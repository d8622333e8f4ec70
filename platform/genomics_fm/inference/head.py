"""A head folder: written once, verified whenever it is loaded, and what it predicts.

config.json          the card (`HeadCard`)
model.safetensors    weights of `model.heads.SequenceClassifier`
vocabulary.json      the ensemble vocabulary
validation.parquet   locus, block, label, probability: what promotion compares (R30)
README.md            the model card
manifest.json        sha256 of each of the above, written last
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from genomics_fm.artefacts import read_sealed_json, sha256_file, write_bytes, write_json, write_sealed_json
from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.inference.card import FORMAT_VERSION, HeadCard, model_card, read_card
from genomics_fm.inference.sequences import Prepared, prepare
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import Pooling, SequenceClassifier
from genomics_fm.model.weights import load_into, read_tensors, write_tensors
from genomics_fm.tasks.scoring import strand_probabilities
from genomics_fm.vocabulary.ensemble import Ensemble

MANIFEST = "manifest.json"
FILES = ("config.json", "model.safetensors", "vocabulary.json", "validation.parquet", "README.md")
VALIDATION_COLUMNS = ("locus", "block", "label", "probability")
DECISION = 0.5


@dataclass(frozen=True)
class Prediction:
    """What a head says about one sequence.

    Attributes:
        label: name of the class whose probability is larger.
        probability: of class 1; the mean of both strands for unstranded heads.
        reverse_complement_gap: |p(forward) − p(reverse complement)|; None for stranded heads.
        warnings: reservations, in words.
    """

    label: str
    probability: float
    reverse_complement_gap: float | None
    warnings: tuple[str, ...]


def save_head(
    folder: Path,
    module: SequenceClassifier,
    card: HeadCard,
    vocabulary: Ensemble,
    validation: Mapping[str, Any],
) -> str:
    """Write a head folder; without its manifest, written last, it does not count.

    Args:
        folder: made when absent; a head that is there is replaced.
        module: the trained classifier.
        card: what it is.
        vocabulary: the ensemble it reads.
        validation: columns `VALIDATION_COLUMNS`, one entry a validation row, `probability` that of class 1.

    Returns:
        The head's sha256 (of its manifest).
    """
    missing = set(VALIDATION_COLUMNS) - set(validation)
    if missing:
        raise InputError(f"{folder}: validation lacks {', '.join(sorted(missing))}; give every column")
    (folder / MANIFEST).unlink(missing_ok=True)
    write_tensors(folder / "model.safetensors", module.state_dict())
    vocabulary.save(folder / "vocabulary.json")
    write_bytes(folder / "validation.parquet", _parquet(validation))
    return write_card(folder, card)


def write_card(folder: Path, card: HeadCard) -> str:
    """Write or replace the card of a head whose other files stand, then its manifest; returns its sha256."""
    write_json(folder / "config.json", card.to_json())
    write_bytes(folder / "README.md", model_card(card).encode())
    files = {name: sha256_file(folder / name) for name in FILES}
    write_sealed_json(folder / MANIFEST, {"format_version": FORMAT_VERSION, "files": files})
    return sha256_file(folder / MANIFEST)


def _parquet(validation: Mapping[str, Any]) -> bytes:
    table = pa.table({name: pa.array(validation[name]) for name in VALIDATION_COLUMNS})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def verify(folder: Path) -> str:
    """Compare every file of a head folder with its manifest.

    Returns:
        The head's sha256 (of its manifest).

    Raises:
        InputError: no such folder, or no manifest in it.
        CorruptArtefact: a file is missing or changed, or the format is newer; names the file.
    """
    cure = "give a folder that `python -m jobs.finetune` or `jobs.quickstart` wrote"
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; {cure}")
    manifest = read_sealed_json(folder / MANIFEST, FORMAT_VERSION, f"this is no complete head folder; {cure}")
    files = manifest.get("files")
    if not isinstance(files, dict) or set(files) != set(FILES):
        raise CorruptArtefact(f"{folder / MANIFEST}: does not list a head's files; restore the folder")
    for name in FILES:
        path = folder / name
        if not path.is_file():
            raise CorruptArtefact(f"{path}: missing, though the manifest lists it; restore the folder")
        if sha256_file(path) != files[name]:
            raise CorruptArtefact(f"{path}: does not match the manifest's sha256; restore the folder")
    return sha256_file(folder / MANIFEST)


class Head:
    """A loaded head. Use `load_head`."""

    def __init__(
        self, folder: Path, sha256: str, card: HeadCard, vocabulary: Ensemble, module: SequenceClassifier
    ) -> None:
        self.folder = folder
        self.sha256 = sha256
        self.card = card
        self.vocabulary = vocabulary
        self.module = module.eval()

    def prepare(self, text: str, where: str) -> Prepared:
        """Normalise a sequence for this head; raises `InputError` naming `where`."""
        return prepare(text, self.card.input_length_bp, where)

    def predict(self, sequences: Sequence[str]) -> list[Prediction]:
        """Score sequences of 10 to 2,000 letters.

        Raises:
            InputError: a sequence R11 refuses; names it as `sequence <number from 1>`.
        """
        return self.score([self.prepare(text, f"sequence {i}") for i, text in enumerate(sequences, start=1)])

    def score(self, prepared: Sequence[Prepared]) -> list[Prediction]:
        """Score prepared sequences; the answer for one does not depend on the others to 1e-5."""
        probability = strand_probabilities(
            self.module,
            self.vocabulary,
            self.card.vocabulary,
            [item.sequence for item in prepared],
            both_strands=not self.card.stranded,
        )
        mean = probability.mean(axis=0)
        gap = None if self.card.stranded else np.abs(probability[0] - probability[1])
        return [
            Prediction(
                label=self.card.labels[int(mean[i] >= DECISION)],
                probability=float(mean[i]),
                reverse_complement_gap=None if gap is None else float(gap[i]),
                warnings=item.warnings,
            )
            for i, item in enumerate(prepared)
        ]


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


def _module(card: HeadCard, path: Path) -> SequenceClassifier:
    """The classifier a card describes, its weights not yet loaded."""
    if card.pooling not in get_args(Pooling):
        raise CorruptArtefact(f"{path}: unknown pooling {card.pooling!r}; upgrade genomics-fm")
    try:
        config = EncoderConfig(**card.encoder)
    except (TypeError, InputError) as error:
        raise CorruptArtefact(f"{path}: not an encoder ({error}); save the head again") from error
    return SequenceClassifier(config, outputs=len(card.labels), pooling=card.pooling)  # type: ignore[arg-type]


def read_validation(folder: Path) -> dict[str, np.ndarray]:
    """The columns of a head's `validation.parquet`, `VALIDATION_COLUMNS`, as numpy arrays."""
    table = pq.read_table(folder / "validation.parquet", columns=list(VALIDATION_COLUMNS))
    return {name: table[name].to_numpy() for name in VALIDATION_COLUMNS}
