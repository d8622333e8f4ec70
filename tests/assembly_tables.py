"""Made-up tables in the real formats of NCBI's assembly summaries and lineages, of any length, the same every time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from genomics_fm.randomness import key, uniform

NCBI_COLUMNS = (
    "assembly_accession",
    "bioproject",
    "biosample",
    "wgs_master",
    "refseq_category",
    "taxid",
    "species_taxid",
    "organism_name",
    "infraspecific_name",
    "isolate",
    "version_status",
    "assembly_level",
    "release_type",
    "genome_rep",
    "seq_rel_date",
    "asm_name",
    "asm_submitter",
    "gbrs_paired_asm",
    "paired_asm_comp",
    "ftp_path",
    "excluded_from_refseq",
    "relation_to_type_material",
    "asm_not_live_date",
    "assembly_type",
    "group",
    "genome_size",
    "genome_size_ungapped",
    "gc_percent",
    "replicon_count",
    "scaffold_count",
    "contig_count",
    "annotation_provider",
    "annotation_name",
    "annotation_date",
    "total_gene_count",
    "protein_coding_gene_count",
    "non_coding_gene_count",
    "pubmed_id",
)
NCBI_HEAD = (
    "##  See ftp://ftp.ncbi.nlm.nih.gov/genomes/README_assembly_summary.txt for a description of the columns in this "
    "file.\n#" + "\t".join(NCBI_COLUMNS) + "\n"
)
ENSEMBL_HEAD = (
    "#name\tspecies\tdivision\ttaxonomy_id\tassembly\tassembly_accession\tgenebuild\tvariation\tmicroarray\tpan_compara"
    "\tpeptide_compara\tgenome_alignments\tother_alignments\tcore_db\tspecies_id\n"
)
# Share of the rows, group, (order, class) of its lineages; about what RefSeq holds, with more of the rare ones.
GROUPS: tuple[tuple[float, str, tuple[tuple[str, str], ...]], ...] = (
    (0.90, "bacteria", (("Enterobacterales", "Gammaproteobacteria"), ("Bacillales", "Bacilli"))),
    (0.02, "viral", (("", ""),)),
    (0.02, "archaea", (("Sulfolobales", "Thermoprotei"),)),
    (0.02, "fungi", (("Saccharomycetales", "Saccharomycetes"), ("Ustilaginales", "Ustilaginomycetes"))),
    (0.01, "invertebrate", (("Diptera", "Insecta"),)),
    (0.005, "protozoa", (("Haemosporida", "Aconoidasida"),)),
    (0.005, "plant", (("Brassicales", "Magnoliopsida"),)),
    (0.01, "vertebrate_mammalian", (("Primates", "Mammalia"), ("Rodentia", "Mammalia"))),
    (
        0.01,
        "vertebrate_other",
        (
            ("Passeriformes", "Aves"),
            ("Squamata", "Lepidosauria"),
            ("Testudines", ""),
            ("Anura", "Amphibia"),
            ("Perciformes", "Actinopteri"),
            ("Lamniformes", "Chondrichthyes"),
        ),
    ),
)
LEVELS = ("Complete Genome", "Chromosome", "Scaffold", "Contig")
STRAINS = 4
"""Assemblies of one species that follow each other."""


def ncbi_row(**values: object) -> str:
    """A line of an assembly summary; what is not given is as in an ordinary reference genome."""
    row = dict.fromkeys(NCBI_COLUMNS, "na") | {
        "assembly_accession": "GCF_000146045.2",
        "refseq_category": "reference genome",
        "taxid": "559292",
        "species_taxid": "4932",
        "organism_name": "Saccharomyces cerevisiae S288C",
        "version_status": "latest",
        "assembly_level": "Complete Genome",
        "release_type": "Major",
        "genome_rep": "Full",
        "seq_rel_date": "2014/12/17",
        "asm_name": "R64",
        "ftp_path": "https://ftp.ncbi.nlm.nih.gov/genomes/all/GCF/000/146/045/GCF_000146045.2_R64",
        "group": "fungi",
    }
    unknown = set(values) - set(row)
    if unknown:
        raise KeyError(unknown)
    return "\t".join(str(value) for value in (row | values).values()) + "\n"


def lineage_row(taxid: int, name: str, **ranks: str) -> str:
    ordered = ("species", "genus", "family", "order", "class_", "phylum", "kingdom", "superkingdom")
    return "\t|\t".join([str(taxid), name, *(ranks.get(rank, "") for rank in ordered)]) + "\t|\n"


def ensembl_row(species: str, taxid: int, assembly: str, accession: str, division: str = "EnsemblVertebrates") -> str:
    """Ensembl's rows end with a tab that its header has not."""
    rest = ["2020-01-Ensembl", "N", "N", "N", "Y", "Y", "Y", f"{species}_core_110_1", "1", ""]
    return "\t".join(["A name", species, division, str(taxid), assembly, accession, *rest]) + "\n"


