"""Pretrain the encoder on Ray Train with FSDP2: `python -m jobs.pretrain --corpus DIR --vocabulary FILE`."""

import dataclasses
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genomics_fm.artefacts import sha256_file, sha256_json
from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import EnvironmentFault, InputError, require
from genomics_fm.model.weights import WEIGHTS, load_encoder
from genomics_fm.pretraining.masking import MASKING, MaskingConfig
from genomics_fm.pretraining.sources import in_a_line
from genomics_fm.pretraining.stream import StreamConfig
from genomics_fm.training.loop import TrainingConfig, identity, pretrain, read_metrics
from genomics_fm.training.optimizer import OptimizerConfig
from genomics_fm.vocabulary.ensemble import Ensemble
from jobs import launch, tracking
from jobs.config import validate
from jobs.progress import Clock, rate, say, watched

STARTS = "starts.log"


@dataclass(frozen=True)
class PretrainConfig:
    """A pretraining run and where it runs."""

    corpus: str = field(default="", metadata={"help": "folder of a finished corpus"})
    vocabulary: str = field(
        default="", metadata={"help": "JSON of the ensemble; default: vocabulary.json in the corpus"}
    )
    name: str = field(default="", metadata={"help": "folder under storage/encoders; default: a hash of the config"})
    workers: int = field(default=2, metadata={"help": "Ray Train workers, one GPU or one CPU each"})
    gpu: bool = field(default=False, metadata={"help": "workers compute on GPUs, over NCCL"})
    max_failures: int = field(default=3, metadata={"help": "restarts after a lost worker; each resumes"})
    tracking: str | None = field(default=None, metadata={"help": "MLflow tracking URI"})
    masking: str = field(
        default="",
        metadata={"help": "what is hidden: default, paper or authors, instead of --training.stream.masking.…"},
    )
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        require(self.masking in ("", *MASKING), "masking", self.masking, f"one of {', '.join(MASKING)}")
        if self.workers < 1 or self.max_failures < 0:
            raise InputError(f"--workers {self.workers}, --max-failures {self.max_failures}: at least 1 and 0")


class _Gauges:
    """What rank 0 tells Prometheus."""

    def __init__(self) -> None:
        from ray.util.metrics import Gauge

        self.loss = Gauge("genomics_fm_pretraining_loss", "Nats a predicted token.", tag_keys=("vocabulary",))
        names = {
            "step": "Updates made.",
            "step_seconds": "Seconds of the last update.",
            "tokens_per_second": "Tokens a second over all workers.",
            "gradient_norm": "Norm of the gradient before clipping.",
        }
        self.values = {name: Gauge(f"genomics_fm_pretraining_{name}", text) for name, text in names.items()}
        self.checkpoint = Gauge("genomics_fm_checkpoint_unixtime", "When the newest checkpoint was written.")

    def set(self, line: dict[str, Any], checkpointed: bool) -> None:
        for name, loss in line["loss"].items():
            self.loss.set(loss, tags={"vocabulary": name})
        self.values["step"].set(line["step"])
        self.values["step_seconds"].set(line["seconds"])
        self.values["tokens_per_second"].set(line["tokens"] / line["seconds"])
        self.values["gradient_norm"].set(line["gradient_norm"])
        if checkpointed:
            self.checkpoint.set(time.time())


def _worker(settings: dict[str, Any]) -> None:
    """One Ray Train worker."""
    import ray.train

    config, folder = validate(TrainingConfig, settings["training"]), Path(settings["folder"])
    rank = ray.train.get_context().get_world_rank()
    leader = rank == 0
    gauges = _Gauges() if leader else None

    def on_start(step: int, skipped: list[str]) -> None:
        with (folder / STARTS).open("a") as file:
            file.write(f"worker {rank} on node {launch.node_id()}\n")
            if leader:
                file.writelines(f"{message}\n" for message in skipped)
                file.write(f"{'resumed at' if step else 'started at'} step {step}\n")

    def on_step(line: dict[str, Any]) -> None:
        if gauges is not None:
            gauges.set(line, line["step"] % config.checkpoint_steps == 0)

    pretrain(config, Path(settings["corpus"]), Path(settings["vocabulary"]), folder, on_step, on_start)


def starts(folder: Path) -> list[str]:
    """Lines about every start of a run: where it began or resumed, and which checkpoints it skipped."""
    path = folder / STARTS
    return path.read_text().splitlines() if path.is_file() else []


def _progress(folder: Path, steps: int, said: list[str]) -> str | None:
    """The latest state of a run as one line; new starts are said once."""
    for line in starts(folder)[len(said) :]:
        said.append(line)
        say(f"[pretrain] {line}")
    lines = read_metrics(folder)
    if not lines:
        return None
    last, recent = lines[-1], lines[-20:]
    seconds = sum(line["seconds"] for line in recent)
    losses = " ".join(f"{name} {loss:.3f}" for name, loss in last["loss"].items())
    left = (steps - last["step"]) * seconds / len(recent)
    speed = rate(sum(line["tokens"] for line in recent), seconds, "tokens")
    return f"[pretrain] step {last['step']}/{steps}  loss {losses}  {speed}  {left:.0f} s left"


