"""Candidates for a corpus out of the tables of NCBI and Ensembl, and NCBI's lineages (A2).

NCBI: genomes/README_assembly_summary.txt. Ensembl: pub/release-N/species_EnsemblVertebrates.txt. Lineages:
rankedlineage.dmp of new_taxdump, described in taxdump_readme.txt.
"""

from collections import Counter

import polars as pl

from genomics_fm.corpus.registry_tables import Layout, Report, read_pieces
from genomics_fm.errors import InputError

VERTEBRATE = "vertebrate"
"""In place of a clade: only the lineage can tell which."""
GROUPS = {
    "fungi": "Fungi",
    "bacteria": "Bacteria",
    "protozoa": "Protozoa",
    "invertebrate": "Protozoa",
    "vertebrate_mammalian": "Mammalian",
    "vertebrate_other": VERTEBRATE,
}
CATEGORIES = ("reference genome", "representative genome")
LEVELS = ("complete genome", "chromosome", "scaffold", "contig")
ABSENT = ("", "na")
ENSEMBL_DIVISION = "EnsemblVertebrates"
ENSEMBL = "https://ftp.ensembl.org/pub"

_NUMBER = (r"^[0-9]{1,10}$", "a taxonomy id")
_NCBI = Layout(
    columns=(
        "assembly_accession",
        "refseq_category",
        "taxid",
        "species_taxid",
        "organism_name",
        "version_status",
        "assembly_level",
        "genome_rep",
        "seq_rel_date",
        "ftp_path",
        "excluded_from_refseq",
        "group",
    ),
    names=(),
    patterns={
        "assembly_accession": (r"^GC[AF]_[0-9]{9}\.[0-9]+$", "an accession like GCF_000146045.2"),
        "taxid": _NUMBER,
        "species_taxid": _NUMBER,
        "organism_name": (r"\S", "a name"),
        "assembly_level": (f"(?i)^({'|'.join(LEVELS)})$", f"one of {', '.join(LEVELS)}"),
        "seq_rel_date": (r"^([0-9]{4}/[0-9]{2}/[0-9]{2}|na)$", "a date like 2014/12/17"),
        "ftp_path": (r"^((https|http|ftp)://[^/\s]+/\S*[^/\s]|na|)$", "a URL without blanks"),
    },
    normalise=lambda lines, _columns: lines,
    example="NCBI's assembly_summary.txt",
)
_ENSEMBL = Layout(
    columns=("species", "division", "taxonomy_id", "assembly", "assembly_accession"),
    names=(),
    patterns={
        "species": (r"^[a-z0-9_]+$", "a name like homo_sapiens"),
        "taxonomy_id": _NUMBER,
        "assembly": (r"^[^/\s]([^/]*[^/\s])?$", "the name of an assembly"),
    },
    normalise=lambda lines, columns: _without_last_tab(lines, columns),
    example="Ensembl's species_EnsemblVertebrates.txt",
)
_LINEAGE = Layout(
    columns=("taxid", "tax_name", "species", "genus", "family", "order", "class"),
    names=("taxid", "tax_name", "species", "genus", "family", "order", "class"),
    patterns={"taxid": _NUMBER, "tax_name": (r"\S", "a name")},
    normalise=lambda lines, _columns: _without_bars(lines),
    example="rankedlineage.dmp of NCBI's new_taxdump",
)
_REASON = "reason"


def read_ncbi(location: str, left_out: Counter[str], report: Report | None = None) -> pl.DataFrame:
    """Assemblies of an `assembly_summary.txt` that may be chosen.

    Args:
        location: the table, plain or gzip.
        left_out: receives how many assemblies are left out, by reason.
        report: called with the location and the lines read so far.

    Returns:
        accession, species_taxid, name, clade (or VERTEBRATE), category and level (0 is best), date, location,
        registry 0.

    Raises:
        InputError: not such a table.
    """
    reason = (
        pl.when(pl.col("version_status") != "latest")
        .then(pl.lit("not the latest version"))
        .when(pl.col("genome_rep") != "Full")
        .then(pl.lit("part of a genome"))
        .when(~pl.col("excluded_from_refseq").is_in(ABSENT))
        .then(pl.lit("excluded from RefSeq"))
        .when(pl.col("ftp_path").is_in(ABSENT))
        .then(pl.lit("no file"))
        .when(~pl.col("group").is_in(list(GROUPS)))
        .then(pl.lit("no clade of the paper: ") + pl.col("group"))
        .otherwise(pl.lit(""))
    )
    level = pl.col("assembly_level").str.to_lowercase()
    stem = pl.col("ftp_path").str.replace("^(ftp|http)://", "https://")
    kept = [pl.DataFrame(schema=_SCHEMA)]
    for piece in read_pieces(location, _NCBI, report):
        chosen = _sorted_out(piece.with_columns(reason.alias(_REASON)), left_out)
        kept.append(
            chosen.select(
                pl.col("assembly_accession").alias("accession"),
                pl.col("species_taxid").cast(pl.Int64),
                pl.col("organism_name").str.strip_chars().alias("name"),
                pl.col("group").replace_strict(GROUPS, return_dtype=pl.String).alias("clade"),
                _rank(pl.col("refseq_category"), CATEGORIES).alias("category"),
                _rank(level, LEVELS).alias("level"),
                pl.col("seq_rel_date").replace("na", "").alias("date"),
                (stem + "/" + stem.str.extract("([^/]+)$") + "_genomic.fna.gz").alias("location"),
                pl.lit(0).alias("registry"),
            )
        )
    return pl.concat(kept)


