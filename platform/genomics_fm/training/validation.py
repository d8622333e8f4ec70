"""A pretraining is scored on held-out stretches while it runs, by all workers together (R17)."""

import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from genomics_fm.errors import GenomicsFmError
from genomics_fm.model.heads import MaskedLanguageModel
from genomics_fm.storage import Folder
from genomics_fm.training import evaluation
from genomics_fm.training.evaluation import Columns, EvaluationConfig
from genomics_fm.training.heldout import Stretch
from genomics_fm.training.hiding import Hidden, Reader
from genomics_fm.training.metrics import START, VALIDATION
from genomics_fm.training.together import first_error
from genomics_fm.training.workers import Workers, shards
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.special import CLS_ID, SEP_ID

FOLDER = "validation"
"""Of a run's folder: a file for each set of stretches that it was ever scored on."""
FORMAT_VERSION = 1
_NONE = np.zeros(0, np.int64)
NOTHING = Hidden(np.array([CLS_ID, SEP_ID], np.int32), _NONE, _NONE, _NONE, _NONE, _NONE)
"""What a worker that is out of stretches puts through the model, so that all pass it equally often."""


@dataclass(frozen=True)
class ValidationPlan:
    """When a run is scored on what; no part of its identity, since it changes no weight.

    Attributes:
        name: of a set in the run's folder.
        every_steps: updates between scorings; 0: after the last alone, after which a run is always scored.
    """

    name: str
    every_steps: int = 0

    def at(self, step: int, steps: int) -> bool:
        """Whether a run of `steps` updates is scored after this one."""
        return step == steps or (self.every_steps > 0 and step % self.every_steps == 0)


def file_of(name: str) -> str:
    """The file of a set, in `FOLDER`."""
    return f"{name}.json"


def read_set(folder: Folder, name: str) -> dict[str, Any]:
    """A set as `validation_set.prepare` has written it.

    Raises:
        InputError: it is not there.
        CorruptArtefact: it is damaged.
    """
    place = folder / FOLDER
    return place.read_sealed_json(file_of(name), FORMAT_VERSION, "give the same --validation again")


def validations_of(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The scorings in a log, in order; none that a later start has taken back, none twice."""
    kept: dict[tuple[str, int], dict[str, Any]] = {}
    for line in lines:
        if line.get("event") == START:
            kept = {key: one for key, one in kept.items() if one["step"] <= line["step"]}
        elif line.get("event") == VALIDATION:
            kept[line["set"], line["step"]] = line
    return sorted(kept.values(), key=lambda one: one["step"])


def _read_together(folder: Folder, name: str, workers: Workers) -> dict[str, Any]:
    """`read_set` by every worker; all raise what one of them raises."""
    found, error = dict[str, Any](), None
    try:
        found = read_set(folder, name)
    except GenomicsFmError as raised:
        error = raised
    if told := first_error(workers, error):
        raise told
    return found


class Validation:
    """The stretches of a set; each worker hides and scores its share."""

    def __init__(self, folder: Folder, plan: ValidationPlan, ensemble: Ensemble, workers: Workers) -> None:
        """Read a set; all workers call it together.

        Args:
            folder: of the run.
            plan: names the set.
            ensemble: of the run.
            workers: who share the work.
        """
        self.plan, self.workers = plan, workers
        found = _read_together(folder, plan.name, workers)
        config = EvaluationConfig(**found["settings"])
        self.stretches = [Stretch(*one) for one in found["stretches"]]
        self.baselines = {name: _in_order(groups) for name, groups in found["baselines"].items()}
        self._mine = slice(workers.rank, None, workers.world)
        self._readers = [Reader.of(ensemble, member) for member in ensemble.names]
        mine = self.stretches[self._mine]
        self._hidden = {reader.name: evaluation.hidden_of(reader, mine, config) for reader in self._readers}
        # A sharded model needs all workers at each pass, so all pass it as often as the one that does most often.
        passes = workers.gather({name: len(evaluation.batches_of(hidden)) for name, hidden in self._hidden.items()})
        self._most_passes = {name: max(one[name] for one in passes) for name in self._hidden}

    def scores(self, model: MaskedLanguageModel, autocast: bool) -> dict[str, Any]:
        """Score a model, which is left as it was; all workers call it together and get the same.

        Args:
            model: sharded or not.
            autocast: compute in bfloat16.

        Returns:
            What the log says: `set`, `seconds`, and by vocabulary the figures of `all` and `by_source` with those of
            Markov models on the same bases. A figure that is not finite is None.
        """
        started, device = time.perf_counter(), self.workers.device
        context = torch.autocast(device.type, torch.bfloat16) if autocast else contextlib.nullcontext()
        training = model.training
        model.eval()
        try:
            with context:
                found = {reader.name: self._columns(model, reader) for reader in self._readers}
        finally:
            model.train(training)
            for module in model.modules():
                if shards(module):
                    module.reshard()  # without a backward pass, the outermost stays gathered
        figures = {
            reader.name: _beside(
                evaluation.by_source(found[reader.name], self.stretches, reader.overlap == 1),
                self.baselines[reader.name],
            )
            for reader in self._readers
        }
        return {"set": self.plan.name, "seconds": time.perf_counter() - started, "vocabularies": figures}

    def _columns(self, model: MaskedLanguageModel, reader: Reader) -> Columns:
        """Sums of every stretch, whoever has scored it."""
        hidden, device = self._hidden[reader.name], self.workers.device
        mine = evaluation.encoder_columns(model, reader, hidden, self.stretches[self._mine], lambda *_: None, device)
        for _ in range(self._most_passes[reader.name] - len(evaluation.batches_of(hidden))):
            evaluation.predict(model, reader, [NOTHING], device)
        sums = np.zeros((len(evaluation.COLUMNS), len(self.stretches)))
        sums[:, self._mine] = [mine[name] for name in evaluation.COLUMNS]
        every = self.workers.sum(torch.from_numpy(sums).to(device)).cpu().numpy()
        return dict(zip(evaluation.COLUMNS, every, strict=True))


def _beside(figures: dict[str, Any], markov: dict[str, Any]) -> dict[str, Any]:
    """Figures with those of the Markov models, group by group."""
    sources = figures["by_source"].items()
    return {
        "all": {**figures["all"], "markov": markov["all"]},
        "by_source": {name: {**group, "markov": markov["by_source"][name]} for name, group in sources},
    }


def _in_order(groups: dict[str, Any]) -> dict[str, Any]:
    """Markov models in the order of their orders, which sealed JSON does not keep."""

    def ordered(models: dict[str, Any]) -> dict[str, Any]:
        return dict(sorted(models.items(), key=lambda model: (len(model[0]), model[0])))

    by_source = {source: ordered(models) for source, models in groups["by_source"].items()}
    return {"all": ordered(groups["all"]), "by_source": by_source}
