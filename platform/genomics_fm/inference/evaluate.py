"""An encoder folder, held-out files and a corpus in; the figures of R17 out, and progress on stderr."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genomics_fm.artefacts import sha256_file
from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import InputError
from genomics_fm.inference.sources import CONFIG, load_any
from genomics_fm.model.heads import MaskedLanguageModel
from genomics_fm.training import evaluation
from genomics_fm.training.evaluation import EvaluationConfig
from genomics_fm.training.heldout import stretches_of_all
from genomics_fm.training.markov import Markov, count_markov, reference_letters
from genomics_fm.training.workers import Workers

PROGRESS_SECONDS = 2.0


def evaluate_folder(
    encoder: Path, files: Sequence[str], corpus: str | None, names: Sequence[str], config: EvaluationConfig
) -> dict[str, Any]:
    """Score an encoder on stretches of files, on a GPU where one is to be seen.

    Args:
        encoder: any folder of a masked language model with its vocabulary.
        files: FASTA or GenBank.
        corpus: what Markov models are counted from; None for none.
        names: vocabularies; all when empty.
        config: what is hidden where.

    Returns:
        What `genomics-fm evaluate` writes.

    Raises:
        InputError: no such model, vocabulary, file or corpus, or nothing to hide in a file.
        CorruptArtefact: encoder or corpus do not match their hashes.
    """
    model, ensemble, about = load_any(encoder)
    if not isinstance(model, MaskedLanguageModel) or ensemble is None:
        raise InputError(f"{encoder}: no masked language model with its vocabulary; give a pretrained encoder")
    for name in names:
        ensemble.member(name)
    stretches = stretches_of_all(files, config.segments, config.segment_bp, config.seed)
    _say(f"{len(stretches):,} stretches of {len(files)} files")
    markov, corpus_sha256 = _counted(corpus) if corpus else (None, None)
    model, report = model.to(Workers.current().device), _Progress().report
    found = evaluation.evaluate(model, ensemble, names or ensemble.names, stretches, markov, config, report)
    return {
        "format_version": evaluation.FORMAT_VERSION,
        "encoder": {"folder": encoder.name, "config_sha256": sha256_file(encoder / CONFIG), "about": about},
        "vocabulary_sha256": ensemble.sha256,
        "corpus_sha256": corpus_sha256,
        "files": {file: sha256_file(Path(file)) for file in files if Path(file).is_file()},
        **evaluation.about(config, markov),
        "vocabularies": found,
    }


def _counted(folder: str) -> tuple[Markov, str]:
    """Markov models of a corpus, and its sha256."""
    corpus, started, order = Corpus(folder), time.monotonic(), max(evaluation.ORDERS)
    markov = count_markov(reference_letters(corpus, order), order)
    _say(f"Markov models of {markov.nucleotides:,} nt of {folder} in {time.monotonic() - started:.1f} s")
    return markov, corpus.sha256


class _Progress:
    """Says every few seconds how far it is, by the stretches of each vocabulary."""

    def __init__(self) -> None:
        self.name, self.started, self.last = "", 0.0, 0.0

    def report(self, name: str, done: int, total: int) -> None:
        now = time.monotonic()
        if name != self.name:
            self.name, self.started, self.last = name, now, now
        elif now - self.last >= PROGRESS_SECONDS:
            self.last = now
            _say(f"{name}: {done:,} of {total:,} stretches, {done / (now - self.started):,.0f}/s")


def _say(text: str) -> None:
    print(f"evaluate: {text}", file=sys.stderr, flush=True)
