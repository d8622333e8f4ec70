"""Pretrain the encoder on Ray Train, by DDP or FSDP2: `python -m jobs.pretrain --corpus DIR --vocabulary FILE`."""

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genomics_fm.artefacts import sha256_json
from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import InputError, require
from genomics_fm.model.weights import CONFIG, encoder_about
from genomics_fm.pretraining.masking import MASKING, MaskingConfig
from genomics_fm.pretraining.sources import in_a_line
from genomics_fm.storage import Folder
from genomics_fm.training.config import TrainingConfig, identity
from genomics_fm.training.estimate import GIB, estimate, lines_of, parameters_of
from genomics_fm.training.guard import OnNonfinite
from genomics_fm.training.metrics import START, read_events, read_metrics
from genomics_fm.training.presets import PRESETS as RUNS
from genomics_fm.vocabulary.ensemble import FILE_NAME, Ensemble
from jobs import launch, pretrain_record
from jobs.mirror import mirrored
from jobs.pretrain_ray import Scale, fit
from jobs.pretrain_stop import ask, grace_seconds
from jobs.progress import Clock, say
from jobs.watch import watch

DRIVER = "driver"
"""Of a run's folder: locked by the process that trains it."""


@dataclass(frozen=True)
class PretrainConfig:
    """A pretraining run and where it runs."""

    corpus: str = field(default="", metadata={"help": "folder or address (s3://…) of a finished corpus"})
    vocabulary: str = field(
        default="", metadata={"help": "JSON of the ensemble; default: vocabulary.json in the corpus"}
    )
    name: str = field(default="", metadata={"help": "folder under storage/encoders; default: a hash of the config"})
    workers: int = field(default=2, metadata={"help": "Ray Train workers, one GPU or one CPU each"})
    workers_min: int = field(
        default=0, metadata={"help": "go on with as few when nodes go, up to --workers when they come; 0: never fewer"}
    )
    resize_seconds: float = field(default=60.0, metadata={"help": "between looks for nodes, with --workers-min"})
    gpu: bool = field(default=False, metadata={"help": "workers compute on GPUs, over NCCL"})
    max_failures: int = field(default=3, metadata={"help": "restarts after a lost worker; each resumes"})
    on_nonfinite: OnNonfinite = field(
        default="stop", metadata={"help": "a step whose loss or gradient is not finite: stop, or skip it"}
    )
    tracking: str | None = field(default=None, metadata={"help": "MLflow tracking URI"})
    masking: str = field(
        default="",
        metadata={"help": "what is hidden: default, paper or authors, instead of --training.stream.masking.…"},
    )
    validation: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "to score the run on: FASTA or NAME=FASTA, held out; recipe: the contigs the corpus excludes"
        },
    )
    validation_steps: int = field(default=0, metadata={"help": "updates between scorings; 0: at the end alone"})
    validation_segments: int = field(default=256, metadata={"help": "stretches of 510 nt drawn of each file"})
    report: str = field(default="", metadata={"help": "write the page of the run of this name, wherever it runs"})
    watch: str = field(default="", metadata={"help": "show the run of this name, wherever it runs; start nothing"})
    stop: str = field(default="", metadata={"help": "ask the run of this name to stop, wherever it runs"})
    grace_seconds: float | None = field(
        default=None,
        metadata={"help": "for a checkpoint after SIGTERM or Ctrl-C; default: RAY_JOB_STOP_WAIT_TIME_S - 5, else 25"},
    )
    dry_run: bool = field(default=False, metadata={"help": "say what the run needs, and start nothing"})
    peak_tflops: float = field(default=989.0, metadata={"help": "of a worker, for --dry-run: bfloat16 of an H100"})
    peak_share: float = field(default=0.4, metadata={"help": "of the peak that training reaches, for --dry-run"})
    gpu_gib: float = field(default=80.0, metadata={"help": "memory of a worker in GiB, for --dry-run: of an H100"})
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        require(self.masking in ("", *MASKING), "masking", self.masking, f"one of {', '.join(MASKING)}")
        for name in ("peak_tflops", "peak_share", "gpu_gib"):
            require(0 < getattr(self, name) < math.inf, name, getattr(self, name), "a number above 0")
        if self.workers < 1 or self.max_failures < 0:
            raise InputError(f"--workers {self.workers}, --max-failures {self.max_failures}: at least 1 and 0")
        require(self.validation_steps >= 0, "validation_steps", self.validation_steps, "0 (at the end alone) or more")
        require(self.validation_segments >= 1, "validation_segments", self.validation_segments, "at least 1")
        few = f"0 (never fewer than --workers), or 1 to {self.workers}"
        require(0 <= self.workers_min <= self.workers, "workers_min", self.workers_min, few)
        if self.grace_seconds is not None:
            require(0 <= self.grace_seconds < math.inf, "grace_seconds", self.grace_seconds, "0 or more")
        require(0 < self.resize_seconds < math.inf, "resize_seconds", self.resize_seconds, "a number above 0")


