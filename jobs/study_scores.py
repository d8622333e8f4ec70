"""What the runs of a study score on the same held-out sequences (R17), kept; and what is written of all of them."""

from pathlib import Path
from typing import Any

import numpy as np

from genomics_fm.artefacts import read_sealed_json, sha256_json, write_bytes, write_sealed_json
from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import InputError
from genomics_fm.inference.sources import load_any
from genomics_fm.model.heads import MaskedLanguageModel
from genomics_fm.report.study_page import study_page
from genomics_fm.studies.scaling import AXES, Cell, Row
from genomics_fm.training import evaluation
from genomics_fm.training.evaluation import EvaluationConfig
from genomics_fm.training.heldout import Stretch
from genomics_fm.training.markov import Markov
from genomics_fm.training.validation_set import MOST_CONTAINED, read_corpus
from jobs.progress import say

FORMAT_VERSION = 1
SCORES = "scores"
KEPT = ("all", "by_source")
"""Of the figures of R17; those of each contig are too many."""


class Scores:
    """Scores of runs, each computed once for its weights, the held-out stretches and the masks.

    Attributes:
        left_out: how many of the drawn stretches stand in one of the corpora; no run is scored on them.
        sha256: of the other stretches.
    """

    def __init__(
        self, folder: Path, drawn: list[Stretch], corpora: dict[str, Corpus], config: EvaluationConfig
    ) -> None:
        """Scores kept in a study's folder; the corpora are read where it is not known yet what stands in them.

        Args:
            folder: of the study.
            drawn: held-out sequence, the same for every run.
            corpora: what Markov models are counted from, by name; a run stands beside those of its own corpus.
            config: what is hidden.

        Raises:
            InputError: every stretch stands in a corpus.
        """
        self._folder, self._drawn, self._corpora, self._config = folder / SCORES, drawn, corpora, config
        self._markov: dict[str, Markov] = {}
        inside = {number for name in corpora for number in self._inside(name)}
        self.left_out = len(inside)
        self._stretches = [one for number, one in enumerate(drawn) if number not in inside]
        if not self._stretches:
            raise InputError("--held-out: every stretch stands in one of the corpora; give sequence that is in none")
        self.sha256 = _sha256(self._stretches)

    def _read(self, name: str) -> list[int]:
        """Count a corpus's Markov models; numbers of the stretches that stand in it."""
        say(f"[study] reading corpus {name}, for Markov models and for held-out stretches that stand in it")
        read = read_corpus(self._corpora[name], self._drawn, max(evaluation.ORDERS))
        self._markov[name] = read.markov
        return [int(number) for number in np.flatnonzero(read.contained_D > MOST_CONTAINED)]

    def _inside(self, name: str) -> list[int]:
        path = self._folder / f"held-out-in-{name}.json"
        wanted = sha256_json([_sha256(self._drawn), self._corpora[name].sha256])
        if path.is_file():
            kept = read_sealed_json(path, FORMAT_VERSION, "delete it")
            if kept["wanted"] == wanted:
                return list(kept["inside"])
        inside = self._read(name)
        write_sealed_json(path, {"format_version": FORMAT_VERSION, "wanted": wanted, "inside": inside})
        return inside

    def of(self, cell: Cell, encoder: Path, weights_sha256: str) -> dict[str, Any]:
        """Figures of a run by reading vocabulary, `all` and `by_source`.

        Raises:
            InputError: its weights are no masked language model with a vocabulary.
            CorruptArtefact: the file of its scores, or its weights, have been changed.
        """
        about = evaluation.about(self._config, None)["settings"]
        wanted = sha256_json([weights_sha256, self.sha256, self._corpora[cell.corpus].sha256, about])
        path = self._folder / f"{cell.slug}.json"
        if path.is_file():
            kept = read_sealed_json(path, FORMAT_VERSION, "delete it")
            if kept["wanted"] == wanted:
                return dict(kept["scores"])
        scores = self._score(cell, encoder)
        write_sealed_json(path, {"format_version": FORMAT_VERSION, "wanted": wanted, "scores": scores})
        return scores

    def _score(self, cell: Cell, encoder: Path) -> dict[str, Any]:
        model, ensemble, _ = load_any(encoder)
        if not isinstance(model, MaskedLanguageModel) or ensemble is None:
            raise InputError(f"{encoder}: no masked language model with its vocabulary; delete it and run again")
        if cell.corpus not in self._markov:
            self._read(cell.corpus)
        found = evaluation.evaluate(
            model, ensemble, cell.members, self._stretches, self._markov[cell.corpus], self._config, _silent
        )
        for name, figures in found.items():
            of_all = figures["all"]
            say(f"[study] {cell.slug}, {name}: loss {of_all['loss']:.4f}, accuracy {of_all['base_accuracy']:.4f}")
        return {name: {group: figures[group] for group in KEPT} for name, figures in found.items()}


def _sha256(stretches: list[Stretch]) -> str:
    return sha256_json([[one.source, one.contig, one.start, one.sequence] for one in stretches])


def _silent(name: str, done: int, total: int) -> None:
    """A score takes seconds."""


def write(folder: Path, result: dict[str, Any], names: tuple[str, str, str]) -> None:
    """Write JSON, page and table of a study.

    Args:
        folder: of the study.
        result: what it has come to so far.
        names: of the three files.
    """
    write_sealed_json(folder / names[0], result)
    write_bytes(folder / names[1], study_page(result).encode())
    write_bytes(folder / names[2], table_of(result["rows"]).encode())


def table_of(rows: list[Row]) -> str:
    """A line for every run and reading vocabulary, as TSV."""
    heads = (*AXES, "seed", "parameters", "tokens", "flops", "reads", "loss", "base_accuracy", "bits_per_nucleotide")
    lines = ["\t".join(heads)]
    for row in rows:
        for name, score in row["scores"].items():
            own = [row[head] for head in heads[: heads.index("reads")]]
            figures = [score["all"].get(head) for head in heads[heads.index("reads") + 1 :]]
            lines.append("\t".join("" if value is None else str(value) for value in [*own, name, *figures]))
    return "\n".join(lines) + "\n"
