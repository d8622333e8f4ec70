"""Pretraining from first step to saved encoder, resuming from the newest whole checkpoint."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import InputError, require, writing
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import MaskedLanguageModel
from genomics_fm.model.weights import CONFIG, EMBEDDING, TIED, save_encoder, set_deterministic
from genomics_fm.pretraining.batches import Batches
from genomics_fm.pretraining.lane import Row
from genomics_fm.pretraining.prefetch import Prefetched
from genomics_fm.storage import Folder
from genomics_fm.training.checkpoint import Checkpoints, KeepPolicy
from genomics_fm.training.config import TrainingConfig, identity
from genomics_fm.training.estimate import choose
from genomics_fm.training.guard import Guard, NotFinite, OnNonfinite, Stopped, TracedBatch, traced, where
from genomics_fm.training.metrics import VALIDATION, MetricsLog
from genomics_fm.training.optimizer import adamw, learning_rate, set_learning_rate
from genomics_fm.training.parallel import casts, model_on, replicated
from genomics_fm.training.step import StepResult, train_step
from genomics_fm.training.together import told_by_first
from genomics_fm.training.validation import Validation, ValidationPlan
from genomics_fm.training.workers import Workers, whole_state
from genomics_fm.vocabulary.ensemble import Ensemble

CHECKPOINTS = "checkpoints"
SOURCES = "sources.json"
"""What shares of an epoch's nucleotides the sources have (R4)."""
SOURCES_FORMAT_VERSION = 1
GUARD = "guard"
"""Among the streams' states in a checkpoint."""
STEPS_AHEAD = 2
"""Global batches whose rows are made while the model computes; as many are in memory beside the current one."""
LOCAL = "local"
"""The machine, where nobody says what it is called."""
VOCABULARY = "vocabulary.json"
"""An encoder's folder carries the vocabulary it was trained with."""


