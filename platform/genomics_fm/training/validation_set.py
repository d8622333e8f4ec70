"""The held-out stretches a pretraining is scored on: drawn, looked for in the corpus, kept with Markov scores."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomics_fm.artefacts import sha256_json
from genomics_fm.corpus.manifest import FORMAT_VERSION as CORPUS_FORMAT_VERSION
from genomics_fm.corpus.manifest import PROVENANCE, Corpus
from genomics_fm.errors import InputError
from genomics_fm.genome.kmers import NO_KMER, Scan, canonical, table
from genomics_fm.storage import Folder
from genomics_fm.training import evaluation
from genomics_fm.training.evaluation import EvaluationConfig
from genomics_fm.training.heldout import HeldOut, Stretch, stretches_of_all
from genomics_fm.training.hiding import Reader
from genomics_fm.training.markov import Markov, count_markov, reference_letters
from genomics_fm.training.validation import FOLDER, FORMAT_VERSION, file_of
from genomics_fm.vocabulary.ensemble import Ensemble

RECIPE = "recipe"
"""In place of a file: the contigs that the corpus was built without."""
K, MOST_CONTAINED = 31, 0.5
"""A stretch stands in the corpus where more than this share of its canonical 31-mers does (R9)."""
MOST_READ_NT = 4_000_000_000
"""Of a larger corpus, every so manieth block is read, so that a run does not wait for hours to begin."""
HASH_CHARACTERS = 10
Say = Callable[[str], None]


@dataclass(frozen=True)
class Read:
    """What a pass over a corpus has found.

    Attributes:
        markov: of order `max(ORDERS)`.
        contained_D: share of each stretch's 31-mers that were met, on either strand.
        every: of how many blocks one was read.
    """

    markov: Markov
    contained_D: NDArray[np.float64]
    every: int


def held_out_of(corpus: Corpus) -> list[HeldOut]:
    """The contigs that a corpus was built without, by its provenance.

    Raises:
        InputError: it holds nothing out, or does not say of what.
    """
    known = corpus.storage.read_sealed_json(PROVENANCE, CORPUS_FORMAT_VERSION, "give files with --validation instead")
    species = {source["location"]: source["species"] for source in known.get("sources", [])}
    found = [
        HeldOut(entry["location"], species.get(entry["location"], ""), frozenset(entry["held_out"]))
        for entry in known["files"]
        if entry.get("held_out")
    ]
    if not found:
        raise InputError(f"{corpus.storage}: its sources exclude no contigs; give files with --validation instead")
    return found


def read_corpus(corpus: Corpus, stretches: Sequence[Stretch], order: int, most_nt: int = MOST_READ_NT) -> Read:
    """Count a corpus's Markov models and look for stretches in it, in one pass over its references."""
    kmers = [canonical(stretch.sequence.encode(), K) for stretch in stretches]
    wanted = table(np.concatenate(kmers))
    met = np.zeros(len(wanted.kmers) + 1, bool)
    every = max(1, -(-corpus.nucleotides // most_nt))

    def letters() -> Iterator[NDArray[np.uint8]]:
        for letters_L in reference_letters(corpus, order, every=every):
            met[Scan(K).found(letters_L.tobytes(), wanted)[1]] = True
            yield letters_L

    markov = count_markov(letters(), order)
    return Read(markov, np.array([_share(one, wanted.kmers, met) for one in kmers]), every)


def _share(kmers_L: NDArray[np.uint64], known: NDArray[np.uint64], met: NDArray[np.bool_]) -> float:
    """Of a stretch's k-mers, how many were met; 0 where N leaves it none."""
    kmers_L = kmers_L[kmers_L != NO_KMER]
    return float(met[np.searchsorted(known, kmers_L)].mean()) if kmers_L.size else 0.0


def prepare(
    files: Sequence[str], config: EvaluationConfig, corpus: Corpus, ensemble: Ensemble, folder: Folder, say: Say
) -> str:
    """Draw the stretches, and keep them in the run's folder unless the very same are there already.

    Args:
        files: `FILE`, `NAME=FILE` or `RECIPE` each.
        config: how many of each file, how long, and what is hidden.
        corpus: of the run; stretches that stand in it are left out.
        ensemble: of the run.
        folder: of the run.
        say: receives lines for people.

    Returns:
        The set's name, for `Validation`.

    Raises:
        InputError: nothing is held out, a file cannot be trusted, or all that was drawn of it stands in the corpus.
    """
    given = [held for one in files for held in (held_out_of(corpus) if one == RECIPE else [HeldOut.of(one)])]
    stretches = stretches_of_all(given, config.segments, config.segment_bp, config.seed)
    drawn = [asdict(config), [astuple(one) for one in stretches], corpus.sha256, ensemble.sha256, evaluation.ORDERS]
    name = sha256_json(drawn)[:HASH_CHARACTERS]
    place = folder / FOLDER
    if place.exists(file_of(name)):
        found = place.read_sealed_json(file_of(name), FORMAT_VERSION, "")
    else:
        say(f"{len(stretches):,} stretches drawn; reading the corpus, for Markov models and for what stands in it")
        found = _made(config, stretches, corpus, ensemble)
        place.write_sealed_json(file_of(name), found)
    for line in told(found):
        say(line)
    return name


def _made(config: EvaluationConfig, drawn: list[Stretch], corpus: Corpus, ensemble: Ensemble) -> dict[str, Any]:
    """A set with all that is known of it, as JSON."""
    read = read_corpus(corpus, drawn, max(evaluation.ORDERS))
    inside_D = read.contained_D > MOST_CONTAINED
    kept = [stretch for stretch, inside in zip(drawn, inside_D, strict=True) if not inside]
    counts = {"drawn": Counter(one.source for one in drawn), "kept": Counter(one.source for one in kept)}
    for source, number in counts["drawn"].items():
        if not counts["kept"][source]:
            raise InputError(
                f"validation {source}: all {number:,} stretches stand in the corpus; give sequence that was held out"
            )
    baselines = {}
    for member in ensemble.names:
        reader = Reader.of(ensemble, member)
        hidden = evaluation.hidden_of(reader, kept, config)
        columns = evaluation.markov_columns(read.markov, member, hidden, kept, lambda *_: None)
        columns |= evaluation.counted(hidden)
        figures = evaluation.by_source(columns, kept, reader.overlap == 1)
        by_source = {source: group["markov"] for source, group in figures["by_source"].items()}
        baselines[member] = {"all": figures["all"]["markov"], "by_source": by_source}
    return {
        "format_version": FORMAT_VERSION,
        "settings": asdict(config),
        "corpus_sha256": corpus.sha256,
        "vocabulary_sha256": ensemble.sha256,
        "sources": {source: {"drawn": n, "kept": counts["kept"][source]} for source, n in counts["drawn"].items()},
        "looked_for": {"k": K, "most_contained": MOST_CONTAINED, "every": read.every},
        "markov": evaluation.about(config, read.markov)["markov"],
        "baselines": baselines,
        "stretches": [astuple(one) for one in kept],
    }


def told(found: dict[str, Any]) -> list[str]:
    """What there is to say of a set, as `read_set` gives it, a line each."""
    every = found["looked_for"]["every"]
    part = "the corpus's references" if every == 1 else f"one in {every} blocks of the corpus's references"
    number, sources = len(found["stretches"]), len(found["sources"])
    lines = [f"{number:,} stretches of {sources} source{'s' * (sources != 1)}; looked for in {part} by {K}-mers"]
    for source, of_source in found["sources"].items():
        if out := of_source["drawn"] - of_source["kept"]:
            lines.append(f"{source}: {out:,} of {of_source['drawn']:,} stretches stand in the corpus and are left out")
    if every > 1:
        lines.append("what stands in the blocks that were not read is not known")
    return lines