def run(config: PretrainConfig, folder: Path | None = None) -> dict[str, Any]:
    """Pretrain, or go on with, the encoder.

    Args:
        config: the run.
        folder: where; by default `storage/encoders/<name or hash>`.

    Returns:
        `folder`, `weights_sha256`, `parameters`, `workers`, `seconds` and the logged curves.

    Raises:
        InputError: a wrong corpus, vocabulary or config.
        EnvironmentFault: Ray gave up.
    """
    if not config.corpus:
        raise InputError("--corpus: no corpus given; build one with `python -m jobs.build_corpus`")
    config = _with_masking(config)
    corpus = Corpus(config.corpus)
    path = config.vocabulary or (corpus.storage / FILE_NAME).uri
    vocabulary = Ensemble.load(path)
    about = identity(config.training, corpus.sha256, vocabulary.sha256)
    name = folder.name if folder else config.name or f"pretrain-{sha256_json(about)[:10]}"
    place = Folder(folder.absolute()) if folder else launch.storage_folder() / "encoders" / name
    settings: dict[str, Any] = {
        "name": name,
        "corpus": launch.absolute(config.corpus),
        "vocabulary": launch.absolute(path),
        "folder": place.uri,
        "training": dataclasses.asdict(config.training),
        "on_nonfinite": config.on_nonfinite,
    }
    given = config.validation, config.validation_segments, config.validation_steps
    clock = Clock()
    hashes = {"corpus": corpus.sha256, "vocabulary": vocabulary.sha256}
    pretrain_record.refuse_another(place, about)
    finished = place.exists(CONFIG)
    taken = f"{place}: another process trains this run; --watch {name} shows it, or use another --name"
    with (
        place.alone(DRIVER, "driver", taken),
        mirrored(place, config.tracking, "pretraining", name, config, hashes) as tags,
    ):
        if not finished:
            settings["validation"] = pretrain_record.validation(*given, corpus, vocabulary, place)
            pretrain_record.keep(place, config, vocabulary, about)
            say(f"[pretrain] {in_a_line(config.training.stream.order(corpus).report())}")
            scale = Scale(config.workers, config.workers_min, config.gpu, config.max_failures, config.resize_seconds)
            with launch.connect():
                fit(place, settings, scale, grace_seconds(config.grace_seconds))
        lines, events = read_metrics(place), read_events(place)
        _, tags["weights_sha256"], _ = encoder_about(place)
    say(f"[pretrain] its page: {pretrain_record.write_report(place, name)}")
    return summary(place, lines, events, config.workers, vocabulary.size, clock.seconds)


def _with_masking(config: PretrainConfig) -> PretrainConfig:
    """The config with the fields of the masking preset it names.

    Raises:
        InputError: it also gives fields of its own.
    """
    if not config.masking:
        return config
    stream = config.training.stream
    if stream.masking not in (MaskingConfig(), MASKING[config.masking]):
        raise InputError(f"--masking {config.masking}: with --training.stream.masking.… as well; give one of them")
    stream = dataclasses.replace(stream, masking=MASKING[config.masking])
    return dataclasses.replace(config, training=dataclasses.replace(config.training, stream=stream))


def needs(config: PretrainConfig) -> list[str]:
    """Lines about what a run needs, calculated without starting it.

    The vocabulary is read where there is one; else it is as large as the published ensemble.
    """
    path = config.vocabulary or ((Folder(config.corpus) / FILE_NAME).uri if config.corpus else "")
    size = Ensemble.load(path).size if path else config.training.encoder.vocabulary_size
    tflops, share = config.peak_tflops, config.peak_share
    found = estimate(config.training, size, config.workers, config.gpu, tflops, share, int(config.gpu_gib * GIB))
    return lines_of(found, config.workers, tflops, share)


def summary(
    folder: Folder, lines: list[dict[str, Any]], events: list[dict[str, Any]], workers: int, size: int, seconds: float
) -> dict[str, Any]:
    """What a finished run tells the report."""
    config, weights_sha256, _ = encoder_about(folder)
    starts = [event for event in events if event["event"] == START]
    tokens, total = [], 0
    for line in lines:
        total += line["tokens"]
        tokens.append(total)
    names = list(dict.fromkeys(name for line in lines for name in line["loss"]))
    return {
        "folder": str(folder),
        "weights_sha256": weights_sha256,
        "parameters": parameters_of(config),
        "layers": config.layers,
        "width": config.width,
        "workers": workers,
        "vocabulary_size": size,
        "step": [line["step"] for line in lines],
        "tokens": tokens,
        "loss": {name: [line["loss"].get(name) for line in lines] for name in names},
        "tokens_per_second": total / max(sum(line["seconds"] for line in lines), 1e-9),
        "resumed_at": [start["step"] for start in starts if start["step"]],
        "nodes": sorted({node for start in starts for node in start["nodes"]}),
        "seconds": seconds,
    }


def _run_and_print(config: PretrainConfig) -> None:
    if config.stop:
        ask(launch.storage_folder() / "encoders" / config.stop)
        say(f"[pretrain] asked {config.stop} to stop; --watch {config.stop} shows when it has")
        return
    if config.report:
        print(pretrain_record.write_report(launch.storage_folder() / "encoders" / config.report, config.report))
        return
    if config.watch:
        watch(launch.storage_folder() / "encoders" / config.watch)
        return
    if config.dry_run:
        print("\n".join(needs(config)))
        return
    result = run(config)
    print(f"{result['parameters']:,} parameters, {result['tokens'][-1]:,} tokens in {result['seconds']:.0f} s")
    print(f"encoder {result['weights_sha256'][:12]} in {result['folder']}")


CLUSTER_WORKERS = 8
"""Of the presets that are too large for a laptop: GPUs of one machine."""
PRESETS = {
    name: PretrainConfig(training=run, gpu=True, workers=CLUSTER_WORKERS)
    if name not in ("tiny", "smoke")
    else PretrainConfig(training=run)
    for name, run in RUNS.items()
}


def main() -> None:
    """The command line."""
    launch.main(PRESETS, _run_and_print, "python -m jobs.pretrain", "Pretrain an encoder by masked language modelling.")


if __name__ == "__main__":
    from jobs.pretrain import main  # by its own name, so that workers can import what they are sent

    main()