def _pick(draw: float, shares: Sequence[float]) -> int:
    for place, share in enumerate(shares):
        draw -= share
        if draw < 0:
            return place
    return len(shares) - 1


def _kinds(count: int) -> Iterator[tuple[int, tuple[str, str]]]:
    """Group and (order, class) of species 0, 1, …"""
    shares = [share for share, *_ in GROUPS]
    for draw, other in uniform(key(0, "kind"), 2 * count).reshape(-1, 2).tolist():
        group = _pick(draw, shares)
        lineages = GROUPS[group][2]
        yield group, lineages[int(other * len(lineages))]


def write_ncbi(path: Path, rows: int) -> Path:
    """An assembly summary of `rows` assemblies, four a species, some of them old, partial or excluded."""
    groups = [GROUPS[group][1] for group, _ in _kinds(rows // STRAINS + 1)]
    draws = uniform(key(0, "assembly"), 4 * rows).reshape(-1, 4).tolist()
    with path.open("w") as file:
        file.write(NCBI_HEAD)
        for number, (level, category, date, defect) in enumerate(draws):
            species = number // STRAINS
            accession = f"GCF_{number:09d}.{1 + number % 3}"
            folder = "/".join((accession[:3], accession[4:7], accession[7:10], accession[10:13]))
            file.write(
                ncbi_row(
                    assembly_accession=accession,
                    refseq_category="reference genome" if category < 0.1 else "na",
                    taxid=species * 10 + number % STRAINS,
                    species_taxid=species * 10,
                    organism_name=f"Genus{species // 50} epithet{_letters(species)} strain {number}",
                    version_status="replaced" if defect < 0.02 else "latest",
                    genome_rep="Partial" if 0.02 <= defect < 0.04 else "Full",
                    excluded_from_refseq="contaminated" if 0.04 <= defect < 0.06 else "na",
                    assembly_level=LEVELS[int(level * len(LEVELS))],
                    seq_rel_date=f"20{10 + int(date * 15)}/{1 + number % 12:02d}/{1 + number % 28:02d}",
                    asm_name=f"ASM{number}v1",
                    asm_submitter='The "Institute" of Made-up Genomics, a Department with a long and winding name',
                    ftp_path=f"https://ftp.ncbi.nlm.nih.gov/genomes/all/{folder}/{accession}_ASM{number}v1",
                    group=groups[species],
                )
            )
    return path


def write_lineage(path: Path, taxa: int) -> Path:
    """Lineages of the first `taxa` species of `write_ncbi`."""
    with path.open("w") as file:
        for species, (_, (order, class_)) in enumerate(_kinds(taxa)):
            name = f"Genus{species // 50} epithet{_letters(species)}"
            ranks = {"genus": name.split()[0], "family": f"Family{species // 200}", "order": order, "class_": class_}
            file.write(lineage_row(species * 10, name, **ranks))
    return path


def _letters(number: int) -> str:
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))
