"""From a genome to an encoder: the stages that the quickstart and finetuning without an encoder share."""

import contextlib
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genomics_fm import __version__
from genomics_fm.corpus.plan import Plan, request_identity
from genomics_fm.corpus.windows import Recipe
from genomics_fm.storage import Folder
from genomics_fm.tasks.coding import TEST_CHROMOSOMES, VALIDATION_CHROMOSOMES
from genomics_fm.training.config import TrainingConfig
from genomics_fm.training.presets import TINY
from jobs import build_corpus, launch, pretrain, train_vocabulary
from jobs.build_corpus import YEAST
from jobs.pretrain import PretrainConfig
from jobs.stages import Stage, stage
from jobs.train_vocabulary import TrainVocabularyConfig

WINDOW_BP = 16_384
RECIPE = Recipe(window_bp=WINDOW_BP)


@dataclass
class Pipeline:
    """The stages that have run, in order, and the Ray that is started when the first of them needs it.

    Attributes:
        root: the stages' folders lie there.
        stack: closes Ray.
        stages: finished.
        cluster: the Ray, with its nodes; None where no stage has needed one.
    """

    root: Path
    stack: contextlib.ExitStack
    stages: list[Stage] = field(default_factory=list)
    cluster: dict[str, Any] | None = None

    def stage(self, name: str, inputs: Any, work: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
        """One stage on Ray; its result."""

        def connected(folder: Path) -> dict[str, Any]:
            connection = self.stack.enter_context(launch.connect())
            if self.cluster is None:
                self.cluster = {**dataclasses.asdict(connection), "nodes": launch.nodes()}
            return work(folder)

        done = stage(self.root, name, [__version__, inputs], connected)
        self.stages.append(done)
        return done.result


@dataclass(frozen=True)
class EncoderPlan:
    """How the first encoder of a machine is made.

    Attributes:
        fasta: genomes beside the yeast.
        recipe: of the corpus.
        vocabulary: of the ensemble; its corpus and output are filled in.
        training: of the pretraining.
        workers: of the pretraining.
        gpu: workers compute on GPUs.
        tracking: MLflow tracking URI.
    """

    fasta: tuple[str, ...] = ()
    recipe: Recipe = RECIPE
    vocabulary: TrainVocabularyConfig = field(default_factory=TrainVocabularyConfig)
    training: TrainingConfig = TINY
    workers: int = 2
    gpu: bool = False
    tracking: str | None = None


def corpus_stage(pipeline: Pipeline, plan: EncoderPlan) -> dict[str, Any]:
    """Yeast without the quickstart's validation and test chromosomes, and all of the user's genomes."""
    held_out = (*TEST_CHROMOSOMES, *VALIDATION_CHROMOSOMES)
    sources = [build_corpus.source_of(location, held_out) for location in YEAST]
    sources += [build_corpus.source_of(name, ()) for name in plan.fasta]
    cut = Plan(recipe=plan.recipe)
    inputs = request_identity(sources, cut)
    return pipeline.stage(
        "corpus", inputs, lambda folder: build_corpus.run_sources(sources, cut, Folder(folder), verify=True)
    )


def vocabulary_stage(pipeline: Pipeline, plan: EncoderPlan, corpus: dict[str, Any]) -> dict[str, Any]:
    settings = dataclasses.replace(plan.vocabulary, corpus=corpus["folder"])
    inputs = [dataclasses.asdict(plan.vocabulary), corpus["sha256"]]
    return pipeline.stage(
        "vocabulary", inputs, lambda folder: train_vocabulary.run(settings, folder / "vocabulary.json")
    )


def pretraining_stage(
    pipeline: Pipeline, plan: EncoderPlan, corpus: dict[str, Any], vocabulary: dict[str, Any]
) -> dict[str, Any]:
    settings = PretrainConfig(
        corpus=corpus["folder"],
        vocabulary=vocabulary["path"],
        workers=plan.workers,
        gpu=plan.gpu,
        tracking=plan.tracking,
        training=plan.training,
    )
    inputs = [dataclasses.asdict(plan.training), plan.workers, plan.gpu, corpus["sha256"], vocabulary["sha256"]]
    return pipeline.stage("pretraining", inputs, lambda folder: pretrain.run(settings, folder))