class Run:
    """A pretraining run on this worker: model, optimizer, rows, and how far it is."""

    def __init__(
        self,
        config: TrainingConfig,
        corpus: Corpus,
        vocabulary: Ensemble,
        folder: str | Path | Folder,
        on_nonfinite: OnNonfinite = "stop",
        node: str = LOCAL,
        validation: ValidationPlan | None = None,
    ) -> None:
        """Build everything and resume from the newest whole checkpoint of `folder`.

        Args:
            config, corpus, vocabulary, folder, node, validation: as of `pretrain`.
            on_nonfinite: likewise; not part of the run's identity, so that one it stopped can go on without the step.

        Raises:
            InputError: the newest checkpoint belongs to another config, corpus or vocabulary, or a weight is given
                for a vocabulary that the ensemble lacks.
        """
        for name in config.vocabulary_weights:
            require(name in vocabulary.names, "vocabulary_weights", name, f"one of {', '.join(vocabulary.names)}")
        set_deterministic(config.threads)
        self.config, self.corpus, self.vocabulary, self.folder = config, corpus, vocabulary, Folder(folder)
        self.guard = Guard(on_nonfinite, config.skip_spikes)
        self.workers = Workers.current()
        self.about = identity(config, corpus.sha256, vocabulary.sha256)
        encoder = EncoderConfig(**{**asdict(config.encoder), "vocabulary_size": vocabulary.size})
        on_cuda, memory = self.workers.device.type == "cuda", self.workers.memory_bytes()
        self.choice = choose(config, vocabulary.size, self.workers.world, memory, on_cuda)
        sharded = self.choice.parallel == "fsdp"
        self.model = model_on(self.workers, encoder, config.stream.seed, sharded)
        self.model.bert.checkpointing = config.activation_checkpointing
        self._trained = replicated(self.model) if self.choice.parallel == "ddp" else self.model
        self.autocast = config.autocast or casts(self.workers, sharded)
        self.optimizer = adamw(self.model, config.optimizer)
        batches = Batches(corpus, vocabulary, config.stream, config.batch_rows, self.workers.rank, self.workers.world)
        keep = KeepPolicy(config.keep_checkpoints, config.keep_every_steps)
        self.checkpoints = Checkpoints(self.folder / CHECKPOINTS, self.workers, keep)
        self.skipped: list[str] = []
        self.step = self._resume(batches)
        if self.workers.rank == 0:
            shares = {"format_version": SOURCES_FORMAT_VERSION, **batches.order.report()}
            self.folder.write_json(SOURCES, shares)
        self.validation = Validation(self.folder, validation, vocabulary, self.workers) if validation else None
        self.log = self._open_log(node)
        # The states after every step, which are small: a run may be asked to stop after any.
        steps = range(self.step, config.steps)
        self.ahead = Prefetched(batches, self._micro_batches, steps, lambda step: True, STEPS_AHEAD)
        self._states: dict[str, Any] = {}

    def _micro_batches(self, rows: list[Row]) -> list[TracedBatch]:
        """This worker's rows of a step; every worker has equally many micro-batches."""
        share = -(-self.config.batch_rows // self.workers.world)
        return traced(rows, share, self.config.rows_per_microbatch, self.vocabulary.names)

    def _checkpoints_at(self, step: int) -> bool:
        return step % self.config.checkpoint_steps == 0 and step < self.config.steps

    def _open_log(self, node: str) -> MetricsLog | None:
        """The log with this start in it; rank 0 alone writes one."""
        nodes = self.workers.gather(node)
        if self.workers.rank != 0:
            return None
        log = MetricsLog(self.folder)
        log.start(self.step, self.config.steps, nodes, self.skipped, **asdict(self.choice))
        return log

    def _resume(self, batches: Batches) -> int:
        found = self.checkpoints.newest(self.skipped.append)
        if found is None:
            return 0
        if found.about != self.about:
            raise InputError(f"{found.place}: written with another config, corpus or vocabulary; use another --name")
        states = self.checkpoints.load(found, self.model, self.optimizer)
        self.guard.restore(states.pop(GUARD))
        batches.restore(states)
        return found.step

    def advance(self) -> dict[str, Any]:
        """Make one update, checkpoint when it is time, and return what to log.

        It is the same on every worker but for `stall`, the seconds it waited for rows, and `dropped_segments` of the
        streams it reads. A step whose loss or gradient jumps has `spikes`, one that was not made `left_out`, which
        says why; where it was not finite, `loss` is empty and `gradient_norm` None. One after which the run was
        scored has `validation`, which the log has as an event of its own.

        Raises:
            InputError: loss or gradient is not finite on some worker, and that ends the run; all raise it together.
        """
        config, started = self.config, time.perf_counter()
        ahead = self.ahead.take()
        rate = learning_rate(config.optimizer, self.step, config.steps)
        set_learning_rate(self.optimizer, rate)
        result, notes = self._update(ahead.made)
        self.step += 1
        line = {
            "step": self.step,
            "loss": result.loss,
            "predicted": result.predicted,
            "gradient_norm": result.gradient_norm if math.isfinite(result.gradient_norm) else None,
            "learning_rate": rate,
            "tokens": result.tokens,
            "slots": config.batch_rows * config.stream.row_tokens,
            "dropped_segments": ahead.dropped_segments,
            "stall": ahead.stall,
            "seconds": time.perf_counter() - started,
            "unixtime": time.time(),
            "checkpoint_unixtime": self.checkpoints.unixtime,
            **notes,
        }
        if self.log is not None:
            self.log.add(line)
        line |= self._validate()
        self._states = ahead.states or {}
        if self._checkpoints_at(self.step):
            self._checkpoint()
        return line

    def _validate(self) -> dict[str, Any]:
        """Score the run if it is time; before the checkpoint, so that a run that resumes there has been scored."""
        if self.validation is None or not self.validation.plan.at(self.step, self.config.steps):
            return {}
        scores = self.validation.scores(self.model, self.autocast)
        if self.log is not None:
            self.log.event(VALIDATION, step=self.step, **scores)
        return {VALIDATION: scores}

    def stops(self, asked: bool) -> bool:
        """Whether some worker was asked to stop; then a checkpoint is whole on return. All call it together."""
        if not self.workers.sum(torch.tensor([float(asked)], device=self.workers.device)):
            return False
        if not self._checkpoints_at(self.step):
            self._checkpoint()
        self.checkpoints.wait()
        return True

    def _update(self, parts: list[TracedBatch]) -> tuple[StepResult, dict[str, Any]]:
        """Make the next update unless the guard leaves it out; what it did, and what there is to say about it."""
        config, guard = self.config, self.guard
        weights = [config.vocabulary_weights.get(name, 1.0) for name in self.vocabulary.names]
        try:
            result = train_step(
                self._trained, self.optimizer, [*parts], self.vocabulary.names, weights, config.optimizer.clip_norm,
                self.workers, self.autocast, lambda result: guard.accepts(result.loss, result.gradient_norm),
            )  # fmt: skip
        except NotFinite as error:
            message = guard.leave_out(error, self.step + 1, where(error, parts, self.corpus, self.workers))
            return StepResult({}, {}, 0, math.nan), {"left_out": message}
        notes: dict[str, Any] = {"spikes": guard.spikes} if guard.spikes else {}
        if guard.spikes and guard.skip_spikes:
            notes["left_out"] = f"step {self.step + 1}: a spike, left out: {'; '.join(guard.spikes)}"
        return result, notes

    def _checkpoint(self) -> None:
        states = self._states
        if self.workers.rank == 0:
            states = {**states, GUARD: self.guard.state()}
        if self.log is not None:
            self.log.flush()  # a run that resumes at the checkpoint has the lines before it
        self.checkpoints.save(self.step, self.model, self.optimizer, states, self.about)

    def finish(self) -> None:
        """Save encoder and vocabulary into `folder`; all workers call it together."""
        self.checkpoints.wait()
        if self.log is not None:
            self.log.flush()
        state = whole_state(self.model, self.workers)
        if state is not None:
            with torch.device("meta"):
                whole = MaskedLanguageModel(self.model.bert.config)
            whole.load_state_dict(state | {TIED: state[EMBEDDING]}, assign=True)
            self.folder.write_json(VOCABULARY, self.vocabulary.as_json())
            save_encoder(self.folder, whole, {**self.about, "steps": self.step})
        self.workers.barrier()


def pretrain(
    config: TrainingConfig,
    corpus_folder: str | Path,
    vocabulary_path: str | Path,
    folder: str | Path,
    on_step: Callable[[dict[str, Any]], None],
    node: str = LOCAL,
    on_nonfinite: OnNonfinite = "stop",
    asked_to_stop: Callable[[], bool] = lambda: False,
    validation: ValidationPlan | None = None,
) -> None:
    """Run (or go on with) a pretraining on this worker; nothing where its encoder is finished.

    Args:
        config: of the run.
        corpus_folder: of a finished corpus; a path or a URI, as the next two.
        vocabulary_path: JSON of the ensemble.
        folder: of the run; shared by all workers.
        on_step: receives what `Run.advance` returns.
        node: what this worker's machine is called, for the log.
        on_nonfinite: end the run, or leave the step out.
        asked_to_stop: looked at between steps; one worker that says yes stops all.
        validation: when the run is scored on which held-out stretches; it changes no weight.

    Raises:
        Stopped: on every worker, once the checkpoint is whole.
    """
    if (local := Folder(folder).local) is not None:
        with writing(local):
            local.mkdir(parents=True, exist_ok=True)
    if told_by_first(Workers.current(), partial(Folder(folder).exists, CONFIG)):
        return  # a worker was lost, or the group resized, just after the end
    corpus, vocabulary = Corpus(corpus_folder), Ensemble.load(vocabulary_path)
    run = Run(config, corpus, vocabulary, folder, on_nonfinite, node, validation)
    try:
        while run.step < config.steps:
            on_step(run.advance())
            if run.step < config.steps and run.stops(asked_to_stop()):
                raise Stopped(f"stopped after step {run.step} of {config.steps}; the same command goes on from there")
        run.finish()
    finally:
        run.ahead.close()
        if run.log is not None:
            run.log.close()
