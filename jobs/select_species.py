"""Tables of NCBI and Ensembl to a source list: `python -m jobs.select_species --ncbi FILE… --output genomes.tsv`."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genomics_fm.artefacts import sha256_file, write_bytes
from genomics_fm.corpus.sources import summarise, to_tsv
from genomics_fm.errors import InputError, require
from jobs import launch
from jobs.progress import Clock, rate, say, watched

if TYPE_CHECKING:
    import polars as pl

    from genomics_fm.corpus.registry_tables import Report

PAPER_SPECIES = 1160
"""The main text's number of species (A2)."""


@dataclass(frozen=True)
class SelectSpeciesConfig:
    """What there is to choose from, and how many to choose."""

    ncbi: tuple[str, ...] = field(default=(), metadata={"help": "NCBI's assembly_summary.txt, plain or gzip"})
    ensembl: tuple[str, ...] = field(default=(), metadata={"help": "Ensembl's species_EnsemblVertebrates.txt"})
    ensembl_release: int = field(default=0, metadata={"help": "the release those tables are of"})
    lineage: str = field(default="", metadata={"help": "NCBI's rankedlineage.dmp: tells birds from fish"})
    count: int = field(default=PAPER_SPECIES, metadata={"help": "species wanted"})
    seed: int = field(default=0, metadata={"help": "decides between species of equal quality, and nothing else"})
    output: str = field(default="genomes.tsv", metadata={"help": "the source list to write"})

    def __post_init__(self) -> None:
        require(self.count >= 1, "--count", self.count, "at least 1")


def _candidates(config: SelectSpeciesConfig, left_out: Counter[str], report: "Report") -> "pl.DataFrame":
    import polars as pl

    from genomics_fm.corpus.registries import read_ensembl, read_ncbi

    if not config.ncbi and not config.ensembl:
        raise InputError("no table to choose from; give --ncbi assembly_summary.txt")
    ncbi = [read_ncbi(location, left_out, report) for location in config.ncbi]
    return pl.concat(
        ncbi + [read_ensembl(location, config.ensembl_release, left_out, report) for location in config.ensembl]
    )


def run(config: SelectSpeciesConfig) -> dict[str, Any]:
    """Choose species and write the source list.

    Returns:
        `output`, `species`, `clades` as (clade, candidates, chosen), and `left_out` by reason.

    Raises:
        InputError: a table cannot be read, or holds too little.
    """
    from genomics_fm.corpus.registries import read_lineage
    from genomics_fm.corpus.selection import choose, clade_table, sources_of, species_of

    left_out: Counter[str] = Counter()
    clock, said = Clock(), [""]

    def report(location: str, lines: int) -> None:
        said[0] = f"[select] {location}: {lines:,} lines, {clock.seconds:.0f} s"

    with watched(lambda: said[0] or None):
        candidates = _candidates(config, left_out, report)
        lineage = read_lineage(config.lineage, candidates["species_taxid"], report) if config.lineage else None
        said[0] = f"[select] {len(candidates):,} assemblies: choosing"
        species = species_of(candidates, lineage, left_out)
        chosen = choose(species, config.count, config.seed)
    write_bytes(Path(config.output), (_origin(config) + to_tsv(sources_of(chosen))).encode())
    say(f"[select] {summarise(config.output)}; {rate(len(candidates), clock.seconds, 'assemblies')}")
    return {
        "output": config.output,
        "species": len(chosen),
        "clades": clade_table(species, chosen),
        "left_out": dict(sorted(left_out.items())),
    }


def _origin(config: SelectSpeciesConfig) -> str:
    """Comment lines that say how the list was made, so that it can be made again."""
    tables = [*config.ncbi, *config.ensembl, *filter(None, [config.lineage])]
    lines = [f"# jobs.select_species --count {config.count} --seed {config.seed}"]
    lines += [f"# {Path(table).name} sha256:{sha256_file(Path(table))}" for table in tables]
    return "\n".join(lines) + "\n"


def _run_and_print(config: SelectSpeciesConfig) -> None:
    result = run(config)
    print(f"{'clade':12s} {'candidates':>12s} {'chosen':>8s}")
    for clade, before, after in result["clades"]:
        print(f"{clade:12s} {before:12,} {after:8,}{'' if after else '   not reached'}")
    if result["species"] < config.count:
        print(f"{result['species']:,} species instead of {config.count:,}: the tables hold no more")
    for reason, count in result["left_out"].items():
        print(f"left out, {reason}: {count:,}")
    print(f"{result['species']:,} species in {result['output']}")


PRESETS = {"default": SelectSpeciesConfig()}


def main() -> None:
    """The command line."""
    launch.main(PRESETS, _run_and_print, "python -m jobs.select_species", "Choose species for a corpus.")


if __name__ == "__main__":
    main()
