"""One answer of an encoder to one task: a function of its config, its rows and its weights, without Ray.

`python -m genomics_fm.tasks.trial trials.json` runs trials one after the other; see `trials`.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genomics_fm.errors import EnvironmentFault, InputError
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import SequenceClassifier, TokenClassifier, new_classifier, new_token_classifier
from genomics_fm.model.lora import LoraSettings, add_lora, merge_lora
from genomics_fm.model.weights import encoder_about, load_encoder, load_into_classifier, set_deterministic
from genomics_fm.tasks import metrics, probe, results
from genomics_fm.tasks.features import Features
from genomics_fm.tasks.fractions import evaluated, subset_of
from genomics_fm.tasks.learning import OnUpdate, train
from genomics_fm.tasks.objective import Objective, objective_of
from genomics_fm.tasks.parallel import agreed, alone, predict_together
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.results import ArmResult
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.scoring import BATCH_TOKENS, Predictions, Strands, mean_of_strands, predict
from genomics_fm.tasks.task import Task
from genomics_fm.tasks.trial_config import SCORED_IN, TrialConfig
from genomics_fm.training.workers import Workers
from genomics_fm.vocabulary.ensemble import Ensemble

Module = SequenceClassifier | TokenClassifier


@dataclass(frozen=True)
class Trial:
    """A finished trial.

    Attributes:
        module: the classifier, in evaluation mode on its device; its outputs are logits, or values of targets.
        result: its scores and predictions.
        converged: whether training had come to an end (`Course.converged`), of a probe its fit; None: not known.
        rows_seen: training rows of all updates, with repetitions; of a probe its rows.
        curve: evaluations in the course of training; of a probe the penalties tried.
        weights: what classes, or positives of labels, weighed in the loss; None: 1 each.
    """

    module: Module
    result: ArmResult
    converged: bool | None
    rows_seen: int
    curve: list[dict[str, Any]]
    weights: list[float] | None


def new_head(config: TrialConfig, encoder_folder: Path, vocabulary: Ensemble, problem: Problem) -> Module:
    """The classifier a trial starts with: pretrained encoder or not, and a fresh head either way.

    Raises:
        InputError: no encoder there, or one that was pretrained with another vocabulary.
        CorruptArtefact: its weights disagree with their hash.
    """
    encoder, tensors, about = load_encoder(encoder_folder)
    if about.get("vocabulary_sha256", vocabulary.sha256) != vocabulary.sha256:
        raise InputError(f"{encoder_folder}: pretrained with another vocabulary; give the one in its folder")
    shape = EncoderConfig(**{**asdict(encoder), "vocabulary_size": vocabulary.size})
    if problem.kind == "per-base":
        module: Module = new_token_classifier(shape, problem.outputs, config.seed)
    else:
        dense = config.how != "probe"
        module = new_classifier(shape, problem.outputs, config.seed, config.pooling, dense=dense)
    if config.start == "pretrained":
        load_into_classifier(module, tensors, str(encoder_folder))
    return module


def device_of(config: TrialConfig) -> torch.device:
    """Where a trial computes.

    Raises:
        EnvironmentFault: CUDA is asked for, and there is none.
    """
    there = torch.cuda.is_available()
    if config.device == "cuda" and not there:
        raise EnvironmentFault("device cuda: there is none; give cpu or auto")
    return torch.device("cuda" if there and config.device != "cpu" else "cpu")


def run(
    config: TrialConfig,
    encoder_folder: Path,
    vocabulary: Ensemble,
    task: Task,
    on_update: OnUpdate | None = None,
    cache: Path | None = None,
    workers: Workers | None = None,
) -> Trial:
    """Learn a task from a nested subset of its training rows, and score validation and test.

    Several workers call it together, each with the same of everything, and all get the same.

    Args:
        config: of the trial.
        encoder_folder: of the pretrained encoder; its size is used in both starts.
        vocabulary: the ensemble the encoder was trained with.
        task: subset and cap are taken of its training rows; validation chooses; calibration and test are predicted.
        on_update: told of every update.
        cache: folder where a probe keeps the encoder's states.
        workers: of which this process is one; its device is where it computes. None: alone, on the config's device.

    Raises:
        InputError: a fraction too small, an encoder of another vocabulary, a problem that a probe cannot answer.
    """
    set_deterministic(config.threads)
    started = time.perf_counter()
    subset = subset_of(task.problem, task.train, config.fraction, config.seed, config.cap)
    if len(subset) == 0:
        raise InputError(f"fraction {config.fraction}: leaves a class without any row; take more labels")
    rows = task.train.take(np.sort(subset) if config.how == "probe" else subset)
    workers = workers or alone(device_of(config))
    module = new_head(config, encoder_folder, vocabulary, task.problem).to(workers.device)
    arm = _Arm(config, vocabulary, task, rows, module, objective_of(config, task.problem, rows.labels), workers)
    learnt = arm.probe(_features(arm, encoder_folder, cache)) if config.how == "probe" else arm.train(on_update)
    result = results.score(
        task.problem,
        task.validation,
        task.test,
        name=config.name,
        validation_predictions=learnt.predictions["validation"],
        test_predictions=learnt.predictions["test"],
        calibration_predictions=learnt.predictions.get("calibration"),
        fraction=config.fraction,
        capped=True,
        labels_seen=min(len(rows), learnt.rows_seen),
        seconds=time.perf_counter() - started,
        chosen={**learnt.chosen, "seed": config.seed},
    )
    weights = None if arm.objective.weight_C is None else arm.objective.weight_C.tolist()
    return Trial(module, result, learnt.converged, learnt.rows_seen, learnt.curve, weights)


@dataclass(frozen=True)
class _Learnt:
    """What training or fitting made of an arm; predictions by split."""

    predictions: dict[str, Predictions]
    rows_seen: int
    converged: bool | None
    curve: list[dict[str, Any]]
    chosen: dict[str, Any]


@dataclass(frozen=True)
class _Arm:
    """A trial whose rows are taken and whose module stands."""

    config: TrialConfig
    vocabulary: Ensemble
    task: Task
    rows: Rows
    module: Module
    objective: Objective
    workers: Workers

    def train(self, on_update: OnUpdate | None) -> _Learnt:
        """Train every weight, or adapters."""
        config, module = self.config, self.module
        if config.how == "lora":
            add_lora(module, LoraSettings(r=config.lora_rank, seed=config.seed)).to(self.workers.device)
        validate = self._validation() if config.evaluations else None
        course = train(config, module, self.vocabulary, self.objective, self.rows, validate, on_update, self.workers)
        if config.how == "lora":
            merge_lora(module)
        self.objective.fold(module)
        found = {split: mean_of_strands(self._strands(rows)) for split, rows in self._scored()}
        chosen = {"learning_rate": config.optimizer.learning_rate, "updates": course.updates}
        return _Learnt(found, course.rows_seen, course.converged, course.curve(), chosen)

    def probe(self, features: Features) -> _Learnt:
        """Fit the last layer to the encoder's states."""
        chosen = probe.fit(self.objective, features, self.rows, self.task.validation)

        def predictions(rows: Rows) -> Predictions:
            if self.config.precision != SCORED_IN:  # `features` are not what the head will answer from
                return mean_of_strands(self._strands(rows))
            return probe.predictions(self.task.problem, features, rows)

        found = {split: predictions(rows) for split, rows in self._scored()}
        curve = [{"penalty": penalty, "validation": value} for penalty, value in chosen.tried.items()]
        return _Learnt(found, len(self.rows), chosen.converged, curve, {"penalty": chosen.penalty})

    def _scored(self) -> list[tuple[str, Rows]]:
        """Splits that are predicted, and their rows."""
        return [(split, rows) for split, rows in self.task.splits.items() if split != "train" and len(rows)]

    def _strands(self, rows: Rows) -> Strands:
        """What the module says as it stands, in the precision that it will be served in."""
        name, bf16 = self.config.vocabulary, SCORED_IN == "bf16"

        def mine(sequences: list[str]) -> Strands:
            return predict(self.module, self.vocabulary, name, sequences, self.task.problem, bf16=bf16)

        return predict_together(self.workers, rows.sequences, mine)

    def _validation(self) -> Callable[[], float]:
        """What scores the module as it stands in the course of training."""
        problem, rows = self.task.problem, self.task.validation
        few = rows.take(evaluated(problem, rows.labels, self.config.evaluation_rows))

        def validate() -> float:
            found = mean_of_strands(self.objective.values(self._strands(few)))
            return agreed(self.workers, metrics.evaluate(problem, few.labels, found)[problem.metric])

        return validate


def _features(arm: _Arm, encoder_folder: Path, cache: Path | None) -> Features:
    """How an arm's encoder turns sequences into features."""
    if isinstance(arm.module, TokenClassifier):
        raise InputError("how probe: a class of every base is not a question to pooled states; give full or lora")
    config, (_, weights, _) = arm.config, encoder_about(encoder_folder)
    encoder = weights if config.start == "pretrained" else f"like {weights}, of seed {config.seed}"
    return Features(
        module=arm.module,
        vocabulary=arm.vocabulary,
        name=config.vocabulary,
        encoder=encoder,
        both_strands=not arm.task.problem.stranded,
        batch_tokens=BATCH_TOKENS,
        bf16=config.precision == "bf16",
        cache=cache,
    )


def main() -> None:
    """The command line."""
    from genomics_fm.tasks.trials import main as run_trials

    run_trials()


if __name__ == "__main__":
    main()
