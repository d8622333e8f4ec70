"""An encoder for the benchmark, pretrained without its validation and test rows: `python -m jobs.benchmark_encoder`.

Divides every set as `jobs.finetune` will, builds a corpus of the genomes at hand without what those rows hold (SPEC
R35), and trains vocabulary and encoder on it. Stages that are done are skipped: the same command goes on.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genomics_fm.artefacts import sha256_file, write_bytes
from genomics_fm.corpus.plan import Plan, request_identity
from genomics_fm.corpus.sources import Source, read_sources
from genomics_fm.errors import InputError
from genomics_fm.storage import Folder
from genomics_fm.tasks import registry
from genomics_fm.tasks import task as tasks
from genomics_fm.tasks.parts import GAP_BP, places
from genomics_fm.tasks.places import Genome
from genomics_fm.tasks.task import Task
from genomics_fm.training.config import TrainingConfig
from genomics_fm.training.presets import SMOKE, TINY
from jobs import benchmark_suite, build_corpus, finetune, finetune_task, launch, train_vocabulary
from jobs.finetune_config import FinetuneConfig
from jobs.pipeline import RECIPE, EncoderPlan, Pipeline, pretraining_stage, vocabulary_stage
from jobs.progress import say
from jobs.train_vocabulary import TrainVocabularyConfig

NAME = "benchmark"
Span = tuple[str, int, int]
"""Contig, start and end, 0-based half-open."""
SHORTEST_BP = 70
"""Shorter test rows cannot be told from chance by their 31-mers; the audit counts those that were seen (grade B)."""
HNF4A = ("20", 42_984_160, 42_984_444)
"""GRCh37; the element of CAGI5 on chromosome 20, kept out with `HNF4A_FLANK_BP` on both sides."""
HNF4A_FLANK_BP = 100_000
_HUMAN = "human_GRCh37_chr20.fa.gz"
_GENOMES = (
    (_HUMAN, "Homo sapiens", "GRCh37", "Mammalian", 9606, 2.0),
    ("drosophila_dm3_chr2R.fa.gz", "Drosophila melanogaster", "dm3", "Protozoa", 7227, 2.0),
    ("yeast_S288C.fa.gz", "Saccharomyces cerevisiae", "S288C", "Fungi", 559292, 2.0),
    ("vertebrate_syntenic/mm10.fa.gz", "Mus musculus", "mm10", "Mammalian", 10090, 2.0),
    ("vertebrate_syntenic/rn6.fa.gz", "Rattus norvegicus", "rn6", "Mammalian", 10116, 2.0),
    ("vertebrate_syntenic/rheMac3.fa.gz", "Macaca mulatta", "rheMac3", "Mammalian", 9544, 2.0),
    ("vertebrate_syntenic/canFam3.fa.gz", "Canis lupus familiaris", "canFam3", "Mammalian", 9615, 2.0),
    ("vertebrate_syntenic/bosTau8.fa.gz", "Bos taurus", "bosTau8", "Mammalian", 9913, 2.0),
    ("vertebrate_syntenic/monDom5.fa.gz", "Monodelphis domestica", "monDom5", "Mammalian", 13616, 2.0),
    ("vertebrate_syntenic/galGal4.fa.gz", "Gallus gallus", "galGal4", "Birds", 9031, 2.0),
    ("celegans_chrI_1Mb.fa.gz", "Caenorhabditis elegans", "WBcel235 excerpt", "Protozoa", 6239, 1.0),
    ("arabidopsis_TAIR10_chr1.fa.gz", "Arabidopsis thaliana", "TAIR10.1", "Plants", 3702, 1.0),
    ("dictyostelium_AX4.fa.gz", "Dictyostelium discoideum", "AX4", "Protozoa", 352472, 1.0),
    ("ustilago_maydis.fa.gz", "Ustilago maydis", "UM", "Fungi", 237631, 1.0),
)
"""File below `genomes/` of the data folder, species, assembly, clade, taxid, weight: animals and yeast, of which the
sets are, and a few others. No haplotypes: those at hand are of one stretch of 3 Mb, which would be half an epoch."""


@dataclass(frozen=True)
class BenchmarkEncoderConfig:
    """What the encoder is pretrained on and how."""

    data_root: str = field(default="", metadata={"help": "folder of sets and genomes; default: $GENOMICS_FM_DATA"})
    tasks: tuple[str, ...] = field(default=(), metadata={"help": "sets kept out; default: all of the folder"})
    sources: str = field(default="", metadata={"help": "source list instead of the folder's genomes; docs/corpus.md"})
    workers: int = field(default=2, metadata={"help": "pretraining workers"})
    gpu: bool = field(default=False, metadata={"help": "pretrain on GPUs"})
    tracking: str | None = field(default=None, metadata={"help": "MLflow tracking URI"})
    vocabulary: TrainVocabularyConfig = field(
        default_factory=lambda: TrainVocabularyConfig(sample_nt=6_000_000, sample_nt_per_species=2_000_000)
    )
    training: TrainingConfig = field(
        default_factory=lambda: dataclasses.replace(
            TINY,
            steps=8_000,
            checkpoint_steps=250,
            optimizer=dataclasses.replace(TINY.optimizer, warmup_steps=200),
        )
    )


def run(config: BenchmarkEncoderConfig) -> dict[str, Any]:
    """Everything from sets and genomes to an encoder.

    Returns:
        What the pretraining returns; `folder` is the encoder's.

    Raises:
        InputError: data, flags or sources are wrong.
    """
    data = benchmark_suite.data_root(config.data_root)
    sources = _sources(config, data)
    root = launch.storage() / NAME
    divided = _all_divided(benchmark_suite.sets(data, config.tasks), data)
    for source in (config.vocabulary.corpus, config.vocabulary.output):
        if source:
            raise InputError("--vocabulary.corpus, --vocabulary.output: filled in here; leave them out")
    with contextlib.ExitStack() as stack:
        pipeline = Pipeline(root, stack)
        held = pipeline.stage(
            "held-out",
            [[[name, task.hashes] for name, task in divided.items()], bool(config.sources)],
            lambda folder: _held_out(divided, data, not config.sources, folder),
        )
        cut = Plan(recipe=RECIPE, exclude=tuple(held["beds"]), exclude_sequences=tuple(held["fastas"]))
        corpus = pipeline.stage(
            "corpus",
            [request_identity(sources, cut), held["sha256"]],
            lambda folder: build_corpus.run_sources(sources, cut, Folder(folder)),
        )
        plan = EncoderPlan(
            vocabulary=config.vocabulary,
            training=config.training,
            workers=config.workers,
            gpu=config.gpu,
            tracking=config.tracking,
        )
        return pretraining_stage(pipeline, plan, corpus, vocabulary_stage(pipeline, plan, corpus))


def _sources(config: BenchmarkEncoderConfig, data: Path) -> list[Source]:
    if config.sources:
        return read_sources(config.sources)
    found = []
    for file, species, assembly, clade, taxid, weight in _GENOMES:
        path = data / "genomes" / file
        if path.is_file():
            found.append(Source(str(path), species, assembly, clade, taxid, weight=weight))
    if not found:
        raise InputError(f"{data / 'genomes'}: none of the known genomes is there; give a source list: --sources")
    return found


def _all_divided(names: list[str], data: Path) -> dict[str, Task]:
    """Every set that can be divided."""
    found = {}
    for name in names:
        try:
            found[name] = _divided(name, data)
        except InputError as error:
            say(f"[held-out] {name} left out: {error}")
    return found


def _divided(name: str, data: Path) -> Task:
    """A set as `jobs.finetune --task` divides it, in the place where that will find it."""
    config = FinetuneConfig(task=name, data_root=str(data))
    return tasks.load(finetune_task.task_folder(config, launch.storage() / finetune.EXPERIMENT / name, name))


def _held_out(divided: dict[str, Task], data: Path, by_place: bool, folder: Path) -> dict[str, Any]:
    """Write what the corpus must not hold: stretches of genomes as BED, and the letters of all other rows as FASTA.

    Args:
        divided: the sets.
        data: folder of sets and genomes.
        by_place: the corpus is made of the folder's genomes, in which rows have a place.
        folder: to write to.
    """
    spans: dict[Path, list[Span]] = {}
    if by_place and (human := data / "genomes" / _HUMAN).is_file():
        contig, start, end = HNF4A
        spans[human] = [(contig, start - HNF4A_FLANK_BP, end + HNF4A_FLANK_BP)]
    placed = [name for name in divided if by_place and registry.TASKS[name].genome]
    for name in placed:
        spans.setdefault(data / registry.TASKS[name].genome, []).extend(_stretches(sorted(_spans(divided[name]))))
    assemblies = {file: assembly for file, _, assembly, *_ in _GENOMES}
    beds = [_bed(path, assemblies[path.name], of, folder) for path, of in spans.items()]
    fasta, short = folder / "rows.fa", 0
    lines = []
    for name, task in divided.items():
        if name in placed:
            continue
        for split, rows in (("validation", task.validation), ("test", task.test)):
            for place, sequence in enumerate(rows.sequences):
                pieces = [piece for piece in sequence.split("N") if len(piece) >= SHORTEST_BP]
                short += not pieces
                lines += [f">{name}:{split}:{place}:{part}\n{piece}\n" for part, piece in enumerate(pieces)]
    write_bytes(fasta, "".join(lines).encode())
    say(f"[held-out] {len(lines):,} sequences, {len(beds)} BED files; {short:,} rows under {SHORTEST_BP} nt stay in")
    files = [fasta, *beds] if lines else beds
    return {
        "fastas": [str(fasta)] if lines else [],
        "beds": [str(path) for path in beds],
        "short_rows": short,
        "sha256": [sha256_file(path) for path in files],
    }


def _bed(genome: Path, assembly: str, spans: list[Span], folder: Path) -> Path:
    """Stretches of a genome as BED, by its own names of contigs; those on others are left out."""
    read = Genome(str(genome))
    contigs = [contig.name for contig in read.contigs()]
    lines = [f"# assembly: {assembly}", f"# assembly_sha256: {read.sha256}"]
    for contig in contigs:
        lines += [f"{contig}\t{start}\t{end}" for name, start, end in spans if read.own_name(contig, name)]
    path = folder / f"{assembly}.bed"
    write_bytes(path, ("\n".join(lines) + "\n").encode())
    return path


def _spans(task: Task) -> Iterator[Span]:
    for rows in (task.validation, task.test):
        found = places(rows.locus)
        if found is None:
            raise InputError(f"{task.name}: its rows do not say where they lie")
        contigs = [found.names[place] for place in found.contig]
        yield from zip(contigs, found.start.tolist(), found.end.tolist(), strict=True)


def _stretches(spans: list[Span]) -> Iterator[Span]:
    """Rows nearer to one another than the gap between splits are one stretch, as they are a block."""
    held: Span | None = None
    for contig, start, end in spans:
        if held and contig == held[0] and start <= held[2] + GAP_BP:
            held = contig, held[1], max(held[2], end)
            continue
        if held:
            yield held
        held = contig, start, end
    if held:
        yield held


PRESETS = {
    "default": BenchmarkEncoderConfig(),
    "smoke": BenchmarkEncoderConfig(vocabulary=train_vocabulary.PRESETS["smoke"], training=SMOKE),
}


def main() -> None:
    """The command line."""
    launch.main(PRESETS, run, "python -m jobs.benchmark_encoder", "An encoder that has not seen the benchmark's tests.")


if __name__ == "__main__":
    from jobs.benchmark_encoder import main  # by its own name, so that workers can import what they are sent

    main()