def read_ensembl(location: str, release: int, left_out: Counter[str], report: Report | None = None) -> pl.DataFrame:
    """Vertebrate assemblies of an Ensembl species table; the same columns as of NCBI, registry 1.

    Args:
        location: the table, plain or gzip.
        release: of Ensembl; part of the files' addresses.
        left_out: receives how many assemblies are left out, by reason.
        report: called with the location and the lines read so far.

    Raises:
        InputError: not such a table, or no release.
    """
    if release < 1:
        raise InputError(f"--ensembl-release {release}: give the release the table is of, like 115")
    other = (
        pl.when(pl.col("division") != ENSEMBL_DIVISION).then(pl.lit("no vertebrate of Ensembl")).otherwise(pl.lit(""))
    )
    species, assembly = pl.col("species"), pl.col("assembly").str.replace_all(" ", "_", literal=True)
    capital = species.str.slice(0, 1).str.to_uppercase() + species.str.slice(1)
    file = f"{ENSEMBL}/release-{release}/fasta/" + species + "/dna/" + capital + "." + assembly + ".dna.toplevel.fa.gz"
    accession = pl.col("assembly_accession")
    kept = [pl.DataFrame(schema=_SCHEMA)]
    for piece in read_pieces(location, _ENSEMBL, report):
        chosen = _sorted_out(piece.with_columns(other.alias(_REASON)), left_out)
        kept.append(
            chosen.select(
                pl.when(accession.is_in(ABSENT)).then(assembly).otherwise(accession).alias("accession"),
                pl.col("taxonomy_id").cast(pl.Int64).alias("species_taxid"),
                capital.str.replace_all("_", " ", literal=True).alias("name"),
                pl.lit(VERTEBRATE).alias("clade"),
                pl.lit(len(CATEGORIES)).alias("category"),
                pl.lit(len(LEVELS)).alias("level"),
                pl.lit("").alias("date"),
                file.alias("location"),
                pl.lit(1).alias("registry"),
            )
        )
    return pl.concat(kept)


def read_lineage(location: str, taxids: pl.Series, report: Report | None = None) -> pl.DataFrame:
    """Lineages of the given taxids: taxid, tax_name, species, genus, family, order, class; "" where unranked.

    Raises:
        InputError: not a rankedlineage.dmp.
    """
    wanted = taxids.unique().implode()
    pieces = [pl.DataFrame(schema=dict.fromkeys(_LINEAGE.columns, pl.String) | {"taxid": pl.Int64})]
    for piece in read_pieces(location, _LINEAGE, report):
        numbered = piece.with_columns(pl.col("taxid").cast(pl.Int64))
        pieces.append(numbered.filter(pl.col("taxid").is_in(wanted)).select(_LINEAGE.columns))
    return pl.concat(pieces).unique("taxid", keep="first", maintain_order=True)


_SCHEMA = {
    "accession": pl.String,
    "species_taxid": pl.Int64,
    "name": pl.String,
    "clade": pl.String,
    "category": pl.Int32,
    "level": pl.Int32,
    "date": pl.String,
    "location": pl.String,
    "registry": pl.Int32,
}


def _sorted_out(piece: pl.DataFrame, left_out: Counter[str]) -> pl.DataFrame:
    """The rows without a reason; the others are counted."""
    for reason, count in piece.filter(pl.col(_REASON) != "").group_by(_REASON).len().iter_rows():
        left_out[reason] += count
    return piece.filter(pl.col(_REASON) == "")


def _rank(column: pl.Expr, best_first: tuple[str, ...]) -> pl.Expr:
    places = {name: place for place, name in enumerate(best_first)}
    return column.replace_strict(places, default=len(best_first), return_dtype=pl.Int32)


def _without_last_tab(lines: bytes, columns: int) -> bytes:
    """Ensembl ends its rows, but not its header, with a tab."""
    rows = lines.removesuffix(b"\n").split(b"\n") if lines else []
    return b"".join((row[:-1] if row.count(b"\t") == columns and row.endswith(b"\t") else row) + b"\n" for row in rows)


def _without_bars(lines: bytes) -> bytes:
    """NCBI's dump separates cells by tab, bar, tab and ends a line with tab, bar."""
    return lines.replace(b"\t|\n", b"\n").replace(b"\t|\t", b"\t")
