"""Which species make a corpus: one assembly a species, every clade, families in turn (A2).

The rule. Of a species the best assembly is taken: NCBI before Ensembl, reference genome before representative before
others, complete before chromosome before scaffold before contig, then the newest, RefSeq's copy before GenBank's, and
the smallest accession. Clades take turns, one species each, until the count is reached; a clade that has no more is
passed over. Within a clade families take turns (genera where the family is unknown), each giving its best species:
otherwise a thousand complete Enterobacteriaceae would be all the bacteria there are. Between species of equal quality
a hash of seed and name decides.
"""

from collections import Counter

import polars as pl

from genomics_fm.corpus.registries import VERTEBRATE
from genomics_fm.corpus.sources import CLADES, Source
from genomics_fm.errors import InputError
from genomics_fm.randomness import key

CLASSES = {
    "Mammalia": "Mammalian",
    "Aves": "Birds",
    "Lepidosauria": "Reptiles",
    "Reptilia": "Reptiles",
    "Amphibia": "Amphibians",
    "Actinopteri": "Fish",
    "Actinopterygii": "Fish",
    "Cladistia": "Fish",
    "Chondrichthyes": "Fish",
    "Hyperoartia": "Fish",
    "Myxini": "Fish",
    "Dipnomorpha": "Fish",
    "Dipneusti": "Fish",
    "Coelacanthimorpha": "Fish",
}
ORDERS = {
    "Testudines": "Reptiles",
    "Crocodylia": "Reptiles",
    "Squamata": "Reptiles",
    "Rhynchocephalia": "Reptiles",
    "Sphenodontia": "Reptiles",
    "Ceratodontiformes": "Fish",
    "Coelacanthiformes": "Fish",
}
"""For taxa without a class: NCBI has none for turtles, crocodiles and lobe-finned fish."""
_PROVISIONAL = "Candidatus"


def species_of(candidates: pl.DataFrame, lineage: pl.DataFrame | None, left_out: Counter[str]) -> pl.DataFrame:
    """The best assembly of every species, with its `species`, `family` and `clade` resolved.

    Args:
        candidates: of `read_ncbi` and `read_ensembl`.
        lineage: of `read_lineage`; without it vertebrates other than mammals are left out.
        left_out: receives how many assemblies are left out, by reason.
    """
    named = _named(candidates, lineage)
    unknown = named["clade"] == VERTEBRATE
    if unknown.any():
        why = "no lineage table" if lineage is None else "no clade of the paper in its lineage"
        left_out[f"vertebrate: {why}"] += int(unknown.sum())
        named = named.filter(~unknown)
    refseq_last = pl.col("accession").str.starts_with("GCF").not_()
    best_first = named.sort(
        "registry", "category", "level", pl.col("date"), refseq_last, "accession",
        descending=[False, False, False, True, False, False],
    )  # fmt: skip
    species = best_first.unique("species_taxid", keep="first", maintain_order=True)
    species = species.unique("species", keep="first", maintain_order=True)
    left_out["another assembly of its species is better"] += len(named) - len(species)
    return species


def choose(species: pl.DataFrame, count: int, seed: int) -> pl.DataFrame:
    """`count` species by the rule above, or all when there are fewer; by clade, then by name.

    Raises:
        InputError: there are none, or fewer are wanted than there are clades.
    """
    clades = species["clade"].n_unique()
    if count < max(clades, 1):
        raise InputError(f"--count {count}: the tables hold {clades} clades; give at least one species a clade")
    if not clades:
        raise InputError("the tables hold no species of the paper's clades; give NCBI's assembly_summary.txt")
    ties = [key(seed, "species", name) for name in species["species"]]
    quality = ("category", "level", "tie")
    ranked = (
        species.with_columns(pl.Series("tie", ties, pl.UInt64), _place_of(pl.col("clade")).alias("clade_order"))
        .sort(quality)
        .with_columns(pl.int_range(pl.len()).over("clade", "family").alias("turn_of_family"))
        .sort("turn_of_family", *quality)
        .with_columns(pl.int_range(pl.len()).over("clade").alias("turn_of_clade"))
        .sort("turn_of_clade", "clade_order")
    )
    return ranked.head(count).sort("clade_order", "species")


def sources_of(chosen: pl.DataFrame) -> list[Source]:
    """The chosen species as a source list; the accession is the assembly's name, because it is its own only."""
    columns = ("location", "species", "accession", "clade", "species_taxid")
    return [Source(*row) for row in chosen.select(columns).iter_rows()]


def clade_table(species: pl.DataFrame, chosen: pl.DataFrame) -> list[tuple[str, int, int]]:
    """(clade, species to choose from, species chosen) of every clade of the paper."""
    before, after = Counter(species["clade"].to_list()), Counter(chosen["clade"].to_list())
    return [(clade, before[clade], after[clade]) for clade in CLADES]


def _named(candidates: pl.DataFrame, lineage: pl.DataFrame | None) -> pl.DataFrame:
    """Candidates with `species` and `family`, and their clade where a lineage tells it."""
    binomial, genus = _binomial(pl.col("name")), _genus(pl.col("name"))
    if lineage is None:
        return candidates.with_columns(binomial.alias("species"), genus.alias("family"))
    ranks = lineage.rename({"taxid": "species_taxid"}).with_columns(pl.col(pl.String).replace("", None))
    joined = candidates.join(ranks, on="species_taxid", how="left")
    order = pl.col("order").replace_strict(ORDERS, default=None, return_dtype=pl.String)
    clade = pl.col("class").replace_strict(CLASSES, default=order, return_dtype=pl.String)
    return joined.with_columns(
        pl.coalesce("species", "tax_name", binomial).alias("species"),
        pl.coalesce("family", "genus", genus).alias("family"),
        pl.when(pl.col("clade") == VERTEBRATE).then(clade.fill_null(VERTEBRATE)).otherwise("clade").alias("clade"),
    ).drop("tax_name", "genus", "order", "class")


def _binomial(name: pl.Expr) -> pl.Expr:
    """`Escherichia coli str. K-12` -> `Escherichia coli`; a name without an epithet (`Vibrio sp. A1`) stays whole."""
    return pl.coalesce(name.str.extract(rf"^((?:{_PROVISIONAL} )?\S+ [a-z][a-z-]+)(?: |$)"), name)


def _genus(name: pl.Expr) -> pl.Expr:
    return name.str.extract(rf"^(?:{_PROVISIONAL} )?(\S+)").str.strip_chars("[]")


def _place_of(clade: pl.Expr) -> pl.Expr:
    return clade.replace_strict({name: place for place, name in enumerate(CLADES)}, return_dtype=pl.Int32)
