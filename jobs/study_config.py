"""What a study is asked for, and the studies there are by name."""

import dataclasses
from dataclasses import dataclass, field

from genomics_fm.errors import require
from genomics_fm.pretraining.stream import StreamConfig
from genomics_fm.studies.scaling import Cell, cells_of
from genomics_fm.training.config import TrainingConfig
from genomics_fm.training.evaluation import EvaluationConfig
from genomics_fm.training.presets import BASE, TINY


@dataclass(frozen=True)
class ScalingConfig:
    """Size × corpus × vocabularies × length × seed: every combination is one pretraining."""

    name: str = field(default="scaling", metadata={"help": "folder under storage/studies, and first word of its runs"})
    sizes: tuple[str, ...] = field(default=("nano", "micro", "tiny"), metadata={"help": "encoders"})
    corpora: dict[str, str] = field(
        default_factory=dict,
        metadata={"help": "a finished corpus or a source list by name, the widest last; default: yeast"},
    )
    vocabularies: tuple[str, ...] = field(
        default=("bpe", "kmer", "bpe+kmer"), metadata={"help": "sets of vocabularies, each a run's own"}
    )
    steps: tuple[int, ...] = field(default=(40, 80), metadata={"help": "lengths of runs"})
    seeds: tuple[int, ...] = field(default=(0,), metadata={"help": "of weights, rows and masks"})
    vocabulary: str = field(
        default="", metadata={"help": "JSON of an ensemble with all of them; default: trained on the last corpus"}
    )
    sample_nt: int = field(default=1_000_000, metadata={"help": "nucleotides to train that on, before both strands"})
    held_out: tuple[str, ...] = field(
        default=(),
        metadata={"help": "FASTA, GenBank or NAME=FILE that is in no corpus; default with yeast: II and XIII"},
    )
    workers: int = field(default=2, metadata={"help": "of every run"})
    gpu: bool = field(default=False, metadata={"help": "workers compute on GPUs"})
    max_failures: int = field(default=3, metadata={"help": "restarts of a run after a lost worker"})
    tracking: str | None = field(default=None, metadata={"help": "MLflow tracking URI"})
    dry_run: bool = field(default=False, metadata={"help": "say what the runs need, and start nothing"})
    peak_tflops: float = field(default=0.1, metadata={"help": "of a worker, for --dry-run"})
    peak_share: float = field(default=0.4, metadata={"help": "of the peak that training reaches, for --dry-run"})
    evaluation: EvaluationConfig = field(default_factory=lambda: EvaluationConfig(segments=100))
    training: TrainingConfig = TINY

    def __post_init__(self) -> None:
        require(bool(self.name) and "/" not in self.name, "name", self.name, "one folder's name")

    @property
    def cells(self) -> list[Cell]:
        return cells_of(self.sizes, self.corpora or ("yeast",), self.vocabularies, self.steps, self.seeds)

    @property
    def members(self) -> tuple[str, ...]:
        """Every vocabulary of some set, in order."""
        return tuple(dict.fromkeys(member for names in self.vocabularies for member in names.split("+")))


_TOY_TRAINING = dataclasses.replace(TINY, stream=StreamConfig(streams=4, row_tokens=512))
_H100_TFLOPS = 989.0
_PAPER = ScalingConfig(
    name="scaling-paper",
    sizes=("base", "large"),
    corpora={"human": "", "multi-species": "", "multi-species-haplotypes": ""},
    steps=(250_000, 500_000),
    seeds=(0, 1),
    sample_nt=3_000_000,
    workers=8,
    gpu=True,
    peak_tflops=_H100_TFLOPS,
    evaluation=EvaluationConfig(),
    training=BASE,
)
PRESETS = {
    "toy": ScalingConfig(name="scaling-toy", workers=1, training=_TOY_TRAINING),
    "paper": _PAPER,
    "law": dataclasses.replace(
        _PAPER,
        name="scaling-law",
        sizes=("tiny", "small", "base", "large"),
        corpora={"multi-species": ""},
        vocabularies=("bpe+kmer",),
        steps=(50_000, 100_000, 250_000, 500_000),
    ),
}
"""`toy` shows in minutes that all of it works; `paper` is SPEC Q1 with both ways of counting tokens (R27); `law` is
S6. The large ones want their corpora and held-out files: --corpora NAME=ADDRESS …, --held-out FILE …."""