def _fit(config: PretrainConfig, folder: Path, settings: dict[str, Any]) -> None:
    """Train on the connected Ray until the encoder is saved."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    trainer = TorchTrainer(
        _worker,
        train_loop_config=settings,
        scaling_config=ScalingConfig(num_workers=config.workers, use_gpu=config.gpu),
        run_config=RunConfig(
            name="train",
            storage_path=str(folder / "ray"),
            failure_config=FailureConfig(max_failures=config.max_failures),
        ),
        torch_config=TorchConfig(backend="nccl" if config.gpu else "gloo"),
    )
    said = starts(folder)
    with watched(lambda: _progress(folder, config.training.steps, said)):
        try:
            trainer.fit()
        except Exception as error:  # Ray wraps whatever a worker raised
            ours = launch.find_our_error(error)
            reason = str(error).strip().splitlines()[-1]
            raise ours or EnvironmentFault(f"pretraining failed: {reason}; run the same command again") from error


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
    corpus = Corpus(Path(config.corpus))
    path = Path(config.vocabulary or corpus.folder / "vocabulary.json")
    vocabulary = Ensemble.load(path)
    about = identity(config.training, corpus.sha256, vocabulary.sha256)
    name = config.name or f"pretrain-{sha256_json(about)[:10]}"
    folder = (folder or launch.storage() / "encoders" / name).absolute()
    settings = {
        "corpus": str(corpus.folder.absolute()),
        "vocabulary": str(path.absolute()),
        "folder": str(folder),
        "training": dataclasses.asdict(config.training),
    }
    clock = Clock()
    hashes = {"corpus": corpus.sha256, "vocabulary": vocabulary.sha256}
    session = tracking.start(config.tracking, "pretraining")
    finished = (folder / "config.json").is_file()
    if finished:
        _refuse_another(folder, about)
    with session.run(folder.name, config, hashes) as record:
        if not finished:
            say(f"[pretrain] {in_a_line(config.training.stream.order(corpus).report())}")
            with launch.connect():
                _fit(config, folder, settings)
        lines = read_metrics(folder)
        for line in lines:
            losses = {f"loss_{name}": loss for name, loss in line["loss"].items()}
            record.metrics({**losses, "gradient_norm": line["gradient_norm"]}, line["step"])
        record.tags({"weights_sha256": sha256_file(folder / WEIGHTS), "starts": "; ".join(starts(folder))})
    return summary(folder, lines, config.workers, vocabulary.size, clock.seconds)


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


def _refuse_another(folder: Path, about: dict[str, str]) -> None:
    """Refuse a folder whose finished encoder came from another corpus, vocabulary or config."""
    _, _, found = load_encoder(folder)
    different = [name for name, value in about.items() if found.get(name) != value]
    if different:
        raise InputError(f"{folder}: holds a finished encoder of another {', '.join(different)}; use another --name")


def summary(folder: Path, lines: list[dict[str, Any]], workers: int, size: int, seconds: float) -> dict[str, Any]:
    """What a finished run tells the report."""
    config, tensors, _ = load_encoder(folder)
    tokens, total = [], 0
    for line in lines:
        total += line["tokens"]
        tokens.append(total)
    names = list(lines[0]["loss"])
    return {
        "folder": str(folder),
        "weights_sha256": sha256_file(folder / WEIGHTS),
        "parameters": sum(tensor.numel() for tensor in tensors.values()),
        "layers": config.layers,
        "width": config.width,
        "workers": workers,
        "vocabulary_size": size,
        "step": [line["step"] for line in lines],
        "tokens": tokens,
        "loss": {name: [line["loss"].get(name) for line in lines] for name in names},
        "tokens_per_second": total / max(sum(line["seconds"] for line in lines), 1e-9),
        "resumed_at": [int(text.rsplit(" ", 1)[1]) for text in starts(folder) if text.startswith("resumed at")],
        "nodes": sorted({text.rsplit(" ", 1)[1] for text in starts(folder) if text.startswith("worker ")}),
        "seconds": seconds,
    }


def _run_and_print(config: PretrainConfig) -> None:
    result = run(config)
    print(f"{result['parameters']:,} parameters, {result['tokens'][-1]:,} tokens in {result['seconds']:.0f} s")
    print(f"encoder {result['weights_sha256'][:12]} in {result['folder']}")


TINY = TrainingConfig(
    steps=320,
    checkpoint_steps=20,
    optimizer=OptimizerConfig(learning_rate=2e-3, warmup_steps=30),
)
SMOKE = TrainingConfig(
    steps=16,
    checkpoint_steps=4,
    stream=StreamConfig(streams=4),
    optimizer=OptimizerConfig(learning_rate=2e-3, warmup_steps=4),
)
PRESETS = {"tiny": PretrainConfig(training=TINY), "smoke": PretrainConfig(training=SMOKE)}


def main() -> None:
    """The command line."""
    launch.main(PRESETS, _run_and_print, "python -m jobs.pretrain", "Pretrain an encoder by masked language modelling.")


if __name__ == "__main__":
    from jobs.pretrain import main  # by its own name, so that workers can import what they are sent

    main()
