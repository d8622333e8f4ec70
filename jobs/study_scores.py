"""What the runs of a study score on the same held-out sequences (R17), kept; and what is written of all of them."""

from pathlib import Path
from typing import Any

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
from genomics_fm.training.markov import Markov, count_markov, reference_letters
from jobs.progress import say

FORMAT_VERSION = 1
SCORES = "scores"
KEPT = ("all", "by_source")
"""Of the figures of R17; those of each contig are too many."""


class Scores:
    """Scores of runs, each computed once for its weights, the held-out stretches and the masks."""

    def __init__(
        self, folder: Path, stretches: list[Stretch], corpora: dict[str, Corpus], config: EvaluationConfig
    ) -> None:
        """Scores kept in a study's folder.

        Args:
            folder: of the study.
            stretches: held-out sequence, the same for every run.
            corpora: what Markov models are counted from, by name; a run stands beside those of its own corpus.
            config: what is hidden.
        """
        self._folder, self._stretches, self._corpora, self._config = folder / SCORES, stretches, corpora, config
        self._markov: dict[str, Markov] = {}
        self.sha256 = sha256_json([[one.source, one.contig, one.start, one.sequence] for one in stretches])

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
            order = max(evaluation.ORDERS)
            self._markov[cell.corpus] = count_markov(reference_letters(self._corpora[cell.corpus], order), order)
        found = evaluation.evaluate(
            model, ensemble, cell.members, self._stretches, self._markov[cell.corpus], self._config, _silent
        )
        for name, figures in found.items():
            of_all = figures["all"]
            say(f"[study] {cell.slug}, {name}: loss {of_all['loss']:.4f}, accuracy {of_all['base_accuracy']:.4f}")
        return {name: {group: figures[group] for group in KEPT} for name, figures in found.items()}


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
